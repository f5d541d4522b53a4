//! Looks for what nobody may write down: a token, or a piece of one.

use anyhow::{Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// How the header and the claims of a JWT begin: `{"` and a first letter, in base64url.
const BEGINNING: &str = "eyJ";

/// How much of a piece is looked at: nine bytes of JSON, of which six are not already in [`BEGINNING`].
const LOOKED_AT: usize = 12;

/// A shorter piece tells nothing: not one whole name.
const LEAST: usize = 8;

/// Demands that no piece of a token is in a text of `whose`.
///
/// # Errors
/// If there is one: with what stands around it.
pub fn no_token(whose: &str, text: &str) -> Result<()> {
    let found = token_in(text);
    let around =
        found.map(|at| String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(80)..(at + 40).min(text.len())]));
    ensure!(around.is_none(), "{whose} holds a token: {}", around.unwrap_or_default());
    Ok(())
}

/// Where a piece of a token begins in a text.
///
/// Three letters alone would not do: signatures and hashes are base64 too, and a log with some thousand of them has those
/// letters somewhere in one run of five. They go on in bytes that no JSON has.
#[must_use]
pub fn token_in(text: &str) -> Option<usize> {
    let mut beginnings = text.match_indices(BEGINNING).map(|(at, _)| at);
    beginnings.find(|at| {
        let piece = text.as_bytes()[*at..].iter().take(LOOKED_AT).copied();
        let piece: Vec<u8> = piece.take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).collect();
        // What was cut off within four letters decodes up to there.
        let whole = &piece[..piece.len() / 4 * 4];
        let is_json = |byte: &u8| byte.is_ascii_alphanumeric() || br#"{}[]":,._/- "#.contains(byte);
        whole.len() >= LEAST && URL_SAFE_NO_PAD.decode(whole).is_ok_and(|decoded| decoded.iter().all(is_json))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_and_each_piece_of_it_is_found() {
        let [header, claims] = [r#"{"alg":"ES256","kid":"one"}"#, r#"{"iss":"https://idp.example","sub":"ann"}"#]
            .map(|part| URL_SAFE_NO_PAD.encode(part));
        for told in [
            format!("{header}.{claims}.c2lnbmF0dXJl"),
            format!("Bearer {header}"),
            format!("\"{claims}\""),
            header[..9].to_owned(),
            format!("{}…", &claims[..11]),
        ] {
            let text = format!("{}{told}", "é ".repeat(3));
            assert_eq!(token_in(&text), Some(text.find("eyJ").expect("it is there")), "{told}");
            assert!(no_token("the log", &text).is_err_and(|error| error.to_string().contains("the log holds a token")));
        }
    }

    #[test]
    fn the_same_letters_by_chance_are_not_taken_for_one() {
        for innocent in ["", "eyJ", "eyJ8nZq3-_wX0aa", "sha256:9eyJ/w==", "key=eyJzzzzzzzzzzzz"] {
            assert_eq!(token_in(innocent), None, "{innocent}");
        }
    }
}
