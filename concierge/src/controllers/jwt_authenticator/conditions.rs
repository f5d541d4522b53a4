//! The conditions of a `JWTAuthenticator`, in the order in which its steps are taken (pinniped-wire 2.3). Pure.
//!
//! What can be judged without the network is judged at once and always: a person who made two mistakes sees both. While
//! last good keys are in use during an outage the conditions stay `True`, for logins do work, and their messages say
//! what is going on and until when. Two conditions stand beside the sum: `KeysFresh`, and `KeysPublicOnly`, which is an
//! alarm about the issuer.

use latchkey_crds::conditions::{
    authenticator_valid, discovery_url_valid, issuer_url_valid, jwks_fetch_valid, jwks_url_valid, keys_fresh,
    keys_public_only, reconciling, stalled, tls_configuration_valid,
};

use super::{
    Observed, Source, Trust, Word, audience,
    standing::{Standing, standing},
};
use crate::{
    controllers::status::Finding,
    idp::{
        caching::FRESH_CEILING,
        discovery::DiscoveryError,
        issuer::{IssuerReport, KeysFrom, Step, Trouble},
    },
    jwt::DroppedKey,
    time::UnixTime,
};

/// What stands before every sentence about the spec, as with Pinniped.
const INVALID: &str = "could not initialize jwt authenticator: ";

/// Shown while an answer is awaited and nothing has failed.
const ASKING: &str = "the issuer has not answered yet";

/// Keys left out of a set are named one by one up to this many; a set of strangers' keys is not listed whole.
const NAMED_KEYS: usize = 5;

/// One finding for each condition, without the sum. `asked` is the word about the very source that the spec names.
pub(in crate::controllers) fn findings<'a>(
    observed: &Observed<'a>,
    asked: Option<(&'a Source, &'a Word)>,
) -> Vec<Finding> {
    let standing = standing(observed, asked);
    let no_client = match asked {
        Some((_, Word::NoClient(problem))) => Some(problem.as_str()),
        Some((_, Word::Report(_))) | None => None,
    };
    vec![
        trust_roots(observed.spec.is_ok().then_some(observed.trust), no_client),
        issuer(observed),
        discovery(standing),
        jwks_url(standing),
        jwks_fetch(standing),
        authenticator(observed, standing),
        audience::unique(observed),
        keys_fresh(standing).aside(),
        keys_public_only(standing).aside(),
    ]
}

/// What is said of `spec.tls`, of either kind: `trust` is what it names, if the spec could be read, and `no_client` why no
/// client could be made with that.
pub(in crate::controllers) fn trust_roots(trust: Option<&Trust>, no_client: Option<&str>) -> Finding {
    use tls_configuration_valid::{INVALID_TLS_CONFIG, TYPE};
    if let Some(problem) = no_client {
        return Finding::failure(TYPE, INVALID_TLS_CONFIG, format!("spec.tls is invalid: {problem}"))
            .stuck(stalled::INVALID_CERTIFICATE_AUTHORITY);
    }
    let Some(trust) = trust else { return Finding::untried(TYPE) };
    match trust {
        Trust::Loading => Finding::unknown(TYPE, "the CA bundle is being read"),
        Trust::Problem(problem) => {
            let finding = Finding::failure(TYPE, INVALID_TLS_CONFIG, problem.to_string());
            // A Secret that another controller unseals comes when it comes.
            if problem.may_pass() {
                finding.retried(reconciling::CERTIFICATE_AUTHORITY_MISSING)
            } else {
                finding.stuck(stalled::INVALID_CERTIFICATE_AUTHORITY)
            }
        }
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
        Ok(Err(problem)) => {
            Finding::failure(TYPE, problem.reason(), problem.to_string()).stuck(stalled::INVALID_ISSUER)
        }
        Err(_) => Finding::untried(TYPE),
    }
}

