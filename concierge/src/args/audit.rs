//! The flags of the audit log.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::error::ErrorKind;

use super::{audit_otlp::OtlpArgs, span::Span};
use crate::config::{Audit, Destination, FileSettings, Fsync, Keep, Proxies, SinkSettings};

/// Where audit records go, and how long they are kept.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AuditArgs {
    /// Where audit records are written, one JSON object a line: a file, or `-` for standard output.
    #[arg(long, env = "LATCHKEY_AUDIT_LOG", value_name = "FILE", default_value = "-")]
    audit_log: Place,

    /// Write audit records to standard output beside the file of --audit-log.
    #[arg(long, env = "LATCHKEY_AUDIT_STDOUT")]
    audit_stdout: bool,

    /// Where a record must have been written before a credential is handed out: `stdout`, `file`, several separated by
    /// commas, or `none`; `otlp` is the collector. By default everywhere but there. While one of them cannot be written nobody gets a credential.
    #[arg(long, env = "LATCHKEY_AUDIT_REQUIRED", value_name = "SINKS", value_delimiter = ',')]
    audit_required: Vec<String>,

    /// When records in a file are made to outlast a power cut: `grants` (before a credential is handed out, the others
    /// within a second), `interval` (all within a second) or `off`.
    #[arg(long, env = "LATCHKEY_AUDIT_FSYNC", value_name = "WHEN", default_value = "grants", value_parser = fsync)]
    audit_fsync: Fsync,

    /// The size at which the file is closed, moved away under a name of its own and compressed. A number with a unit:
    /// `100MiB`.
    #[arg(long, env = "LATCHKEY_AUDIT_ROTATE_BYTES", value_name = "SIZE", default_value = "100MiB")]
    audit_rotate_bytes: Size,

    /// The age at which it is.
    #[arg(long, env = "LATCHKEY_AUDIT_ROTATE_AGE", value_name = "TIME", default_value = "24h")]
    audit_rotate_age: Span,

    /// How many closed files are kept. By default as many as --audit-keep-bytes allows.
    #[arg(long, env = "LATCHKEY_AUDIT_KEEP_FILES", value_name = "NUMBER")]
    audit_keep_files: Option<usize>,

    /// How long closed files are kept. By default as long as --audit-keep-bytes allows.
    #[arg(long, env = "LATCHKEY_AUDIT_KEEP_AGE", value_name = "TIME")]
    audit_keep_age: Option<Span>,

    /// How much is kept of closed files in all, compressed. Before the oldest one is deleted the log says so.
    #[arg(long, env = "LATCHKEY_AUDIT_KEEP_BYTES", value_name = "SIZE", default_value = "10GiB")]
    audit_keep_bytes: Size,

    /// How often what was written is sealed by a signed checkpoint if there is anything new; after 1,000 lines, when a file
    /// is closed and at the end it is in any case. What no checkpoint covers yet, whoever can write to the log can still
    /// change unseen.
    #[arg(long, env = "LATCHKEY_AUDIT_CHECKPOINT_EVERY", value_name = "TIME", default_value = "60s")]
    audit_checkpoint_every: Span,

    #[command(flatten)]
    otlp: OtlpArgs,
}

/// A file, or standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Stdout,
    File(PathBuf),
}

/// A number of bytes as it is typed. Without a unit it is refused, as a span of time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size(u64);

/// Below this every record would begin a file of its own.
const LEAST_ROTATE_BYTES: u64 = 64 << 10;
/// Below this a quiet log would be nothing but files.
const LEAST_ROTATE_AGE: Duration = Duration::from_mins(1);
/// Below this a busy log would be little but checkpoints.
const LEAST_CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

