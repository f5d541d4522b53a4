//! Issuers that are away, lie, stall and flood: what the authenticator says of it, and that nobody else suffers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::http::StatusCode;
use futures::future::try_join_all;
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Certificate, Endpoint, Fault, Issuer, IssuerOptions},
    site::{AUTHENTICATOR, Site},
    wait::eventually,
};
use serde_json::Value;

/// An attempt that stalls takes 10 s, and the next comes after a back-off of seconds.
const STATUS_LIMIT: Duration = Duration::from_mins(1);

/// The conditions in the order of the steps.
const STEPS: [&str; 6] = [
    "TLSConfigurationValid",
    "IssuerURLValid",
    "DiscoveryURLValid",
    "JWKSURLValid",
    "JWKSFetchValid",
    "AuthenticatorValid",
];

/// One way in which an issuer is wrong, and what is said of it.
struct Row {
    name: &'static str,
    set: fn(&Issuer, &Issuer),
    /// The condition that is `False`; those after it are unknown, those before it are true.
    condition: &'static str,
    reason: &'static str,
    words: &'static str,
}

const ROWS: [Row; 13] = [
    Row {
        name: "discovery-with-another-issuer",
        set: |issuer, _| issuer.announce_issuer("https://somebody-else.example"),
        condition: "DiscoveryURLValid",
        reason: "InvalidDiscoveryProbe",
        words: "somebody-else.example",
    },
    Row {
        name: "discovery-answers-500",
        set: |issuer, _| {
            issuer.faults().set(Endpoint::Discovery, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
        },
        condition: "DiscoveryURLValid",
        reason: "InvalidDiscoveryProbe",
        words: "500",
    },
    Row {
        name: "discovery-stalls",
        set: |issuer, _| issuer.faults().set(Endpoint::Discovery, Fault::Stall),
        condition: "DiscoveryURLValid",
        reason: "InvalidDiscoveryProbe",
        words: "no complete answer within 10000 ms",
    },
    Row {
        name: "discovery-redirects",
        set: |issuer, elsewhere| issuer.faults().set(Endpoint::Discovery, Fault::Redirect(elsewhere.url().to_owned())),
        condition: "DiscoveryURLValid",
        reason: "InvalidDiscoveryProbe",
        words: "redirects are not followed",
    },
    Row {
        name: "discovery-of-10-mebibytes",
        set: |issuer, _| issuer.faults().set(Endpoint::Discovery, Fault::Huge(10 * 1024 * 1024)),
        condition: "DiscoveryURLValid",
        reason: "InvalidDiscoveryProbe",
        words: "is larger than",
    },
    Row {
        name: "discovery-drops-the-connection",
        set: |issuer, _| issuer.faults().set(Endpoint::Discovery, Fault::Drop),
        condition: "DiscoveryURLValid",
        reason: "InvalidDiscoveryProbe",
        words: "could not perform discovery",
    },
    Row {
        name: "keys-without-tls",
        set: |issuer, _| issuer.announce_plain_keys(),
        condition: "JWKSURLValid",
        reason: "InvalidProviderJWKSURLScheme",
        words: "https",
    },
    Row {
        name: "keys-of-10-mebibytes",
        set: |issuer, _| issuer.faults().set(Endpoint::Keys, Fault::Huge(10 * 1024 * 1024)),
        condition: "JWKSFetchValid",
        reason: "InvalidCouldNotFetchJWKS",
        words: "is larger than",
    },
    Row {
        name: "keys-without-end",
        set: |issuer, _| issuer.faults().set(Endpoint::Keys, Fault::Endless),
        condition: "JWKSFetchValid",
        reason: "InvalidCouldNotFetchJWKS",
        words: "is larger than",
    },
    Row {
        name: "keys-answer-500",
        set: |issuer, _| issuer.faults().set(Endpoint::Keys, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR)),
        condition: "JWKSFetchValid",
        reason: "InvalidCouldNotFetchJWKS",
        words: "500",
    },
    Row {
        name: "keys-stall",
        set: |issuer, _| issuer.faults().set(Endpoint::Keys, Fault::Stall),
        condition: "JWKSFetchValid",
        reason: "InvalidCouldNotFetchJWKS",
        words: "no complete answer within 10000 ms",
    },
    Row {
        name: "keys-trickle",
        set: |issuer, _| issuer.faults().set(Endpoint::Keys, Fault::Slow),
        condition: "JWKSFetchValid",
        reason: "InvalidCouldNotFetchJWKS",
        words: "no complete answer within 10000 ms",
    },
    Row {
        name: "keys-redirect",
        set: |issuer, elsewhere| issuer.faults().set(Endpoint::Keys, Fault::Redirect(elsewhere.url().to_owned())),
        condition: "JWKSFetchValid",
        reason: "InvalidCouldNotFetchJWKS",
        words: "redirects are not followed",
    },
];

