//! `latchkey-concierge audit`: verifies logs, shows their records, and follows one; each as asked for, with its exit code.

mod answer;
mod evidence;

use std::{
    io::{self, BufRead as _, BufReader, Write},
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;

use super::{
    follow::Follower,
    read::{self, Unreadable},
    show::{Filter, Form, Style},
    verify::{Demands, LONGEST_LINE, Verdict, Verifier},
};
use crate::time::{Clock, UnixTime};

/// How often a followed file is looked at: nobody reads faster, and it costs two system calls.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is asked about logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Are they what was written?
    Verify(Verify),
    /// What do they say?
    Show(Show),
    /// What is being written?
    Tail(Tail),
}

/// What is to be verified, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    /// Public keys, or files that hold some.
    pub keys: Vec<String>,
    /// Files that hold checkpoints.
    pub checkpoints: Vec<PathBuf>,
    /// All records must be covered by a signed checkpoint.
    pub require_signed: bool,
    /// Lines that are no records are passed over.
    pub mixed: bool,
    /// The answer is one JSON object.
    pub json: bool,
    /// The logs; `-` is standard input.
    pub files: Vec<PathBuf>,
}

/// What is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Show {
    /// Which records.
    pub filter: Filter,
    /// How.
    pub form: Form,
    /// The logs; `-` is standard input.
    pub files: Vec<PathBuf>,
}

/// What is to be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Which records.
    pub filter: Filter,
    /// How.
    pub form: Form,
    /// How many of the last.
    pub last: usize,
    /// Go on when new ones come.
    pub follow: bool,
    /// The log.
    pub file: PathBuf,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Shown; or all is intact and complete.
    Well,
    /// Something is not what was written.
    Broken,
    /// What is there is intact, and something is missing.
    Incomplete,
}

/// Why a command could not be carried out. Its words are for whoever typed it.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A log cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A key or a checkpoint cannot be used.
    #[error("{0}")]
    Evidence(String),
    /// There is not one record in the files.
    #[error("no audit record in {files}")]
    NoRecord {
        /// The files.
        files: String,
    },
    /// The answer cannot be written.
    #[error("writing the answer: {0}")]
    Output(io::Error),
}

/// Carries a command out; `color` says whether the output is a terminal that shows colours.
///
/// # Errors
/// When a file cannot be read, or the answer not be written.
pub fn run(
    audit: &Audit,
    clock: &dyn Clock,
    color: bool,
    output: &mut impl Write,
    notes: &mut impl Write,
) -> Result<Ending, AuditError> {
    let outcome = match audit {
        Audit::Verify(verify) => self::verify(verify, color, output),
        Audit::Show(show) => self::show(show, clock.now(), color, output, notes).map(|()| Ending::Well),
        Audit::Tail(tail) => self::tail(tail, clock, color, output).map(|()| Ending::Well),
    };
    match outcome {
        // Whoever reads has read enough: `| head` is no failure.
        Err(AuditError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Ending::Well),
        outcome => outcome,
    }
}

fn verify(verify: &Verify, color: bool, output: &mut impl Write) -> Result<Ending, AuditError> {
    let demands = Demands {
        keys: evidence::keys(&verify.keys)?,
        published: evidence::checkpoints(&verify.checkpoints)?,
        require_signed: verify.require_signed,
        mixed: verify.mixed,
    };
    let mut verifier = Verifier::new(demands);
    for mut source in read::in_order(&verify.files)? {
        verifier.begin(&source.name);
        source.for_each_block(|block| verifier.feed(block))?;
    }
    let report = verifier.finish();
    if !report.logs.is_empty() || !report.findings.is_empty() {
        if verify.json {
            serde_json::to_writer_pretty(&mut *output, &report).map_err(|error| AuditError::Output(error.into()))?;
            writeln!(output).map_err(AuditError::Output)?;
        } else {
            answer::write(&report, color, output).map_err(AuditError::Output)?;
        }
    }
    if report.logs.is_empty() {
        return Err(no_record(&verify.files));
    }
    Ok(match report.verdict {
        Verdict::Intact => Ending::Well,
        Verdict::Incomplete => Ending::Incomplete,
        Verdict::Broken => Ending::Broken,
    })
}

