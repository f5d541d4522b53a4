//! A real Keycloak signs by every family of keys and changes them, and a cluster believes exactly those in force.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    issuer::User,
    keycloak::{FAMILIES, Keycloak},
    site::{AUTHENTICATOR, Site},
};
use serde_json::Value;

#[tokio::test]
async fn keycloaks_keys_of_every_family_are_believed_changed_and_forgotten() -> Result<()> {
    let work = TempFolder::new("keycloak-site")?;
    let client = Site::audience("staging");
    let ann = User::new("ann", "ann-password").groups(&["developers", "on-call"]);
    let start = Instant::now();
    let clients = [client.as_str()];
    let (keycloak, site) =
        tokio::try_join!(Keycloak::start(&clients, std::slice::from_ref(&ann)), Site::start("staging", work.path()))?;
    eprintln!("Keycloak and a cluster up after {:?}", start.elapsed());
    site.trust_with(&site.authenticator_at(AUTHENTICATOR, &keycloak.url(), keycloak.ca_pem())).await?;
    let door = Exchanger::through(&site.cluster)?;

    let mut first = Vec::new();
    for keys in FAMILIES {
        keycloak.sign_by(&client, keys.algorithm).await?;
        let token = id_token(&keycloak, &client).await?;
        ensure!(header(&token)?["alg"] == keys.algorithm, "{}", header(&token)?);
        let answer = door.exchange(&token).await?;
        let mut issued = answer.issued().with_context(|| keys.algorithm)?;
        ensure!(issued.common_name == "ann", "{issued:?}");
        issued.organizations.sort();
        ensure!(issued.organizations == ["developers", "on-call"], "{issued:?}");
        let record = site.record_of(answer.audit_id()?).await?;
        ensure!(record["token"]["alg"] == keys.algorithm, "{record}");
        first.push(token);
    }
    neither_access_nor_refresh_tokens_are_id_tokens(&site, &keycloak, &door).await?;

    // One fetch brings the successors of all: the first unknown key asks for it.
    for keys in FAMILIES {
        keycloak.add_keys(keys, &format!("{}-2", keys.algorithm), 200).await?;
    }
    for (keys, old) in FAMILIES.into_iter().zip(&first) {
        keycloak.sign_by(&client, keys.algorithm).await?;
        let token = id_token(&keycloak, &client).await?;
        ensure!(header(&token)?["kid"] != header(old)?["kid"], "{} was not rotated", keys.algorithm);
        ensure!(door.exchange(&token).await?.is_granted(), "{}: its new key", keys.algorithm);
        ensure!(door.exchange(old).await?.is_granted(), "{}: its old key is still published", keys.algorithm);
    }

    for keys in FAMILIES {
        keycloak.withdraw_keys(&keys.first_name()).await?;
    }
    keycloak.add_keys(FAMILIES[0], "RS256-3", 300).await?;
    keycloak.sign_by(&client, FAMILIES[0].algorithm).await?;
    ensure!(door.exchange(&id_token(&keycloak, &client).await?).await?.is_granted(), "a third key asks for a fetch");
    for (keys, old) in FAMILIES.into_iter().zip(&first) {
        let answer = door.exchange(old).await?;
        answer.refused().with_context(|| format!("{}: withdrawn", keys.algorithm))?;
        let record = site.record_of(answer.audit_id()?).await?;
        ensure!(record["code"] == "key-unknown", "{record}");
    }
    Ok(())
}

/// An access token of a client without roles is for nobody in particular, and a refresh token is signed with a secret that no cluster has.
async fn neither_access_nor_refresh_tokens_are_id_tokens(
    site: &Site,
    keycloak: &Keycloak,
    door: &Exchanger,
) -> Result<()> {
    let tokens = keycloak.tokens(&Site::audience("staging"), "ann", "ann-password").await?;
    for (kind, code) in [("access_token", "audience-missing"), ("refresh_token", "alg-not-allowed")] {
        let answer = door.exchange(tokens[kind].as_str().context(kind)?).await?;
        answer.refused().context(kind)?;
        let record = site.record_of(answer.audit_id()?).await?;
        ensure!(record["code"] == code, "{kind}: {record}");
    }
    Ok(())
}

async fn id_token(keycloak: &Keycloak, client: &str) -> Result<String> {
    let tokens = keycloak.tokens(client, "ann", "ann-password").await?;
    Ok(tokens["id_token"].as_str().context("no ID token")?.to_owned())
}

fn header(token: &str) -> Result<Value> {
    let header = token.split('.').next().context("a header")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?)
}
