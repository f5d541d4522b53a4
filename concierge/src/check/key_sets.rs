//! The keys to check by: of a file, of the spec, or asked of the issuer as the server would.

use std::{fs::File, io::Read as _, path::Path, sync::Arc};

use super::CheckError;
use crate::{
    convert::{BundleSource, JwtSpec, KeySource},
    idp::{
        discovery::{self, Discovered},
        http::{HttpsUrl, IssuerClient, Limits},
        jwks::{self, JwksAnswer},
        proxy::Proxies,
    },
    jwt::{AlgorithmSet, DroppedKey, Issuer, KeySet, MAX_KEY_SET_BYTES},
};

/// Keys, those of the set that cannot be used, and what the issuer says that it signs by.
#[expect(clippy::struct_field_names, reason = "a key set of keys")]
pub(super) struct Keys {
    pub(super) keys: Arc<KeySet>,
    pub(super) dropped: Vec<DroppedKey>,
    /// `None`: nobody was asked, or nothing was announced.
    pub(super) announced: Option<AlgorithmSet>,
}

/// The key set in a file.
pub(super) fn of_file(path: &Path) -> Result<Keys, CheckError> {
    let unusable = |problem: String| CheckError::Unusable(format!("{}: {problem}", path.display()));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_KEY_SET_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| unusable(error.to_string()))?;
    let (keys, dropped) = KeySet::parse(&bytes).map_err(|error| unusable(error.to_string()))?;
    Ok(Keys { keys: Arc::new(keys), dropped, announced: None })
}

/// The keys as the spec says. Takes at most the time limits of two fetches.
pub(super) async fn of_spec(spec: &JwtSpec, proxies: &Proxies) -> Result<Keys, anyhow::Error> {
    let issuer = spec.issuer.as_ref().map_err(Clone::clone)?;
    let client = || client(spec, proxies);
    match spec.keys.as_ref().map_err(Clone::clone)? {
        KeySource::Inline { keys, dropped } => {
            Ok(Keys { keys: Arc::clone(keys), dropped: dropped.to_vec(), announced: None })
        }
        KeySource::JwksUrl(url) => fetched(&client()?, &url.parse()?).await,
        KeySource::Discovery => {
            let client = client()?;
            let found = discovery::discover(&client, issuer.as_str()).await?;
            discovered(&client, issuer, &found).await
        }
        KeySource::DiscoveryUrl(url) => {
            let client = client()?;
            let found = discovery::discover_at(&client, issuer.as_str(), &url.parse()?).await?;
            discovered(&client, issuer, &found).await
        }
    }
}

fn client(spec: &JwtSpec, proxies: &Proxies) -> Result<IssuerClient, anyhow::Error> {
    let roots = match spec.trust.as_ref().map_err(Clone::clone)? {
        BundleSource::System => None,
        BundleSource::Inline(bundle) => Some(bundle.certificates()),
        BundleSource::Object(object) => anyhow::bail!(
            "spec.tls: {} is in the cluster, which is not asked: give the keys with --jwks, or the bundle in \
             certificateAuthorityData",
            object.place("latchkey")
        ),
    };
    Ok(IssuerClient::through(proxies, roots, Limits::default())?)
}

async fn discovered(client: &IssuerClient, issuer: &Issuer, found: &Discovered) -> Result<Keys, anyhow::Error> {
    let url = found.jwks_uri.as_ref().map_err(|problem| anyhow::anyhow!("issuer {}: {problem}", issuer.as_str()))?;
    let announced = found.signing_algorithms.as_ref().map(|names| AlgorithmSet::from_names(names.iter()));
    Ok(Keys { announced, ..fetched(client, url).await? })
}

async fn fetched(client: &IssuerClient, url: &HttpsUrl) -> Result<Keys, anyhow::Error> {
    match jwks::fetch(client, url, None).await? {
        JwksAnswer::Keys { fetched, .. } => {
            Ok(Keys { keys: fetched.keys, dropped: fetched.dropped.to_vec(), announced: None })
        }
        // Not asked for: an issuer answers so only to an entity tag.
        JwksAnswer::Unchanged { .. } => anyhow::bail!("{url}: answered 304 to a first request"),
    }
}
