//! What a file of the corpus may say, read strictly: a word that is not understood would be an attack that is not tried.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value};

/// One attack, or one good token that resembles an attack.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Recipe {
    /// The attack in a sentence.
    pub(super) attack: String,
    /// `allowed`, the reason code, or [`AUTHENTICATOR_REFUSED`] or [`KEY_SET_REFUSED`].
    pub(super) expect: String,
    /// The step that fails, where one does.
    pub(super) step: Option<String>,
    /// Words that the operator reads, of the reason or of the authenticator's or key set's problem.
    pub(super) says: Option<String>,
    /// The user who comes of it; what is not named is not looked at.
    #[serde(default)]
    pub(super) user: Map<String, Value>,
    /// A placeholder and the texts that stand for it in turn: as many tokens as there are texts.
    #[serde(default)]
    pub(super) each: BTreeMap<String, Vec<String>>,
    /// Placeholders that stand for what cannot be written down well: long, or no text.
    #[serde(default)]
    pub(super) pieces: BTreeMap<String, Piece>,
    #[serde(default = "good_header")]
    pub(super) header: String,
    #[serde(default = "good_claims")]
    pub(super) claims: String,
    #[serde(default)]
    pub(super) signature: Signature,
    /// What is signed.
    #[serde(default = "signing_input")]
    pub(super) signed: String,
    /// What is presented.
    #[serde(default = "whole_token")]
    pub(super) token: String,
    /// The issuer's key set; without it all five keys of the tests' issuer.
    pub(super) keys: Option<Vec<KeyEntry>>,
    /// The key set as it is served, in place of `keys`.
    pub(super) key_set: Option<String>,
    /// Keys that are left out: words of each warning, in the order of the set.
    #[serde(default)]
    pub(super) dropped: Vec<String>,
    /// Laid over the authenticator's spec; `null` takes a field out.
    #[serde(default)]
    pub(super) authenticator: Map<String, Value>,
    /// The fleet list: the specs of `FleetCluster` objects by their names. The judge's cluster is `staging`.
    #[serde(default)]
    pub(super) fleet: BTreeMap<String, FleetEntry>,
    /// When the token is judged, in seconds after the usual time.
    #[serde(default)]
    pub(super) seconds_later: i64,
}

/// What `expect` says where no token is judged, because the authenticator is refused.
pub(super) const AUTHENTICATOR_REFUSED: &str = "authenticator-refused";
/// The same, because nothing in the key set can be used.
pub(super) const KEY_SET_REFUSED: &str = "key-set-refused";

/// What a placeholder stands for: exactly one of `text`, `hex`, `base64url`, `unused-bits-of` and `classic-base64-of`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Piece {
    pub(super) text: Option<String>,
    /// Bytes that are no text.
    pub(super) hex: Option<String>,
    /// How often `text` or `hex` is repeated.
    pub(super) times: Option<usize>,
    /// The encoding of this text, in which other placeholders may stand.
    pub(super) base64url: Option<String>,
    /// That segment with one of the unused bits of its last character set.
    pub(super) unused_bits_of: Option<String>,
    /// That segment in the alphabet with `+` and `/`.
    pub(super) classic_base64_of: Option<String>,
}

/// How the signature comes about: one of `by`, `hmac` and `bytes`. Without them it is made with the key of the issuer
/// that the header names, or else with `rsa`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Signature {
    /// The key.
    pub(super) by: Option<String>,
    /// The algorithm that is really used, where the header names another.
    #[serde(rename = "as")]
    pub(super) algorithm: Option<String>,
    /// What becomes of the good signature.
    pub(super) form: Option<Form>,
    /// For ECDSA: this number in place of r, and of s.
    pub(super) r: Option<Scalar>,
    pub(super) s: Option<Scalar>,
    /// HMAC of that name with a public key as secret.
    pub(super) hmac: Option<String>,
    pub(super) secret: Option<Secret>,
    /// These bytes, placeholders filled in.
    pub(super) bytes: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Form {
    /// ECDSA's ASN.1 form.
    Der,
    /// ECDSA's other valid form: n - s in place of s.
    OtherS,
    /// One bit turned.
    Flipped,
    /// Without its last byte.
    Shortened,
    /// With a zero byte after it.
    Lengthened,
    /// With a zero byte before it.
    ZeroBefore,
}

/// A number that no signature may hold; `n` is the order of the curve.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum Scalar {
    #[serde(rename = "0")]
    Zero,
    #[serde(rename = "n")]
    Order,
    #[serde(rename = "n+1")]
    OrderPlusOne,
    #[serde(rename = "ff...")]
    AllOnes,
}

/// The RSA or EC public key as somebody might feed it to HMAC.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secret {
    pub(super) of: String,
    #[serde(rename = "in")]
    pub(super) form: SecretForm,
    #[serde(default)]
    pub(super) newline: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SecretForm {
    /// SPKI in PEM.
    Pem,
    /// SPKI in DER.
    Der,
    /// The JWK's text.
    Jwk,
    /// The modulus, or the x coordinate, as the JWK spells it.
    Encoded,
    /// The same as bytes.
    Bytes,
}

/// An entry of the key set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    /// The key that it begins with; without it an empty object.
    pub(super) of: Option<String>,
    /// Members laid over it; `null` takes one out.
    #[serde(default, rename = "with")]
    pub(super) changes: Map<String, Value>,
    /// How often it is listed; each with another `kid` if `kid` holds `<number>`.
    #[serde(default = "once")]
    pub(super) times: usize,
}

/// A cluster of the fleet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FleetEntry {
    pub(super) audiences: Vec<String>,
    #[serde(default)]
    pub(super) issuers: Vec<String>,
}

/// Every file of the corpus by its name without `.yaml`, in order.
pub(super) fn all() -> Vec<(String, Recipe)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut recipes: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let recipe = serde_norway::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), recipe)
        })
        .collect();
    recipes.sort_by(|(one, _), (other, _)| one.cmp(other));
    recipes
}

fn good_header() -> String {
    r#"{"alg":"RS256","kid":"rsa","typ":"JWT"}"#.to_owned()
}

fn good_claims() -> String {
    r#"{"iss":"https://idp.example","aud":"k8s-staging","sub":"00u1","exp":1795233900,"iat":1795233600,"username":"ada","groups":["developers","oncall"]}"#.to_owned()
}

fn signing_input() -> String {
    "<header>.<claims>".to_owned()
}

fn whole_token() -> String {
    "<header>.<claims>.<signature>".to_owned()
}

const fn once() -> usize {
    1
}