fn discovery(standing: Option<Standing<'_>>) -> Finding {
    use discovery_url_valid::{INVALID_DISCOVERY_PROBE, TYPE};
    let report = match standing {
        None => return Finding::untried(TYPE),
        Some(Standing::Inline(..)) => return Finding::success(TYPE, "not needed: spec.jwks.inline holds the keys"),
        Some(Standing::Asked(KeysFrom::Jwks(_), _)) => {
            return Finding::success(TYPE, "not needed: spec.jwks.url names the key set");
        }
        Some(Standing::Asked(KeysFrom::Discovery | KeysFrom::DiscoveryAt(_), report)) => report,
    };
    let trouble = report.trouble.as_ref().filter(|trouble| trouble.step == Step::Discovery);
    match (&report.discovered, trouble) {
        (None, None) => Finding::unknown(TYPE, ASKING),
        (None, Some(trouble)) => {
            let message = format!("could not perform discovery: {}", trouble.sentence);
            let finding = Finding::failure(TYPE, INVALID_DISCOVERY_PROBE, message);
            if trouble.result == DiscoveryError::ISSUER_MISMATCH {
                finding.stuck(stalled::ISSUER_MISMATCH)
            } else {
                finding.retried(reconciling::DISCOVERY_FAILED)
            }
        }
        (Some(_), trouble) => Finding::success(
            TYPE,
            format!("discovery performed successfully{}", still("what it said before is in use", trouble)),
        ),
    }
}

fn jwks_url(standing: Option<Standing<'_>>) -> Finding {
    use jwks_url_valid::{INVALID_PROVIDER_JWKS_URL, INVALID_PROVIDER_JWKS_URL_SCHEME, TYPE};
    let report = match standing {
        None => return Finding::untried(TYPE),
        Some(Standing::Inline(..)) => return Finding::success(TYPE, "not needed: spec.jwks.inline holds the keys"),
        Some(Standing::Asked(KeysFrom::Jwks(_), _)) => {
            return Finding::success(TYPE, "spec.jwks.url is a valid URL");
        }
        Some(Standing::Asked(KeysFrom::Discovery | KeysFrom::DiscoveryAt(_), report)) => report,
    };
    let Some(found) = &report.discovered else { return Finding::untried(TYPE) };
    match &found.jwks_uri {
        Ok(_) => {
            let trouble = report.trouble.as_ref().filter(|trouble| matches!(trouble.step, Step::JwksUri { .. }));
            Finding::success(TYPE, format!("jwks_uri is a valid URL{}", still("the one before is in use", trouble)))
        }
        Err(problem) if problem.is_scheme() => {
            Finding::failure(TYPE, INVALID_PROVIDER_JWKS_URL_SCHEME, problem.to_string())
                .stuck(stalled::INVALID_KEY_SET_URL)
        }
        Err(problem) => {
            Finding::failure(TYPE, INVALID_PROVIDER_JWKS_URL, problem.to_string()).stuck(stalled::INVALID_KEY_SET_URL)
        }
    }
}

fn jwks_fetch(standing: Option<Standing<'_>>) -> Finding {
    use jwks_fetch_valid::{INVALID_COULD_NOT_FETCH_JWKS, TYPE};
    let (from, report) = match standing {
        None => return Finding::untried(TYPE),
        Some(Standing::Inline(_, dropped)) => {
            return Finding::success(TYPE, format!("jwks taken from spec.jwks.inline{}", left_out(dropped)));
        }
        Some(Standing::Asked(from, report)) => (from, report),
    };
    if let (Some(held), Some(fetched_at), Some(dropped_at)) =
        (&report.keys, report.keys_fetched_at, report.keys_dropped_at)
    {
        let trouble = report.trouble.as_ref().filter(|_| report.keys_failing);
        let use_until = format!("the keys of {fetched_at} are in use until {dropped_at}");
        let (left_out, still) = (left_out(&held.dropped), still(&use_until, trouble));
        return Finding::success(TYPE, format!("successfully fetched jwks{left_out}{still}"));
    }
    let located = match from {
        KeysFrom::Jwks(_) => true,
        KeysFrom::Discovery | KeysFrom::DiscoveryAt(_) => {
            report.discovered.as_ref().is_some_and(|found| found.jwks_uri.is_ok())
        }
    };
    match &report.trouble {
        // It is known where the keys are: they cannot be fetched, or they have outlived their age, whichever step fails.
        Some(trouble) if located => Finding::failure(
            TYPE,
            INVALID_COULD_NOT_FETCH_JWKS,
            format!("could not fetch keys since {}: {}", trouble.since, trouble.sentence),
        )
        .retried(reconciling::KEYS_UNAVAILABLE),
        Some(_) => Finding::untried(TYPE),
        None => Finding::unknown(TYPE, ASKING),
    }
}

