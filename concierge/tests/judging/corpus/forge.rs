//! From a recipe to bytes: the token, the key set and the spec. Everything is signed here and now, so no private key and
//! no token that nobody can read is kept in a file.

use std::{collections::BTreeMap, net::TcpListener, sync::LazyLock};

use aws_lc_rs::{hmac, rsa::KeySize};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use latchkey_concierge::fleet::{Fleet, Member, SiblingName};
use num_bigint::BigUint;
use serde_json::{Map, Value, json};

use super::recipe::{FleetEntry, Form, KeyEntry, Piece, Recipe, Scalar, Secret, SecretForm, Signature};
use crate::issuer::{self, AUDIENCE, ISSUER, Key, NOW, encode};

/// What is presented, to whom, and when.
pub(super) struct Forged {
    pub(super) token: String,
    pub(super) key_set: Vec<u8>,
    /// The spec of the authenticator.
    pub(super) spec: Value,
    /// The clusters of the fleet.
    pub(super) fleet: Fleet,
    pub(super) now: i64,
}

/// Where nobody may ever call: its address stands in headers that ask for it.
pub(super) static LISTENER: LazyLock<TcpListener> = LazyLock::new(|| {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
});

pub(super) fn forge(recipe: &Recipe) -> Forged {
    let mut pieces = Pieces::of(&recipe.pieces);
    let key_set = match &recipe.key_set {
        Some(text) => pieces.bytes(text),
        None => issuer::key_set(&listed(recipe.keys.as_deref(), &pieces)),
    };
    let mut spec = json!({"issuer": ISSUER, "audience": AUDIENCE});
    lay_over(&mut spec, &recipe.authenticator, &pieces);

    let header = pieces.bytes(&recipe.header);
    pieces.add("<header>", encode(&header).into_bytes());
    pieces.add("<claims>", encode(&pieces.bytes(&recipe.claims)).into_bytes());
    pieces.shape(&recipe.pieces, &["header", "claims"]);
    let signature = sign(&recipe.signature, &header, &pieces.bytes(&recipe.signed), &pieces);
    pieces.add("<signature>", encode(&signature).into_bytes());
    pieces.shape(&recipe.pieces, &["signature"]);
    let fleet = Fleet::new(recipe.fleet.iter().map(member));
    Forged { token: pieces.text(&recipe.token), key_set, spec, fleet, now: NOW + recipe.seconds_later }
}

fn member((name, entry): (&String, &FleetEntry)) -> Member {
    let FleetEntry { audiences, issuers } = entry.clone();
    Member { name: SiblingName::new(name), audiences, issuers, display_name: None, contact: None }
}

/// A key by its id: those of the issuer, and some that it does not publish.
fn key(id: &str) -> &'static Key {
    static OTHERS: LazyLock<[Key; 3]> = LazyLock::new(|| {
        [
            Key::rsa("attacker", KeySize::Rsa2048),
            Key::rsa("second", KeySize::Rsa2048),
            Key::rsa("rsa-4096", KeySize::Rsa4096),
        ]
    });
    let known = |key: &&Key| key.jwk["kid"] == id;
    issuer::keys().iter().find(known).or_else(|| OTHERS.iter().find(known)).unwrap_or_else(|| panic!("no key {id:?}"))
}

/// The keys of the issuer's set, or those that the recipe lists.
fn listed(entries: Option<&[KeyEntry]>, pieces: &Pieces) -> Vec<Value> {
    let Some(entries) = entries else { return issuer::keys().iter().map(|key| key.jwk.clone()).collect() };
    let mut set = Vec::new();
    for entry in entries {
        for number in 0..entry.times {
            let mut jwk = entry.of.as_ref().map_or_else(|| json!({}), |id| key(id).jwk.clone());
            let mut pieces = pieces.clone();
            pieces.add("<number>", number.to_string().into_bytes());
            lay_over(&mut jwk, &entry.changes, &pieces);
            set.push(jwk);
        }
    }
    set
}

fn lay_over(value: &mut Value, changes: &Map<String, Value>, pieces: &Pieces) {
    for (name, change) in changes {
        if change.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            value[name] = filled(change, pieces);
        }
    }
}

