//! Which format: what a request's body is written in, and which answer the client can read.

use http::{HeaderMap, header};

/// The format of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// `application/json`, or nothing said.
    Json,
    /// `application/yaml`.
    Yaml,
}

/// The formats in which something can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Aggregated discovery, `apidiscovery.k8s.io/v2`.
    Discovery,
    /// Plain JSON.
    Json,
    /// A `meta.k8s.io/v1` Table, which `kubectl get` prints.
    Table,
}

/// The media type of aggregated discovery; the API server compares it word for word.
pub const DISCOVERY_MEDIA_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Alternatives looked at in one Accept header. client-go sends up to six.
const MAX_RANGES: usize = 32;

/// The format of the body by its Content-Type (RFC 9110 8.3); `None` is 415.
#[must_use]
pub fn body_format(headers: &HeaderMap) -> Option<BodyFormat> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Some(BodyFormat::Json) };
    let media_type = value.to_str().ok()?.split(';').next().unwrap_or_default().trim();
    match media_type.to_ascii_lowercase().as_str() {
        "" | "application/json" => Some(BodyFormat::Json),
        "application/yaml" => Some(BodyFormat::Yaml),
        _ => None,
    }
}

/// The first of the client's alternatives, by quality and then by order, that is among `offers` (RFC 9110 12.5.1);
/// `None` is 406. Without an Accept header the client takes anything: the first offer.
#[must_use]
pub fn negotiate(headers: &HeaderMap, offers: &[Offer]) -> Option<Offer> {
    let mut ranges: Vec<Range> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .take(MAX_RANGES)
        .filter_map(Range::parse)
        .collect();
    if ranges.is_empty() {
        return if headers.contains_key(header::ACCEPT) { None } else { offers.first().copied() };
    }
    // Stable: equal qualities keep the client's order.
    ranges.sort_by_key(|range| std::cmp::Reverse(range.quality));
    ranges
        .iter()
        .take_while(|range| range.quality > 0)
        .find_map(|range| offers.iter().copied().find(|offer| range.takes(*offer)))
}

/// One alternative of an Accept header.
#[derive(Debug)]
struct Range {
    media_type: String,
    /// Kubernetes' parameters: the kind, group and version that the answer shall be converted to.
    conversion: Option<(String, String, String)>,
    /// In thousandths.
    quality: u16,
}

// === impl Range ===

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().filter(|media_type| !media_type.is_empty())?.to_ascii_lowercase();
        let (mut kind, mut group, mut version, mut quality) = (None, String::new(), String::new(), 1_000);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "as" => kind = Some(value.trim().to_owned()),
                "g" => value.trim().clone_into(&mut group),
                "v" => value.trim().clone_into(&mut version),
                "q" => quality = thousandths(value.trim())?,
                // `charset`, `profile=nopeer` and whatever comes next say nothing about what we can answer.
                _ => {}
            }
        }
        Some(Self { media_type, conversion: kind.map(|kind| (kind, group, version)), quality })
    }

    fn takes(&self, offer: Offer) -> bool {
        if !matches!(self.media_type.as_str(), "application/json" | "application/*" | "*/*") {
            return false;
        }
        let wanted =
            self.conversion.as_ref().map(|(kind, group, version)| (kind.as_str(), group.as_str(), version.as_str()));
        match offer {
            Offer::Json => wanted.is_none(),
            Offer::Table => wanted == Some(("Table", "meta.k8s.io", "v1")),
            Offer::Discovery => wanted == Some(("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2")),
        }
    }
}

/// RFC 9110 12.4.2: a number from 0 to 1 with at most three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Offer; 3] = [Offer::Json, Offer::Table, Offer::Discovery];

    fn accept(value: &str) -> Option<Offer> {
        negotiate(&HeaderMap::from_iter([(header::ACCEPT, value.parse().unwrap())]), &ALL)
    }

    #[test]
    fn what_kubernetes_clients_send_is_understood() {
        let get = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(accept(get), Some(Offer::Table));
        assert_eq!(accept(&format!("{DISCOVERY_MEDIA_TYPE},application/json")), Some(Offer::Discovery));
        let no_peer = format!("{DISCOVERY_MEDIA_TYPE};profile=nopeer,{DISCOVERY_MEDIA_TYPE},application/json");
        assert_eq!(accept(&no_peer), Some(Offer::Discovery));
        assert_eq!(accept("application/vnd.kubernetes.protobuf,application/json"), Some(Offer::Json));
        assert_eq!(accept("application/json, */*"), Some(Offer::Json));
        assert_eq!(negotiate(&HeaderMap::new(), &ALL), Some(Offer::Json));
    }

    #[test]
    fn qualities_order_the_alternatives() {
        assert_eq!(
            accept("application/json;q=0.5,application/json;as=Table;g=meta.k8s.io;v=v1;q=0.9"),
            Some(Offer::Table)
        );
        assert_eq!(accept("application/json;q=0"), None);
        assert_eq!(accept("*/*;q=0.001"), Some(Offer::Json));
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        for value in [
            "application/vnd.kubernetes.protobuf",
            "text/html",
            "application/yaml",
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
            "application/json;q=2",
            "",
        ] {
            assert_eq!(accept(value), None, "{value:?}");
        }
    }

    #[test]
    fn bodies_are_json_or_yaml() {
        let format = |value: &str| body_format(&HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]));
        assert_eq!(body_format(&HeaderMap::new()), Some(BodyFormat::Json));
        assert_eq!(format("Application/JSON; charset=utf-8"), Some(BodyFormat::Json));
        assert_eq!(format("application/yaml"), Some(BodyFormat::Yaml));
        for refused in ["application/x-www-form-urlencoded", "application/cbor", "application/vnd.kubernetes.protobuf"]
        {
            assert_eq!(format(refused), None, "{refused}");
        }
    }
}
