//! The conditions of a `JWTAuthenticator`, in the order in which its steps are taken (pinniped-wire 2.3). Pure.
//!
//! What can be judged without the network is judged at once and always: a person who made two mistakes sees both. While
//! last good keys are in use during an outage the conditions stay `True`, for logins do work, and their messages say
//! what is going on and until when.

use latchkey_crds::conditions::{
    authenticator_valid, discovery_url_valid, issuer_url_valid, jwks_fetch_valid, jwks_url_valid,
    tls_configuration_valid,
};

use super::{Observed, Trust, Word, algorithms};
use crate::{
    controllers::status::Finding,
    convert::KeySource,
    idp::issuer::{IssuerReport, Step, Trouble},
};

/// What stands before every sentence about the spec, as with Pinniped.
const INVALID: &str = "could not initialize jwt authenticator: ";

/// Shown while an answer is awaited and nothing has failed.
const ASKING: &str = "the issuer has not answered yet";

/// Keys left out of a set are named one by one up to this many; a set of strangers' keys is not listed whole.
const NAMED_KEYS: usize = 5;

/// One finding for each condition, without the sum.
pub(in crate::controllers) fn findings(observed: &Observed<'_>, word: Option<&Word>) -> Vec<Finding> {
    let report = match word {
        Some(Word::Report(report)) => Some(report),
        Some(Word::NoClient(_)) | None => None,
    };
    let no_client = match word {
        Some(Word::NoClient(problem)) => Some(problem.as_str()),
        Some(Word::Report(_)) | None => None,
    };
    vec![
        trust_roots(observed.spec.is_ok().then_some(observed.trust), no_client),
        issuer(observed),
        discovery(report),
        jwks_url(report),
        jwks_fetch(report),
        authenticator(observed, report),
    ]
}

/// What is said of `spec.tls`, of either kind: `trust` is what it names, if the spec could be read, and `no_client` why no
/// client could be made with that.
pub(in crate::controllers) fn trust_roots(trust: Option<&Trust>, no_client: Option<&str>) -> Finding {
    use tls_configuration_valid::{INVALID_TLS_CONFIG, TYPE};
    if let Some(problem) = no_client {
        return Finding::failure(TYPE, INVALID_TLS_CONFIG, format!("spec.tls is invalid: {problem}"));
    }
    let Some(trust) = trust else { return Finding::untried(TYPE) };
    match trust {
        Trust::Loading => Finding::unknown(TYPE, "the CA bundle is being read"),
        Trust::Problem(problem) => Finding::failure(TYPE, INVALID_TLS_CONFIG, problem.to_string()),
        Trust::Unreadable(detail) => Finding::unknown(TYPE, detail),
        Trust::System => Finding::success(
            TYPE,
            "spec.tls is valid: no TLS configuration provided: using default root CA bundle from container image",
        ),
        Trust::Bundle(_) => Finding::success(TYPE, "spec.tls is valid: using configured CA bundle"),
    }
}

fn issuer(observed: &Observed<'_>) -> Finding {
    use issuer_url_valid::TYPE;
    match observed.spec.as_ref().map(|spec| &spec.issuer) {
        Ok(Ok(_)) => Finding::success(TYPE, "issuer is a valid URL"),
        Ok(Err(problem)) => Finding::failure(TYPE, problem.reason(), problem.to_string()),
        Err(_) => Finding::untried(TYPE),
    }
}

fn discovery(report: Option<&IssuerReport>) -> Finding {
    use discovery_url_valid::{INVALID_DISCOVERY_PROBE, TYPE};
    let Some(report) = report else { return Finding::untried(TYPE) };
    let trouble = report.trouble.as_ref().filter(|trouble| trouble.step == Step::Discovery);
    match (&report.discovered, trouble) {
        (None, None) => Finding::unknown(TYPE, ASKING),
        (None, Some(trouble)) => Finding::failure(
            TYPE,
            INVALID_DISCOVERY_PROBE,
            format!("could not perform discovery: {}", trouble.sentence),
        ),
        (Some(_), trouble) => Finding::success(
            TYPE,
            format!("discovery performed successfully{}", still("what it said before is in use", trouble)),
        ),
    }
}

