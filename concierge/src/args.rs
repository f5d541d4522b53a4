//! The flags as they are typed. Each of the server's can be given as an environment variable too; no secret is ever a flag.

mod audit;
mod audit_command;
mod audit_keys;
mod audit_otlp;
mod check;
mod convert;
mod self_test;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::{Parser, Subcommand};
use latchkey_crds::groups::GroupSuffix;

use self::{
    audit::AuditArgs, audit_command::AuditCommandArgs, audit_keys::AuditKeyArgs, check::CheckArgs,
    convert::ConvertArgs, self_test::SelfTestArgs,
};
use crate::{
    audit::commands::Audit,
    check::Check,
    config::{ClusterName, Config, HttpsProxy, LogFilter, Proxies, Review, ServingFiles},
    migrate::Convert,
    self_test::SelfTest,
};

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

/// The flags of the server.
#[derive(Clone, Debug, clap::Args)]
struct ServerArgs {
    /// The name of this cluster. It stands in every audit record, so it must differ between the clusters of a fleet.
    // An option only in type: a subcommand does without.
    #[arg(long, env = "LATCHKEY_CLUSTER_NAME", value_name = "NAME", required = true)]
    cluster_name: Option<ClusterName>,

    /// The ending of the API groups. With `pinniped.dev` the stock Pinniped CLI works without a flag.
    #[arg(long, env = "LATCHKEY_API_GROUP_SUFFIX", value_name = "DOMAIN", default_value_t)]
    api_group_suffix: GroupSuffix,

    /// The namespace that the concierge runs in. Its Secrets, its lease and the CA bundles of issuers live there.
    #[arg(long, env = "LATCHKEY_NAMESPACE", value_name = "NAME", default_value = "latchkey")]
    namespace: String,

    /// The name of this replica, by which it holds the lease and signs audit records. Under Kubernetes it is the pod's
    /// name. A random name is taken if none is given.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    replica: Option<String>,

    /// Where the aggregated API is served, over TLS. Private clusters of some clouds let the API server reach pods on
    /// ports 443 and 10250 only.
    #[arg(long, env = "LATCHKEY_AGGREGATED_API_ADDRESS", value_name = "ADDRESS", default_value = "0.0.0.0:10250")]
    aggregated_api_address: SocketAddr,

