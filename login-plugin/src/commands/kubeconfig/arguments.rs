//! Settings of `credential` as they are written down: as arguments of the stanza, or as the cluster's extension.

use serde_norway::{Mapping, Value};

use crate::args::{CredentialArgs, Flow, RedirectHost, Store, TokenKind};

/// One setting's value.
enum Setting {
    Number(u32),
    /// Several in one option.
    List(Vec<String>),
    Pairs(Vec<(String, String)>),
    Ports(Vec<u16>),
    /// The option as often as there are values.
    Repeated(Vec<String>),
    Switch,
    Text(String),
}

/// The stanza's arguments, the verb first.
pub(super) fn arguments(login: &CredentialArgs) -> Vec<String> {
    let mut arguments = vec!["credential".to_owned()];
    for (name, setting) in settings(login) {
        match setting {
            Setting::List(values) => arguments.push(format!("--{name}={}", values.join(","))),
            Setting::Number(number) => arguments.push(format!("--{name}={number}")),
            Setting::Pairs(pairs) => {
                arguments.extend(pairs.into_iter().map(|(key, value)| format!("--{name}={key}={value}")));
            }
            Setting::Ports(ports) => {
                let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
                arguments.push(format!("--{name}={}", ports.join(",")));
            }
            Setting::Repeated(values) => arguments.extend(values.into_iter().map(|value| format!("--{name}={value}"))),
            Setting::Switch => arguments.push(format!("--{name}")),
            Setting::Text(text) => arguments.push(format!("--{name}={text}")),
        }
    }
    arguments
}

/// The same for the member `latchkey` of the cluster's extension, in camel case.
pub(super) fn extension(login: &CredentialArgs) -> Mapping {
    let value = |setting| match setting {
        Setting::List(values) | Setting::Repeated(values) => {
            Value::Sequence(values.into_iter().map(Value::from).collect())
        }
        Setting::Number(number) => number.into(),
        Setting::Pairs(pairs) => {
            Value::Mapping(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
        }
        Setting::Ports(ports) => Value::Sequence(ports.into_iter().map(Value::from).collect()),
        Setting::Switch => true.into(),
        Setting::Text(text) => text.into(),
    };
    settings(login).into_iter().map(|(name, setting)| (camel_case(name).into(), value(setting))).collect()
}

/// All settings that say something: who logs in where, how, and for which cluster.
fn settings(login: &CredentialArgs) -> Vec<(&'static str, Setting)> {
    // Every field by its name: a new one has to be written down here too, or a stanza would lose it.
    let CredentialArgs {
        account,
        additional_audiences,
        api_version,
        api_group_suffix,
        audience,
        authenticator,
        authenticator_kind,
        ca_data,
        client_id,
        client_secret_env,
        client_secret_file,
        client_secret_keyring,
        cluster_name,
        concierge_ca_data,
        concierge_endpoint,
        exchange_audience,
        extra_params,
        flow,
        forbid_flows,
        issuer,
        login_hint,
        login_timeout,
        no_exchange,
        optional_scopes,
        prompt,
        provider,
        redirect_host,
        redirect_path,
        redirect_ports,
        request_audience,
        resource,
        scopes,
        skip_browser,
        store,
        token_command,
        token_env,
        token_file,
        token_from_github,
        token_kind,
    } = login;
    let text = |value: &Option<String>| value.clone().map(Setting::Text);
    let path = |value: &Option<std::path::PathBuf>| {
        value.as_ref().map(|path| Setting::Text(path.to_string_lossy().into_owned()))
    };
    let switch = |value: &Option<bool>| value.unwrap_or_default().then_some(Setting::Switch);
    let list = |value: &Option<Vec<String>>| value.clone().map(Setting::List);
    let word = |value: &str| Some(Setting::Text(value.to_owned()));
    let all = [
        ("cluster-name", text(cluster_name)),
        ("issuer", text(issuer)),
        ("client-id", text(client_id)),
        ("audience", text(audience)),
        ("additional-audiences", list(additional_audiences)),
        ("account", text(account)),
        ("provider", text(provider)),
        ("client-secret-env", text(client_secret_env)),
        ("client-secret-file", path(client_secret_file)),
        ("client-secret-keyring", switch(client_secret_keyring)),
        ("scopes", list(scopes)),
        ("optional-scopes", list(optional_scopes)),
        ("resource", resource.clone().map(Setting::Repeated)),
        ("request-audience", text(request_audience)),
        ("exchange-audience", text(exchange_audience)),
        ("login-hint", text(login_hint)),
        ("prompt", text(prompt)),
        ("extra-params", extra_params.clone().map(|pairs| Setting::Pairs(pairs.into_iter().collect()))),
        ("token-kind", token_kind.and_then(|kind| word(token_kind_name(kind)))),
        ("ca-data", text(ca_data)),
        ("flow", flow.and_then(|flow| word(flow.as_str()))),
        ("forbid-flows", names(forbid_flows.as_deref(), Flow::as_str)),
        ("redirect-host", names(redirect_host.as_deref(), RedirectHost::as_str)),
        ("redirect-ports", redirect_ports.clone().map(Setting::Ports)),
        ("redirect-path", text(redirect_path)),
        ("skip-browser", switch(skip_browser)),
        ("login-timeout", login_timeout.map(Setting::Number)),
        ("store", store.and_then(|store| word(store_name(store)))),
        ("token-command", text(token_command)),
        ("token-env", text(token_env)),
        ("token-file", path(token_file)),
        ("token-from-github", switch(token_from_github)),
        ("authenticator", text(authenticator)),
        ("authenticator-kind", text(authenticator_kind)),
        ("no-exchange", switch(no_exchange)),
        ("api-group-suffix", api_group_suffix.as_ref().map(|suffix| Setting::Text(suffix.to_string()))),
        ("concierge-endpoint", text(concierge_endpoint)),
        ("concierge-ca-data", text(concierge_ca_data)),
        ("api-version", api_version.and_then(|version| word(version.as_str()))),
    ];
    all.into_iter().filter_map(|(name, setting)| Some((name, setting?))).collect()
}

fn names<T: Copy>(values: Option<&[T]>, name: impl Fn(T) -> &'static str) -> Option<Setting> {
    values.map(|values| Setting::List(values.iter().map(|&value| name(value).to_owned()).collect()))
}

const fn store_name(store: Store) -> &'static str {
    match store {
        Store::Auto => "auto",
        Store::File => "file",
        Store::Keyring => "keyring",
        Store::None => "none",
    }
}

