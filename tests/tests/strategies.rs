//! Who signs: both strategies on one cluster, what the status says of each, and what happens when the signer is away, the
//! authority is replaced or the concierge is killed half-way.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    cluster::Identity,
    exchange::{Exchanger, Issued},
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions, User},
    site::{AUTHENTICATOR, Site},
    wait::eventually,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use serde_json::{Value, json};

const CLUSTER_SIGNER: &str = "CertificateSigningRequestAPI";
const OWN_AUTHORITY: &str = "ClientCertificateAuthority";

/// Probes back off to a minute.
const STATUS_LIMIT: Duration = Duration::from_secs(90);

/// What a dead replica leaves is deleted once it was seen for a minute, by rounds of half a minute.
const JANITOR_LIMIT: Duration = Duration::from_mins(2);

/// Who waits for the signer waits for ten seconds; from the moment on that it is known to be away, nobody does. Two busy cores
/// may take most of them for a refusal at once.
const AT_ONCE: Duration = Duration::from_secs(9);

/// Both signers begin a certificate's validity five minutes in the past.
const BACKDATE: i64 = 300;

/// The authority's Secret.
const SECRET: &str = "latchkey-client-certificate-authority";

#[tokio::test]
async fn both_strategies_issue_and_the_status_says_why_and_why_not() -> Result<()> {
    let work = TempFolder::new("strategies")?;
    let (site, issuer) = site(&work).await?;
    let door = Exchanger::through(&site.cluster)?;

    site.offers(CLUSTER_SIGNER).await?;
    the_status_tells_how_to_make_the_api_server_trust_our_authority(&site).await?;
    the_clusters_signer_gives_ten_minutes_or_more(&site, &issuer, &door).await?;
    a_request_in_another_name_is_told_the_name_and_then_succeeds(&site, &issuer, &door).await?;
    garbage_in_place_of_a_certificate_request_is_422(&issuer, &site, &door).await?;

    site.trust_own_authority().await?;
    site.offers(OWN_AUTHORITY).await?;
    let other = site.strategy(CLUSTER_SIGNER).await?;
    ensure!(message(&other).contains("not used while ClientCertificateAuthority works"), "{other}");
    our_own_authority_gives_the_lifetime_that_was_asked_for(&site, &issuer, &door).await?;
    our_own_authority_takes_the_key_and_not_the_name(&site, &issuer, &door).await?;
    a_replaced_authority_kills_no_certificate_before_the_admin_says_so(&site, &issuer, &door).await?;
    an_authority_that_the_admin_brings_is_used_and_never_written(&site, &issuer, &door).await
}

#[tokio::test]
async fn a_signer_that_is_away_is_told_of_and_a_killed_concierge_leaves_nothing_for_ever() -> Result<()> {
    let work = TempFolder::new("signer-away")?;
    let (mut site, issuer) = site(&work).await?;
    let door = Exchanger::through(&site.cluster)?;
    site.offers(CLUSTER_SIGNER).await?;

    without_the_controller_manager_nobody_signs_until_it_runs_again(&mut site, &issuer, &door).await?;
    killed_in_the_middle_of_an_exchange(&mut site, &issuer, &door).await
}

async fn the_status_tells_how_to_make_the_api_server_trust_our_authority(site: &Site) -> Result<()> {
    let own = site.strategy(OWN_AUTHORITY).await?;
    ensure!(own["status"] == "Error" && own["reason"] == "NotTrustedByAPIServer", "{own}");
    for words in
        ["--client-ca-file", "ConfigMap latchkey/latchkey-client-certificate-authority (key ca.crt)", "SHA-256"]
    {
        ensure!(message(&own).contains(words), "expected {words:?} in {own}");
    }
    ensure!(own["frontend"].is_null(), "{own}");
    let cluster = site.strategy(CLUSTER_SIGNER).await?;
    ensure!(cluster["reason"] == "Issuing" && message(&cluster).contains("10 minutes or more"), "{cluster}");
    let server = &cluster["frontend"]["tokenCredentialRequestInfo"]["server"];
    ensure!(*server == site.cluster.server_url(), "{cluster}");
    Ok(())
}

