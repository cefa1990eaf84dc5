//! Receipts that can be kept: what the control plane says of a purge at one moment, with its signature.
//!
//! The form is a JSON Web Signature in compact serialisation (RFC 7515) by Ed25519 (`EdDSA`, RFC 8037): three parts of
//! base64url without padding, separated by dots: header, payload, signature. What is signed are the ASCII bytes of the
//! first two parts with the dot between them, so that nothing is to be written anew to be verified. A key's id is its
//! thumbprint (RFC 7638): whoever knows the id knows whether a key is the one.
//!
//! Pure: it reads no clock and no file.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use thiserror::Error;

/// Bytes of a signed receipt. A purge has at most 5 MiB of names, which JSON and base64 make longer.
pub const SIGNED_BYTES_MAX: usize = 32 << 20;
/// Bytes of a file of public keys.
pub const KEYS_BYTES_MAX: usize = 1 << 20;
/// Characters of a header's part: it is read before its signature is.
const HEADER_CHARS_MAX: usize = 1024;
/// What the header says that the payload is.
const KIND: &str = "seawall-receipt";
/// The version of the payload's form.
pub const FORM: u64 = 1;
const KEY_BYTES: usize = 32;

/// A key that receipts are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Its thumbprint.
    pub id: String,
    bytes: [u8; KEY_BYTES],
    /// It signs from here on, and to there (Unix milliseconds); `None`: nobody says.
    pub from_ms: Option<u64>,
    pub until_ms: Option<u64>,
}

/// A receipt whose signature is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The id of the key that signed it.
    pub key: String,
    pub receipt: Value,
}

impl Verified {
    /// Whether the purge was in force everywhere when the receipt was computed.
    pub fn is_complete(&self) -> bool {
        self.receipt["complete"] == Value::Bool(true)
    }
}

/// Why a receipt proves nothing; one line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    #[error("it is longer than any receipt ({SIGNED_BYTES_MAX} bytes)")]
    TooLong,
    #[error("it is no signed receipt: {0}")]
    Form(&'static str),
    #[error("it was signed by the key {0}, which is not among the known ones")]
    UnknownKey(String),
    #[error("the signature is not of this text: it was changed, or another key signed it")]
    Signature,
    #[error("its form is {0}, and this program knows only {FORM}")]
    Version(String),
    #[error("it says that it was computed when its key did not sign: {0}")]
    OutOfTime(&'static str),
}

/// Why a file of public keys is none; one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoKeys {
    #[error("it is no JSON Web Key, and no set of them")]
    Form,
    #[error("a key in it is no public Ed25519 key (kty OKP, crv Ed25519, x of 32 bytes)")]
    Key,
    #[error("a key's from_ms or until_ms is no number of milliseconds")]
    Time,
    #[error("a key's kid is not its thumbprint (RFC 7638)")]
    Id,
}

impl PublicKey {
    pub fn new(bytes: [u8; KEY_BYTES], from_ms: Option<u64>, until_ms: Option<u64>) -> Self {
        let id = thumbprint(&bytes);
        Self {
            id,
            bytes,
            from_ms,
            until_ms,
        }
    }

    /// As a JSON Web Key (RFC 7517), with the times beside.
    pub fn jwk(&self) -> Value {
        let mut jwk = json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": encode(&self.bytes),
            "kid": self.id,
            "alg": "EdDSA",
            "use": "sig",
        });
        for (name, ms) in [("from_ms", self.from_ms), ("until_ms", self.until_ms)] {
            if let Some(ms) = ms {
                jwk[name] = json!(ms);
            }
        }
        jwk
    }

    fn of_jwk(jwk: &Value) -> Result<Self, NoKeys> {
        let is = |name: &str, word: &str| jwk[name] == word;
        // one that has the private part is none to hand out
        if !is("kty", "OKP") || !is("crv", "Ed25519") || !jwk["d"].is_null() {
            return Err(NoKeys::Key);
        }
        let bytes = jwk["x"].as_str().and_then(decode).ok_or(NoKeys::Key)?;
        let bytes = <[u8; KEY_BYTES]>::try_from(bytes).map_err(|_| NoKeys::Key)?;
        // a time that cannot be read is no word for any time
        let time = |name: &str| match &jwk[name] {
            Value::Null => Ok(None),
            ms => ms.as_u64().map(Some).ok_or(NoKeys::Time),
        };
        let key = Self::new(bytes, time("from_ms")?, time("until_ms")?);
        if jwk["kid"].as_str().is_some_and(|id| id != key.id) {
            return Err(NoKeys::Id);
        }
        Ok(key)
    }
}