fn filled(value: &Value, pieces: &Pieces) -> Value {
    match value {
        Value::String(text) => json!(pieces.text(text)),
        Value::Array(list) => list.iter().map(|value| filled(value, pieces)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), filled(value, pieces))).collect(),
        other => other.clone(),
    }
}

// === pieces ===

/// What stands for each placeholder.
#[derive(Clone)]
struct Pieces(BTreeMap<String, Vec<u8>>);

impl Pieces {
    fn of(written: &BTreeMap<String, Piece>) -> Self {
        let mut pieces = Self(BTreeMap::new());
        pieces.add("<listener>", LISTENER.local_addr().unwrap().to_string().into_bytes());
        for id in ["rsa", "attacker"] {
            pieces.add(&format!("<jwk of {id}>"), key(id).jwk.to_string().into_bytes());
        }
        for (name, piece) in written {
            let times = piece.times.unwrap_or(1);
            match (&piece.text, &piece.hex) {
                (Some(text), None) => pieces.add(name, text.repeat(times).into_bytes()),
                (None, Some(digits)) => pieces.add(name, hex::decode(digits).unwrap().repeat(times)),
                _ => assert!(piece.times.is_none(), "{name}: only text and hex are repeated"),
            }
        }
        for (name, piece) in written {
            if let Some(text) = &piece.base64url {
                pieces.add(name, encode(&pieces.bytes(text)).into_bytes());
            }
        }
        let segments = |piece: &Piece| piece.unused_bits_of.is_some() || piece.classic_base64_of.is_some();
        for (name, piece) in written {
            assert!(pieces.0.contains_key(name) != segments(piece), "{name}: expected exactly one kind of piece");
        }
        pieces
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>) {
        assert!(name.starts_with('<') && name.ends_with('>'), "{name}: placeholders stand in <>");
        assert!(self.0.insert(name.to_owned(), bytes).is_none(), "{name} is taken");
    }

    /// Adds the pieces that are made of one of these `segments`.
    fn shape(&mut self, written: &BTreeMap<String, Piece>, segments: &[&str]) {
        for (name, piece) in written {
            if let Some(segment) = piece.unused_bits_of.as_deref().filter(|segment| segments.contains(segment)) {
                self.add(name, with_unused_bits(&self.text(&format!("<{segment}>"))).into_bytes());
            }
            if let Some(segment) = piece.classic_base64_of.as_deref().filter(|segment| segments.contains(segment)) {
                let url_safe = self.text(&format!("<{segment}>"));
                let classic = url_safe.replace('-', "+").replace('_', "/");
                assert_ne!(classic, url_safe, "nothing in the segment tells the alphabets apart");
                self.add(name, classic.into_bytes());
            }
        }
    }

    /// `template` with each placeholder filled in.
    fn bytes(&self, template: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = template;
        'template: while let Some(start) = rest.find('<') {
            for (name, piece) in &self.0 {
                if let Some(after) = rest[start..].strip_prefix(name.as_str()) {
                    bytes.extend_from_slice(&rest.as_bytes()[..start]);
                    bytes.extend_from_slice(piece);
                    rest = after;
                    continue 'template;
                }
            }
            panic!("nothing stands for the placeholder in {:?}", &rest[start..]);
        }
        bytes.extend_from_slice(rest.as_bytes());
        bytes
    }

    fn text(&self, template: &str) -> String {
        String::from_utf8(self.bytes(template)).unwrap()
    }
}

/// The same bytes to a decoder that forgives: the lowest bit of the last character, which carries nothing, set.
fn with_unused_bits(segment: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(segment.len() % 4, 0, "every bit of this segment is used");
    let (start, last) = segment.split_at(segment.len() - 1);
    let value = ALPHABET.iter().position(|known| *known == last.as_bytes()[0]).unwrap();
    format!("{start}{}", char::from(ALPHABET[value | 1]))
}

// === signatures ===