impl AuditArgs {
    /// What was meant.
    pub(super) fn meant(self, proxies: &Proxies) -> Result<Audit, clap::Error> {
        let Self {
            audit_log,
            audit_stdout,
            audit_required,
            audit_fsync,
            audit_rotate_bytes,
            audit_rotate_age,
            audit_keep_files,
            audit_keep_age,
            audit_keep_bytes,
            audit_checkpoint_every,
            otlp,
        } = self;
        if audit_rotate_bytes.0 < LEAST_ROTATE_BYTES {
            return Err(refused("--audit-rotate-bytes: expected at least 64KiB"));
        }
        if audit_rotate_age.0 < LEAST_ROTATE_AGE {
            return Err(refused("--audit-rotate-age: expected at least 1m"));
        }
        if audit_checkpoint_every.0 < LEAST_CHECKPOINT_EVERY {
            return Err(refused("--audit-checkpoint-every: expected at least 1s"));
        }
        let file = |path| {
            Destination::File(FileSettings {
                path,
                rotate_bytes: audit_rotate_bytes.0,
                rotate_age: audit_rotate_age.0,
                keep: Keep {
                    files: audit_keep_files,
                    age: audit_keep_age.map(|span| span.0),
                    bytes: audit_keep_bytes.0,
                },
            })
        };
        let mut destinations = match audit_log {
            Place::Stdout => vec![Destination::Stdout],
            Place::File(path) => vec![file(path)],
        };
        if audit_stdout && !destinations.contains(&Destination::Stdout) {
            destinations.push(Destination::Stdout);
        }
        destinations.extend(otlp.meant(proxies)?.map(Destination::Otlp));
        let names: Vec<_> = destinations.iter().map(Destination::name).collect();
        let is_known = |name: &String| names.contains(&name.as_str());
        let none = audit_required == ["none"];
        if let Some(unknown) = audit_required.iter().find(|name| !none && !is_known(name)) {
            let known = names.join(", ");
            return Err(refused(&format!("--audit-required: no records are written to {unknown:?}, only to {known}")));
        }
        let is_required = |name: &str| match audit_required.as_slice() {
            // Nobody expects that logins hang on a collector.
            [] => name != Destination::OTLP,
            given => given.iter().any(|given| given == name),
        };
        let sink = |destination: Destination| SinkSettings { required: is_required(destination.name()), destination };
        Ok(Audit {
            sinks: destinations.into_iter().map(sink).collect(),
            fsync: audit_fsync,
            checkpoint_every: audit_checkpoint_every.0,
        })
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("expected a file name, or - for standard output"),
            "-" => Ok(Self::Stdout),
            file => Ok(Self::File(file.into())),
        }
    }
}

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a whole number with a unit: B, KiB, MiB, GiB or TiB";
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| EXPECTED)?;
        let power = ["B", "KiB", "MiB", "GiB", "TiB"].iter().position(|known| *known == unit).ok_or(EXPECTED)?;
        let unit = 1 << (10 * power);
        number.checked_mul(unit).map(Self).ok_or(EXPECTED)
    }
}

fn fsync(text: &str) -> Result<Fsync, &'static str> {
    match text {
        "grants" => Ok(Fsync::Grants),
        "interval" => Ok(Fsync::Interval),
        "off" => Ok(Fsync::Off),
        _ => Err("expected grants, interval or off"),
    }
}

