//! `kubeconfig`: asks clusters how to log in to them, and writes that down.

mod arguments;
mod directory;
mod discover;
mod entries;
mod file;
mod fleet;
mod foreign;
mod merge;
mod names;
mod objects;
pub(super) mod reader;
mod stanza;
mod yaml;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use self::discover::Found;
use self::fleet::Answers;
use self::merge::{Files, Guard, Wish, Wishes};
use self::names::Naming;
use self::reader::OUR_PREFIX;
use self::stanza::{Manner, Stanza};
use super::{World, print, runtime};
use crate::args::{KubeconfigArgs, OutputTo};
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::output::{Output, Printable};

/// Where the result goes.
enum Place {
    /// A file for each cluster in it; `own` if the person did not choose it.
    Directory { path: PathBuf, own: bool },
    /// One file, wholly ours.
    File(PathBuf),
    /// Into the reader's own files, or only told.
    Merge { files: Files, rehearse: bool },
    /// Standard output.
    Stdout,
}

/// Writes kubeconfigs.
///
/// # Errors
/// When no cluster can be asked or offers a login, or something cannot be written. Of several clusters, one that fails spoils
/// no other, but the whole has failed.
pub(super) fn run(mut args: KubeconfigArgs, world: World<'_>) -> Result<(), Failure> {
    args.login.ca_data = args.issuer_ca.as_deref().map(issuer_roots).transpose()?;
    let args = Arc::new(args);
    let place = place(&args, world.environment)?;
    let manner = Manner {
        command: args.command_path.clone(),
        install_hint: args.install_hint.clone(),
        settings_in_cluster: args.settings_in_cluster,
    };
    let answers = match args.from {
        None => runtime()?.block_on(fleet::ask(&args, world.environment, world.output))?,
        Some(plugin) => {
            let foreign = runtime()?.block_on(foreign::read(&args, plugin, world.environment, world.output))?;
            if let Place::Merge { files, rehearse } = &place {
                let wishes = Wishes { entries: foreign::in_place(&foreign, &manner), current: None };
                merged(files, &wishes, *rehearse, world.output)?;
                return if *rehearse { print(&stanza::users(&wishes.entries)) } else { Ok(()) };
            }
            if foreign.is_empty() {
                world.output.say("Nothing to change.");
            }
            Answers { found: foreign.into_iter().map(|foreign| foreign.found).collect(), failures: Vec::new() }
        }
    };
    let Answers { found, mut failures } = answers;
    for found in &found {
        for warning in &found.warnings {
            world.output.warn(&if args.contexts.are_many() {
                format!("{}: {warning}", found.asked)
            } else {
                warning.clone()
            });
        }
    }
    let stanzas = stanzas(&args, &place, found, world)?;
    let asked = stanzas.len() + failures.len();
    if !stanzas.is_empty() {
        failures.extend(put(&args, &place, &stanzas, &manner, world)?);
    }
    told(asked, &failures)
}

fn issuer_roots(path: &Path) -> Result<String, Failure> {
    let pem = fs::read(path)
        .map_err(|error| Failure::new(Status::Usage, format!("--issuer-ca {}: {error}", path.display())))?;
    Ok(BASE64_STANDARD.encode(pem))
}

fn place(args: &KubeconfigArgs, environment: &Environment) -> Result<Place, Failure> {
    if args.merge {
        return Ok(match &args.output {
            Some(OutputTo::File(path)) => Place::Merge { files: Files::only(path), rehearse: false },
            output => Place::Merge {
                files: Files::of_reader(args.kubectl.kubeconfig.as_deref(), environment)?,
                rehearse: output.is_some(),
            },
        });
    }
    Ok(match (&args.output, &args.output_dir) {
        (Some(OutputTo::File(path)), _) => Place::File(path.clone()),
        (None, Some(path)) => Place::Directory { path: path.clone(), own: false },
        (None, None) if args.contexts.are_many() => {
            Place::Directory { path: merge::home(environment)?.join(directory::PLACE), own: true }
        }
        (Some(OutputTo::Stdout), _) | (None, None) => Place::Stdout,
    })
}