async fn the_clusters_signer_gives_ten_minutes_or_more(site: &Site, issuer: &Issuer, door: &Exchanger) -> Result<()> {
    // Shorter than the signer can: clamped to its minimum. Longer: given.
    for (asked, given) in [(Some(120), 600), (Some(3_600), 3_600), (None, 600)] {
        set_lifetime(site, issuer, asked).await?;
        let answer = door.exchange(&token(issuer)?).await?;
        let certificate = answer.issued()?;
        lives(issuer, &certificate, given).with_context(|| format!("asked for {asked:?} s"))?;
        ensure!(certificate.common_name == "ann" && certificate.organizations == ["developers"], "{certificate:?}");
        let told = answer.body["status"]["credential"]["expirationTimestamp"].as_str().context("a time")?;
        ensure!(
            told.parse::<jiff::Timestamp>()?.as_second() == certificate.not_after,
            "{told} is not the certificate's"
        );
        ensure!(who(site, &answer.identity()?).await? == "ann");
    }
    nothing_is_left(site).await
}

async fn a_request_in_another_name_is_told_the_name_and_then_succeeds(
    site: &Site,
    issuer: &Issuer,
    door: &Exchanger,
) -> Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let token = token(issuer)?;
    for name in [None, Some(("somebody-else", "developers")), Some(("ann", "system:masters"))] {
        let answer = door.exchange_for(&pkcs10(&key, name)?, &token).await?;
        let expected = json!({"commonName": "ann", "organizations": ["developers"]});
        ensure!(answer.code == 201 && !answer.is_granted(), "{name:?}: {}", answer.body);
        ensure!(answer.body["status"]["expectedSubject"] == expected, "{name:?}: {}", answer.body);
        let record = site.record_of(answer.audit_id()?).await?;
        ensure!(record["code"] == "certificate-request-subject", "{record}");
    }
    let answer = door.exchange_for(&pkcs10(&key, Some(("ann", "developers")))?, &token).await?;
    let certificate = answer.issued()?;
    ensure!(answer.body["status"]["credential"]["clientKeyData"].is_null(), "a key came back");
    let identity = Identity::Certificate { certificate: certificate.pem.clone(), key: key.serialize_pem() };
    ensure!(who(site, &identity).await? == "ann");
    Ok(())
}

async fn garbage_in_place_of_a_certificate_request_is_422(
    issuer: &Issuer,
    site: &Site,
    door: &Exchanger,
) -> Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let good = pkcs10(&key, Some(("ann", "developers")))?;
    // The signature's last bytes, bent.
    let bent = good.find("\n-----END").context("PEM")? - 12;
    let letter = if good[bent..].starts_with('A') { "B" } else { "A" };
    let unsigned = format!("{}{letter}{}", &good[..bent], &good[bent + 1..]);
    let too_long = "A".repeat(100_000);
    for garbage in
        ["garbage", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", &unsigned]
    {
        let answer = door.exchange_for(garbage, &token(issuer)?).await?;
        ensure!(answer.code == 422 && answer.body["reason"] == "Invalid", "{}: {}", answer.code, answer.body);
        let cause = &answer.body["details"]["causes"][0];
        ensure!(cause["field"] == "spec.certificateSigningRequest", "{}", answer.body);
        let record = site.record_of(answer.audit_id()?).await?;
        ensure!(record["code"] == "certificate-request-malformed", "{record}");
    }
    let answer = door.exchange_for(&too_long, &token(issuer)?).await?;
    ensure!((400..500).contains(&answer.code), "{}: {}", answer.code, answer.body);
    // Who has no good token learns nothing about certificate requests.
    door.exchange_for("garbage", "no.good.token").await?.refused()
}

async fn our_own_authority_gives_the_lifetime_that_was_asked_for(
    site: &Site,
    issuer: &Issuer,
    door: &Exchanger,
) -> Result<()> {
    for (asked, given) in [(None, 300), (Some(120), 120)] {
        set_lifetime(site, issuer, asked).await?;
        let answer = door.exchange(&token(issuer)?).await?;
        let certificate = answer.issued()?;
        lives(issuer, &certificate, given).with_context(|| format!("asked for {asked:?} s"))?;
        ensure!(certificate.common_name == "ann" && certificate.organizations == ["developers"], "{certificate:?}");
        ensure!(certificate.issuer.to_ascii_lowercase().contains("latchkey"), "{certificate:?}");
        ensure!(who(site, &answer.identity()?).await? == "ann");
    }
    Ok(())
}

async fn our_own_authority_takes_the_key_and_not_the_name(
    site: &Site,
    issuer: &Issuer,
    door: &Exchanger,
) -> Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let request = pkcs10(&key, Some(("root", "system:masters")))?;
    let answer = door.exchange_for(&request, &token(issuer)?).await?;
    let certificate = answer.issued()?;
    ensure!(certificate.common_name == "ann" && certificate.organizations == ["developers"], "{certificate:?}");
    let identity = Identity::Certificate { certificate: certificate.pem, key: key.serialize_pem() };
    ensure!(who(site, &identity).await? == "ann");
    let record = site.record_of(answer.audit_id()?).await?;
    ensure!(record["credential"]["strategy"] == OWN_AUTHORITY, "{record}");
    ensure!(record["credential"]["serial"] == certificate.serial, "{record} {}", certificate.serial);
    Ok(())
}

