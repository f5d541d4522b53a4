//! Users of Pinniped's CLI: `login oidc` and `login static`, against the same concierge.

use std::collections::BTreeMap;

use super::{Rewritten, bundle, unmappable};
use crate::args::{CredentialArgs, Flow, RedirectHost};
use crate::config::SupervisorFlow;
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::pinniped::{self, By, Command, Login, OidcLogin, StaticLogin};

/// Says a user's arguments in our words.
///
/// # Errors
/// When they are none of Pinniped's, or cannot be said.
pub(super) fn rewritten(arguments: &[String], environment: &Environment) -> Result<Rewritten, Failure> {
    let command = pinniped::parse(arguments, environment).map_err(|error| {
        Failure::new(Status::Usage, format!("not what Pinniped's CLI takes: {error}")).hint("nothing was written")
    })?;
    let Command::Login(login) = command else {
        return Err(Failure::new(Status::Usage, "the user's arguments log nobody in").hint("nothing was written"));
    };
    let Login { concierge, credential_cache, by, remarks: _ } = *login;
    if credential_cache.is_none() {
        return Err(unmappable("--credential-cache=\"\"", "credentials are always kept for as long as they last"));
    }
    let given = |flag: &str| {
        let with_value = format!("{flag}=");
        arguments.iter().any(|word| word == flag || word.starts_with(&with_value))
    };
    let left_out =
        ["--credential-cache", "--session-cache", "--debug-session-cache", "--concierge-namespace"].into_iter();
    let left_out = left_out.filter(|flag| given(flag)).map(ToOwned::to_owned).collect();
    let login = match by {
        By::Oidc(by) => oidc(by)?,
        By::Static(by) => fixed(by)?,
    };
    let destination = match concierge {
        None => CredentialArgs { no_exchange: Some(true), ..CredentialArgs::default() },
        Some(concierge) => CredentialArgs {
            api_group_suffix: Some(concierge.suffix),
            authenticator: Some(concierge.authenticator_name),
            authenticator_kind: (concierge.authenticator_kind != "JWTAuthenticator")
                .then(|| concierge.authenticator_kind.to_owned()),
            concierge_ca_data: concierge.ca_data,
            concierge_endpoint: Some(concierge.endpoint),
            ..CredentialArgs::default()
        },
    };
    Ok(Rewritten { login: login.or(destination), environment: Vec::new(), left_out })
}

fn oidc(by: OidcLogin) -> Result<CredentialArgs, Failure> {
    if by.session_cache.is_none() {
        return Err(unmappable("--session-cache=\"\"", "say --store=none in its place"));
    }
    if by.flow == Some(SupervisorFlow::Password) {
        return Err(unmappable(
            "--upstream-identity-provider-flow=cli_password",
            "no password is typed into a terminal",
        ));
    }
    let ca_data = bundle("--ca-bundle", by.ca_bundles.iter().map(AsRef::as_ref), by.ca_data)?;
    let upstream = by.upstream.map(|upstream| {
        let parameters = [("pinniped_idp_name", upstream.name), ("pinniped_idp_type", upstream.kind)];
        parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>()
    });
    Ok(CredentialArgs {
        // Only a Supervisor trades a token for one of another audience; that of another provider is for its client.
        exchange_audience: by.request_audience.filter(|audience| *audience != by.client_id),
        ca_data,
        client_id: Some(by.client_id),
        extra_params: upstream,
        flow: by.skip_listen.then_some(Flow::Paste),
        issuer: Some(by.issuer),
        // What it asks for, and no more: the client may not be allowed more.
        optional_scopes: Some(Vec::new()),
        redirect_host: Some(vec![RedirectHost::Ipv4, RedirectHost::Ipv6]),
        redirect_ports: Some(vec![by.listen_port]),
        scopes: Some(by.scopes.into_iter().filter(|scope| scope != "openid").collect()),
        skip_browser: by.skip_browser.then_some(true),
        ..CredentialArgs::default()
    })
}

fn fixed(by: StaticLogin) -> Result<CredentialArgs, Failure> {
    match by {
        StaticLogin { variable: Some(variable), .. } => {
            Ok(CredentialArgs { token_env: Some(variable), ..CredentialArgs::default() })
        }
        StaticLogin { .. } => Err(unmappable(
            "--token",
            "a token in a kubeconfig is everybody's; put it into a variable and say --token-env",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::kubeconfig::arguments::arguments;

    fn environment() -> Environment {
        Environment::Table(BTreeMap::from([("HOME", "/h")]))
    }

    fn of(line: &str) -> Result<Rewritten, Failure> {
        let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
        rewritten(&words, &environment())
    }

    const CONCIERGE: &str = "--enable-concierge --concierge-api-group-suffix=pinniped.dev \
        --concierge-authenticator-name=jwt --concierge-authenticator-type=jwt \
        --concierge-endpoint=https://c:6443 --concierge-ca-bundle-data=QQ==";

    #[test]
    fn the_stanza_of_get_kubeconfig_is_said_in_our_words() {
        let line = format!(
            "login oidc {CONCIERGE} --issuer=https://supervisor --client-id=pinniped-cli --scopes=openid,offline_access \
             --listen-port=12345 --skip-browser --ca-bundle-data=QUJD --request-audience=eu --session-cache=/tmp/s \
             --upstream-identity-provider-name=okta --upstream-identity-provider-type=oidc"
        );
        let rewritten = of(&line).unwrap();
        assert_eq!(
            arguments(&rewritten.login),
            [
                "credential",
                "--issuer=https://supervisor",
                "--client-id=pinniped-cli",
                "--scopes=offline_access",
                "--optional-scopes=",
                "--exchange-audience=eu",
                "--extra-params=pinniped_idp_name=okta",
                "--extra-params=pinniped_idp_type=oidc",
                "--ca-data=QUJDCg==",
                "--redirect-host=127.0.0.1,[::1]",
                "--redirect-ports=12345",
                "--skip-browser",
                "--authenticator=jwt",
                "--api-group-suffix=pinniped.dev",
                "--concierge-endpoint=https://c:6443",
                "--concierge-ca-data=QQ==",
            ]
        );
        assert_eq!(rewritten.left_out, ["--session-cache"]);
    }

    #[test]
    fn a_token_of_a_variable_and_a_webhook_are_kept_and_no_concierge_means_no_exchange() {
        let webhook = CONCIERGE.replace("type=jwt", "type=webhook");
        let login = of(&format!("login static {webhook} --token-env=TOKEN")).unwrap().login;
        assert_eq!(login.token_env.as_deref(), Some("TOKEN"));
        assert_eq!(login.authenticator_kind.as_deref(), Some("WebhookAuthenticator"));
        let login = of("login oidc --issuer=https://i --client-id=c --request-audience=c").unwrap().login;
        assert_eq!((login.no_exchange, login.exchange_audience), (Some(true), None));
    }

    #[test]
    fn what_cannot_be_said_names_its_flag() {
        for (line, flag) in [
            ("login static --token=SECRET", "--token"),
            ("login oidc --issuer=https://i --credential-cache=", "--credential-cache"),
            ("login oidc --issuer=https://i --upstream-identity-provider-flow=cli_password", "cli_password"),
            ("login oidc --issuer=https://i --new-flag", "--new-flag"),
            ("login oidc --issuer=https://i --ca-bundle=/no/such/file", "--ca-bundle /no/such/file"),
            ("login oidc", "issuer"),
            ("whoami", "log nobody in"),
        ] {
            let failure = of(line).unwrap_err();
            assert!(failure.message.contains(flag) && !failure.message.contains("SECRET"), "{line}: {failure}");
        }
    }
}