#[tokio::test]
async fn issuer_down_at_start_goes_down_later_and_comes_back() -> Result<()> {
    let work = TempFolder::new("issuer-away")?;
    let mut site = Site::start("staging", work.path()).await?;
    let mut issuer = issuer().await?;
    issuer.go_away().await;
    site.cluster.apply(&site.authenticator(AUTHENTICATOR, &issuer).to_string()).await?;

    // Down at the start of the authenticator, and then at the start of the program.
    fails(&site, AUTHENTICATOR, "DiscoveryURLValid", "InvalidDiscoveryProbe", "could not perform discovery").await?;
    site.concierge.kill9()?;
    site.concierge.start().await?;
    site.concierge.available(&site.cluster).await?;
    fails(&site, AUTHENTICATOR, "DiscoveryURLValid", "InvalidDiscoveryProbe", "could not perform discovery").await?;
    let door = Exchanger::through(&site.cluster)?;
    let token = issuer.id_token("ann", &Site::audience("staging"))?;
    let answer = door.exchange(&token).await?;
    answer.refused()?;
    let record = site.record_of(answer.audit_id()?).await?;
    ensure!(record["code"] == "authenticator-not-ready", "{record}");

    issuer.come_back().await?;
    site.ready(AUTHENTICATOR).await?;
    ensure!(door.exchange(&token).await?.is_granted());

    // Down later: a token with a key that nobody knows makes the concierge look. It finds nobody, and goes on with what it has.
    issuer.go_away().await;
    let stranger =
        issuer.draft(&issuer.claims("ann", &Site::audience("staging"))?).header("kid", "unheard-of").sign()?;
    door.exchange(&stranger).await?.refused()?;
    let told = eventually("the status to tell that the issuer is away", STATUS_LIMIT, async || {
        let keys = site.condition(AUTHENTICATOR, "JWKSFetchValid").await?;
        let message = keys["message"].as_str().unwrap_or_default().to_owned();
        ensure!(message.contains("failing since") && message.contains("are in use until"), "{keys}");
        Ok(keys)
    })
    .await?;
    ensure!(told["status"] == "True", "logins work on the last good keys, so it is true: {told}");
    site.ready(AUTHENTICATOR).await?;
    let another = issuer.id_token("bob", &Site::audience("staging"))?;
    ensure!(door.exchange(&another).await?.issued()?.common_name == "bob", "the last good keys are in use");

    issuer.come_back().await?;
    eventually("the status to tell that the issuer is back", STATUS_LIMIT, async || {
        let keys = site.condition(AUTHENTICATOR, "JWKSFetchValid").await?;
        ensure!(keys["message"] == "successfully fetched jwks", "{keys}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_issuer_that_misbehaves_is_told_by_its_conditions_and_costs_nobody_else_anything() -> Result<()> {
    let work = TempFolder::new("issuer-faults")?;
    let site = Site::start("staging", work.path()).await?;
    let (good, elsewhere) = (issuer().await?, issuer().await?);
    site.trust(&good).await?;
    let pid = site.concierge.pid()?;
    let door = Exchanger::through(&site.cluster)?;

    // All at once: each has an issuer and an authenticator of its own, and one concierge has them all.
    let rows = try_join_all(ROWS.iter().map(async |row| {
        let walked = from_the_fault_to_its_end(&site, &door, row, &elsewhere).await;
        walked.with_context(|| format!("row {}", row.name))
    }));
    let others = async {
        // The issuers above are stalling meanwhile.
        for _ in 0..10 {
            let token = good.id_token("ann", &Site::audience("staging"))?;
            ensure!(door.exchange(&token).await?.is_granted(), "an authenticator beside them is affected");
        }
        Ok(())
    };
    tokio::try_join!(rows, others, a_certificate_of_nobody(&site, &door))?;
    ensure!(elsewhere.requests_total() == 0, "a redirect was followed");
    ensure!(site.concierge.pid()? == pid && !site.concierge.log_lines()?.is_empty());
    Ok(())
}

/// The fault is told, nobody is admitted meanwhile, and once it is over it is forgiven.
async fn from_the_fault_to_its_end(site: &Site, door: &Exchanger, row: &Row, elsewhere: &Issuer) -> Result<()> {
    let issuer = issuer().await?;
    (row.set)(&issuer, elsewhere);
    site.cluster.apply(&site.authenticator(row.name, &issuer).to_string()).await?;
    fails(site, row.name, row.condition, row.reason, row.words).await?;
    nobody_is_admitted(site, door, row.name, &issuer).await?;
    issuer.faults().clear_all();
    issuer.settings(|settings| settings.discovery_edits.clear());
    is_forgiven(site, door, row.name, &issuer).await
}

async fn a_certificate_of_nobody(site: &Site, door: &Exchanger) -> Result<()> {
    let name = "certificate-of-nobody";
    let mut issuer = issuer().await?;
    issuer.present(Certificate::UnknownAuthority).await?;
    site.cluster.apply(&site.authenticator(name, &issuer).to_string()).await?;
    fails(site, name, "DiscoveryURLValid", "InvalidDiscoveryProbe", "TLS failed").await?;
    nobody_is_admitted(site, door, name, &issuer).await?;
    issuer.present(Certificate::Good).await?;
    is_forgiven(site, door, name, &issuer).await
}

async fn nobody_is_admitted(site: &Site, door: &Exchanger, authenticator: &str, issuer: &Issuer) -> Result<()> {
    let answer = door.exchange_at(authenticator, &issuer.id_token("ann", &Site::audience("staging"))?).await?;
    answer.refused()?;
    let record = site.record_of(answer.audit_id()?).await?;
    ensure!(record["code"] == "authenticator-not-ready", "{record}");
    // Which one was asked: there are as many as there are rows.
    ensure!(record["authenticator"]["name"] == authenticator, "{record}");
    Ok(())
}

async fn is_forgiven(site: &Site, door: &Exchanger, authenticator: &str, issuer: &Issuer) -> Result<()> {
    site.ready(authenticator).await?;
    let answer = door.exchange_at(authenticator, &issuer.id_token("ann", &Site::audience("staging"))?).await?;
    ensure!(answer.is_granted(), "{}: {}", answer.code, answer.body);
    Ok(())
}

async fn issuer() -> Result<Issuer> {
    Issuer::start(IssuerOptions::default()).await
}

/// Waits for the one condition that says what is wrong, and looks whether all the others are truthful about it.
async fn fails(site: &Site, authenticator: &str, kind: &str, reason: &str, words: &str) -> Result<()> {
    let what = format!("{authenticator} to say {kind}: {reason}");
    eventually(&what, STATUS_LIMIT, async || {
        let wrong = site.condition(authenticator, kind).await?;
        ensure!(wrong["status"] == "False" && wrong["reason"] == reason, "{wrong}");
        // On a busy machine the first try may end for want of time.
        let message = wrong["message"].as_str().unwrap_or_default();
        ensure!(message.contains(words), "expected {words:?} in {message:?}");
        Ok(())
    })
    .await?;
    let object = site.authenticator_object(authenticator).await?;
    let conditions = object["status"]["conditions"].as_array().context("conditions")?;
    let of = |kind: &str| -> Result<&Value> {
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        found.with_context(|| format!("no {kind} in {}", object["status"]))
    };
    let failed = STEPS.iter().position(|step| *step == kind).context("a step")?;
    for (position, step) in STEPS.iter().enumerate() {
        let condition = of(step)?;
        let expected = match position.cmp(&failed) {
            std::cmp::Ordering::Less => ("True", "Success"),
            std::cmp::Ordering::Equal => ("False", reason),
            std::cmp::Ordering::Greater => ("Unknown", "UnableToValidate"),
        };
        ensure!(
            (condition["status"].as_str(), condition["reason"].as_str()) == (Some(expected.0), Some(expected.1)),
            "{condition}"
        );
    }
    let ready = of("Ready")?;
    ensure!(ready["status"] == "False" && ready["reason"] == "NotReady", "{ready}");
    ensure!(object["status"]["phase"] == "Error", "{}", object["status"]);
    Ok(())
}