    /// The certificate chain of the aggregated API, PEM, for the Service's name in the cluster, such as cert-manager makes.
    /// Without it the concierge makes and renews one itself, in a Secret.
    #[arg(
        long,
        env = "LATCHKEY_AGGREGATED_API_TLS_CERT_FILE",
        value_name = "FILE",
        requires = "aggregated_api_tls_key_file"
    )]
    aggregated_api_tls_cert_file: Option<PathBuf>,

    /// The key of that certificate, PEM.
    #[arg(
        long,
        env = "LATCHKEY_AGGREGATED_API_TLS_KEY_FILE",
        value_name = "FILE",
        requires = "aggregated_api_tls_cert_file"
    )]
    aggregated_api_tls_key_file: Option<PathBuf>,

    /// The authorities that signed it, PEM, which the concierge writes into `caBundle` of its API services. Without it
    /// somebody else does. All three files are read again as they change: authorities that go stay in `caBundle` for ten
    /// minutes, and a certificate that only a new one signed is shown after three, when every replica has seen the change.
    #[arg(
        long,
        env = "LATCHKEY_AGGREGATED_API_TLS_CA_FILE",
        value_name = "FILE",
        requires = "aggregated_api_tls_cert_file"
    )]
    aggregated_api_tls_ca_file: Option<PathBuf>,

    /// Where probes and metrics are served, over plain HTTP: /livez, /readyz, /metrics, and with
    /// --authenticators /authenticators.
    #[arg(long, env = "LATCHKEY_ADMIN_ADDRESS", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    admin_address: SocketAddr,

    /// Where kube-apiserver asks whose a bearer token is (--authentication-token-webhook-config-file), over TLS, at
    /// /token-review. It listens only if --review-client-ca-file is given.
    #[arg(long, env = "LATCHKEY_REVIEW_ADDRESS", value_name = "ADDRESS", default_value = "0.0.0.0:9443")]
    review_address: SocketAddr,

    /// The certificate authorities, PEM, of the client certificate that kube-apiserver shows when it asks about tokens.
    /// Without this file nobody is asked and nobody listens: who may ask can find out what a stolen token is worth.
    #[arg(long, env = "LATCHKEY_REVIEW_CLIENT_CA_FILE", value_name = "FILE")]
    review_client_ca_file: Option<PathBuf>,

    /// The common name in kube-apiserver's client certificate; may be given more than once. Needed where those
    /// authorities sign for others too. Without it whoever has a certificate of theirs may ask.
    #[arg(
        long,
        env = "LATCHKEY_REVIEW_CLIENT_NAME",
        value_name = "NAME",
        value_delimiter = ',',
        requires = "review_client_ca_file"
    )]
    review_client_name: Vec<String>,

    /// The certificate chain, PEM, that is shown to kube-apiserver. Without it that of the aggregated API is shown, which
    /// the concierge makes and renews itself.
    #[arg(long, env = "LATCHKEY_REVIEW_TLS_CERT_FILE", value_name = "FILE", requires_all = ["review_tls_key_file", "review_client_ca_file"])]
    review_tls_cert_file: Option<PathBuf>,

    /// The key of that certificate, PEM.
    #[arg(long, env = "LATCHKEY_REVIEW_TLS_KEY_FILE", value_name = "FILE", requires = "review_tls_cert_file")]
    review_tls_key_file: Option<PathBuf>,

    #[command(flatten)]
    audit: AuditArgs,

    #[command(flatten)]
    audit_keys: AuditKeyArgs,

    /// A folder to read authenticators from in place of the API: every file in it that ends in .yaml, .yml or .json holds
    /// `JWTAuthenticator` or `WebhookAuthenticator` objects, as kubectl would apply them. A change is in force within
    /// seconds. How they stand is logged, and shown on the admin address at /authenticators. With neither --kubeconfig
    /// nor a service account no API server is needed or asked: then --review-client-ca-file, --review-tls-cert-file and
    /// --review-tls-key-file must be given, and nothing but a `TokenReview` is answered.
    #[arg(long, env = "LATCHKEY_AUTHENTICATORS", value_name = "DIR", value_parser = folder)]
    authenticators: Option<PathBuf>,

    /// The name of the `CredentialIssuer` object whose status tells clients how to reach us.
    #[arg(long, env = "LATCHKEY_CREDENTIAL_ISSUER", value_name = "NAME", default_value = "latchkey")]
    credential_issuer: String,

    /// The name of the Service in front of the aggregated API. The serving certificate is made for it.
    #[arg(long, env = "LATCHKEY_API_SERVICE_NAME", value_name = "NAME", default_value = "latchkey-concierge-api")]
    api_service_name: String,

    /// A kubeconfig file for reaching the API server. Without it the pod's service account is used; a pod that has none can
    /// do without an API server if --authenticators is given.
    #[arg(long, env = "LATCHKEY_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The proxy through which issuers are asked for their keys, where the cluster has no other way out: an http or https
    /// URL. One that carries a password belongs in the variable, not on the command line. Issuers on loopback are never
    /// asked through it.
    #[arg(long, env = "HTTPS_PROXY", value_name = "URL", default_value = "", hide_env_values = true)]
    https_proxy: HttpsProxy,

    /// The hosts that are asked without the proxy, separated by commas: names (with all names below them), addresses,
    /// networks such as 10.0.0.0/8, or `*` for all.
    #[arg(long, env = "NO_PROXY", value_name = "HOSTS", default_value = "")]
    no_proxy: String,

    /// How long a `TokenRejection` object is kept after the last token that it tells of. The audit log keeps everything, by
    /// rules of its own. A number with a unit: `168h` (seven days), `30m`.
    #[arg(long, env = "LATCHKEY_TOKEN_REJECTION_LIFETIME", value_name = "TIME", default_value = "168h", value_parser = lifetime)]
    token_rejection_lifetime: Duration,

    /// What is logged: a level (error, warn, info, debug, trace), or directives such as `info,kube=warn`.
    #[arg(long, env = "LATCHKEY_LOG", value_name = "FILTER", default_value = "info")]
    log: LogFilter,

    /// How long requests are still taken after SIGTERM, while readiness already fails. It should be longer than it takes
    /// endpoints to notice. A number with a unit: `5s`, `500ms`.
    #[arg(long, env = "LATCHKEY_SHUTDOWN_GRACE", value_name = "TIME", default_value = "5s")]
    shutdown_grace: Span,
}

