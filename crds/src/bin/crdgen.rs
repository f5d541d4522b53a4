//! Writes the CRD manifests, or checks that they are current: `crdgen [--suffix S] [--out DIR] [--check]`.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use latchkey_crds::groups::GroupSuffix;
use latchkey_crds::manifests::{self, Manifest};

const USAGE: &str = "\
Usage: crdgen [--suffix SUFFIX] [--out DIR] [--check]

Writes one YAML file for each custom resource, and a kustomization.yaml that names them.

  --suffix SUFFIX  ending of the API groups [default: latchkey.dev]
  --out DIR        folder to write to or to check [default: crds/manifests]
  --check          write nothing; exit 1 if a file differs from what the types say";

/// What was asked for.
struct Request {
    suffix: GroupSuffix,
    out: PathBuf,
    check: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        say(USAGE);
        return ExitCode::SUCCESS;
    }
    match parse(arguments).map(|request| run(&request)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("crdgen: {error}\n\n{USAGE}");
            // EX_USAGE of sysexits.h
            ExitCode::from(64)
        }
    }
}

fn parse(arguments: Vec<OsString>) -> Result<Request, Box<dyn Error + Send + Sync>> {
    let mut request = Request { suffix: GroupSuffix::default(), out: PathBuf::from("crds/manifests"), check: false };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--check") => request.check = true,
            Some("--out") => request.out = arguments.next().ok_or("--out needs a folder")?.into(),
            Some("--suffix") => {
                let suffix = arguments.next().ok_or("--suffix needs a value")?;
                request.suffix = suffix.to_str().ok_or("--suffix must be UTF-8")?.parse()?;
            }
            _ => return Err(format!("unexpected argument {}", argument.display()).into()),
        }
    }
    Ok(request)
}

fn run(request: &Request) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let files = manifests::files(&request.suffix)?;
    if request.check {
        let stale = stale(&files, &request.out);
        for path in &stale {
            eprintln!("crdgen: {} is not what the types in crds/src say; run: cargo crdgen", path.display());
        }
        return Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    fs::create_dir_all(&request.out).map_err(|error| format!("cannot make {}: {error}", request.out.display()))?;
    for file in &files {
        let path = request.out.join(&file.file_name);
        fs::write(&path, &file.text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        say(&path.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}

/// The files that are missing, unreadable, or not what they should be.
fn stale(files: &[Manifest], folder: &Path) -> Vec<PathBuf> {
    let path = |file: &Manifest| folder.join(&file.file_name);
    files.iter().filter(|file| fs::read_to_string(path(file)).ok().as_deref() != Some(&file.text)).map(path).collect()
}

#[expect(clippy::print_stdout, reason = "the paths written are this program's output")]
fn say(line: &str) {
    println!("{line}");
}
