//! The flags of `audit`.

use std::{path::PathBuf, time::Duration};

use clap::{Subcommand, ValueEnum};

use crate::{
    audit::{
        commands::{Audit, Show, Tail, Verify},
        show::{Filter, Form, Level, Moment},
    },
    time::UnixTime,
};

/// Most lines that `tail -n` keeps: at a few hundred bytes each some MiB.
const MAX_LAST: u64 = 10_000;

/// Verify audit logs, show what they say, follow one.
///
/// A log is a file of JSON lines. Each line carries the hash of the line before it, and every minute a checkpoint signs how
/// many lines there are and what they hash to: so whoever changes, cuts or adds a line later is found out.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AuditCommandArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    Verify(VerifyArgs),
    Show(ShowArgs),
    Tail(TailArgs),
}

/// Is this log what was written, and is all of it there?
///
/// For each log (one output of one life of one replica) it says whether the lines are intact, whether all are there, and
/// up to where they are signed; then each defect with its file, line and byte, and what to do. Files may be parts of one
/// log, logs of several replicas, or what a log collector exported of them; they are put in order by what is in them.
///
/// Without --key nobody's signature is checked: then whoever could write to the file could have computed all of it anew.
/// Without --checkpoint nothing tells that the end was cut off.
///
/// Exit code: 0 when all is intact and complete, 1 when something is not what was written, 3 when what is there is intact
/// and something is missing that a crash, a full queue or a file that was not given explains, 2 when a file cannot be read
/// or holds no record, 64 for a mistake in the command.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "Examples:
  # The public keys and the newest checkpoint of each replica, from the cluster itself.
  kubectl get credentialissuer latchkey -o yaml > issuer.yaml
  kubectl -n latchkey get configmap latchkey-audit-heads -o yaml > heads.yaml
  latchkey-concierge audit verify --key issuer.yaml --checkpoint heads.yaml /var/log/latchkey/audit*.jsonl*

  # What a pod wrote to standard output, between its other lines.
  kubectl -n latchkey logs deploy/latchkey | latchkey-concierge audit verify --mixed -

  # In a pipeline: every record must be signed.
  latchkey-concierge audit verify --key issuer.yaml --require-signed --output json audit.jsonl")]
struct VerifyArgs {
    /// A public key whose signatures count: 44 characters of base64, a verifier key (name+id+base64), or a file with keys,
    /// one a line, or with the YAML or JSON of a `CredentialIssuer`. Several times for several.
    #[arg(long, value_name = "KEY|FILE")]
    key: Vec<String>,

    /// A file with checkpoints that were kept elsewhere, which the logs must agree with: signed notes, or the YAML or JSON
    /// of the `ConfigMap` latchkey-audit-heads. Several times for several.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,

    /// Every record must be covered by a checkpoint that one of the keys signed. The last minute of a log that is being
    /// written is not yet.
    #[arg(long, requires = "key")]
    require_signed: bool,

    /// Pass over lines that are no records, such as those of the program's own log in `kubectl logs`.
    #[arg(long)]
    mixed: bool,

    /// How the answer is written.
    #[arg(long, short, value_name = "FORM", default_value = "text")]
    output: AnswerForm,

    /// The log files, also compressed by zstd; - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Show records, one a line: when, how severe, what, who, from where, for which cluster, how often.
///
/// A name with a question mark is only claimed by a token that nobody verified. FOR is the cluster that the token was made
/// for, with `live` if it is still good there.
///
/// Exit code: 0, 2 when a file cannot be read or holds no record, 64 for a mistake in the command.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "Examples:
  # Tokens of other clusters that were tried here today.
  latchkey-concierge audit show --code audience-other-cluster --since 24h audit.jsonl

  # Everything about one token, in the logs of several clusters.
  latchkey-concierge audit show --fingerprint 9f2c staging.jsonl production.jsonl

  # What a person did, as JSON for another program.
  latchkey-concierge audit show --subject ada@example.com --output json audit*.jsonl* | jq .peer.ip")]
struct ShowArgs {
    #[command(flatten)]
    filter: FilterArgs,