fn sign(recipe: &Signature, header: &[u8], message: &[u8], pieces: &Pieces) -> Vec<u8> {
    match (&recipe.by, &recipe.hmac, &recipe.bytes) {
        (None, None, Some(bytes)) => pieces.bytes(bytes),
        (None, Some(name), None) => {
            let algorithm = match name.as_str() {
                "HS256" => hmac::HMAC_SHA256,
                "HS384" => hmac::HMAC_SHA384,
                "HS512" => hmac::HMAC_SHA512,
                _ => panic!("{name} is no HMAC"),
            };
            let secret = secret(recipe.secret.as_ref().expect("HMAC needs a secret"));
            hmac::sign(&hmac::Key::new(algorithm, &secret), message).as_ref().to_vec()
        }
        (by, None, None) => {
            let header = serde_json::from_slice::<Value>(header).unwrap_or_default();
            let named = header["kid"].as_str().filter(|id| issuer::keys().iter().any(|key| key.jwk["kid"] == *id));
            let key = key(by.as_deref().or(named).unwrap_or("rsa"));
            let algorithm = recipe.algorithm.as_deref().or(header["alg"].as_str()).unwrap_or_default();
            shaped(key.sign(algorithm, message), recipe, key)
        }
        _ => panic!("a signature comes about in one way only"),
    }
}

fn shaped(mut signature: Vec<u8>, recipe: &Signature, key: &Key) -> Vec<u8> {
    let half = signature.len() / 2;
    for (scalar, place) in [(recipe.r, 0..half), (recipe.s, half..2 * half)] {
        if let Some(scalar) = scalar {
            let number = match scalar {
                Scalar::Zero => BigUint::ZERO,
                Scalar::Order => order(key),
                Scalar::OrderPlusOne => order(key) + 1_u8,
                Scalar::AllOnes => (BigUint::from(1_u8) << (8 * half)) - 1_u8,
            };
            signature[place].copy_from_slice(&in_full(&number, half));
        }
    }
    match recipe.form {
        None => {}
        Some(Form::Der) => {
            let integers = [der_integer(&signature[..half]), der_integer(&signature[half..])].concat();
            let length = u8::try_from(integers.len()).unwrap();
            signature = if length < 0x80 { vec![0x30, length] } else { vec![0x30, 0x81, length] };
            signature.extend(integers);
        }
        Some(Form::OtherS) => {
            let other = order(key) - BigUint::from_bytes_be(&signature[half..]);
            signature[half..].copy_from_slice(&in_full(&other, half));
        }
        Some(Form::Flipped) => signature[0] ^= 1,
        Some(Form::Shortened) => signature.truncate(signature.len() - 1),
        Some(Form::Lengthened) => signature.push(0),
        Some(Form::ZeroBefore) => signature.insert(0, 0),
    }
    signature
}

/// The order of the key's curve (SEC 2, 2.4.2, 2.5.1 and 2.6.1).
fn order(key: &Key) -> BigUint {
    let digits = match key.jwk["crv"].as_str() {
        Some("P-256") => "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        Some("P-384") => {
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"
        }
        Some("P-521") => {
            "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409"
        }
        _ => panic!("the key is on no curve with r and s"),
    };
    BigUint::from_bytes_be(&hex::decode(digits).unwrap())
}

fn in_full(number: &BigUint, length: usize) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    [vec![0; length - bytes.len()], bytes].concat()
}

fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let mut number = BigUint::from_bytes_be(bytes).to_bytes_be();
    if number[0] >= 0x80 {
        number.insert(0, 0);
    }
    [vec![2, u8::try_from(number.len()).unwrap()], number].concat()
}

fn secret(recipe: &Secret) -> Vec<u8> {
    let key = key(&recipe.of);
    let spelled = key.jwk.get("n").or_else(|| key.jwk.get("x")).and_then(Value::as_str).unwrap();
    let mut secret = match recipe.form {
        SecretForm::Der => key.public_der(),
        SecretForm::Jwk => key.jwk.to_string().into_bytes(),
        SecretForm::Encoded => spelled.as_bytes().to_vec(),
        SecretForm::Bytes => URL_SAFE_NO_PAD.decode(spelled).unwrap(),
        SecretForm::Pem => {
            let base64 = STANDARD.encode(key.public_der());
            let lines: Vec<&str> =
                base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n")).into_bytes()
        }
    };
    if recipe.newline {
        secret.push(b'\n');
    }
    secret
}
