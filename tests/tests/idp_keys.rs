//! Real identity providers sign by every family of keys and change them, and a cluster believes exactly those in force.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Algorithm, User},
    keycloak::{FAMILIES, Keycloak},
    oidc_provider::{OidcProvider, OidcProviderOptions},
    relying_party::RelyingParty,
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

#[tokio::test]
async fn oidc_providers_keys_of_every_family_are_believed_changed_and_forgotten() -> Result<()> {
    const CLIENTS: [(&str, Algorithm); 4] = [
        ("rs256", Algorithm::RS256),
        ("ps256", Algorithm::PS256),
        ("es256", Algorithm::ES256),
        ("eddsa", Algorithm::EdDSA),
    ];
    let work = TempFolder::new("oidc-provider-keys")?;
    let options = OidcProviderOptions {
        clients: CLIENTS.map(|(id, algorithm)| (id.to_owned(), algorithm)).to_vec(),
        ..OidcProviderOptions::default()
    };
    let (mut provider, site) = tokio::try_join!(OidcProvider::start(options), Site::start("staging", work.path()))?;
    for (client, _) in CLIENTS {
        let mut authenticator = site.authenticator_at(client, provider.url(), provider.ca_pem());
        authenticator["spec"]["audience"] = client.into();
        authenticator["spec"]["claims"]["username"] = "username".into();
        site.cluster.apply(&authenticator.to_string()).await?;
    }
    let door = Exchanger::through(&site.cluster)?;
    let party = RelyingParty::of(provider.url(), provider.ca_pem()).await?;
    let mut first = Vec::new();
    for (client, algorithm) in CLIENTS {
        site.ready(client).await?;
        let token = logged_in(&party, client).await?;
        ensure!(header(&token)?["alg"] == algorithm.name(), "{}", header(&token)?);
        let answer = door.exchange_at(client, &token).await?;
        ensure!(answer.issued().context(client)?.common_name == "ann", "{client}");
        first.push(token);
    }

    provider.rotate().await?;
    let mut second = Vec::new();
    for ((client, _), old) in CLIENTS.into_iter().zip(&first) {
        let token = logged_in(&party, client).await?;
        ensure!(header(&token)?["kid"] != header(old)?["kid"], "{client} was not rotated");
        ensure!(door.exchange_at(client, &token).await?.is_granted(), "{client}: its new key");
        ensure!(door.exchange_at(client, old).await?.is_granted(), "{client}: its old key is still published");
        second.push(token);
    }

    provider.rotate().await?;
    let third = logged_in(&party, CLIENTS[0].0).await?;
    ensure!(door.exchange_at(CLIENTS[0].0, &third).await?.is_granted(), "a third key asks for a fetch");
    for (((client, _), old), kept) in CLIENTS.into_iter().zip(&first).zip(&second) {
        door.exchange_at(client, old).await?.refused().with_context(|| format!("{client}: withdrawn"))?;
        ensure!(door.exchange_at(client, kept).await?.is_granted(), "{client}: the key before is still published");
    }
    Ok(())
}

async fn logged_in(party: &RelyingParty, client: &str) -> Result<String> {
    let tokens = party.log_in(client, "ann", &[]).await?;
    Ok(tokens["id_token"].as_str().context("no ID token")?.to_owned())
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