    /// The log files, also compressed by zstd; - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Show the last records of a log, and with -f those that follow, also when the file is rotated; until Ctrl-C.
///
/// Exit code: 0, 2 when the file cannot be read, 64 for a mistake in the command.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "Examples:
  # Every refusal as it happens, but not the noise.
  latchkey-concierge audit tail -f --severity low /var/log/latchkey/audit.jsonl")]
struct TailArgs {
    #[command(flatten)]
    filter: FilterArgs,

    /// Go on when new records come.
    #[arg(long, short)]
    follow: bool,

    /// How many of the last records are shown first.
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(0..=MAX_LAST))]
    lines: u64,

    /// The log file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Which records, and how.
#[derive(Clone, Debug, clap::Args)]
struct FilterArgs {
    /// Only records since this time: RFC 3339, or how long ago (30m, 24h, 7d).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,

    /// Only records before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,

    /// Only this kind, such as token.refused; one that ends with a dot means all that begin so. Several with commas.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,

    /// Only this reason, such as audience-other-cluster. Several with commas.
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    code: Vec<String>,

    /// Only records at least this severe.
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<SeverityWord>,

    /// Only records of this authenticator.
    #[arg(long, value_name = "NAME")]
    authenticator: Option<String>,

    /// Only records about this user: the name in the cluster, or the token's subject.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,

    /// Only records that this cluster wrote.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,

    /// Only tokens that were made for this other cluster.
    #[arg(long, value_name = "NAME")]
    claimed_cluster: Option<String>,

    /// Only tokens whose fingerprint begins so.
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,

    /// Only the request with this audit id, which is the one in Kubernetes' audit log.
    #[arg(long, value_name = "ID")]
    audit_id: Option<String>,

    /// How records are shown.
    #[arg(long, short, value_name = "FORM", default_value = "text")]
    output: RecordForm,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AnswerForm {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RecordForm {
    /// One aligned line each.
    Text,
    /// The same with more columns.
    Wide,
    /// The lines of the log.
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SeverityWord {
    Info,
    Low,
    Medium,
    High,
}

impl From<AuditCommandArgs> for Audit {
    fn from(args: AuditCommandArgs) -> Self {
        match args.verb {
            Verb::Verify(VerifyArgs { key, checkpoint, require_signed, mixed, output, files }) => {
                Self::Verify(Verify {
                    keys: key,
                    checkpoints: checkpoint,
                    require_signed,
                    mixed,
                    json: matches!(output, AnswerForm::Json),
                    files,
                })
            }
            Verb::Show(ShowArgs { filter, files }) => {
                Self::Show(Show { form: filter.form(), filter: filter.meant(), files })
            }
            Verb::Tail(TailArgs { filter, follow, lines, file }) => Self::Tail(Tail {
                form: filter.form(),
                filter: filter.meant(),
                last: usize::try_from(lines).unwrap_or(usize::MAX),
                follow,
                file,
            }),
        }
    }
}

impl FilterArgs {
    const fn form(&self) -> Form {
        match self.output {
            RecordForm::Text => Form::Text,
            RecordForm::Wide => Form::Wide,
            RecordForm::Json => Form::Json,
        }
    }

    fn meant(self) -> Filter {
        let Self {
            since,
            until,
            kind,
            code,
            severity,
            authenticator,
            subject,
            cluster,
            claimed_cluster,
            fingerprint,
            audit_id,
            output: _,
        } = self;
        Filter {
            since,
            until,
            kinds: kind,
            codes: code,
            severity: severity.map(|word| match word {
                SeverityWord::Info => Level::Info,
                SeverityWord::Low => Level::Low,
                SeverityWord::Medium => Level::Medium,
                SeverityWord::High => Level::High,
            }),
            authenticator,
            subject,
            cluster,
            claimed_cluster,
            fingerprint,
            audit_id,
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Moment::At(UnixTime::from_micros(time.as_microsecond())));
    }
    let ago = text.split_at_checked(text.len().saturating_sub(1)).and_then(|(number, unit)| {
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        number.parse::<u32>().ok().map(|number| Duration::from_secs(u64::from(number) * seconds))
    });
    ago.map(Moment::Ago)
        .ok_or_else(|| "expected a time such as 2026-11-21T08:00:00Z, or how long ago: 30m, 24h, 7d".to_owned())
}
