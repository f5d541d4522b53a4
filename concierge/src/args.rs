//! The flags as they are typed. Each of the server's can be given as an environment variable too; no secret is ever a flag.

mod audit;
mod audit_command;
mod audit_keys;
mod audit_otlp;
mod check;
mod convert;
mod self_test;
mod server;
mod span;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use self::{
    audit_command::AuditCommandArgs, check::CheckArgs, convert::ConvertArgs, self_test::SelfTestArgs,
    server::ServerArgs,
};
use crate::{audit::commands::Audit, check::Check, config::Config, migrate::Convert, self_test::SelfTest};

/// What the program was asked to do.
#[derive(Debug)]
pub enum Command {
    /// Serve, until asked to stop.
    Serve(Box<Config>),
    /// Judge tokens by files, and say how.
    Check(Box<Check>),
    /// Say authenticators in kube-apiserver's words, or its in ours.
    Convert(Box<Convert>),
    /// Verify, show or follow audit logs.
    Audit(Box<Audit>),
    /// Ask the API server whether the installation works.
    SelfTest(Box<SelfTest>),
}

/// Latchkey's concierge: judges the tokens of your identity provider for one cluster and exchanges good ones for
/// short-lived credentials.
#[derive(Clone, Debug, Parser)]
#[command(name = "latchkey-concierge", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,

    #[command(flatten)]
    server: ServerArgs,
}

/// What can be done beside serving.
#[derive(Clone, Debug, Subcommand)]
enum Verb {
    Check(CheckArgs),
    Convert(ConvertArgs),
    Audit(AuditCommandArgs),
    SelfTest(SelfTestArgs),
}

// === impl Command ===

