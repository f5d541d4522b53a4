//! Which members of a record become attributes of its log record, and under which names.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

/// One attribute.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Attribute<'a> {
    key: &'static str,
    value: AnyValue<'a>,
}

/// What an attribute can be, as OTLP writes it in JSON.
#[derive(Debug, PartialEq, Serialize)]
enum AnyValue<'a> {
    #[serde(rename = "stringValue")]
    Text(Cow<'a, str>),
    #[serde(rename = "boolValue")]
    Bool(bool),
    /// A 64-bit integer is a string in the JSON of Protocol Buffers.
    #[serde(rename = "intValue")]
    Whole(String),
    #[serde(rename = "arrayValue")]
    List { values: Vec<Self> },
}

/// Where a member stands in the record, and its name here. Nothing below `claimed`: that is a stranger's word.
const MEMBERS: [(&str, &str); 36] = [
    ("/seq", "latchkey.seq"),
    ("/life", "latchkey.life"),
    ("/code", "latchkey.code"),
    ("/auditID", "latchkey.audit_id"),
    ("/surface", "latchkey.surface"),
    ("/authenticator/name", "latchkey.authenticator.name"),
    ("/authenticator/uid", "latchkey.authenticator.uid"),
    ("/authenticator/generation", "latchkey.authenticator.generation"),
    ("/peer/ip", "client.address"),
    ("/peer/port", "client.port"),
    ("/peer/forwarded", "latchkey.peer.forwarded"),
    ("/userAgent", "user_agent.original"),
    ("/token/fingerprint", "latchkey.token.fingerprint"),
    ("/token/alg", "latchkey.token.alg"),
    ("/token/kid", "latchkey.token.kid"),
    ("/token/typ", "latchkey.token.typ"),
    ("/token/bytes", "latchkey.token.bytes"),
    ("/verified/iss", "latchkey.token.iss"),
    ("/verified/sub", "latchkey.token.sub"),
    ("/verified/aud", "latchkey.token.aud"),
    ("/verified/azp", "latchkey.token.azp"),
    ("/verified/jti", "latchkey.token.jti"),
    ("/verified/sid", "latchkey.token.sid"),
    ("/verified/iat", "latchkey.token.iat"),
    ("/verified/exp", "latchkey.token.exp"),
    ("/claimedCluster", "latchkey.claimed_cluster"),
    ("/state", "latchkey.state"),
    ("/identity/groups", "latchkey.identity.groups"),
    ("/credential/serial", "latchkey.credential.serial"),
    ("/credential/notAfter", "latchkey.credential.not_after"),
    ("/detail", "latchkey.detail"),
    ("/count", "latchkey.count"),
    ("/firstTime", "latchkey.first_time"),
    ("/lastTime", "latchkey.last_time"),
    ("/latencyUs", "latchkey.latency_us"),
    ("/unclean", "latchkey.unclean"),
];

/// What [`crate::audit::event`] puts before a name that is shown by its hash.
const HASHED: &str = "hmac:";

/// All attributes of one record, in the order of the table.
pub(super) fn attributes(record: &Value) -> Vec<Attribute<'_>> {
    let plain = MEMBERS.iter().filter_map(|(pointer, key)| {
        let value = any_value(record.pointer(pointer)?)?;
        Some(Attribute { key, value })
    });
    plain.chain(made(record)).collect()
}

/// What is not one member under another name.
fn made(record: &Value) -> impl Iterator<Item = Attribute<'_>> {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let verdict = verdict(text("/kind").unwrap_or_default());
    let failed = verdict == Some("refused");
    let user = text("/identity/username").map(|name| {
        let key = if name.starts_with(HASHED) { "user.hash" } else { "user.name" };
        Attribute::text(key, name)
    });
    // A subject is a name within its issuer only.
    let id = text("/verified/iss").zip(text("/verified/sub")).map(|(issuer, subject)| Attribute {
        key: "user.id",
        value: AnyValue::Text(format!("{issuer}#{subject}").into()),
    });
    // The conventions write hashes of certificates in capitals, without colons.
    let certificate = text("/credential/sha256").map(|hash| Attribute {
        key: "tls.client.hash.sha256",
        value: AnyValue::Text(hash.trim_start_matches("sha256:").to_ascii_uppercase().into()),
    });
    [
        verdict.map(|verdict| Attribute::text("latchkey.verdict", verdict)),
        text("/code").filter(|_| failed).map(|code| Attribute::text("error.type", code)),
        user,
        id,
        certificate,
    ]
    .into_iter()
    .flatten()
}

/// Whether somebody was let in; nothing for records about something else.
fn verdict(kind: &str) -> Option<&'static str> {
    match kind {
        "token.accepted" | "credential.issued" | "proxy.request" | "stream.opened" => Some("accepted"),
        "token.refused" | "proxy.refused" | "impersonation.refused" => Some("refused"),
        _ => None,
    }
}

fn any_value(value: &Value) -> Option<AnyValue<'_>> {
    match value {
        Value::String(text) => Some(AnyValue::Text(text.as_str().into())),
        Value::Bool(yes) => Some(AnyValue::Bool(*yes)),
        Value::Number(number) => number.is_i64().then(|| AnyValue::Whole(number.to_string())),
        Value::Array(values) => Some(AnyValue::List { values: values.iter().filter_map(any_value).collect() }),
        Value::Null | Value::Object(_) => None,
    }
}

// === impl Attribute ===

impl<'a> Attribute<'a> {
    pub(super) fn text(key: &'static str, value: &'a str) -> Self {
        Self { key, value: AnyValue::Text(value.into()) }
    }
}
