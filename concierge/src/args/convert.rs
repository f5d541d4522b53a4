//! The flags of `convert`.

use std::path::PathBuf;

use clap::ValueEnum;
use latchkey_crds::groups::GroupSuffix;

use crate::migrate::{Convert, Direction, Format, Ours, Version};

/// Say the same in other words: kube-apiserver's, Pinniped's, ours.
///
/// Reads what kube-apiserver or Pinniped is told about issuers and writes `JWTAuthenticator` objects, or the other way
/// round. What the other side cannot say is refused with its field and the reason; what both mean differently stands as a
/// comment above the result. No cluster and no issuer is asked.
///
/// Exit code: 0 when the result is written, 1 when something cannot be said, 2 when the input is of no use, 64 for a
/// mistake in the command.
#[derive(Clone, Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("direction").required(true).args(["from", "to"]),
    after_long_help = "Examples:
  # kube-apiserver's structured authentication, as authenticators
  latchkey-concierge convert --from authentication-configuration authentication.yaml > authenticators.yaml

  # The flags of kube-apiserver: from its static pod, or typed
  latchkey-concierge convert --from oidc-flags --name corp /etc/kubernetes/manifests/kube-apiserver.yaml
  latchkey-concierge convert --from oidc-flags -- --oidc-issuer-url=https://idp.example.com --oidc-client-id=kubernetes

  # Pinniped's authenticators, under our group
  kubectl get jwtauthenticators.authentication.concierge.pinniped.dev -o yaml | latchkey-concierge convert --from pinniped

  # And back: a file for kube-apiserver's --authentication-config
  latchkey-concierge convert --to authentication-configuration authenticators.yaml > authentication.yaml"
)]
pub(super) struct ConvertArgs {
    /// What the input is; authenticators come out.
    #[arg(long, value_enum, value_name = "FORM")]
    from: Option<From>,

    /// What comes out; the input is authenticators.
    #[arg(long, value_enum, value_name = "FORM")]
    to: Option<To>,

    /// Files to read, YAML or JSON; - or none is standard input. Only authenticators may stand in several.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// kube-apiserver's flags in place of a file; those that do not begin with --oidc- are passed over.
    #[arg(last = true, value_name = "OIDC-FLAGS", conflicts_with_all = ["files", "to"])]
    oidc_flags: Vec<String>,

    /// The name of the authenticator that comes out; once for each, in their order. Default: the host of its issuer, and of
    /// Pinniped's objects their own.
    #[arg(long, value_name = "NAME", conflicts_with = "to")]
    name: Vec<String>,

    /// The ending of the API group of what comes out.
    #[arg(long, value_name = "DOMAIN", default_value_t, conflicts_with = "to")]
    api_group_suffix: GroupSuffix,

    /// Admit what was admitted before and Latchkey refuses by default: tokens for further audiences, and names that begin
    /// with system:.
    #[arg(long, conflicts_with = "to")]
    faithful: bool,

    /// The version of the `AuthenticationConfiguration`: v1 is for Kubernetes 1.34 and newer, v1beta1 for 1.30 and newer.
    #[arg(long, value_enum, value_name = "VERSION", default_value = "v1", conflicts_with = "from")]
    api_version: ApiVersion,

    /// A PEM bundle of certificate authorities, in place of those that stand in an object of the cluster or in a file of
    /// the control plane.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Write the rest when something cannot be said, and tell what is lost.
    #[arg(long)]
    allow_loss: bool,

    /// How to write it. JSON has no comments: then everything is told on standard error.
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value = "yaml")]
    output: Output,
}

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// The file of kube-apiserver's --authentication-config.
    AuthenticationConfiguration,
    /// kube-apiserver's --oidc-* flags, after -- or in the manifest of its pod.
    OidcFlags,
    /// Pinniped's `JWTAuthenticator` and `WebhookAuthenticator` objects.
    Pinniped,
}

