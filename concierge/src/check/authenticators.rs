//! The authenticators to check by, made of a file as the server makes them of objects.

use std::{fs::File, io::Read as _, io::Write, path::Path, sync::Arc};

use super::{
    Check, CheckError,
    fleet::List,
    key_sets::{self, Keys},
};
use crate::{
    convert::{self, JwtSpec, MAX_MANIFEST_BYTES, Manifest, ManifestKind},
    index::{Authenticator, AuthenticatorName},
    jwt::{AlgorithmSet, Verifier},
    time::UnixTime,
};

/// Reads and makes them; there is at least one. What a person should know beside the answers goes to `notes`.
pub(super) async fn read(check: &Check, notes: &mut impl Write) -> Result<Vec<Authenticator>, CheckError> {
    let mut made = Vec::new();
    let manifests = manifests(&check.authenticator)?;
    let fleet = List::read(check, &manifests)?;
    for manifest in &manifests {
        match manifest.kind {
            ManifestKind::Fleet => {}
            ManifestKind::Jwt => made.push(authenticator(manifest, check, &fleet, notes).await?),
            ManifestKind::Webhook => {
                note(notes, &format!("WebhookAuthenticator {}: not asked, its server alone can judge", manifest.name))?;
            }
        }
    }
    if made.is_empty() {
        return Err(unusable(&check.authenticator, "holds no JWTAuthenticator"));
    }
    Ok(made)
}

pub(super) fn manifests(path: &Path) -> Result<Vec<Manifest>, CheckError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_MANIFEST_BYTES as u64 + 1).read_to_string(&mut text))
        .map_err(|error| unusable(path, &error.to_string()))?;
    convert::manifests(&text).map_err(|error| unusable(path, &error.to_string()))
}

async fn authenticator(
    manifest: &Manifest,
    check: &Check,
    fleet: &List,
    notes: &mut impl Write,
) -> Result<Authenticator, CheckError> {
    let refused =
        |problem: String| unusable(&check.authenticator, &format!("JWTAuthenticator {}: {problem}", manifest.name));
    let spec = convert::jwt_authenticator(&manifest.spec).map_err(|problem| refused(problem.to_string()))?;
    let (Ok(issuer), Ok(judge), Ok(_)) = (&spec.issuer, &spec.judge, &spec.keys) else {
        return Err(refused(problems(&spec)));
    };
    fleet.refuse_shared(&spec).map_err(refused)?;
    let Keys { keys, dropped, announced } = match &check.jwks {
        Some(path) => key_sets::of_file(path)?,
        None => key_sets::of_spec(&spec, &check.proxies).await.map_err(|problem| refused(problem.to_string()))?,
    };
    for key in &dropped {
        note(notes, &format!("JWTAuthenticator {}: not used: {key}", manifest.name))?;
    }
    let algorithms = judge.algorithms.intersect(announced.unwrap_or_else(AlgorithmSet::default));
    if algorithms.is_empty() {
        return Err(refused("the issuer announces none of the algorithms that are accepted".to_owned()));
    }
    Ok(Authenticator {
        name: AuthenticatorName::new(&manifest.name),
        uid: String::new(),
        generation: 0,
        verifier: Verifier::new(Arc::new(judge.profile(issuer.clone(), fleet.siblings())), algorithms, keys),
        rules: Arc::clone(&judge.rules),
        credential_lifetime: judge.credential_lifetime,
        claims: None,
        keys_fetched_at: UnixTime::from_secs(0),
    })
}

/// All that is wrong at once, so that nobody mends in ten rounds what they could have mended in one.
fn problems(spec: &JwtSpec) -> String {
    let problems = [
        spec.issuer.as_ref().err().map(ToString::to_string),
        spec.keys.as_ref().err().map(ToString::to_string),
        spec.trust.as_ref().err().map(ToString::to_string),
        spec.judge.as_ref().err().map(ToString::to_string),
    ];
    problems.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn note(notes: &mut impl Write, text: &str) -> Result<(), CheckError> {
    writeln!(notes, "{text}").map_err(CheckError::Output)
}

pub(super) fn unusable(file: &Path, problem: &str) -> CheckError {
    CheckError::Unusable(format!("{}: {problem}", file.display()))
}