fn jwks_url(report: Option<&IssuerReport>) -> Finding {
    use jwks_url_valid::{INVALID_PROVIDER_JWKS_URL, INVALID_PROVIDER_JWKS_URL_SCHEME, TYPE};
    let Some(found) = report.and_then(|report| report.discovered.as_ref()) else { return Finding::untried(TYPE) };
    match &found.jwks_uri {
        Ok(_) => {
            let trouble = report.and_then(|report| report.trouble.as_ref());
            let trouble = trouble.filter(|trouble| matches!(trouble.step, Step::JwksUri { .. }));
            Finding::success(TYPE, format!("jwks_uri is a valid URL{}", still("the one before is in use", trouble)))
        }
        Err(problem) if problem.is_scheme() => {
            Finding::failure(TYPE, INVALID_PROVIDER_JWKS_URL_SCHEME, problem.to_string())
        }
        Err(problem) => Finding::failure(TYPE, INVALID_PROVIDER_JWKS_URL, problem.to_string()),
    }
}

fn jwks_fetch(report: Option<&IssuerReport>) -> Finding {
    use jwks_fetch_valid::{INVALID_COULD_NOT_FETCH_JWKS, TYPE};
    let Some(report) = report else { return Finding::untried(TYPE) };
    if let (Some(held), Some(fetched_at), Some(dropped_at)) =
        (&report.keys, report.keys_fetched_at, report.keys_dropped_at)
    {
        let mut message = "successfully fetched jwks".to_owned();
        if !held.dropped.is_empty() {
            let named: Vec<_> = held.dropped.iter().take(NAMED_KEYS).map(ToString::to_string).collect();
            let more = held.dropped.len().saturating_sub(NAMED_KEYS);
            let more = if more == 0 { String::new() } else { format!("; and {more} more") };
            message = format!("{message}; left out: {}{more}", named.join("; "));
        }
        let trouble = report.trouble.as_ref().filter(|_| report.keys_failing);
        let use_until = format!("the keys of {fetched_at} are in use until {dropped_at}");
        return Finding::success(TYPE, format!("{message}{}", still(&use_until, trouble)));
    }
    match &report.trouble {
        // Discovery worked, and there were usable keys once: they have outlived their age, whichever step fails.
        Some(trouble) if report.discovered.as_ref().is_some_and(|found| found.jwks_uri.is_ok()) => Finding::failure(
            TYPE,
            INVALID_COULD_NOT_FETCH_JWKS,
            format!("could not fetch keys since {}: {}", trouble.since, trouble.sentence),
        ),
        Some(_) => Finding::untried(TYPE),
        None => Finding::unknown(TYPE, ASKING),
    }
}

fn authenticator(observed: &Observed<'_>, report: Option<&IssuerReport>) -> Finding {
    use authenticator_valid::{INVALID_AUTHENTICATOR, TYPE};
    let judge = match observed.spec.as_ref().map(|spec| spec.judge.as_ref()) {
        Ok(Ok(judge)) => judge,
        Ok(Err(problem)) | Err(problem) => {
            return Finding::failure(TYPE, INVALID_AUTHENTICATOR, format!("{INVALID}{problem}"));
        }
    };
    if let Some(problem) = unusable_keys(observed) {
        return Finding::failure(TYPE, INVALID_AUTHENTICATOR, format!("{INVALID}{problem}"));
    }
    match report {
        Some(report) if report.keys.is_some() && algorithms(judge, report).is_empty() => Finding::failure(
            TYPE,
            INVALID_AUTHENTICATOR,
            format!(
                "{INVALID}the issuer announces no signing algorithm that is accepted: let it sign ID tokens with one of {}",
                judge.algorithms
            ),
        ),
        Some(report) if report.keys.is_some() => Finding::success(TYPE, "authenticator initialized"),
        Some(IssuerReport { trouble: None, .. }) => Finding::unknown(TYPE, ASKING),
        Some(_) | None => Finding::untried(TYPE),
    }
}

/// What is wrong with the place that the spec takes keys from, if anything is.
fn unusable_keys(observed: &Observed<'_>) -> Option<String> {
    match &observed.spec.as_ref().ok()?.keys {
        Ok(KeySource::Discovery) => None,
        Ok(KeySource::DiscoveryUrl(_) | KeySource::JwksUrl(_) | KeySource::Inline { .. }) => Some(
            "this version takes keys from the issuer's own discovery document only: remove discoveryURL or jwks"
                .to_owned(),
        ),
        Err(problem) => Some(problem.to_string()),
    }
}

/// What is added to a message while the last good answer is still in use.
fn still(in_use: &str, trouble: Option<&Trouble>) -> String {
    trouble.map_or_else(String::new, |trouble| {
        format!("; failing since {}, {in_use}: {}", trouble.since, trouble.sentence)
    })
}