impl Command {
    /// Reads a command line; the first word is the program's name.
    ///
    /// # Errors
    /// What clap would print: a mistake, or the help that was asked for.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let Args { verb, server } = Args::try_parse_from(words)?;
        match verb {
            None => server.config().map(|config| Self::Serve(Box::new(config))),
            Some(Verb::Check(check)) => Ok(Self::Check(Box::new(check.into()))),
            Some(Verb::Convert(convert)) => Ok(Self::Convert(Box::new(convert.try_into()?))),
            Some(Verb::Audit(audit)) => Ok(Self::Audit(Box::new(audit.into()))),
            Some(Verb::SelfTest(test)) => Ok(Self::SelfTest(Box::new(test.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use clap::CommandFactory as _;
    use latchkey_crds::groups::GroupSuffix;

    use super::*;
    use crate::config::{Review, ServingFiles};

    fn command(arguments: &[&str]) -> Result<Command, clap::Error> {
        Command::parse([&["latchkey-concierge"], arguments].concat().into_iter().map(OsString::from))
    }

    fn parse(arguments: &[&str]) -> Result<Config, clap::Error> {
        match command(arguments)? {
            Command::Serve(config) => Ok(*config),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_is_sound_and_every_flag_has_a_sentence_and_a_variable() {
        let command = Args::command();
        command.clone().debug_assert();
        for flag in command.get_arguments().filter(|flag| !matches!(flag.get_id().as_str(), "help" | "version")) {
            let help = flag.get_long_help().or(flag.get_help()).map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(' '), "{} says nothing", flag.get_id());
            assert!(flag.get_env().is_some(), "{} has no variable", flag.get_id());
        }
    }

    #[test]
    fn only_the_name_of_the_cluster_is_required() {
        let config = parse(&["--cluster-name", "staging"]).unwrap();
        assert_eq!(config.cluster_name.as_str(), "staging");
        assert_eq!(config.api_group_suffix, GroupSuffix::default());
        assert_eq!(config.shutdown_grace, Duration::from_secs(5));
        assert_eq!(config.token_rejection_lifetime, Duration::from_hours(7 * 24));
        assert!(config.replica.starts_with("latchkey-concierge-"));
    }

    #[test]
    fn a_check_needs_no_cluster() {
        use crate::{check::Tokens, time::UnixTime};

        let Ok(Command::Check(check)) =
            command(&["check", "--authenticator", "a.yaml", "--now", "2026-11-21T00:00:00Z"])
        else {
            panic!("a check");
        };
        assert_eq!(check.authenticator, PathBuf::from("a.yaml"));
        assert_eq!((check.jwks, check.tokens), (None, Tokens::Lines));
        assert_eq!(check.now.map(UnixTime::as_secs), Some(1_795_219_200));
        for (token, expected) in [("-", Tokens::Stdin), ("t.jwt", Tokens::File("t.jwt".into()))] {
            let Ok(Command::Check(check)) = command(&["check", "--authenticator", "a.yaml", "--token", token]) else {
                panic!("a check");
            };
            assert_eq!(check.tokens, expected);
        }
        for wrong in [
            &["check"][..],
            &["check", "--authenticator", "a", "--now", "yesterday"],
            &["check", "--authenticator", "a", "--now", "2026-11-21T00:00:00"],
            &["check", "--authenticator", "a", "b"],
            &["--cluster-name", "staging", "check", "--authenticator", "a"],
        ] {
            assert!(command(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_self_test_needs_nothing_in_a_pod() {
        let Ok(Command::SelfTest(test)) = command(&["self-test"]) else { panic!("a self-test") };
        assert_eq!((test.kubeconfig, test.timeout), (None, Duration::from_secs(30)));
        let all = ["self-test", "--kubeconfig", "a.conf", "--api-group-suffix", "example.io", "--timeout", "2m"];
        let Ok(Command::SelfTest(test)) = command(&all) else { panic!("a self-test") };
        assert_eq!((test.kubeconfig, test.suffix.as_str()), (Some("a.conf".into()), "example.io"));
        for wrong in [&["self-test", "--timeout", "5"][..], &["--cluster-name", "staging", "self-test"]] {
            assert!(command(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn reviews_are_served_to_those_whom_an_authority_vouches_for() {
        assert_eq!(parse(&["--cluster-name", "staging"]).unwrap().review, None);
        let given = ["--review-client-ca-file", "ca.crt", "--review-client-name", "one,two"];
        let config = parse(&[&["--cluster-name", "staging"][..], &given].concat()).unwrap();
        let expected = Review {
            address: ([0, 0, 0, 0], 9443).into(),
            client_ca_file: "ca.crt".into(),
            client_names: vec!["one".to_owned(), "two".to_owned()],
            serving: None,
        };
        assert_eq!(config.review, Some(expected));
    }

    #[test]
    fn the_certificate_of_the_aggregated_api_is_made_unless_it_is_given() {
        assert_eq!(parse(&["--cluster-name", "staging"]).unwrap().aggregated_api_certificate, None);
        let pair = ["--aggregated-api-tls-cert-file", "tls.crt", "--aggregated-api-tls-key-file", "tls.key"];
        let files = ServingFiles { certificate: "tls.crt".into(), key: "tls.key".into(), authority: None };
        let config = parse(&[&["--cluster-name", "staging"][..], &pair].concat()).unwrap();
        assert_eq!(config.aggregated_api_certificate, Some(files.clone()));
        let authority = ["--aggregated-api-tls-ca-file", "ca.crt"];
        let config = parse(&[&["--cluster-name", "staging"][..], &pair, &authority].concat()).unwrap();
        assert_eq!(config.aggregated_api_certificate, Some(ServingFiles { authority: Some("ca.crt".into()), ..files }));
    }

    #[test]
    fn mistakes_are_found_at_start() {
        for wrong in [
            &["--cluster-name", ""][..],
            &["--cluster-name", "a b"],
            &["--cluster-name", "staging", "--api-group-suffix", "dev"],
            &["--cluster-name", "staging", "--shutdown-grace", "5"],
            &["--cluster-name", "staging", "--admin-address", "8080"],
            &["--cluster-name", "staging", "--log", "info,kube=loud"],
            &["--cluster-name", "staging", "--token-rejection-lifetime", "0s"],
            &["--cluster-name", "staging", "--token-rejection-lifetime", "7"],
            &["--cluster-name", "staging", "--audit-log", ""],
            &["--cluster-name", "staging", "--authenticators", ""],
            &["--cluster-name", "staging", "--https-proxy", "socks5://proxy"],
            &["--cluster-name", "staging", "--review-client-name", "kube-apiserver"],
            &["--cluster-name", "staging", "--review-client-ca-file", "ca.crt", "--review-tls-cert-file", "tls.crt"],
            &["--cluster-name", "staging", "--review-client-ca-file", "ca.crt", "--review-tls-key-file", "tls.key"],
            &["--cluster-name", "staging", "--aggregated-api-tls-cert-file", "tls.crt"],
            &["--cluster-name", "staging", "--aggregated-api-tls-key-file", "tls.key"],
            &["--cluster-name", "staging", "--aggregated-api-tls-ca-file", "ca.crt"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