fn refused(message: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Only {
        #[command(flatten)]
        audit: AuditArgs,
    }

    fn meant(flags: &[&str]) -> Result<Audit, clap::Error> {
        Only::try_parse_from([&["concierge"], flags].concat())?.audit.meant(&Proxies::default())
    }

    fn sinks(flags: &[&str]) -> Vec<(&'static str, bool)> {
        meant(flags).unwrap().sinks.iter().map(|sink| (sink.destination.name(), sink.required)).collect()
    }

    #[test]
    fn records_go_to_standard_output_unless_told_otherwise() {
        assert_eq!(sinks(&[]), [("stdout", true)]);
        assert_eq!(sinks(&["--audit-stdout"]), [("stdout", true)]);
        assert_eq!(sinks(&["--audit-log=a.jsonl"]), [("file", true)]);
        assert_eq!(sinks(&["--audit-log=a.jsonl", "--audit-stdout"]), [("file", true), ("stdout", true)]);
        let both = ["--audit-log=a.jsonl", "--audit-stdout", "--audit-required"];
        assert_eq!(sinks(&[&both[..], &["file"]].concat()), [("file", true), ("stdout", false)]);
        assert_eq!(sinks(&[&both[..], &["stdout,file"]].concat()), [("file", true), ("stdout", true)]);
        assert_eq!(sinks(&[&both[..], &["none"]].concat()), [("file", false), ("stdout", false)]);
        assert_eq!(meant(&[]).unwrap().fsync, Fsync::Grants);
    }

    #[test]
    fn a_collector_has_a_vote_only_if_it_is_given_one() {
        let collector = "--audit-otlp-endpoint=https://collector:4318";
        assert_eq!(sinks(&[collector]), [("stdout", true), ("otlp", false)]);
        assert_eq!(sinks(&[collector, "--audit-required=otlp"]), [("stdout", false), ("otlp", true)]);
        for wrong in [
            &["--audit-otlp-endpoint=http://collector:4318"][..],
            &["--audit-otlp-plaintext"],
            &["--audit-otlp-ca-file=ca.pem"],
            &["--audit-otlp-headers-file=headers"],
            &["--audit-required=otlp"],
        ] {
            assert!(meant(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(sinks(&["--audit-otlp-endpoint=http://collector:4318", "--audit-otlp-plaintext"]).len(), 2);
    }

    #[test]
    fn a_file_is_kept_as_told() {
        let flags =
            ["--audit-log=a.jsonl", "--audit-rotate-bytes=1MiB", "--audit-rotate-age=7d", "--audit-keep-files=3"];
        let more = ["--audit-keep-age=90d", "--audit-keep-bytes=2GiB", "--audit-fsync=off"];
        let audit = meant(&[&flags[..], &more].concat()).unwrap();
        let days = |days: u64| Duration::from_hours(24 * days);
        let file = FileSettings {
            path: "a.jsonl".into(),
            rotate_bytes: 1 << 20,
            rotate_age: days(7),
            keep: Keep { files: Some(3), age: Some(days(90)), bytes: 2 << 30 },
        };
        let expected = SinkSettings { destination: Destination::File(file), required: true };
        assert_eq!((audit.sinks, audit.fsync), (vec![expected], Fsync::Off));
        let Audit { sinks, .. } = meant(&["--audit-log=a.jsonl"]).unwrap();
        assert_eq!(sinks[0].destination, Destination::File(FileSettings::new("a.jsonl".into())));
    }

    #[test]
    fn checkpoints_are_as_frequent_as_told() {
        let every = |flags: &[&str]| meant(flags).unwrap().checkpoint_every;
        assert_eq!(every(&[]), Duration::from_mins(1));
        assert_eq!(every(&["--audit-checkpoint-every=1s"]), Duration::from_secs(1));
        assert_eq!(every(&["--audit-checkpoint-every=1h"]), Duration::from_hours(1));
    }

    #[test]
    fn mistakes_are_found_at_start() {
        for wrong in [
            "--audit-log=",
            "--audit-required=file",
            "--audit-required=stdout,none",
            "--audit-fsync=always",
            "--audit-rotate-bytes=100",
            "--audit-rotate-bytes=1KiB",
            "--audit-rotate-bytes=99999999999TiB",
            "--audit-rotate-age=1s",
            "--audit-checkpoint-every=0s",
            "--audit-checkpoint-every=999ms",
            "--audit-checkpoint-every=5",
            "--audit-keep-bytes=-1GiB",
            "--audit-keep-files=few",
        ] {
            assert!(meant(&[wrong]).is_err(), "{wrong}");
        }
    }
}
