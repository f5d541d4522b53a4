//! `rejections`: who tried what where, over every cluster that the reader's kubeconfig knows.

mod list;
mod read;
mod show;

use self::list::Fleet;
use super::{World, data, print, runtime};
use crate::args::{RejectionsArgs, RejectionsFormat};
use crate::failure::{Failure, Status};
use crate::output::{Output, Printable};

/// Prints which tokens were refused, of all clusters that could be read.
///
/// # Errors
/// When nothing could be asked, or some cluster was not read: then the rest is printed all the same.
pub(super) fn run(args: &RejectionsArgs, world: World<'_>) -> Result<(), Failure> {
    let now = world.clock.now();
    let answers = runtime()?.block_on(read::all(args, world.environment))?;
    let fleet = Fleet::new(answers, args, now);
    match args.format {
        RejectionsFormat::Json => print(&data::json(&fleet))?,
        RejectionsFormat::Yaml => print(&data::yaml(&fleet)?)?,
        RejectionsFormat::Table | RejectionsFormat::Wide if fleet.rejections.is_empty() => {
            // As kubectl: words on standard error, so that a script that counts lines counts none.
            if !fleet.read.is_empty() {
                world.output.say("No refused tokens found.");
            }
        }
        RejectionsFormat::Table => print(&show::table(&fleet, false, now))?,
        RejectionsFormat::Wide => print(&show::table(&fleet, true, now))?,
    }
    if fleet.failures.is_empty() {
        return Ok(());
    }
    for failure in &fleet.failures {
        Output::remark(&format!("{}: {}", Printable(&failure.context), Printable(&failure.reason)));
    }
    let asked = fleet.read.len() + fleet.failures.len();
    let failure = Failure::new(Status::General, format!("{} of {asked} contexts not read", fleet.failures.len()));
    Err(if fleet.failures.iter().any(|failure| failure.is_forbidden) {
        failure.hint("reading needs the ClusterRole latchkey-rejections-viewer; ask the cluster's administrator")
    } else {
        failure
    })
}