async fn a_replaced_authority_kills_no_certificate_before_the_admin_says_so(
    site: &Site,
    issuer: &Issuer,
    door: &Exchanger,
) -> Result<()> {
    set_lifetime(site, issuer, Some(3_600)).await?;
    let held = door.exchange(&token(issuer)?).await?.identity()?;
    site.cluster.kubectl_ok(&["-n", "latchkey", "delete", "secret", SECRET]).await?;
    eventually("a new authority that nobody trusts yet", STATUS_LIMIT, async || {
        let own = site.strategy(OWN_AUTHORITY).await?;
        ensure!(own["reason"] == "NotTrustedByAPIServer", "{own}");
        Ok(())
    })
    .await?;
    ensure!(who(site, &held).await? == "ann", "a certificate of the old authority lives on");
    // Meanwhile the cluster's signer serves, and nobody notices.
    let answer = door.exchange(&token(issuer)?).await?;
    ensure!(who(site, &answer.identity()?).await? == "ann");
    let record = site.record_of(answer.audit_id()?).await?;
    ensure!(record["credential"]["strategy"] == CLUSTER_SIGNER, "{record}");

    // The admin puts the new certificate in place of the old one: only that ends what the old authority has signed.
    site.trust_own_authority().await?;
    site.offers(OWN_AUTHORITY).await?;
    ensure!(who(site, &door.exchange(&token(issuer)?).await?.identity()?).await? == "ann");
    eventually("the old authority's certificates to be refused", STATUS_LIMIT, async || {
        let seen = who(site, &held).await?;
        ensure!(seen != "ann", "still {seen}");
        Ok(())
    })
    .await
}

async fn an_authority_that_the_admin_brings_is_used_and_never_written(
    site: &Site,
    issuer: &Issuer,
    door: &Exchanger,
) -> Result<()> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "brought by the admin");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let brought = CertifiedIssuer::self_signed(params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)?;
    // In one step: between a deletion and a creation the leader would make an authority of its own.
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": "latchkey"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": brought.pem(), "tls.key": brought.key().serialize_pem()},
    });
    let file = site.cluster.folder().join("authority.json");
    std::fs::write(&file, secret.to_string())?;
    site.cluster.kubectl_ok(&["replace", "-f", &file.to_string_lossy()]).await?;
    let path = format!("/api/v1/namespaces/latchkey/secrets/{SECRET}");
    let version = site.get(&path).await?["metadata"]["resourceVersion"].clone();

    eventually("the admin's authority to be published", STATUS_LIMIT, async || {
        let published = site.get(&format!("/api/v1/namespaces/latchkey/configmaps/{SECRET}")).await?;
        let bundle = published["data"]["ca.crt"].as_str().unwrap_or_default().to_owned();
        ensure!(bundle.contains(brought.pem().trim()), "{published}");
        Ok(())
    })
    .await?;
    site.trust_own_authority().await?;
    site.offers(OWN_AUTHORITY).await?;
    let answer = eventually("a certificate of the admin's authority", STATUS_LIMIT, async || {
        let answer = door.exchange(&token(issuer)?).await?;
        let signed_by = answer.issued()?.issuer;
        ensure!(signed_by.contains("brought by the admin"), "{signed_by}");
        Ok(answer)
    })
    .await?;
    ensure!(who(site, &answer.identity()?).await? == "ann");
    ensure!(site.get(&path).await?["metadata"]["resourceVersion"] == version, "the admin's Secret was written");
    Ok(())
}

async fn without_the_controller_manager_nobody_signs_until_it_runs_again(
    site: &mut Site,
    issuer: &Issuer,
    door: &Exchanger,
) -> Result<()> {
    site.cluster.stop_controller_manager();
    let answer = door.exchange(&token(issuer)?).await?;
    answer.refused()?;
    let record = site.record_of(answer.audit_id()?).await?;
    ensure!(record["code"] == "signer-unavailable" && record["kind"] == "token.refused", "{record}");
    eventually("the status to say that the signer never answers", STATUS_LIMIT, async || {
        let cluster = site.strategy(CLUSTER_SIGNER).await?;
        ensure!(cluster["status"] == "Error" && cluster["reason"] == "SignerNeverAnswered", "{cluster}");
        ensure!(message(&cluster).contains("kube-controller-manager"), "{cluster}");
        Ok(())
    })
    .await?;
    let another = token(issuer)?;
    let refused = tokio::time::timeout(AT_ONCE, door.exchange(&another));
    refused.await.context("a refusal at once")??.refused()?;
    nothing_is_left(site).await?;

    site.cluster.start_controller_manager().await?;
    site.offers(CLUSTER_SIGNER).await?;
    let answer = door.exchange(&token(issuer)?).await?;
    ensure!(who(site, &answer.identity()?).await? == "ann");
    Ok(())
}

