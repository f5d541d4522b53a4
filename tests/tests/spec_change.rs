//! A spec change takes effect whole: under load, from the moment that its generation is observed, nothing passes that only
//! the spec before allowed, remembered verdicts included, and what the new one allows does.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::digest;
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    site::{AUTHENTICATOR, Site},
    wait::eventually,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Clients that offer one kind of token each, again and again, without a pause: more than two cores can serve.
const CLIENTS: usize = 3;

/// Exchanges of each kind that must have been answered before the spec changes, and after.
const WARM: usize = 10;

const LIMIT: Duration = Duration::from_secs(90);

/// What only the first spec allows, one for each of the places where a spec may say no; and what only the second allows.
const OLD: [&str; 3] = ["other audience", "other claim rule", "reserved name"];

/// A token that is offered again and again, and how that went.
struct Offered {
    kind: &'static str,
    token: String,
    granted: AtomicUsize,
    refused: AtomicUsize,
    /// Granted though the request was begun after the new generation was observed.
    late: AtomicUsize,
}

struct Load {
    offers: Vec<Arc<Offered>>,
    observed: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<Result<()>>,
}

#[tokio::test]
async fn from_the_observed_generation_on_nothing_passes_that_only_the_old_spec_allowed() -> Result<()> {
    let work = TempFolder::new("spec-change")?;
    let (site, issuer) = site(work.path()).await?;
    let specs = [spec(&site, &issuer, true), spec(&site, &issuer, false)];
    site.trust_with(&specs[0]).await?;

    let old = [
        token(&issuer, &json!({"aud": "old-audience"}))?,
        token(&issuer, &json!({"team": "old"}))?,
        token(&issuer, &json!({"preferred_username": "system:node:a"}))?,
    ];
    let new = token(&issuer, &json!({"aud": "new-audience", "team": "new"}))?;
    let mut load = Load::start(&site, OLD.into_iter().zip(old).chain([("new", new)]))?;
    for kind in OLD {
        load.until(kind, "granted", |offered| offered.granted.load(Ordering::SeqCst) >= WARM).await?;
    }
    load.until("new", "refused", |offered| offered.refused.load(Ordering::SeqCst) >= WARM).await?;

    site.cluster.apply(&specs[1].to_string()).await?;
    let generation = site.authenticator_object(AUTHENTICATOR).await?["metadata"]["generation"].clone();
    ensure!(generation == 2, "{generation}");
    let changed_at = Instant::now();
    eventually("the new generation to be observed", LIMIT, async || {
        let ready = site.condition(AUTHENTICATOR, "Ready").await?;
        ensure!(ready["observedGeneration"] == 2, "{ready}");
        anyhow::Ok(())
    })
    .await?;
    load.observed.store(true, Ordering::SeqCst);
    let before: Vec<_> = load.offers.iter().map(|offered| offered.refused.load(Ordering::SeqCst)).collect();
    load.until("new", "granted", |offered| offered.granted.load(Ordering::SeqCst) >= WARM).await?;
    for (kind, before) in OLD.into_iter().zip(before) {
        load.until(kind, "refused", |offered| offered.refused.load(Ordering::SeqCst) >= before + WARM).await?;
    }
    let offers = load.end().await?;
    for offered in offers.iter().filter(|offered| OLD.contains(&offered.kind)) {
        let late = offered.late.load(Ordering::SeqCst);
        ensure!(late == 0, "{} late grants of {}, {:?} after the change", late, offered.kind, changed_at.elapsed());
    }
    each_refusal_has_its_reason(&site, &offers).await?;
    the_change_is_recorded(&site, &issuer).await
}

/// The log of the concierge says what became of the authenticator and of its keys, each once and in this order.
async fn the_change_is_recorded(site: &Site, issuer: &Issuer) -> Result<()> {
    eventually("the records of both generations", LIMIT, async || {
        let changes = site.changes(AUTHENTICATOR)?;
        let told: Vec<_> = changes
            .iter()
            .filter(|record| record["kind"] == "authenticator.changed")
            .map(|record| (record["code"].as_str().unwrap_or_default(), record["authenticator"]["generation"].as_i64()))
            .collect();
        ensure!(told == [("created", Some(1)), ("ready", Some(1)), ("changed", Some(2))], "{told:?}");
        let keys: Vec<_> = changes.iter().filter(|record| record["kind"] == "keys.changed").collect();
        let [keys] = keys[..] else { bail!("{} records of keys", keys.len()) };
        let added = keys["keys"]["added"].as_array().context("keys that are new")?;
        let is_whole = keys["keys"]["total"] == added.len() && keys["keys"].get("removed").is_none();
        ensure!(is_whole && added.contains(&issuer.active_key().kid().into()), "{keys}");
        Ok(())
    })
    .await
}

