//! What follows from a `WebhookAuthenticator`: nobody is admitted, and its status says so. Pure.
//!
//! The kind exists because Pinniped's CLI looks for it. This version asks no webhook, so there is nothing to probe; what
//! the spec alone tells is judged, and the rest is said plainly.

use latchkey_crds::{
    authentication::{AuthenticatorStatus, WebhookAuthenticatorSpec},
    conditions::{authenticator_valid, endpoint_url_valid, tls_configuration_valid, webhook_connection_valid},
};
use serde_json::Value;

use super::status::{self, Finding};
use crate::{convert, time::UnixTime};

/// Said of the kind as a whole.
const UNSUPPORTED: &str =
    "WebhookAuthenticator is not supported by this version: it admits nobody; use a JWTAuthenticator";

/// The status to write, if it is another than `observed`.
pub(super) fn plan(
    spec: &Value,
    generation: i64,
    observed: &AuthenticatorStatus,
    now: UnixTime,
) -> Option<AuthenticatorStatus> {
    let status = status::authenticator_status("WebhookAuthenticator", findings(spec), generation, observed, now);
    (status != *observed).then_some(status)
}

fn findings(spec: &Value) -> Vec<Finding> {
    let untried = [
        Finding::untried(endpoint_url_valid::TYPE),
        Finding::untried(tls_configuration_valid::TYPE),
        Finding::untried(webhook_connection_valid::TYPE),
    ];
    let problem = match convert::read::<WebhookAuthenticatorSpec>(spec) {
        Ok(_) => UNSUPPORTED.to_owned(),
        Err(invalid) => format!("{UNSUPPORTED}; besides, {invalid}"),
    };
    let verdict =
        Finding::failure(authenticator_valid::TYPE, authenticator_valid::UNABLE_TO_INSTANTIATE_WEBHOOK, problem);
    untried.into_iter().chain([verdict]).collect()
}

#[cfg(test)]
mod tests {
    use latchkey_crds::authentication::Phase;
    use serde_json::json;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

    #[test]
    fn the_status_says_that_nobody_is_admitted() {
        let spec = json!({"endpoint": "https://tokens.example.com/review"});
        let status = plan(&spec, 1, &AuthenticatorStatus::default(), NOW).unwrap();
        assert_eq!(status.phase, Phase::Error);
        let seen: Vec<_> =
            status.conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect();
        let expected = [
            ("AuthenticatorValid", "False", "UnableToInstantiateWebhook"),
            ("EndpointURLValid", "Unknown", "UnableToValidate"),
            ("Ready", "False", "NotReady"),
            ("TLSConfigurationValid", "Unknown", "UnableToValidate"),
            ("WebhookConnectionValid", "Unknown", "UnableToValidate"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(status.conditions[0].message, UNSUPPORTED);
        assert_eq!(
            status.conditions[2].message,
            "the WebhookAuthenticator is not ready: see other conditions for details"
        );
    }

    #[test]
    fn a_status_that_stands_is_not_written_again() {
        let spec = json!({"endpoint": "https://tokens.example.com/review"});
        let status = plan(&spec, 1, &AuthenticatorStatus::default(), NOW).unwrap();
        assert_eq!(plan(&spec, 1, &status, UnixTime::from_secs(NOW.as_secs() + 900)), None);
        assert!(plan(&spec, 2, &status, NOW).is_some());
    }

    #[test]
    fn an_unreadable_spec_is_told_too() {
        let status = plan(&json!({"endpoint": 7}), 1, &AuthenticatorStatus::default(), NOW).unwrap();
        assert!(status.conditions[0].message.contains("; besides, spec: cannot be read"), "{status:?}");
    }
}
