//! The answer to an authorization request, however it reaches us: redirect, form post or paste. Judged without I/O.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use reqwest::Url;
use thiserror::Error;

use crate::output::Printable;
use crate::secret::Secret;

/// No provider gives shorter codes (RFC 6749 section 10.10 wants them unguessable), and a stray key is none.
const BARE_CODE_MIN_BYTES: usize = 8;

/// What the answer has to fit.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The `state` we sent.
    pub(crate) state: Secret,
    /// The issuer we sent the person to.
    pub(crate) issuer: String,
    /// Whether that issuer puts itself into each answer (RFC 9207 section 3).
    pub(crate) announces_iss: bool,
}

/// Why an answer brings no code.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ResponseError {
    /// It is an answer of another issuer (RFC 9207): the code must go nowhere.
    #[error("the response names {found}, expected issuer {expected:?}: the code was not used")]
    Issuer {
        /// What stands in it.
        found: String,
        /// Whom we asked.
        expected: String,
    },
    /// It is not the answer to our request: a stale tab, a scanner, or an attack. Nobody's login ends because of it.
    #[error("a response that does not belong to this login was ignored")]
    NotOurs,
    /// The provider, or the person there, said no.
    #[error("the identity provider refused ({error}){}", description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// The code of RFC 6749 section 4.1.2.1, safe to print.
        error: String,
        /// The provider's words, safe to print.
        description: Option<String>,
    },
}

impl ResponseError {
    /// Whether the login goes on as if nothing had come.
    pub(crate) fn is_noise(&self) -> bool {
        *self == Self::NotOurs
    }
}

/// Judges the parameters of a redirect or form post (a query string without `?`) and returns the code.
///
/// # Errors
/// When there is no code for us in it. `state` comes first, before errors are believed: any web page can send us one.
pub(crate) fn judge(parameters: &str, expected: &Expected) -> Result<Secret, ResponseError> {
    let found = Parameters::parse(parameters).ok_or(ResponseError::NotOurs)?;
    let state = found.state.as_deref().ok_or(ResponseError::NotOurs)?;
    verify_slices_are_equal(state.as_bytes(), expected.state.expose().as_bytes())
        .map_err(|_| ResponseError::NotOurs)?;
    found.code_after_state(expected)
}

/// Judges what a person pasted: the whole redirect URL, its parameters, or the bare code.
///
/// A bare code has no `state`. PKCE and the nonce still bind it to this login: a code made for somebody else's request
/// is worthless with our verifier.
///
/// # Errors
/// As `judge`.
pub(crate) fn judge_pasted(text: &str, expected: &Expected) -> Result<Secret, ResponseError> {
    let text = text.trim();
    if let Some((_, query)) = text.split_once('?').filter(|(head, _)| head.contains("://")) {
        return judge(query.split('#').next().unwrap_or_default(), expected);
    }
    if text.contains('=') && (text.contains("code=") || text.contains("error=")) {
        let found = Parameters::parse(text.trim_start_matches('?')).ok_or(ResponseError::NotOurs)?;
        if found.state.is_some() {
            return judge(text.trim_start_matches('?'), expected);
        }
        // Half an address, as a person copies it: no issuer stands in it, as none does in a bare code.
        let announces_iss = expected.announces_iss && found.iss.is_some();
        return found.code_after_state(&Expected { announces_iss, ..expected.clone() });
    }
    if text.len() < BARE_CODE_MIN_BYTES || text.contains(char::is_whitespace) || text.contains("://") {
        return Err(ResponseError::NotOurs);
    }
    Ok(Secret::from(text))
}

#[derive(Default)]
struct Parameters {
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    iss: Option<String>,
    state: Option<String>,
}

