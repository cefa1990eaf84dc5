//! Which texts are receipts, and which are not.

use super::*;
use ring::signature::KeyPair as _;

const COMPUTED_MS: u64 = 1_000;

fn pair(seed: u8) -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let bytes = pair.public_key().as_ref().try_into().unwrap();
    (pair, PublicKey::new(bytes, None, None))
}

fn receipt() -> Value {
    json!({ "form": FORM, "computed_ms": COMPUTED_MS, "id": "a-1", "complete": true })
}

fn signed() -> (String, PublicKey) {
    let (pair, key) = pair(1);
    (sign(&pair, &key.id, &receipt()), key)
}

/// RFC 8037 appendix A: the key of its examples, its thumbprint (A.3), and the signature of its text (A.4).
#[test]
fn keys_thumbprints_and_signatures_are_those_of_the_examples_of_rfc_8037() {
    let d = decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&d).unwrap();
    let bytes: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
    assert_eq!(
        encode(&bytes),
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    );
    let key = PublicKey::new(bytes, None, None);
    assert_eq!(key.id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(encode(pair.sign(text.as_bytes()).as_ref()), signature);
}

#[test]
fn what_was_signed_reads_as_it_was_with_its_key_and_with_no_other() {
    let (text, key) = signed();
    let keys = [pair(2).1, key.clone()];
    for text in [text.clone(), format!("\n {text}\r\n")] {
        let verified = verify(&text, &keys).unwrap();
        assert_eq!(
            (verified.key.as_str(), verified.receipt.clone()),
            (key.id.as_str(), receipt())
        );
        assert!(verified.is_complete());
    }
    let unknown = Invalid::UnknownKey(key.id.clone());
    assert_eq!(verify(&text, &keys[..1]), Err(unknown));
    // another key's, under this key's id
    let forged = sign(&pair(2).0, &key.id, &receipt());
    assert_eq!(verify(&forged, &keys), Err(Invalid::Signature));
}

#[test]
fn no_byte_of_a_receipt_can_be_changed_and_none_be_left_out() {
    let (text, key) = signed();
    let keys = [key];
    for at in 0..text.len() {
        for flip in [1_u8, 2, 4, 32] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= flip;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            assert!(verify(&changed, &keys).is_err(), "byte {at}: {changed}");
        }
        assert!(verify(&text[..at], &keys).is_err(), "cut at {at}");
        if at > 0 {
            assert!(verify(&text[at..], &keys).is_err(), "cut before {at}");
        }
    }
    for added in [format!("{text}A"), format!("{text}."), format!("{text}=")] {
        assert!(verify(&added, &keys).is_err());
    }
}

#[test]
fn what_is_no_receipt_is_refused_with_its_reason() {
    let (pair, key) = pair(1);
    let by_hand = |header: Value, payload: &str| {
        let text = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(payload.as_bytes())
        );
        format!("{text}.{}", encode(pair.sign(text.as_bytes()).as_ref()))
    };
    let header = |alg: &str, typ: &str| json!({ "alg": alg, "kid": key.id, "typ": typ });
    let whole = receipt().to_string();
    let mut critical = header("EdDSA", KIND);
    critical["crit"] = json!(["b64"]);
    let rows = [
        ("empty", String::new(), "three parts"),
        ("words", "this is no receipt".into(), "three parts"),
        ("JSON", whole.clone(), "three parts"),
        ("no base64", "!.!.!".into(), "no base64url"),
        ("none", by_hand(header("none", KIND), &whole), "header"),
        ("HMAC", by_hand(header("HS256", KIND), &whole), "header"),
        (
            "another kind",
            by_hand(header("EdDSA", "JWT"), &whole),
            "header",
        ),
        ("critical", by_hand(critical, &whole), "header"),
        ("no JSON", by_hand(header("EdDSA", KIND), "{"), "no JSON"),
        (
            "no form",
            by_hand(header("EdDSA", KIND), "{}"),
            "its form is null",
        ),
        (
            "later form",
            by_hand(header("EdDSA", KIND), r#"{"form": 2}"#),
            "its form is 2",
        ),
        (
            "no time",
            by_hand(header("EdDSA", KIND), r#"{"form": 1}"#),
            "when it was computed",
        ),
        ("long", "a".repeat(SIGNED_BYTES_MAX + 1), "longer"),
    ];
    let keys = [key.clone()];
    for (id, text, reason) in rows {
        let told = verify(&text, &keys).unwrap_err().to_string();
        assert!(
            told.contains(reason) && told.lines().count() == 1,
            "{id}: {told}"
        );
    }
    assert!(verify(&by_hand(header("EdDSA", KIND), &whole), &keys).is_ok());
}

#[test]
fn a_key_signs_within_its_time_alone() {
    let (text, key) = signed();
    let at = |from_ms, until_ms| {
        let key = PublicKey {
            from_ms,
            until_ms,
            ..key.clone()
        };
        verify(&text, &[key]).is_ok()
    };
    let t = COMPUTED_MS;
    let rows = [
        (None, None, true),
        (Some(t), Some(t), true),
        (Some(t + 1), None, false),
        (None, Some(t - 1), false),
    ];
    for (from, until, valid) in rows {
        assert_eq!(at(from, until), valid, "{from:?} {until:?}");
    }
}

#[test]
fn a_file_of_keys_is_one_key_or_a_set_and_private_ones_are_none() {
    let (_, mut key) = pair(1);
    key.from_ms = Some(5);
    key.until_ms = Some(6);
    assert_eq!(keys(&key.jwk()), Ok(vec![key.clone()]));
    let set = json!({ "keys": [key.jwk(), pair(2).1.jwk()] });
    assert_eq!(keys(&set).unwrap().len(), 2);
    let with = |name: &str, value: Value| {
        let mut jwk = key.jwk();
        jwk[name] = value;
        keys(&jwk)
    };
    assert_eq!(with("kid", json!("another")), Err(NoKeys::Id));
    assert_eq!(with("crv", json!("X25519")), Err(NoKeys::Key));
    assert_eq!(with("x", json!("AAAA")), Err(NoKeys::Key));
    assert_eq!(with("d", json!("secret")), Err(NoKeys::Key));
    for none in [json!([]), json!({}), json!("x"), json!({ "keys": 1 })] {
        assert_eq!(keys(&none), Err(NoKeys::Form), "{none}");
    }
}