fn authenticator(observed: &Observed<'_>, standing: Option<Standing<'_>>) -> Finding {
    use authenticator_valid::{INVALID_AUTHENTICATOR, TYPE};
    let judge = match observed.spec.as_ref().map(|spec| (spec.judge.as_ref(), spec.keys.as_ref())) {
        Ok((Ok(judge), Ok(_))) => judge,
        Ok((Ok(_), Err(problem))) => {
            let finding = Finding::failure(TYPE, INVALID_AUTHENTICATOR, format!("{INVALID}{problem}"));
            return finding.stuck(stalled::INVALID_SPEC);
        }
        Ok((Err(problem), _)) | Err(problem) => {
            let reason = if problem.is_of_expressions() { stalled::INVALID_EXPRESSION } else { stalled::INVALID_SPEC };
            return Finding::failure(TYPE, INVALID_AUTHENTICATOR, format!("{INVALID}{problem}")).stuck(reason);
        }
    };
    let Some(standing) = standing else { return Finding::untried(TYPE) };
    match standing.in_force(observed.seen_at) {
        Some(_) if standing.algorithms(judge.algorithms).is_empty() => Finding::failure(
            TYPE,
            INVALID_AUTHENTICATOR,
            format!(
                "{INVALID}the issuer announces no signing algorithm that is accepted: let it sign ID tokens with one of {}",
                judge.algorithms
            ),
        )
        .stuck(stalled::NO_ACCEPTED_ALGORITHM),
        Some(_) => Finding::success(TYPE, "authenticator initialized"),
        None if matches!(standing, Standing::Asked(_, IssuerReport { trouble: None, .. })) => {
            Finding::unknown(TYPE, ASKING)
        }
        None => Finding::untried(TYPE),
    }
}

fn keys_fresh(standing: Option<Standing<'_>>) -> Finding {
    use keys_fresh::{FETCH_FAILING, KEPT_KEYS_IN_USE, NO_KEYS, TYPE};
    let report = match standing {
        None => return Finding::untried(TYPE),
        Some(Standing::Inline(..)) => {
            return Finding::success(TYPE, "the keys are those of spec.jwks.inline: change them there");
        }
        Some(Standing::Asked(_, report)) => report,
    };
    let why = report.trouble.as_ref().map(|trouble| format!("failing since {}: {}", trouble.since, trouble.sentence));
    let why = why.unwrap_or_else(|| ASKING.to_owned());
    match (report.keys_fetched_at, report.keys_dropped_at) {
        (Some(fetched_at), Some(dropped_at)) if report.keys_restored || report.keys_failing => {
            let (reason, kept) = if report.keys_restored {
                (KEPT_KEYS_IN_USE, ", kept since before this replica started,")
            } else {
                (FETCH_FAILING, "")
            };
            let message = format!("the keys of {fetched_at}{kept} are in use until {dropped_at}; {why}");
            Finding::failure(TYPE, reason, message)
        }
        (Some(_), _) => Finding::success(
            TYPE,
            format!(
                "keys are fetched anew within {} minutes, and withdrawn keys die then",
                FRESH_CEILING.as_secs() / 60
            ),
        ),
        (None, _) if report.trouble.is_some() => Finding::failure(TYPE, NO_KEYS, format!("there are no keys; {why}")),
        (None, _) => Finding::unknown(TYPE, ASKING),
    }
}

fn keys_public_only(standing: Option<Standing<'_>>) -> Finding {
    use keys_public_only::{SECRET_KEY_PUBLISHED, TYPE};
    let Some(standing) = standing else { return Finding::untried(TYPE) };
    if standing.in_force(UnixTime::from_secs(0)).is_none() {
        return Finding::untried(TYPE);
    }
    let exposed: Vec<_> = standing.exposed().take(NAMED_KEYS).map(ToString::to_string).collect();
    if exposed.is_empty() {
        return Finding::success(TYPE, "the key set holds public keys only");
    }
    let message = format!("whoever has read the key set can sign with a key of it: {}", exposed.join("; "));
    Finding::failure(TYPE, SECRET_KEY_PUBLISHED, message)
}

/// What is added to a message about a set of which some keys are not used.
fn left_out(dropped: &[DroppedKey]) -> String {
    if dropped.is_empty() {
        return String::new();
    }
    let named: Vec<_> = dropped.iter().take(NAMED_KEYS).map(ToString::to_string).collect();
    let more = dropped.len().saturating_sub(NAMED_KEYS);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("; left out: {}{more}", named.join("; "))
}

/// What is added to a message while the last good answer is still in use.
fn still(in_use: &str, trouble: Option<&Trouble>) -> String {
    trouble.map_or_else(String::new, |trouble| {
        format!("; failing since {}, {in_use}: {}", trouble.since, trouble.sentence)
    })
}