impl Parameters {
    /// `None` when one of ours stands there twice (RFC 6749 section 3.1 forbids it; whoever does it wants two readers to
    /// see two things).
    fn parse(parameters: &str) -> Option<Self> {
        let mut url = Url::parse("http://parameters.invalid/").ok()?;
        url.set_query(Some(parameters));
        let mut found = Self::default();
        for (name, value) in url.query_pairs() {
            let slot = match name.as_ref() {
                "code" => &mut found.code,
                "error" => &mut found.error,
                "error_description" => &mut found.error_description,
                "iss" => &mut found.iss,
                "state" => &mut found.state,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(found)
    }

    fn code_after_state(self, expected: &Expected) -> Result<Secret, ResponseError> {
        let issuer_fits = match self.iss.as_deref() {
            // Present without being announced is compared all the same.
            Some(iss) => iss == expected.issuer,
            None => !expected.announces_iss,
        };
        if !issuer_fits {
            return Err(ResponseError::Issuer {
                found: self
                    .iss
                    .map_or_else(|| "no issuer".to_owned(), |iss| format!("issuer {:?}", Printable(&iss).to_string())),
                expected: expected.issuer.clone(),
            });
        }
        if let Some(error) = self.error {
            return Err(ResponseError::Refused {
                error: Printable(&error).to_string(),
                description: self.error_description.map(|text| Printable(&text).to_string()),
            });
        }
        self.code.filter(|code| !code.is_empty()).map(Secret::from).ok_or(ResponseError::NotOurs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(announces_iss: bool) -> Expected {
        Expected { state: Secret::from("right"), issuer: "https://idp.example".to_owned(), announces_iss }
    }

    #[test]
    fn wrong_state_sent_to_the_callback() {
        for parameters in [
            "",
            "code=c",
            "code=c&state=",
            "code=c&state=wrong",
            "code=c&state=righ",
            "code=c&state=right&state=right",
            "code=c&code=d&state=right",
            "error=access_denied",
            "error=access_denied&state=wrong",
            "state=right",
            "code=&state=right",
        ] {
            assert_eq!(judge(parameters, &expected(false)), Err(ResponseError::NotOurs), "{parameters}");
        }
    }

    #[test]
    fn right_state_brings_the_code() {
        assert_eq!(judge("code=a%2Fb+c&state=right&session_state=x", &expected(false)), Ok(Secret::from("a/b c")));
    }

    #[test]
    fn issuer_is_compared_byte_for_byte_when_sent_or_announced() {
        let fits = "code=c&state=right&iss=https%3A%2F%2Fidp.example";
        assert!(judge(fits, &expected(true)).is_ok());
        assert!(judge(fits, &expected(false)).is_ok());
        for (parameters, announces) in [
            ("code=c&state=right", true),
            ("code=c&state=right&iss=https%3A%2F%2Fidp.example%2F", false),
            ("error=access_denied&state=right&iss=https%3A%2F%2Fevil.example", true),
        ] {
            let error = judge(parameters, &expected(announces)).unwrap_err();
            assert!(matches!(error, ResponseError::Issuer { .. }), "{parameters}: {error}");
        }
    }

    #[test]
    fn refusals_are_believed_only_with_the_right_state_and_cannot_paint_the_terminal() {
        assert_eq!(
            judge("error=access_denied&error_description=no%1B%5B2J&state=right", &expected(false)),
            Err(ResponseError::Refused {
                error: "access_denied".to_owned(),
                description: Some("no\\u{1b}[2J".to_owned())
            })
        );
    }

    #[test]
    fn all_shapes_of_a_paste_are_taken() {
        for text in [
            "http://127.0.0.1:7/callback?code=c&state=right",
            "  http://127.0.0.1:7/callback?code=c&state=right#_=_ \n",
            "code=c&state=right",
            "?code=c&state=right",
            "code=c",
        ] {
            assert_eq!(judge_pasted(text, &expected(false)), Ok(Secret::from("c")), "{text}");
        }
        assert_eq!(judge_pasted(" 0.AXoA-bare_code\n", &expected(false)), Ok(Secret::from("0.AXoA-bare_code")));
        assert_eq!(
            judge_pasted("code=c", &expected(true)),
            Ok(Secret::from("c")),
            "no issuer can be missing in a part"
        );
        let other = judge_pasted("code=c&iss=https%3A%2F%2Fevil.example", &expected(false));
        assert!(matches!(other, Err(ResponseError::Issuer { .. })), "{other:?}");
        for text in [
            "",
            "http://127.0.0.1:7/callback",
            "http://127.0.0.1:7/callback?code=c&state=wrong",
            "http://127.0.0.1:7/callback?code=c",
            "code=c&state=wrong",
            "kubectl get pods",
            "y",
        ] {
            assert_eq!(judge_pasted(text, &expected(false)), Err(ResponseError::NotOurs), "{text}");
        }
    }

    #[test]
    fn a_paste_of_six_kibibytes_is_whole() {
        let code = "x".repeat(6 * 1024);
        let url = format!("http://127.0.0.1:7/callback?code={code}&state=right");
        assert_eq!(judge_pasted(&url, &expected(false)).unwrap().expose().len(), code.len());
    }
}
