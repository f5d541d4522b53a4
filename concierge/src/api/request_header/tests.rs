//! Each rule of kube-apiserver's delegated authentication, one test.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};

use super::*;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// 2026-11-21T04:00:00Z
const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Authority { pem: params.self_signed(&key).unwrap().pem(), issuer: Issuer::new(params, key) }
}

fn chain(by: &Authority, common_name: &str, organizations: &[&str]) -> ClientChain {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if !common_name.is_empty() {
        params.distinguished_name.push(DnType::CommonName, common_name);
    }
    for organization in organizations {
        params.distinguished_name.push(DnType::OrganizationName, *organization);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    let key = KeyPair::generate().unwrap();
    ClientChain::new(&[params.signed_by(&key, &by.issuer).unwrap().der().clone()]).unwrap()
}

fn data(proxies: &Authority, clients: Option<&Authority>) -> BTreeMap<String, String> {
    let mut data = BTreeMap::from(
        [
            ("requestheader-client-ca-file", proxies.pem.as_str()),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
            ("requestheader-username-headers", r#"["X-Remote-User","X-Other-User"]"#),
            ("requestheader-uid-headers", r#"["X-Remote-Uid"]"#),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
            ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    if let Some(clients) = clients {
        data.insert("client-ca-file".to_owned(), clients.pem.clone());
    }
    data
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

fn caller(finding: Finding) -> Caller {
    match finding {
        Finding::Caller(caller) => caller,
        other => panic!("expected a caller, found {other:?}"),
    }
}

#[test]
fn the_front_proxy_names_user_uid_groups_and_extra() {
    let proxies = authority();
    let config = FrontProxyConfig::parse(&data(&proxies, None)).unwrap();
    let chain = chain(&proxies, "front-proxy-client", &[]);
    let headers = headers(&[
        ("x-remote-user", "alice"),
        ("x-remote-uid", "42"),
        ("x-remote-group", "developers"),
        ("x-remote-group", ""),
        ("x-remote-group", "system:authenticated"),
        ("x-remote-extra-example.org%2fteam", "blue"),
        ("x-remote-extra-example.org%2fteam", "green"),
        ("x-remote-extra-broken%zz", "kept raw"),
    ]);
    assert_eq!(
        caller(config.find(Some(&chain), &headers, NOW)),
        Caller {
            username: "alice".to_owned(),
            uid: "42".to_owned(),
            groups: vec!["developers".to_owned(), "system:authenticated".to_owned()],
            extra: BTreeMap::from([
                ("example.org/team".to_owned(), vec!["blue".to_owned(), "green".to_owned()]),
                ("broken%zz".to_owned(), vec!["kept raw".to_owned()]),
            ]),
            via: Via::FrontProxy,
        }
    );
}

#[test]
fn the_first_username_header_that_is_not_empty_wins() {
    let proxies = authority();
    let config = FrontProxyConfig::parse(&data(&proxies, None)).unwrap();
    let chain = chain(&proxies, "front-proxy-client", &[]);
    let headers = headers(&[("x-remote-user", ""), ("x-other-user", "bob")]);
    let caller = caller(config.find(Some(&chain), &headers, NOW));
    assert_eq!(caller.username, "bob");
    assert_eq!(caller.groups, ["system:authenticated"]);
}

#[test]
fn an_anonymous_user_of_the_front_proxy_stays_unauthenticated() {
    let proxies = authority();
    let config = FrontProxyConfig::parse(&data(&proxies, None)).unwrap();
    let chain = chain(&proxies, "front-proxy-client", &[]);
    let headers = headers(&[("x-remote-user", "system:anonymous"), ("x-remote-group", "system:unauthenticated")]);
    assert_eq!(caller(config.find(Some(&chain), &headers, NOW)).groups, ["system:unauthenticated"]);
}

#[test]
fn headers_without_a_certificate_are_worth_nothing() {
    let config = FrontProxyConfig::parse(&data(&authority(), Some(&authority()))).unwrap();
    let headers = headers(&[("x-remote-user", "admin"), ("x-remote-group", "system:masters")]);
    assert_eq!(config.find(None, &headers, NOW), Finding::Anonymous);
}

#[test]
fn headers_with_a_strangers_certificate_are_refused_not_anonymous() {
    let config = FrontProxyConfig::parse(&data(&authority(), None)).unwrap();
    let stranger = chain(&authority(), "front-proxy-client", &[]);
    let headers = headers(&[("x-remote-user", "admin"), ("x-remote-group", "system:masters")]);
    assert!(matches!(config.find(Some(&stranger), &headers, NOW), Finding::Refused(Refused::Chain(_))));
}

#[test]
fn headers_with_a_client_certificate_of_the_cluster_name_its_own_subject_only() {
    let (proxies, clients) = (authority(), authority());
    let config = FrontProxyConfig::parse(&data(&proxies, Some(&clients))).unwrap();
    let chain = chain(&clients, "mallory", &["developers"]);
    let headers = headers(&[("x-remote-user", "admin"), ("x-remote-group", "system:masters")]);
    let caller = caller(config.find(Some(&chain), &headers, NOW));
    assert_eq!((caller.username.as_str(), caller.via), ("mallory", Via::ClientCertificate));
    assert_eq!(caller.groups, ["developers", "system:authenticated"]);
    assert!(caller.extra[CREDENTIAL_ID][0].starts_with("X509SHA256="));
}

#[test]
fn a_front_proxy_of_another_name_is_refused_and_any_name_will_do_for_an_empty_list() {
    let proxies = authority();
    let mut data = data(&proxies, None);
    let other = chain(&proxies, "somebody", &[]);
    let headers = headers(&[("x-remote-user", "alice")]);
    let config = FrontProxyConfig::parse(&data).unwrap();
    assert_eq!(config.find(Some(&other), &headers, NOW), Finding::Refused(Refused::NameNotAllowed));
    data.insert("requestheader-allowed-names".to_owned(), "[]".to_owned());
    let config = FrontProxyConfig::parse(&data).unwrap();
    assert_eq!(caller(config.find(Some(&other), &headers, NOW)).username, "alice");
}

#[test]
fn a_front_proxy_without_headers_is_refused_where_client_certificates_are_known() {
    let (proxies, clients) = (authority(), authority());
    let chain = chain(&proxies, "front-proxy-client", &[]);
    let config = FrontProxyConfig::parse(&data(&proxies, Some(&clients))).unwrap();
    assert!(matches!(config.find(Some(&chain), &HeaderMap::new(), NOW), Finding::Refused(_)));
    let config = FrontProxyConfig::parse(&data(&proxies, None)).unwrap();
    assert_eq!(config.find(Some(&chain), &HeaderMap::new(), NOW), Finding::Anonymous);
}

#[test]
fn a_client_certificate_without_a_name_is_refused() {
    let (proxies, clients) = (authority(), authority());
    let config = FrontProxyConfig::parse(&data(&proxies, Some(&clients))).unwrap();
    let nameless = chain(&clients, "", &["system:masters"]);
    assert_eq!(config.find(Some(&nameless), &HeaderMap::new(), NOW), Finding::Refused(Refused::NoName));
}

#[test]
fn a_bearer_token_is_for_token_review_even_beside_a_strangers_certificate() {
    let config = FrontProxyConfig::parse(&data(&authority(), Some(&authority()))).unwrap();
    let stranger = chain(&authority(), "x", &[]);
    let headers = headers(&[("authorization", "bEaReR abc")]);
    assert_eq!(config.find(None, &headers, NOW), Finding::Token);
    assert_eq!(config.find(Some(&stranger), &headers, NOW), Finding::Token);
}

#[test]
fn bearer_tokens_are_read_as_kube_apiserver_reads_them() {
    for (value, expected) in [
        ("Bearer abc", Some("abc")),
        ("  bearer abc  ", Some("abc")),
        ("Bearer abc def", Some("abc")),
        ("Bearer  abc", None),
        ("Bearer", None),
        ("Basic abc", None),
    ] {
        let token = bearer_token(&headers(&[("authorization", value)]));
        assert_eq!(token.as_ref().map(BearerToken::as_str), expected, "{value:?}");
    }
}

#[test]
fn no_identity_header_survives() {
    let config = FrontProxyConfig::parse(&data(&authority(), None)).unwrap();
    let mut headers = headers(&[
        ("authorization", "Bearer x"),
        ("x-remote-user", "a"),
        ("x-other-user", "a"),
        ("x-remote-uid", "a"),
        ("x-remote-group", "a"),
        ("x-remote-group", "b"),
        ("x-remote-extra-a", "a"),
        ("x-remote-extra-", "a"),
        ("accept", "kept"),
    ]);
    config.strip(&mut headers);
    assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
}

#[test]
fn configurations_that_cannot_be_used_are_refused_whole() {
    let proxies = authority();
    let with = |key: &str, value: &str| {
        let mut data = data(&proxies, None);
        data.insert(key.to_owned(), value.to_owned());
        FrontProxyConfig::parse(&data).unwrap_err()
    };
    assert_eq!(FrontProxyConfig::parse(&BTreeMap::new()).unwrap_err(), FrontProxyConfigError::Nothing);
    assert_eq!(
        with("requestheader-username-headers", "X-Remote-User"),
        FrontProxyConfigError::List { key: "requestheader-username-headers" }
    );
    assert_eq!(
        with("requestheader-group-headers", r#"["a b"]"#),
        FrontProxyConfigError::List { key: "requestheader-group-headers" }
    );
    assert_eq!(with("requestheader-username-headers", "[]"), FrontProxyConfigError::NoUsernameHeader);
    assert_eq!(
        with("client-ca-file", "not a certificate"),
        FrontProxyConfigError::Authorities { key: "client-ca-file", source: PoolError::Empty }
    );
}

#[test]
fn an_empty_extra_prefix_turns_no_header_into_an_attribute() {
    let proxies = authority();
    let mut data = data(&proxies, None);
    data.insert("requestheader-extra-headers-prefix".to_owned(), r#"[""]"#.to_owned());
    let config = FrontProxyConfig::parse(&data).unwrap();
    let chain = chain(&proxies, "front-proxy-client", &[]);
    let headers = headers(&[("x-remote-user", "alice"), ("user-agent", "kubectl")]);
    assert_eq!(caller(config.find(Some(&chain), &headers, NOW)).extra, BTreeMap::new());
}

#[test]
fn only_the_last_proxys_own_word_of_where_a_request_came_from_counts() {
    let forwarded = |values: &[&str]| {
        let pairs: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
        forwarded_for(&headers(&pairs)).map(|address| address.to_string())
    };
    assert_eq!(forwarded(&["203.0.113.9"]).as_deref(), Some("203.0.113.9"));
    assert_eq!(forwarded(&["10.0.0.1, 203.0.113.9"]).as_deref(), Some("203.0.113.9"));
    assert_eq!(forwarded(&["10.0.0.1", "2001:db8::7"]).as_deref(), Some("2001:db8::7"));
    for nobody in [&[][..], &[""], &["unknown"], &["10.0.0.1,"], &["10.0.0.1, evil"], &["203.0.113.9:80"]] {
        assert_eq!(forwarded(nobody), None, "{nobody:?}");
    }
}
