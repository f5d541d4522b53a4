//! Lines as Pinniped's CLI takes them, and its words where it refuses.

use std::collections::BTreeMap;

use super::*;

fn command(line: &str) -> Result<Command, FlagError> {
    let environment = Environment::Table(BTreeMap::from([("HOME", "/home/ann")]));
    parse(&line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>(), &environment)
}

fn oidc(line: &str) -> (Login, OidcLogin) {
    let Command::Login(login) = command(&format!("login oidc {line}")).unwrap() else { panic!("no login") };
    let Login { concierge, credential_cache, by, remarks } = *login;
    let By::Oidc(oidc) = by else { panic!("not oidc") };
    let by = By::Static(StaticLogin { token: None, variable: None });
    (Login { concierge, credential_cache, by, remarks }, oidc)
}

#[test]
fn defaults_are_those_of_the_stock_program() {
    let (login, oidc) = oidc("--issuer=https://idp");
    assert_eq!(oidc.client_id, "pinniped-cli");
    assert_eq!(oidc.scopes, ["groups", "offline_access", "openid", "pinniped:request-audience", "username"]);
    assert_eq!(oidc.session_cache.unwrap(), PathBuf::from("/home/ann/.config/pinniped/sessions.yaml"));
    assert_eq!(login.credential_cache.unwrap(), PathBuf::from("/home/ann/.config/pinniped/credentials.yaml"));
    assert_eq!((oidc.listen_port, oidc.skip_browser, oidc.upstream, oidc.flow), (0, false, None, None));
    assert_eq!(login.concierge, None);
}

#[test]
fn the_stanza_of_get_kubeconfig_is_understood() {
    let ca = BASE64_STANDARD.encode("-----BEGIN CERTIFICATE-----\n");
    let (login, oidc) = oidc(&format!(
        "--enable-concierge --concierge-api-group-suffix=tuna.io --concierge-authenticator-name=corp \
         --concierge-authenticator-type=jwt --concierge-endpoint=https://c:6443 --concierge-ca-bundle-data={ca} \
         --credential-cache= --issuer=https://idp --client-id=x --scopes=openid,email --skip-browser --skip-listen \
         --listen-port=48095 --ca-bundle-data={ca} --session-cache=/s --debug-session-cache --request-audience=a \
         --upstream-identity-provider-name=corp-ldap --upstream-identity-provider-type=ldap \
         --upstream-identity-provider-flow=cli_password --concierge-namespace=old"
    ));
    let concierge = login.concierge.unwrap();
    assert_eq!(concierge.suffix.login(), "login.concierge.tuna.io");
    assert_eq!((concierge.authenticator_kind, concierge.authenticator_name.as_str()), ("JWTAuthenticator", "corp"));
    assert_eq!(login.credential_cache, None);
    assert_eq!(login.remarks, ["Flag --concierge-namespace has been deprecated, not needed anymore"]);
    assert_eq!(oidc.scopes, ["email", "openid"]);
    assert_eq!(oidc.upstream.unwrap(), SupervisorUpstream { name: "corp-ldap".to_owned(), kind: "ldap".to_owned() });
    assert_eq!(oidc.flow, Some(SupervisorFlow::Password));
    assert!(oidc.skip_browser && oidc.skip_listen && oidc.debug_session_cache);
    assert_eq!((oidc.listen_port, oidc.request_audience.as_deref()), (48095, Some("a")));
}

#[test]
fn refusals_have_the_words_of_the_stock_program() {
    let invalid = "invalid Concierge parameters: ";
    let jwt = "login static --token=a --enable-concierge --concierge-endpoint=https://x";
    let cases = [
        ("login oidc", "required flag(s) \"issuer\" not set".to_owned()),
        ("bogus", "unknown command \"bogus\" for \"pinniped\"".to_owned()),
        ("login static", "one of --token or --token-env must be set".to_owned()),
        ("login static --token=a --enable-concierge", format!("{invalid}endpoint must not be empty")),
        (
            "login static --token=a --enable-concierge --concierge-endpoint=http://x",
            format!("{invalid}invalid endpoint scheme \"http\" (must be \"https\")"),
        ),
        (jwt, format!("{invalid}invalid authenticator type: \"\", supported values are \"webhook\" and \"jwt\"")),
        (
            &format!("{jwt} --concierge-authenticator-type=jwt"),
            format!("{invalid}authenticator name must not be empty"),
        ),
        ("version -o xml", "'xml' is not a valid option for output".to_owned()),
        ("whoami -o xml", "unknown output format: \"xml\"".to_owned()),
    ];
    for (line, words) in cases {
        assert_eq!(command(line).unwrap_err().to_string(), words, "{line}");
    }
    let bad_suffix = format!(
        "{jwt} --concierge-authenticator-type=jwt --concierge-authenticator-name=n --concierge-api-group-suffix=zz"
    );
    let words = command(&bad_suffix).unwrap_err().to_string();
    assert!(words.starts_with("invalid Concierge parameters: invalid API group suffix: "), "{words}");
}

#[test]
fn the_environment_decides_the_flow() {
    let environment =
        Environment::Table(BTreeMap::from([("PINNIPED_UPSTREAM_IDENTITY_PROVIDER_FLOW", "browser_authcode")]));
    let line = ["login", "oidc", "--issuer=https://idp", "--upstream-identity-provider-flow=cli_password"];
    let Command::Login(login) = parse(&line.map(ToOwned::to_owned), &environment).unwrap() else { panic!("no login") };
    assert!(matches!(login.by, By::Oidc(OidcLogin { flow: Some(SupervisorFlow::Browser), .. })));
}