/// What can be written beside authenticators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// The file of kube-apiserver's --authentication-config.
    AuthenticationConfiguration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ApiVersion {
    V1,
    V1beta1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Json,
    Yaml,
}

impl TryFrom<ConvertArgs> for Convert {
    type Error = clap::Error;

    fn try_from(args: ConvertArgs) -> Result<Self, Self::Error> {
        let ConvertArgs {
            from,
            to,
            files,
            oidc_flags,
            name,
            api_group_suffix,
            faithful,
            api_version,
            ca_file,
            allow_loss,
            output,
        } = args;
        if !oidc_flags.is_empty() && from != Some(From::OidcFlags) {
            let words = "flags after -- go with --from oidc-flags\n";
            return Err(clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, words));
        }
        let ours = Ours { names: name, suffix: api_group_suffix, faithful };
        let direction = match (from, to) {
            (Some(From::AuthenticationConfiguration), _) => Direction::FromConfiguration(ours),
            (Some(From::OidcFlags), _) => Direction::FromFlags { words: oidc_flags, ours },
            (Some(From::Pinniped), _) => Direction::FromPinniped(ours),
            (None, Some(To::AuthenticationConfiguration)) => Direction::ToConfiguration(match api_version {
                ApiVersion::V1 => Version::V1,
                ApiVersion::V1beta1 => Version::V1Beta1,
            }),
            (None, None) => return Err(clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument)),
        };
        let format = match output {
            Output::Json => Format::Json,
            Output::Yaml => Format::Yaml,
        };
        Ok(Self { direction, files, ca_file, allow_loss, format })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::args::Command;

    fn parse(words: &[&str]) -> Result<Convert, clap::Error> {
        let words = [&["latchkey-concierge", "convert"], words].concat();
        match Command::parse(words.into_iter().map(OsString::from))? {
            Command::Convert(convert) => Ok(*convert),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_direction_is_read() {
        let to = parse(&["--to", "authentication-configuration", "--api-version", "v1beta1", "a", "b"]).unwrap();
        let expected = Convert {
            direction: Direction::ToConfiguration(Version::V1Beta1),
            files: vec!["a".into(), "b".into()],
            ca_file: None,
            allow_loss: false,
            format: Format::Yaml,
        };
        assert_eq!(to, expected);
        let given = ["--from", "pinniped", "--name=a", "--name=b", "--api-group-suffix=example.org", "--faithful"];
        let more = ["-o", "json", "--allow-loss", "--ca-file", "ca.pem"];
        let names = vec!["a".to_owned(), "b".to_owned()];
        let ours = Ours { names, suffix: "example.org".parse().unwrap(), faithful: true };
        let expected = Convert {
            direction: Direction::FromPinniped(ours),
            files: Vec::new(),
            ca_file: Some("ca.pem".into()),
            allow_loss: true,
            format: Format::Json,
        };
        assert_eq!(parse(&[&given[..], &more].concat()).unwrap(), expected);
        let flags = parse(&["--from", "oidc-flags", "--", "--oidc-client-id", "x", "--oidc-ca-file=y"]).unwrap();
        let words = ["--oidc-client-id", "x", "--oidc-ca-file=y"].map(str::to_owned).to_vec();
        assert_eq!(flags.direction, Direction::FromFlags { words, ours: Ours::default() });
    }

    #[test]
    fn what_makes_no_sense_together_is_a_mistake() {
        for wrong in [
            &[][..],
            &["a"],
            &["--from", "pinniped", "--to", "authentication-configuration"],
            &["--from", "oidc-flags", "a", "--", "--oidc-client-id=x"],
            &["--from", "pinniped", "--", "--oidc-client-id=x"],
            &["--to", "authentication-configuration", "--name", "a"],
            &["--to", "authentication-configuration", "--faithful"],
            &["--to", "authentication-configuration", "--api-group-suffix", "example.org"],
            &["--from", "pinniped", "--api-version", "v1"],
            &["--from", "pinniped", "--api-group-suffix", "org"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