/// The records agree: none of the second generation grants an old token, and the reason is the one of its kind.
async fn each_refusal_has_its_reason(site: &Site, offers: &[Arc<Offered>]) -> Result<()> {
    let door = Exchanger::through(&site.cluster)?;
    for (kind, code) in OLD.into_iter().zip(["audience-mismatch", "claim-rule-failed", "identity-reserved"]) {
        let offered = offers.iter().find(|offered| offered.kind == kind).context("offered")?;
        door.exchange(&offered.token).await?.refused().context(kind)?;
        // The first ten of a kind stand alone, and the load has shown the same token more often.
        let fingerprint = fingerprint(&offered.token)?;
        eventually(&format!("the records of {kind}"), LIMIT, async || {
            let mut refused = site.exchanges()?;
            refused.retain(|record| record["token"]["fingerprint"] == *fingerprint && record["code"] != "granted");
            refused.retain(|record| record["authenticator"]["generation"] == 2);
            ensure!(!refused.is_empty() && refused.iter().all(|record| record["code"] == code), "{refused:?}");
            anyhow::Ok(())
        })
        .await?;
    }
    let granted = |record: &&Value| record["code"] == "granted" && record["authenticator"]["generation"] == 2;
    for record in site.exchanges()?.iter().filter(granted) {
        ensure!(record["verified"]["aud"] == json!(["new-audience"]), "{record}");
    }
    Ok(())
}

/// As records have it: of the two segments that are signed.
fn fingerprint(token: &str) -> Result<String> {
    let (signed, _) = token.rsplit_once('.').context("a token")?;
    Ok(format!("sha256:{}", hex::encode(digest::digest(&digest::SHA256, signed.as_bytes()))))
}

impl Load {
    fn start(site: &Site, tokens: impl Iterator<Item = (&'static str, String)>) -> Result<Self> {
        let (observed, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        let mut offers = Vec::new();
        for (kind, token) in tokens {
            let zero = AtomicUsize::default;
            let offered = Arc::new(Offered { kind, token, granted: zero(), refused: zero(), late: zero() });
            for _ in 0..CLIENTS {
                let door = Exchanger::through(&site.cluster)?;
                let (offered, observed, stop) = (Arc::clone(&offered), Arc::clone(&observed), Arc::clone(&stop));
                clients.spawn(async move { offer(&door, &offered, &observed, &stop).await });
            }
            offers.push(offered);
        }
        Ok(Self { offers, observed, stop, clients })
    }

    async fn until(&mut self, kind: &str, what: &str, enough: impl Fn(&Offered) -> bool) -> Result<()> {
        let offered = self.offers.iter().find(|offered| offered.kind == kind).context("offered")?;
        let all = &self.offers;
        let awaited = format!("tokens of {kind:?} to be {what}");
        let enough = eventually(&awaited, LIMIT, async || {
            let told: Vec<_> = all.iter().map(|one| (one.kind, &one.granted, &one.refused)).collect();
            ensure!(enough(offered), "{told:?}");
            Ok(())
        });
        tokio::select! {
            enough = enough => enough,
            // A client only ends before it is told to when something is wrong.
            Some(ended) = self.clients.join_next() => { ended??; bail!("a client ended") }
        }
    }

    async fn end(mut self) -> Result<Vec<Arc<Offered>>> {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        Ok(self.offers)
    }
}

async fn offer(door: &Exchanger, offered: &Offered, observed: &AtomicBool, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::SeqCst) {
        let late = observed.load(Ordering::SeqCst);
        let answer = door.exchange(&offered.token).await?;
        if answer.is_granted() {
            offered.granted.fetch_add(1, Ordering::SeqCst);
            offered.late.fetch_add(usize::from(late), Ordering::SeqCst);
        } else {
            answer.refused()?;
            offered.refused.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// A cluster whose concierge signs by itself: the cluster's signer would be what is measured.
async fn site(work: &Path) -> Result<(Site, Issuer)> {
    let site = Site::start("staging", work).await?;
    site.trust_own_authority().await?;
    site.offers("ClientCertificateAuthority").await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    Ok((site, issuer))
}

/// The first or the second spec. The second takes the audience of the first away, its claim rule's value, and the exception
/// for a reserved name.
fn spec(site: &Site, issuer: &Issuer, first: bool) -> Value {
    let mut authenticator = site.authenticator(AUTHENTICATOR, issuer);
    let spec = authenticator["spec"].as_object_mut().expect("a spec");
    spec.remove("audience");
    let (audiences, teams) = if first {
        (json!(["old-audience", "audience"]), "claims.team in ['old', 'both']")
    } else {
        (json!(["new-audience", "audience"]), "claims.team in ['new', 'both']")
    };
    spec.insert("audiences".to_owned(), audiences);
    spec.insert("claimValidationRules".to_owned(), json!([{"expression": teams}]));
    if first {
        let allowed = json!({"policy": "Refuse", "allowed": ["system:node:a"]});
        spec.insert("reservedIdentities".to_owned(), allowed);
    }
    authenticator
}

/// A token that both specs allow, with `changes` laid over its claims.
fn token(issuer: &Issuer, changes: &Value) -> Result<String> {
    let mut claims = issuer.claims("ann", "audience")?;
    claims["team"] = "both".into();
    // It outlives the test: remembered verdicts are what might survive.
    claims["exp"] = (issuer.now() + 3_600).into();
    for (name, value) in changes.as_object().context("an object")? {
        claims[name] = value.clone();
    }
    issuer.mint(&claims)
}
