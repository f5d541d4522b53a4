//! The cluster block of `KUBERNETES_EXEC_INFO` as Go's JSON encoder writes it: part of the name of a kept credential.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// The only version that the stock program looks into.
const VERSION: &str = "client.authentication.k8s.io/v1beta1";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    api_version: String,
    kind: String,
    spec: Option<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    cluster: Option<Cluster>,
}

/// In the order of the Go type.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: Option<String>,
    tls_server_name: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    certificate_authority_data: Option<String>,
    proxy_url: Option<String>,
    disable_compression: Option<bool>,
}

/// The block as one line of JSON; none where the stock program sees none.
pub(super) fn cluster(text: &str) -> Option<String> {
    let question: Question = serde_json::from_str(text).ok()?;
    if question.api_version != VERSION || question.kind != "ExecCredential" {
        return None;
    }
    let Cluster {
        server,
        tls_server_name,
        insecure_skip_tls_verify,
        certificate_authority_data,
        proxy_url,
        disable_compression,
    } = question.spec?.cluster?;
    let mut line = format!("{{\"server\":{}", quoted(&server.unwrap_or_default()));
    let mut member = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _cannot_fail = write!(line, ",\"{name}\":{value}");
        }
    };
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty()).map(|text| quoted(&text));
    let on = |switch: Option<bool>| switch.filter(|on| *on).map(|on| on.to_string());
    // Go reads the bytes and writes them anew.
    let roots = match certificate_authority_data {
        None => None,
        Some(data) => Some(BASE64_STANDARD.encode(BASE64_STANDARD.decode(data.replace(['\r', '\n'], "")).ok()?)),
    };
    member("tls-server-name", filled(tls_server_name));
    member("insecure-skip-tls-verify", on(insecure_skip_tls_verify));
    member("certificate-authority-data", filled(roots));
    member("proxy-url", filled(proxy_url));
    member("disable-compression", on(disable_compression));
    // Any JSON, byte for byte but for blanks and the characters that Go's encoder always escapes.
    let config = self::member(text, "spec").and_then(|spec| self::member(spec, "cluster"));
    let config = config.and_then(|cluster| self::member(cluster, "config"));
    member("config", Some(config.map_or_else(|| "null".to_owned(), compact)));
    line.push('}');
    Some(line)
}

/// A text as Go's JSON encoder writes it, which escapes what could end a `<script>`.
pub(super) fn quoted(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 2);
    line.push('"');
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\u{8}' => line.push_str("\\b"),
            '\u{c}' => line.push_str("\\f"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            other => push(&mut line, other),
        }
    }
    line.push('"');
    line
}

fn push(line: &mut String, character: char) {
    if matches!(character, '\0'..'\u{20}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
        let _cannot_fail = write!(line, "\\u{:04x}", u32::from(character));
    } else {
        line.push(character);
    }
}

/// Without the blanks between its parts.
fn compact(value: &str) -> String {
    let mut line = String::with_capacity(value.len());
    let mut quoting = Quoting::default();
    for character in value.chars() {
        let inside = quoting.step(character);
        if inside || !character.is_ascii_whitespace() {
            push(&mut line, character);
        }
    }
    line
}

/// The text of a member's value in an object that is known to be good JSON; the last one, if there are several.
fn member<'t>(object: &'t str, name: &str) -> Option<&'t str> {
    let inner = object.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut found = None;
    for part in split(inner, ',') {
        let colon = split(part, ':').next()?.len();
        let key: String = serde_json::from_str(&part[..colon]).ok()?;
        if key == name {
            found = Some(part[colon + 1..].trim());
        }
    }
    found
}

/// The pieces between separators that stand in no text, object or list.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoting, mut depth) = (Quoting::default(), 0_u32);
    text.split(move |character: char| {
        if quoting.step(character) {
            return false;
        }
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && character == separator
    })
}

/// Whether we are inside a text.
#[derive(Default)]
struct Quoting {
    inside: bool,
    escaped: bool,
}

impl Quoting {
    /// Goes on by one character; says whether it belongs to a text.
    const fn step(&mut self, character: char) -> bool {
        if !self.inside {
            self.inside = character == '"';
            return self.inside;
        }
        if self.escaped {
            self.escaped = false;
        } else if character == '\\' {
            self.escaped = true;
        } else if character == '"' {
            self.inside = false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(version: &str, cluster: &str) -> String {
        format!(
            r#"{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/{version}","spec":{{"cluster":{cluster},"interactive":true}}}}"#
        )
    }

    #[test]
    fn a_block_is_written_in_the_order_of_the_go_type() {
        let block = r#"{ "config": {"b": [1, 2.50, "a b<&>"], "a":{"x, \"y": null}}, "proxy-url":"", "server":"https://c",
            "certificate-authority-data":"Q0E=", "tls-server-name":"inner", "disable-compression":true, "novelty":1 }"#;
        assert_eq!(
            cluster(&question("v1beta1", block)).unwrap(),
            concat!(
                r#"{"server":"https://c","tls-server-name":"inner","certificate-authority-data":"Q0E=","#,
                r#""disable-compression":true,"config":{"b":[1,2.50,"a b\u003c\u0026\u003e"],"a":{"x, \"y":null}}}"#
            )
        );
        let plain = r#"{"server":"https://c"}"#;
        assert_eq!(cluster(&question("v1beta1", plain)).unwrap(), r#"{"server":"https://c","config":null}"#);
    }

    #[test]
    fn what_the_stock_program_does_not_see_is_not_there() {
        let plain = r#"{"server":"https://c"}"#;
        assert_eq!(cluster(&question("v1", plain)), None);
        assert_eq!(cluster(&question("v1beta1", "null")), None);
        assert_eq!(cluster("nonsense"), None);
        assert_eq!(cluster(&question("v1beta1", r#"{"server":"https://c","certificate-authority-data":"!"}"#)), None);
    }

    #[test]
    fn texts_are_escaped_as_go_does() {
        assert_eq!(
            quoted("a<b>&\"\\\n\u{1}\u{2028}ü\u{7f}"),
            "\"a\\u003cb\\u003e\\u0026\\\"\\\\\\n\\u0001\\u2028ü\u{7f}\""
        );
    }
}
