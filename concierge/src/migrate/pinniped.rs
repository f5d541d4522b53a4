//! Pinniped's objects, which have the same fields under another group: what changes is the group, and what is told.

use latchkey_crds::{
    authentication::{
        AdditionalAudiences, JWTAuthenticatorSpec, ReservedIdentities, ReservedIdentityPolicy, Tls,
        WebhookAuthenticatorSpec,
    },
    groups::VERSION,
};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{
    Ours,
    objects::{Object, Spec},
    problems,
    remarks::Remarks,
};
use crate::convert::{self, MAX_MANIFESTS, Manifest, ManifestKind};

/// The annotation in which kubectl keeps what it applied before: that was another object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Reads every object of `text` and makes it ours.
pub(super) fn objects(text: &str, ours: &Ours, remarks: &mut Remarks) -> Result<Vec<Object>, String> {
    let mut others = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let value = serde_norway::Value::deserialize(document).map_err(|error| format!("cannot be read: {error}"))?;
        let value: Value = serde_norway::from_value(value).map_err(|error| format!("cannot be read: {error}"))?;
        match value {
            Value::Null => {}
            Value::Object(list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                others.extend(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
            }
            one => others.push(one),
        }
        if others.len() > MAX_MANIFESTS {
            return Err(format!("more than {MAX_MANIFESTS} objects"));
        }
    }
    if others.is_empty() {
        return Err("holds no object: expected a JWTAuthenticator or a WebhookAuthenticator".to_owned());
    }
    let mut made = Vec::new();
    for other in &others {
        if is_credential_issuer(other) {
            credential_issuer(other, remarks);
            continue;
        }
        // By the reader of our own files, strictly: it takes every suffix.
        let read = convert::manifests(&other.to_string()).map_err(|error| error.to_string())?;
        for manifest in &read {
            made.push(object(manifest, other, ours, remarks)?);
        }
    }
    Ok(made)
}

fn object(manifest: &Manifest, other: &Value, ours: &Ours, remarks: &mut Remarks) -> Result<Object, String> {
    let place = format!("{} {}", manifest.kind.name(), manifest.name);
    let wrong = |problem: String| format!("{place}: {problem}");
    let spec = match manifest.kind {
        ManifestKind::Fleet => return Err(wrong("Pinniped has no such kind".to_owned())),
        ManifestKind::Jwt => {
            for problem in problems(&manifest.spec) {
                remarks.impossible(&place, &format!("Latchkey would refuse it: {problem}"));
            }
            let (mut spec, _): (JWTAuthenticatorSpec, _) =
                convert::read(&manifest.spec).map_err(|problem| wrong(problem.to_string()))?;
            if ours.faithful {
                let policy = Some(ReservedIdentityPolicy::Allow);
                spec.additional_audiences.get_or_insert(AdditionalAudiences::Allow);
                spec.reserved_identities.get_or_insert(ReservedIdentities { policy, allowed: Vec::new() });
            }
            note_source(&place, spec.tls.as_ref(), remarks);
            Spec::Jwt(Box::new(spec))
        }
        ManifestKind::Webhook => {
            let (spec, unknown): (WebhookAuthenticatorSpec, _) =
                convert::read(&manifest.spec).map_err(|problem| wrong(problem.to_string()))?;
            if let Some(field) = unknown.first() {
                return Err(wrong(format!("spec.{field}: no such field")));
            }
            let reads = convert::webhook_authenticator(&manifest.spec).map_err(|problem| wrong(problem.to_string()))?;
            let found = [
                reads.endpoint.err().map(|problem| problem.to_string()),
                reads.trust.err().map(|problem| problem.to_string()),
                reads.settings.err().map(|problem| problem.to_string()),
            ];
            for problem in found.into_iter().flatten() {
                remarks.impossible(&place, &format!("Latchkey would refuse it: {problem}"));
            }
            note_source(&place, spec.tls.as_ref(), remarks);
            remarks
                .note(&place, "is asked in TokenReview v1 first, and in v1beta1 as by Pinniped if it does not know v1");
            Spec::Webhook(Box::new(spec))
        }
    };
    Ok(Object::new(ours, spec).with_metadata(&manifest.name, kept(other)))
}

/// Labels and annotations: what people wrote. The rest belongs to the object as it stood in the cluster.
fn kept(other: &Value) -> Map<String, Value> {
    let metadata = other["metadata"].as_object().cloned().unwrap_or_default();
    let mut kept: Map<String, Value> =
        metadata.into_iter().filter(|(name, _)| ["labels", "annotations"].contains(&name.as_str())).collect();
    if let Some(Value::Object(annotations)) = kept.get_mut("annotations") {
        annotations.remove(LAST_APPLIED);
    }
    kept.retain(|_, value| value.as_object().is_some_and(|members| !members.is_empty()));
    kept
}

fn note_source(place: &str, tls: Option<&Tls>, remarks: &mut Remarks) {
    if let Some(source) = tls.and_then(|tls| tls.certificate_authority_data_source.as_ref()) {
        let words = format!(
            "{:?} {} is read from Latchkey's namespace: copy it there from Pinniped's",
            source.kind, source.name
        );
        remarks.note(&format!("{place}: spec.tls.certificateAuthorityDataSource"), &words);
    }
}

fn is_credential_issuer(other: &Value) -> bool {
    let version = other["apiVersion"].as_str().unwrap_or_default();
    let ours = version.starts_with("config.concierge.") && version.ends_with(&format!("/{VERSION}"));
    ours && other["kind"] == "CredentialIssuer"
}

/// It is not converted: Latchkey makes its own. What it says may be needed all the same.
fn credential_issuer(other: &Value, remarks: &mut Remarks) {
    let place = format!("CredentialIssuer {}", other["metadata"]["name"].as_str().unwrap_or_default());
    let proxy = &other["spec"]["impersonationProxy"];
    let frontends = other["status"]["strategies"].as_array().cloned().unwrap_or_default();
    let in_use = |strategy: &Value| strategy["type"] == "ImpersonationProxy" && strategy["status"] == "Success";
    if proxy["mode"] == "enabled" || frontends.iter().any(in_use) {
        let words = "Latchkey has no impersonation proxy yet: clusters where people log in through it must wait";
        remarks.loss(&format!("{place}: spec.impersonationProxy"), words);
    } else {
        remarks.note(&place, "is left out: Latchkey makes its own");
    }
}
