//! Tokens to order: any header, any payload, down to the bytes, signed by any key.

use std::sync::Arc;

use anyhow::Result;
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::keys::{Algorithm, SigningKey};

/// A token to be signed.
#[derive(Clone)]
pub struct Draft {
    key: Arc<SigningKey>,
    algorithm: Algorithm,
    header: Header,
    payload: Vec<u8>,
}

#[derive(Clone)]
enum Header {
    Members(Map<String, Value>),
    Text(String),
}

impl Draft {
    /// A token with these claims as identity providers make them: the key's own `alg` and `kid`, `typ` JWT.
    #[must_use]
    pub fn new(key: Arc<SigningKey>, claims: &Value) -> Self {
        let algorithm = key.algorithm();
        let mut header = Map::new();
        header.insert("alg".to_owned(), algorithm.name().into());
        header.insert("typ".to_owned(), "JWT".into());
        header.insert("kid".to_owned(), key.kid().into());
        Self { key, algorithm, header: Header::Members(header), payload: claims.to_string().into_bytes() }
    }

    /// Another algorithm of the key's family, in the header and in the deed.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self.header("alg", algorithm.name())
    }

    /// Sets a header member; the signature's algorithm stays what it is (`alg` may thus lie).
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Header::Members(members) = &mut self.header {
            members.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Removes a header member.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        if let Header::Members(members) = &mut self.header {
            members.remove(name);
        }
        self
    }

    /// The header's very text (duplicate members, broken JSON).
    #[must_use]
    pub fn header_text(mut self, text: &str) -> Self {
        self.header = Header::Text(text.to_owned());
        self
    }

    /// The payload's very bytes (duplicate claims, numbers that serde would rewrite, no JSON at all).
    #[must_use]
    pub fn payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload = bytes.into();
        self
    }

    /// Signs it.
    ///
    /// # Errors
    /// If the key is of another family than the algorithm.
    pub fn sign(&self) -> Result<String> {
        let input = self.signing_input();
        let signature = self.key.sign(self.algorithm, input.as_bytes())?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Signs with HMAC-SHA-256 under any secret: the public key as secret is RFC 8725 2.1's forgery.
    #[must_use]
    pub fn sign_hs256(self, secret: &[u8]) -> String {
        let input = self.header("alg", "HS256").signing_input();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// `alg: none` and an empty signature.
    #[must_use]
    pub fn unsigned(self) -> String {
        format!("{}.", self.header("alg", "none").signing_input())
    }

    fn signing_input(&self) -> String {
        let header = match &self.header {
            Header::Members(members) => json!(members).to_string(),
            Header::Text(text) => text.clone(),
        };
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(&self.payload))
    }
}
