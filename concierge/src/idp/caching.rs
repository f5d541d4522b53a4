//! How long a key set is fresh, from its HTTP headers (RFC 9111) and our own floor and ceiling. Pure.

use std::time::Duration;

use http::{HeaderMap, header};

/// Even an answer that must not be cached is not asked for more often than this: one busy concierge must not become
/// a load on its issuer.
pub const FRESH_FLOOR: Duration = Duration::from_mins(1);

/// However long the issuer lets a key set be cached, a withdrawn key must stop working within minutes (design.md
/// section 5), not after the hour or the day that issuers usually announce.
pub const FRESH_CEILING: Duration = Duration::from_mins(5);

/// How long after its receipt an answer with these headers may be used without asking again: `max-age` less `Age`,
/// within [`FRESH_FLOOR`] and [`FRESH_CEILING`]. Without `Cache-Control` it is the ceiling; `no-store`, `no-cache`
/// and anything unreadable make it the floor.
#[must_use]
pub fn freshness(headers: &HeaderMap) -> Duration {
    let mut max_age = None;
    for value in headers.get_all(header::CACHE_CONTROL) {
        let Ok(value) = value.to_str() else { return FRESH_FLOOR };
        for directive in value.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return FRESH_FLOOR,
                // Of several the shortest holds (RFC 9111 4.2.1 lets a cache take the answer for stale). Two such
                // directives or a fractional argument are the sender's mistake, never ours to prolong.
                "max-age" => {
                    let seconds = argument.trim().trim_matches('"').parse().map_or(0, clamp_seconds);
                    max_age = Some(max_age.map_or(seconds, |earlier: u64| earlier.min(seconds)));
                }
                _ => {}
            }
        }
    }
    let Some(max_age) = max_age else { return FRESH_CEILING };
    let age = headers.get(header::AGE).map_or(0, |value| {
        value.to_str().ok().and_then(|text| text.trim().parse().ok()).map_or(u64::MAX, clamp_seconds)
    });
    Duration::from_secs(max_age.saturating_sub(age)).clamp(FRESH_FLOOR, FRESH_CEILING)
}

/// RFC 9111 1.2.2: a delta beyond 2^31 counts as 2^31.
fn clamp_seconds(seconds: u128) -> u64 {
    u64::try_from(seconds.min(1 << 31)).unwrap_or(1 << 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(header::HeaderName, &str)]) -> u64 {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), value.parse().unwrap());
        }
        freshness(&headers).as_secs()
    }

    #[test]
    fn freshness_follows_the_headers_within_floor_and_ceiling() {
        use header::{AGE, CACHE_CONTROL};
        let cases: &[(&[(header::HeaderName, &str)], u64)] = &[
            (&[], 300),
            (&[(CACHE_CONTROL, "public")], 300),
            (&[(CACHE_CONTROL, "max-age=120")], 120),
            (&[(CACHE_CONTROL, "public, MAX-AGE=120, must-revalidate")], 120),
            (&[(CACHE_CONTROL, "max-age=\"120\"")], 120),
            (&[(CACHE_CONTROL, "max-age=0")], 60),
            (&[(CACHE_CONTROL, "max-age=59")], 60),
            (&[(CACHE_CONTROL, "max-age=315360000")], 300),
            (&[(CACHE_CONTROL, "max-age=99999999999999999999999999")], 300),
            (&[(CACHE_CONTROL, "max-age=-1")], 60),
            (&[(CACHE_CONTROL, "max-age=1.5")], 60),
            (&[(CACHE_CONTROL, "max-age")], 60),
            (&[(CACHE_CONTROL, "max-age=200"), (CACHE_CONTROL, "max-age=100")], 100),
            (&[(CACHE_CONTROL, "s-maxage=1")], 300),
            (&[(CACHE_CONTROL, "no-store")], 60),
            (&[(CACHE_CONTROL, "max-age=200, No-Cache")], 60),
            (&[(CACHE_CONTROL, "max-age=200"), (AGE, "50")], 150),
            (&[(CACHE_CONTROL, "max-age=200"), (AGE, "500")], 60),
            (&[(CACHE_CONTROL, "max-age=86400"), (AGE, "40000")], 300),
            (&[(CACHE_CONTROL, "max-age=200"), (AGE, "old")], 60),
            (&[(AGE, "500")], 300),
        ];
        for (lines, expected) in cases {
            assert_eq!(of(lines), *expected, "{lines:?}");
        }
    }
}
