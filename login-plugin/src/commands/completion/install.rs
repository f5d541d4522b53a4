//! `completion install`: the link by which kubectl finds us.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::KUBECTL_NAME;
use crate::commands::World;
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::output::Output;
use crate::platform::links;

/// What was done with the link.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    Made,
    WasThere,
}

/// Makes the link and says where.
///
/// # Errors
/// When no directory takes it, or something else stands there.
pub(super) fn run(directory: Option<&Path>, world: World<'_>) -> Result<(), Failure> {
    let failed = |what: String| Failure::new(Status::General, what);
    let program = std::env::current_exe()
        .map_err(|error| failed(format!("the operating system does not say where this program is: {error}")))?;
    let directories = match directory {
        Some(directory) => vec![directory.to_path_buf()],
        None => directories(&program, world.environment),
    };
    let mut refused = Vec::new();
    for directory in &directories {
        let link = directory.join(format!("{KUBECTL_NAME}{}", std::env::consts::EXE_SUFFIX));
        match make(&program, &link) {
            Ok(done) => {
                say(&done, &link, world);
                return Ok(());
            }
            Err(error) => refused.push(format!("{}: {error}", link.display())),
        }
    }
    let failure = failed(match refused.as_slice() {
        [one] => format!("cannot make the link {one}"),
        _ => format!("cannot make the link {KUBECTL_NAME} in any directory of PATH"),
    });
    let advice = format!("make it yourself: {}", links::by_hand(&program, &program.with_file_name(KUBECTL_NAME)));
    Err(failure.hint(advice))
}

/// Beside the program if that is in `PATH`, then those of `PATH` in its order.
fn directories(program: &Path, environment: &Environment) -> Vec<PathBuf> {
    let path: Vec<PathBuf> = environment.paths("PATH").into_iter().filter(|path| path.is_absolute()).collect();
    let beside = program.parent().filter(|directory| path.iter().any(|listed| listed == directory));
    beside.map(Path::to_path_buf).into_iter().chain(path.iter().cloned()).collect()
}

fn make(program: &Path, link: &Path) -> io::Result<Done> {
    match fs::symlink_metadata(link) {
        Ok(_) if leads_to(link, program) => Ok(Done::WasThere),
        // A link of ours to where the program was before may go; anything else is not ours.
        Ok(found) if found.is_symlink() && names_us(link) => {
            fs::remove_file(link)?;
            links::make(program, link).map(|()| Done::Made)
        }
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "another file stands there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => links::make(program, link).map(|()| Done::Made),
        Err(error) => Err(error),
    }
}

fn leads_to(link: &Path, program: &Path) -> bool {
    let (found, ours) = (fs::canonicalize(link), fs::canonicalize(program));
    found.is_ok_and(|found| ours.is_ok_and(|ours| ours == found))
}

fn names_us(link: &Path) -> bool {
    fs::read_link(link).is_ok_and(|target| target.file_stem().is_some_and(|name| name == "kubectl-latchkey"))
}

fn say(done: &Done, link: &Path, world: World<'_>) {
    let shown = link.display();
    world.output.say(&match done {
        Done::Made => format!("Made {shown}: kubectl now completes `kubectl latchkey`."),
        Done::WasThere => format!("{shown} is there already: kubectl completes `kubectl latchkey`."),
    });
    let directory = link.parent().unwrap_or(Path::new(""));
    if !world.environment.paths("PATH").iter().any(|listed| listed == directory) {
        Output::remark(&format!("{} is not in PATH: kubectl does not find it there.", directory.display()));
    }
}
