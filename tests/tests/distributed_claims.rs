//! Groups that a token only refers to (distributed claims), fetched on a real cluster: off by default, from the origins that
//! the authenticator names, and into a certificate.

use anyhow::{Result, ensure};
use latchkey_e2e::{
    exchange::{Answer, Exchanger},
    folder::TempFolder,
    issuer::{CLAIMS, Issuer, IssuerOptions, User},
    site::{AUTHENTICATOR, Site},
};
use serde_json::{Value, json};

const ACCESS_TOKEN: &str = "s3cr3t-access-t0ken";

#[tokio::test]
async fn groups_that_a_token_refers_to_are_fetched_if_the_authenticator_allows_it() -> Result<()> {
    let work = TempFolder::new("distributed")?;
    let site = Site::start("staging", work.path()).await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    issuer.set_user(User::new("ann", "ann-password").groups(&["own"]));
    let door = Exchanger::through(&site.cluster)?;
    let audience = Site::audience("staging");
    let given = issuer.mint(&json!({
        "iss": issuer.url(), "aud": audience, "exp": issuer.now() + 3_600, "groups": ["developers"],
    }))?;
    issuer.settings(|settings| settings.distributed_claims = Some((given, ACCESS_TOKEN.to_owned())));

    site.trust(&issuer).await?;
    let answer = door.exchange(&token(&issuer, "1", ACCESS_TOKEN)?).await?;
    refused(&site, &answer, "is missing").await?;
    ensure!(issuer.requests(CLAIMS) == 0, "asked though nobody allowed it");

    allow(&site, &issuer, "https://elsewhere.example").await?;
    let answer = door.exchange(&token(&issuer, "2", ACCESS_TOKEN)?).await?;
    refused(&site, &answer, "which is not among claims.distributed.allowedOrigins").await?;
    ensure!(issuer.requests(CLAIMS) == 0, "asked though the origin is another");

    allow(&site, &issuer, issuer.url()).await?;
    for _ in 0..2 {
        let certificate = door.exchange(&token(&issuer, "3", ACCESS_TOKEN)?).await?.issued()?;
        ensure!(certificate.common_name == "ann" && certificate.organizations == ["developers"], "{certificate:?}");
    }
    let fetched = issuer.requests(CLAIMS);
    ensure!((1..=2).contains(&fetched), "{fetched} fetches");

    let answer = door.exchange(&token(&issuer, "4", "s3cr3t-of-somebody-else")?).await?;
    refused(&site, &answer, "answered 401").await?;
    ensure!(!site.concierge.everything_written().contains("s3cr3t"), "an access token was written down");
    Ok(())
}

/// A token of `ann` that only refers to her groups.
fn token(issuer: &Issuer, id: &str, access_token: &str) -> Result<String> {
    let mut claims = issuer.claims("ann", &Site::audience("staging"))?;
    claims["jti"] = id.into();
    claims["_claim_names"] = json!({"groups": "graph"});
    let endpoint = format!("{}{CLAIMS}", issuer.url());
    claims["_claim_sources"] = json!({"graph": {"endpoint": endpoint, "access_token": access_token}});
    claims.as_object_mut().and_then(|claims| claims.remove("groups"));
    issuer.mint(&claims)
}

async fn allow(site: &Site, issuer: &Issuer, origin: &str) -> Result<()> {
    let mut authenticator = site.authenticator(AUTHENTICATOR, issuer);
    authenticator["spec"]["claims"]["distributed"] = json!({"allowedOrigins": [origin]});
    site.cluster.apply(&authenticator.to_string()).await?;
    site.ready(AUTHENTICATOR).await
}

async fn refused(site: &Site, answer: &Answer, words: &str) -> Result<()> {
    answer.refused()?;
    let record: Value = site.record_of(answer.audit_id()?).await?;
    let detail = record["detail"].as_str().unwrap_or_default();
    ensure!(record["code"] == "claim-missing" && detail.contains(words), "expected {words:?} in {record}");
    Ok(())
}