/// Gives names to what was found.
fn stanzas(args: &KubeconfigArgs, place: &Place, found: Vec<Found>, world: World<'_>) -> Result<Vec<Stanza>, Failure> {
    let is_named = args.name.is_some() || args.name_template.is_some();
    // What the reader's own files hold counts where ours stand beside them.
    let taken = match place {
        _ if is_named => Vec::new(),
        Place::Merge { files, .. } => merge::foreign_contexts(files)?,
        Place::Directory { own: true, .. } => {
            merge::foreign_contexts(&Files::of_reader(args.kubectl.kubeconfig.as_deref(), world.environment)?)?
        }
        Place::Directory { own: false, .. } | Place::File(_) | Place::Stdout => Vec::new(),
    };
    let naming = Naming { name: args.name.as_deref(), template: args.name_template.as_ref(), taken: &taken };
    let names = naming.names(&found)?;
    let beside = matches!(place, Place::File(_) | Place::Stdout | Place::Directory { own: false, .. });
    let stanzas = found.into_iter().zip(names).map(|(found, names)| {
        if beside && !is_named && !found.is_ours && found.context == names.context {
            world.output.warn(&format!(
                "your kubeconfig has a context {:?} already, and when files are merged the first one wins; consider --name",
                names.context
            ));
        }
        let mut login = found.login;
        let plain = names.context.strip_prefix(OUR_PREFIX).unwrap_or(&names.context);
        login.cluster_name.get_or_insert_with(|| plain.to_owned());
        Stanza { names, cluster: found.cluster, namespace: found.namespace, login, environment: found.environment }
    });
    Ok(stanzas.collect())
}

/// Writes or prints. Gives the clusters that could not be written.
fn put(
    args: &KubeconfigArgs,
    place: &Place,
    stanzas: &[Stanza],
    manner: &Manner,
    world: World<'_>,
) -> Result<Vec<(String, Failure)>, Failure> {
    let current = match stanzas {
        [one] => Some(one.names.context.as_str()),
        _ => None,
    };
    let document = || stanza::document(stanzas, manner, current);
    match place {
        Place::Stdout => print(&document())?,
        Place::File(path) => {
            let (path, changed) = file::write(path, &document(), args.force)?;
            let path = path.display();
            world.output.say(&match current {
                _ if !changed => format!("Nothing to change in {path}"),
                Some(context) => {
                    format!("Wrote context {context} to {path}. Try: kubectl --kubeconfig {path} get namespaces")
                }
                None => format!("Wrote {} contexts to {path}", stanzas.len()),
            });
        }
        Place::Directory { path, .. } => {
            let (paths, failures) = directory::write(path, stanzas, manner, args.force, world.output);
            if let Some(line) = directory::export_line(&paths, world.environment)? {
                print(&line)?;
            }
            return Ok(failures);
        }
        Place::Merge { files, rehearse } => {
            let entries = stanzas.iter().flat_map(|stanza| stanza.entries(manner));
            let wishes = Wishes {
                entries: entries.map(|entry| Wish { entry, guard: Guard::Ours }).collect(),
                current: current.filter(|_| args.set_current).map(ToOwned::to_owned),
            };
            merged(files, &wishes, *rehearse, world.output)?;
            if *rehearse {
                print(&document())?;
            }
        }
    }
    Ok(Vec::new())
}

fn merged(files: &Files, wishes: &Wishes, rehearse: bool, output: &Output) -> Result<(), Failure> {
    let words = if rehearse { merge::rehearse(files, wishes)? } else { merge::merge(files, wishes)? };
    if words.is_empty() {
        output.say("Nothing to change.");
    }
    for line in words {
        output.say(&if rehearse { format!("Not written: {line}") } else { line });
    }
    Ok(())
}

/// Tells which clusters are missing from the result.
fn told(asked: usize, failures: &[(String, Failure)]) -> Result<(), Failure> {
    let Some((_, first)) = failures.first() else { return Ok(()) };
    for (context, failure) in failures {
        Output::remark(&format!("{}: {}", Printable(context), Printable(&failure.message)));
    }
    let failure = Failure::new(Status::General, format!("{} of {asked} clusters left out", failures.len()));
    // One hint is worth reading; forty equal ones are not.
    let same = failures.iter().all(|(_, failure)| failure.hint == first.hint);
    Err(match &first.hint {
        Some(hint) if same => failure.hint(hint.clone()),
        _ => failure.hint("ask one by itself to see more: --context NAME"),
    })
}