const fn token_kind_name(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Access => "access",
        TokenKind::Id => "id",
    }
}

fn camel_case(option: &str) -> String {
    let mut words = option.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(1);
        name + &initial.to_ascii_uppercase() + rest
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use super::*;
    use crate::args::{self, Command};
    use crate::exec_credential::ApiVersion;

    /// Every setting, each with a value of its own.
    fn everything() -> CredentialArgs {
        let some = |text: &str| Some(text.to_owned());
        let several = |text: &str| Some(text.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>());
        CredentialArgs {
            account: some("jane"),
            additional_audiences: several("project another"),
            api_version: Some(ApiVersion::V1Beta1),
            api_group_suffix: "pinniped.dev".parse().ok(),
            audience: some("aud"),
            authenticator: some("people"),
            authenticator_kind: some("WebhookAuthenticator"),
            ca_data: some("QQ=="),
            client_id: some("cli"),
            client_secret_env: some("ENV"),
            client_secret_file: Some("/a file".into()),
            client_secret_keyring: Some(true),
            cluster_name: some("c"),
            concierge_ca_data: some("Qg=="),
            concierge_endpoint: some("https://c"),
            exchange_audience: some("traded"),
            extra_params: Some(BTreeMap::from([
                ("a".to_owned(), "b=c,d".to_owned()),
                ("e".to_owned(), "f g".to_owned()),
            ])),
            flow: Some(Flow::Paste),
            forbid_flows: Some(vec![Flow::Device, Flow::Browser, Flow::None]),
            issuer: some("https://i"),
            login_hint: some("j"),
            login_timeout: Some(61),
            no_exchange: Some(true),
            optional_scopes: Some(Vec::new()),
            prompt: some("login consent"),
            provider: some("generic"),
            redirect_host: Some(vec![RedirectHost::Ipv6, RedirectHost::Localhost, RedirectHost::Ipv4]),
            redirect_path: some("/cb"),
            redirect_ports: Some(vec![8000, 0]),
            request_audience: some("api"),
            resource: several("https://a https://b"),
            scopes: several("email groups"),
            skip_browser: Some(true),
            store: Some(Store::Keyring),
            token_command: some("print -x"),
            token_env: some("TOKEN"),
            token_file: Some("/t".into()),
            token_from_github: Some(true),
            token_kind: Some(TokenKind::Access),
        }
    }

    #[test]
    fn what_is_written_is_read_again_as_arguments_and_as_extension() {
        for login in [everything(), CredentialArgs::default()] {
            let typed = arguments(&login).into_iter().map(OsString::from);
            assert_eq!(args::parse(typed).unwrap(), Command::Credential(Box::new(login.clone())));
            let settings: CredentialArgs = serde_norway::from_value(Value::Mapping(extension(&login))).unwrap();
            assert_eq!(settings, login);
        }
    }
}
