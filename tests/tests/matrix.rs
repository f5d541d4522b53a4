//! Every token shown to every cluster: of three clusters, one of them with three replicas, and two identity providers that
//! are not ours, exactly the diagonal is accepted. Each refusal is recorded once, under the cluster that the token was made
//! for, and nothing else is recorded as a replay.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    concierge::{Concierge, ConciergeOptions},
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Algorithm, User},
    keycloak::Keycloak,
    oidc_provider::{OidcProvider, OidcProviderOptions},
    relying_party::RelyingParty,
    site::Site,
    verifier::{self, Finding},
    wait::eventually,
};
use serde_json::Value;

const CLUSTERS: [&str; 3] = ["north", "south", "west"];
/// The cluster that is served by three replicas.
const REPLICATED: &str = "west";

/// Rejections are written every ten seconds at most.
const REJECTIONS_LIMIT: Duration = Duration::from_mins(1);

/// A token, and the only place where it is worth something.
struct Token {
    cluster: &'static str,
    provider: &'static str,
    text: String,
}

/// A replica and its way in.
struct Replica<'a> {
    cluster: &'static str,
    concierge: &'a Concierge,
    door: Exchanger,
}

/// What a replica should have recorded, by audit id.
#[derive(Default)]
struct Expected {
    granted: BTreeSet<String>,
    /// The cluster that the token was made for.
    replays: BTreeMap<String, &'static str>,
    /// Tokens whose signature nobody there can verify: noise.
    noise: u64,
}

#[tokio::test]
async fn exactly_the_diagonal_is_accepted_and_every_refusal_has_its_clusters_name() -> Result<()> {
    let work = TempFolder::new("matrix")?;
    let audiences = CLUSTERS.map(Site::audience);
    let ann = User::new("ann", "ann-password").groups(&["developers"]);
    let options = OidcProviderOptions {
        clients: audiences.iter().map(|audience| (audience.clone(), Algorithm::ES256)).collect(),
        users: vec![ann.clone()],
        ..OidcProviderOptions::default()
    };
    let clients = audiences.each_ref().map(String::as_str);
    let (keycloak, provider) =
        tokio::try_join!(Keycloak::start(&clients, std::slice::from_ref(&ann)), OidcProvider::start(options))?;
    let [north, south, west] = CLUSTERS.map(|name| Site::start(name, work.path()));
    let (north, south, west) = tokio::try_join!(north, south, west)?;
    let mut sites = [north, south, west];
    for site in &sites {
        site.fleet(&[0, 1, 2].map(|at| (CLUSTERS[at], audiences[at].as_str()))).await?;
        site.cluster.apply(&site.authenticator_at("keycloak", &keycloak.url(), keycloak.ca_pem()).to_string()).await?;
        let mut second = site.authenticator_at("oidc-provider", provider.url(), provider.ca_pem());
        second["spec"]["claims"]["username"] = "username".into();
        site.cluster.apply(&second.to_string()).await?;
    }
    for site in &sites {
        site.ready("keycloak").await?;
        site.ready("oidc-provider").await?;
    }
    let mut more = replicas_beside(&sites).await?;
    let tokens = tokens(&keycloak, &provider).await?;

    let expected = show_everything(&sites, &more, &tokens).await?;
    rejections_name_the_clusters(&sites, &more).await?;
    let mut keys = Vec::new();
    for site in &sites {
        keys.push(verifier::published_keys(site, work.path()).await?);
    }
    keys.extend(vec![keys[2].clone(); more.len()]);
    for site in &mut sites {
        site.concierge.stop().await?;
    }
    for replica in &mut more {
        replica.stop().await?;
    }
    let concierges = sites.iter().map(|site| &site.concierge).chain(&more);
    for ((concierge, expected), keys) in concierges.zip(expected).zip(keys) {
        let verified = verifier::verify(Some(&keys), &[concierge.audit_file()]).await?;
        ensure!(verified.finding == Finding::Intact, "{}", verified.words);
        recorded(concierge, &expected).with_context(|| concierge.audit_file().display().to_string())?;
    }
    Ok(())
}

/// Two more replicas for the one cluster.
async fn replicas_beside(sites: &[Site]) -> Result<Vec<Concierge>> {
    let site = sites.iter().find(|site| site.name == REPLICATED).context("the replicated cluster")?;
    let options = || ConciergeOptions { cluster_name: REPLICATED.to_owned(), ..ConciergeOptions::default() };
    let (second, third) = tokio::try_join!(
        site.concierge.replica(&site.cluster, options(), "replica-2"),
        site.concierge.replica(&site.cluster, options(), "replica-3")
    )?;
    Ok(vec![second, third])
}

/// One token of each provider for each cluster.
async fn tokens(keycloak: &Keycloak, provider: &OidcProvider) -> Result<Vec<Token>> {
    let party = RelyingParty::of(provider.url(), provider.ca_pem()).await?;
    let mut tokens = Vec::new();
    for cluster in CLUSTERS {
        let audience = Site::audience(cluster);
        let of_keycloak = keycloak.tokens(&audience, "ann", "ann-password").await?;
        let of_provider = party.log_in(&audience, "ann", &[("scope", "openid")]).await?;
        for (provider, answer) in [("keycloak", of_keycloak), ("oidc-provider", of_provider)] {
            let text = answer["id_token"].as_str().context("an ID token")?.to_owned();
            tokens.push(Token { cluster, provider, text });
        }
    }
    Ok(tokens)
}