async fn killed_in_the_middle_of_an_exchange(site: &mut Site, issuer: &Issuer, door: &Exchanger) -> Result<()> {
    nothing_is_left(site).await?;
    site.cluster.stop_controller_manager();
    let exchange = {
        let (door, token) = (door.clone(), token(issuer)?);
        tokio::spawn(async move { door.exchange(&token).await })
    };
    let name = eventually("an exchange to be waiting for the signer", STATUS_LIMIT, async || {
        let requests = requests(site).await?;
        let name = requests.first().and_then(|request| request["metadata"]["name"].as_str());
        name.map(str::to_owned).context("no certificate request yet")
    })
    .await?;
    site.concierge.kill9()?;
    let answer = exchange.await??;
    ensure!(!answer.is_granted() && answer.code >= 500, "{}: {}", answer.code, answer.body);

    site.cluster.start_controller_manager().await?;
    site.concierge.start().await?;
    site.concierge.available(&site.cluster).await?;
    ensure!(door.exchange(&token(issuer)?).await?.is_granted());
    ensure!(requests(site).await?.iter().any(|request| request["metadata"]["name"] == *name), "{name} went by itself");
    eventually("what the dead one left to be deleted", JANITOR_LIMIT, async || {
        let left = requests(site).await?;
        ensure!(left.is_empty(), "{} left", left.len());
        Ok(())
    })
    .await
}

async fn site(work: &TempFolder) -> Result<(Site, Issuer)> {
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    // One group: rcgen writes one organization into a subject.
    issuer.set_user(User::new("ann", "ann-password").groups(&["developers"]));
    let site = Site::start("staging", Path::new(work.path())).await?;
    site.trust(&issuer).await?;
    Ok((site, issuer))
}

async fn set_lifetime(site: &Site, issuer: &Issuer, seconds: Option<u32>) -> Result<()> {
    let mut object = site.authenticator(AUTHENTICATOR, issuer);
    if let Some(seconds) = seconds {
        object["spec"]["credential"] = json!({"lifetimeSeconds": seconds});
    }
    site.cluster.apply(&object.to_string()).await?;
    site.ready(AUTHENTICATOR).await
}

fn token(issuer: &Issuer) -> Result<String> {
    issuer.id_token("ann", &Site::audience("staging"))
}

/// Whether a certificate that was just made lives for so many seconds from now, and began five minutes ago.
fn lives(issuer: &Issuer, certificate: &Issued, seconds: i64) -> Result<()> {
    let now = i64::try_from(issuer.now())?;
    let (left, begun) = (certificate.not_after - now, now - certificate.not_before);
    ensure!((seconds - 10..=seconds + 1).contains(&left), "{left} s left, expected {seconds}");
    ensure!((BACKDATE - 1..=BACKDATE + 70).contains(&begun), "begun {begun} s ago, expected {BACKDATE}");
    Ok(())
}

/// A certificate request as the plugin makes it.
fn pkcs10(key: &KeyPair, name: Option<(&str, &str)>) -> Result<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some((user, group)) = name {
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.distinguished_name.push(DnType::CommonName, user);
    }
    Ok(params.serialize_request(key)?.pem()?)
}

/// The name that the API server knows the holder by; nothing if it does not.
async fn who(site: &Site, identity: &Identity) -> Result<String> {
    let kubeconfig = site.cluster.write_kubeconfig("holder", identity)?;
    let question = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
    let output = site.cluster.kubectl_as(&kubeconfig, &question).await?;
    Ok(String::from_utf8(output.stdout)?)
}

/// Certificate requests of a concierge.
async fn requests(site: &Site) -> Result<Vec<Value>> {
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests?labelSelector=latchkey.dev%2Fcluster";
    Ok(site.get(path).await?["items"].as_array().cloned().unwrap_or_default())
}

/// What exchanges leave is swept up behind them, within moments.
async fn nothing_is_left(site: &Site) -> Result<()> {
    eventually("certificate requests to be deleted", Duration::from_secs(30), async || {
        let left = requests(site).await?;
        ensure!(left.is_empty(), "{} left", left.len());
        Ok(())
    })
    .await
}

fn message(strategy: &Value) -> &str {
    strategy["message"].as_str().unwrap_or_default()
}