/// A span of time as it is typed. A number without a unit is refused: seconds and milliseconds are too easily confused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span(Duration);

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

// === impl ServerArgs ===

impl ServerArgs {
    fn config(self) -> Result<Config, clap::Error> {
        // All fields are named, so that a new flag which nobody uses does not compile.
        let Self {
            cluster_name,
            api_group_suffix,
            namespace,
            replica,
            aggregated_api_address,
            aggregated_api_tls_cert_file,
            aggregated_api_tls_key_file,
            aggregated_api_tls_ca_file,
            admin_address,
            review_address,
            review_client_ca_file,
            review_client_name,
            review_tls_cert_file,
            review_tls_key_file,
            audit,
            audit_keys,
            authenticators,
            credential_issuer,
            api_service_name,
            kubeconfig,
            https_proxy,
            no_proxy,
            log,
            shutdown_grace,
            token_rejection_lifetime,
        } = self;
        let proxies = Proxies::new(https_proxy, no_proxy);
        Ok(Config {
            cluster_name: cluster_name
                .ok_or_else(|| clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument))?,
            api_group_suffix,
            namespace,
            replica: replica
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| format!("latchkey-concierge-{}", uuid::Uuid::new_v4().simple())),
            aggregated_api_address,
            aggregated_api_certificate: aggregated_api_tls_cert_file
                .zip(aggregated_api_tls_key_file)
                .map(|(certificate, key)| ServingFiles { certificate, key, authority: aggregated_api_tls_ca_file }),
            admin_address,
            review: review_client_ca_file.map(|client_ca_file| Review {
                address: review_address,
                client_ca_file,
                client_names: review_client_name,
                serving: review_tls_cert_file.zip(review_tls_key_file),
            }),
            audit: audit.meant(&proxies)?,
            audit_keys: audit_keys.into(),
            authenticators,
            credential_issuer,
            api_service_name,
            kubeconfig,
            proxies,
            log,
            shutdown_grace: shutdown_grace.0,
            token_rejection_lifetime,
        })
    }
}

// === impl Span ===

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a whole number with a unit: ms, s, m, h or d";
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u32 = number.parse().map_err(|_| EXPECTED)?;
        match unit {
            "ms" => Ok(Self(Duration::from_millis(number.into()))),
            "s" => Ok(Self(Duration::from_secs(number.into()))),
            "m" => Ok(Self(Duration::from_mins(number.into()))),
            "h" => Ok(Self(Duration::from_hours(number.into()))),
            "d" => Ok(Self(Duration::from_hours(u64::from(number) * 24))),
            _ => Err(EXPECTED),
        }
    }
}

/// Shorter than a second it would be gone before anybody could look.
fn lifetime(text: &str) -> Result<Duration, &'static str> {
    let Span(lifetime) = text.parse()?;
    if lifetime < Duration::from_secs(1) { Err("expected a second or more") } else { Ok(lifetime) }
}

fn folder(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() { Err("expected the name of a folder") } else { Ok(text.into()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

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

    #[test]
    fn spans_need_a_unit() {
        assert_eq!("1500ms".parse(), Ok(Span(Duration::from_millis(1_500))));
        assert_eq!("2m".parse(), Ok(Span(Duration::from_mins(2))));
        assert_eq!("168h".parse(), Ok(Span(Duration::from_hours(7 * 24))));
        assert_eq!("24h".parse::<Span>(), "1d".parse());
        for wrong in ["", "5", "s", "-1s", "1.5s", "1w", "99999999999s"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong:?}");
        }
    }
}
