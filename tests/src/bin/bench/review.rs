//! Token reviews by the webhook's listener, against kube-apiserver's own JWT authenticator asked the same way.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{cluster::Identity, review::SERVER, site::Site};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};

use super::{
    row::Row,
    stand::{Stand, USER},
};

/// As many as kube-apiserver would hardly open; both sides get the same.
const CONNECTIONS: usize = 64;
/// Enough for half a second of CPU, so that the kernel's ticks of 10 ms do not show.
const REVIEWS: usize = 6_000;
/// Until connections are open and code is warm.
const WARM_UP: usize = 256;

/// Somebody who is asked for reviews.
struct Reviewer {
    clients: Vec<Client>,
    url: String,
}

/// CPU of one review, each of a token that was not seen before, here and there; and of a foreign one.
pub(crate) async fn run(stand: &Stand) -> Result<Vec<Row>> {
    let (ours, theirs) = (Reviewer::ours(stand)?, Reviewer::theirs(stand)?);
    let tokens = |count: usize| -> Result<Vec<String>> {
        (0..count).map(|_| stand.issuer.id_token(USER, &Site::audience(stand.site.name))).collect()
    };
    ours.ask_all(&tokens(WARM_UP)?, true).await?;
    theirs.ask_all(&tokens(WARM_UP)?, true).await?;

    let tokens = tokens(REVIEWS)?;
    let before = stand.concierge_cpu_micros()?;
    ours.ask_all(&tokens, true).await?;
    let own = per_review(stand.concierge_cpu_micros()? - before);

    let before = stand.api_server_cpu_micros()?;
    theirs.ask_all(&tokens, true).await?;
    let kubernetes = per_review(stand.api_server_cpu_micros()? - before);

    let foreign: Vec<String> = (0..REVIEWS).map(|n| format!("opaque-token-of-somebody-else-{n}")).collect();
    let before = stand.concierge_cpu_micros()?;
    ours.ask_all(&foreign, false).await?;
    let opaque = per_review(stand.concierge_cpu_micros()? - before);

    Ok(vec![
        Row::ratio("CPU of a token review", "us", own, ("kube-apiserver's own JWT authentication", kubernetes), 1.0),
        Row::plain("token reviews a second and core", "/s", 1e6 / own, "by CPU; each token seen for the first time"),
        Row::plain("kube-apiserver's, a second and core", "/s", 1e6 / kubernetes, "TokenReview API, same tokens"),
        Row::ratio("CPU of a foreign token's review", "us", opaque, ("review of a token of ours", own), 1.0),
    ])
}

fn per_review(micros: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let count = REVIEWS as f64;
    micros / count
}

// === impl Reviewer ===

impl Reviewer {
    /// The concierge's listener, as kube-apiserver asks it.
    fn ours(stand: &Stand) -> Result<Self> {
        let read = |name: &str| read(stand.door.folder(), name);
        let (ca, identity) = (read("server-ca.crt")?, format!("{}{}", read("client.crt")?, read("client.key")?));
        let address = ([127, 0, 0, 1], stand.door.port).into();
        let clients = clients(&ca, &identity, |builder| builder.resolve(SERVER, address))?;
        Ok(Self { clients, url: format!("https://{SERVER}:{}/token-review", stand.door.port) })
    }

    /// kube-apiserver's `TokenReview` API, asked by the cluster's admin.
    fn theirs(stand: &Stand) -> Result<Self> {
        let Identity::Certificate { certificate, key } = stand.site.cluster.admin() else {
            anyhow::bail!("the admin has a certificate");
        };
        let clients = clients(stand.site.cluster.ca_pem(), &format!("{certificate}\n{key}"), |builder| builder)?;
        let url = format!("{}/apis/authentication.k8s.io/v1/tokenreviews", stand.site.cluster.server_url());
        Ok(Self { clients, url })
    }

    /// Asks about each token once, and demands the same answer for all.
    async fn ask_all(&self, tokens: &[String], authenticated: bool) -> Result<()> {
        let next = Arc::new(AtomicUsize::new(0));
        let tokens: Arc<[String]> = tokens.into();
        let workers = self.clients.iter().map(|client| {
            let (client, url, next, tokens) =
                (client.clone(), self.url.clone(), Arc::clone(&next), Arc::clone(&tokens));
            tokio::spawn(async move {
                while let Some(token) = tokens.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let review = json!({
                        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
                    });
                    let answer: Value = client.post(&url).json(&review).send().await?.json().await?;
                    ensure!(answer["status"]["authenticated"] == authenticated || !authenticated, "{answer}");
                }
                Ok(())
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.context("a worker panicked")??;
        }
        Ok(())
    }
}

/// One client a connection.
fn clients(
    ca: &str,
    identity: &str,
    more: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<Vec<Client>> {
    let (ca, identity) = (Certificate::from_pem(ca.as_bytes())?, reqwest::Identity::from_pem(identity.as_bytes())?);
    (0..CONNECTIONS)
        .map(|_| {
            let builder =
                Client::builder().tls_certs_only([ca.clone()]).identity(identity.clone()).http1_only().no_proxy();
            Ok(more(builder).build()?)
        })
        .collect()
}

fn read(folder: &Path, name: &str) -> Result<String> {
    std::fs::read_to_string(folder.join(name)).with_context(|| format!("reading {name}"))
}