/// Shows every token to every authenticator of every replica; what each replica should have recorded, in the order of
/// `sites` and then `more`.
async fn show_everything(sites: &[Site], more: &[Concierge], tokens: &[Token]) -> Result<Vec<Expected>> {
    let replicated = sites.iter().find(|site| site.name == REPLICATED).context("the replicated cluster")?;
    let first = sites.iter().map(|site| (site, &site.concierge));
    let second = more.iter().map(|concierge| (replicated, concierge));
    let (mut all, mut accepted) = (Vec::new(), 0);
    for (site, concierge) in first.chain(second) {
        let door = Exchanger::straight(&site.cluster, concierge).await?;
        let replica = Replica { cluster: site.name, concierge, door };
        let expected = show_to(&replica, tokens).await?;
        accepted += expected.granted.len();
        all.push(expected);
    }
    ensure!(accepted == 2 * (sites.len() + more.len()), "the diagonal, at each replica: {accepted}");
    Ok(all)
}

async fn show_to(replica: &Replica<'_>, tokens: &[Token]) -> Result<Expected> {
    let mut expected = Expected::default();
    for token in tokens {
        for authenticator in ["keycloak", "oidc-provider"] {
            let answer = replica.door.exchange_at(authenticator, &token.text).await?;
            let audit_id = answer.audit_id()?.to_owned();
            let what = || format!("{} of {} at {authenticator} of {}", token.provider, token.cluster, replica.cluster);
            if token.provider != authenticator {
                answer.refused().with_context(what)?;
                expected.noise += 1;
            } else if token.cluster == replica.cluster {
                ensure!(answer.is_granted(), "{}: {}", what(), answer.body);
                expected.granted.insert(audit_id);
            } else {
                answer.refused().with_context(what)?;
                expected.replays.insert(audit_id, token.cluster);
            }
        }
    }
    counted(replica, &expected).await?;
    Ok(expected)
}

/// The counter has a series for each sibling and each authenticator, and no other series has risen.
async fn counted(replica: &Replica<'_>, expected: &Expected) -> Result<()> {
    const NAME: &str = "latchkey_cross_cluster_rejections_total{";
    let metrics = replica.concierge.metrics().await?;
    let series: Vec<&str> = metrics.lines().filter_map(|line| line.strip_prefix(NAME)).collect();
    let risen: Vec<&&str> = series.iter().filter(|line| !line.ends_with(" 0")).collect();
    ensure!(risen.len() == expected.replays.len(), "{risen:?}");
    for sibling in CLUSTERS.into_iter().filter(|name| *name != replica.cluster) {
        let label = format!("claimed_cluster=\"{sibling}\"");
        let of_sibling: Vec<_> = risen.iter().filter(|line| line.contains(&label)).collect();
        let live = |line: &str| line.contains("state=\"live\"") && line.ends_with(" 1");
        ensure!(of_sibling.len() == 2 && of_sibling.iter().all(|line| live(line)), "{sibling}: {of_sibling:?}");
    }
    Ok(())
}

/// One object for each authenticator and each foreign cluster; the replicas of one cluster count together.
async fn rejections_name_the_clusters(sites: &[Site], more: &[Concierge]) -> Result<()> {
    for site in sites {
        let replicas = if site.name == REPLICATED { 1 + more.len() } else { 1 };
        eventually(&format!("the rejections of {}", site.name), REJECTIONS_LIMIT, async || {
            let found = site.rejections().await?;
            let mut seen = BTreeMap::new();
            for object in &found {
                let text = |member: &str| object["status"][member].as_str().unwrap_or_default().to_owned();
                ensure!(text("code") == "audience-other-cluster" && text("state") == "live", "{object}");
                let count = object["status"]["count"].as_u64().context("a count")?;
                let known = seen.insert((text("authenticator"), text("claimedCluster")), count);
                ensure!(known.is_none(), "twice: {object}");
            }
            let others = CLUSTERS.into_iter().filter(|name| *name != site.name);
            let wanted: BTreeMap<_, _> = others
                .flat_map(|name| ["keycloak", "oidc-provider"].map(|by| (by.to_owned(), name.to_owned())))
                .map(|key| (key, replicas as u64))
                .collect();
            ensure!(seen == wanted, "{seen:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// The whole log of a replica that has ended.
fn recorded(concierge: &Concierge, expected: &Expected) -> Result<()> {
    let lines = concierge.audit_lines()?;
    let id = |line: &Value| line["auditID"].as_str().unwrap_or_default().to_owned();
    let granted: Vec<String> = lines.iter().filter(|line| line["kind"] == "credential.issued").map(id).collect();
    ensure!(granted.len() == expected.granted.len(), "{granted:?}");
    ensure!(granted.into_iter().collect::<BTreeSet<_>>() == expected.granted);

    let foreign = |line: &&Value| line.get("claimedCluster").is_some() || line["code"] == "audience-other-cluster";
    let replays: Vec<&Value> = lines.iter().filter(foreign).collect();
    ensure!(replays.len() == expected.replays.len(), "{replays:#?}");
    for line in replays {
        let made_for = expected.replays.get(&id(line)).with_context(|| format!("not a replay: {line}"))?;
        ensure!(line["claimedCluster"] == *made_for && line["severity"] == "high", "{line}");
        ensure!(line["verified"]["aud"] == serde_json::json!([Site::audience(made_for)]), "{line}");
        ensure!(line["kind"] == "token.refused" && line.get("count").is_none(), "{line}");
    }

    // Noise may be folded, and none of it is lost.
    let noise = lines.iter().filter(|line| line["kind"] == "token.refused" && line.get("claimedCluster").is_none());
    let counts = noise.map(|line| {
        ensure!(line.get("verified").is_none(), "nobody there can verify it: {line}");
        Ok(line["count"].as_u64().unwrap_or(1))
    });
    let noise: u64 = counts.sum::<Result<u64>>()?;
    ensure!(noise == expected.noise, "{noise} of {} refusals", expected.noise);
    Ok(())
}