/// Reads public keys: a JSON Web Key, or a set of them as `GET /v1/keys` answers.
pub fn keys(file: &Value) -> Result<Vec<PublicKey>, NoKeys> {
    match file {
        Value::Object(members) if members.contains_key("kty") => {
            PublicKey::of_jwk(file).map(|key| vec![key])
        }
        Value::Object(members) => {
            let keys = members.get("keys").and_then(Value::as_array);
            let keys = keys.ok_or(NoKeys::Form)?;
            keys.iter().map(PublicKey::of_jwk).collect()
        }
        _ => Err(NoKeys::Form),
    }
}

/// Signs `receipt` with the key of this id.
pub fn sign(pair: &Ed25519KeyPair, id: &str, receipt: &Value) -> String {
    let header = json!({ "alg": "EdDSA", "kid": id, "typ": KIND });
    let part = |value: &Value| encode(value.to_string().as_bytes());
    let mut text = format!("{}.{}", part(&header), part(receipt));
    let signature = pair.sign(text.as_bytes());
    text.push('.');
    text += &encode(signature.as_ref());
    text
}

/// Whether one of `keys` signed `text`, and what it says. White space around it is let go.
pub fn verify(text: &str, keys: &[PublicKey]) -> Result<Verified, Invalid> {
    if text.len() > SIGNED_BYTES_MAX {
        return Err(Invalid::TooLong);
    }
    let text = text.trim();
    let mut parts = text.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Invalid::Form("three parts are wanted, separated by dots"));
    };
    if header.len() > HEADER_CHARS_MAX {
        return Err(Invalid::Form("its header is longer than any receipt's"));
    }
    let header = decode(header).ok_or(Invalid::Form("its header is no base64url"))?;
    let header: Value = serde_json::from_slice(&header)
        .map_err(|_| Invalid::Form("its header is no JSON: it was cut or changed"))?;
    // the algorithm is this one whatever the header says; what it holds to be critical is not known here
    if header["alg"] != "EdDSA" || header["typ"] != KIND || !header["crit"].is_null() {
        return Err(Invalid::Form("its header is not the one of a receipt"));
    }
    let id = header["kid"].as_str().unwrap_or_default();
    let key = keys.iter().find(|key| key.id == id).ok_or_else(|| {
        let shown = id.chars().filter(|c| !c.is_control()).take(80);
        Invalid::UnknownKey(shown.collect())
    })?;
    let signature = decode(signature).ok_or(Invalid::Signature)?;
    let signed = &text[..text.rfind('.').unwrap_or(0)];
    UnparsedPublicKey::new(&ED25519, key.bytes)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| Invalid::Signature)?;
    let payload = decode(payload).ok_or(Invalid::Form("its payload is no base64url"))?;
    let receipt: Value =
        serde_json::from_slice(&payload).map_err(|_| Invalid::Form("its payload is no JSON"))?;
    if receipt["form"] != FORM {
        return Err(Invalid::Version(receipt["form"].to_string()));
    }
    let computed = receipt["computed_ms"].as_u64();
    let computed = computed.ok_or(Invalid::Form("it does not say when it was computed"))?;
    if key.from_ms.is_some_and(|from| computed < from) {
        return Err(Invalid::OutOfTime("before the key was made"));
    }
    if key.until_ms.is_some_and(|until| computed > until) {
        return Err(Invalid::OutOfTime("after the key was replaced"));
    }
    Ok(Verified {
        key: key.id.clone(),
        receipt,
    })
}

/// What a signed receipt says, unverified.
pub fn payload(text: &str) -> Option<Value> {
    let payload = text.trim().split('.').nth(1)?;
    serde_json::from_slice(&decode(payload)?).ok()
}

/// The thumbprint of a key (RFC 7638): the digest of its members that are needed, in their order.
fn thumbprint(bytes: &[u8; KEY_BYTES]) -> String {
    let x = encode(bytes);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    encode(digest(&SHA256, members.as_bytes()).as_ref())
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests;