fn no_record(files: &[PathBuf]) -> AuditError {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    AuditError::NoRecord { files: files.join(", ") }
}

fn show(
    show: &Show,
    now: UnixTime,
    color: bool,
    output: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), AuditError> {
    let style = Style { form: show.form, color };
    let (mut records, mut others) = (0_u64, 0_u64);
    heading(style, output)?;
    for mut source in read::in_order(&show.files)? {
        let mut lines = BufReader::with_capacity(read::BLOCK, source.open()?);
        let mut line = Vec::new();
        loop {
            line.clear();
            let unreadable = |error| Unreadable { name: source.name.clone(), error };
            if bounded_line(&mut lines, &mut line).map_err(unreadable)? == 0 {
                break;
            }
            if let Some((text, record)) = parsed(&line) {
                records += 1;
                if show.filter.admits(&record, now) {
                    writeln!(output, "{}", style.line(text, &record)).map_err(AuditError::Output)?;
                }
            } else {
                others += 1;
            }
        }
    }
    if records == 0 {
        return Err(no_record(&show.files));
    }
    if others > 0 {
        // Standard error may be gone; the records are what was asked for.
        let _ = writeln!(notes, "{others} lines are no audit records and were passed over");
    }
    Ok(())
}

fn tail(tail: &Tail, clock: &dyn Clock, color: bool, output: &mut impl Write) -> Result<(), AuditError> {
    let style = Style { form: tail.form, color };
    let name = tail.file.display().to_string();
    let unreadable = |error| AuditError::Unreadable(Unreadable { name: name.clone(), error });
    let mut last = std::collections::VecDeque::new();
    let shown = |line: &[u8]| {
        let (text, record) = parsed(line)?;
        tail.filter.admits(&record, clock.now()).then(|| style.line(text, &record))
    };
    let mut follower = Follower::new(&tail.file).map_err(unreadable)?;
    let keep = |line: &[u8]| {
        if let Some(line) = shown(line) {
            last.push_back(line);
            if last.len() > tail.last {
                last.pop_front();
            }
        }
        Ok(())
    };
    follower.look(keep).map_err(unreadable)?;
    heading(style, output)?;
    for line in last {
        writeln!(output, "{line}").map_err(AuditError::Output)?;
    }
    output.flush().map_err(AuditError::Output)?;
    if !tail.follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(LOOK_EVERY);
        // Two kinds of failure come the same way; the writer's is kept apart.
        let mut written = Ok(());
        let print = |line: &[u8]| {
            let Some(line) = shown(line) else { return Ok(()) };
            written = writeln!(output, "{line}").and_then(|()| output.flush());
            if written.is_ok() { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        };
        let looked = follower.look(print);
        written.map_err(AuditError::Output)?;
        looked.map_err(unreadable)?;
    }
}

fn heading(style: Style, output: &mut impl Write) -> Result<(), AuditError> {
    style.heading().map_or(Ok(()), |heading| writeln!(output, "{heading}").map_err(AuditError::Output))
}

/// A line that is an audit record, as text and as what it says.
fn parsed(line: &[u8]) -> Option<(&str, Value)> {
    let text = std::str::from_utf8(line).ok()?.trim_ascii_end();
    let record: Value = serde_json::from_str(text).ok()?;
    let is_record = record.get("v").is_some_and(Value::is_u64) && record.get("kind").is_some_and(Value::is_string);
    is_record.then_some((text, record))
}

/// Reads one line of bounded length; what a longer one has too much is read as a line of its own, and is no record.
fn bounded_line(input: &mut impl io::BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    io::Read::take(&mut *input, LONGEST_LINE as u64).read_until(b'\n', line)
}
