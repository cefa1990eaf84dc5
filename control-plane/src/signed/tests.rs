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
        (
            "long header",
            by_hand(header("EdDSA", &"x".repeat(1000)), &whole),
            "header is longer",
        ),
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
    for (name, time) in [
        ("from_ms", json!("5")),
        ("until_ms", json!(-1)),
        ("until_ms", json!(1.5)),
    ] {
        assert_eq!(with(name, time), Err(NoKeys::Time), "{name}");
    }
    for none in [json!([]), json!({}), json!("x"), json!({ "keys": 1 })] {
        assert_eq!(keys(&none), Err(NoKeys::Form), "{none}");
    }
}

/// Header, payload and signature are one: none of another text stands in for its own.
#[test]
fn the_parts_of_two_receipts_make_no_third() {
    let (text, key) = signed();
    let other = json!({ "form": FORM, "computed_ms": COMPUTED_MS, "id": "a-2", "complete": true });
    let other = sign(&pair(1).0, &key.id, &other);
    let keys = [key];
    let of = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (one, two) = (of(&text), of(&other));
    assert_eq!(one[0], two[0]);
    for mixed in [[&one[0], &two[1], &one[2]], [&one[0], &one[1], &two[2]]] {
        let mixed = mixed.map(String::as_str).join(".");
        assert_eq!(verify(&mixed, &keys), Err(Invalid::Signature));
    }
    assert!(verify(&other, &keys).is_ok());
}

#[test]
fn a_header_says_which_key_and_brings_none_and_its_last_word_counts() {
    let (pair, key) = pair(1);
    let by_hand = |header: &str, pair: &Ed25519KeyPair| {
        let text = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(receipt().to_string().as_bytes())
        );
        format!("{text}.{}", encode(pair.sign(text.as_bytes()).as_ref()))
    };
    let keys = [key.clone()];
    let twice = |first: &str, last: &str| {
        format!(
            r#"{{"alg":"{first}","alg":"{last}","kid":"{}","typ":"{KIND}"}}"#,
            key.id
        )
    };
    assert!(verify(&by_hand(&twice("EdDSA", "none"), &pair), &keys).is_err());
    assert!(verify(&by_hand(&twice("none", "EdDSA"), &pair), &keys).is_ok());
    // a key in the header is nobody's word
    let (foreign, jwk) = self::pair(2);
    let header = json!({ "alg": "EdDSA", "kid": key.id, "typ": KIND, "jwk": jwk.jwk() });
    let forged = by_hand(&header.to_string(), &foreign);
    assert_eq!(verify(&forged, &keys), Err(Invalid::Signature));
    // no signature, and none of its length
    let whole = signed().0;
    let (text, _) = whole.rsplit_once('.').unwrap();
    for signature in [String::new(), encode(&[0; 64]), encode(&[0; 63])] {
        let told = verify(&format!("{text}.{signature}"), &keys);
        assert_eq!(told, Err(Invalid::Signature));
    }
    let deep = by_hand(&"[".repeat(700), &pair);
    assert!(verify(&deep, &keys).is_err());
}

/// The same signature with its number counted on by the order of the group (RFC 8032, section 5.1.7).
#[test]
fn a_signature_has_one_form() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (text, key) = signed();
    let (head, signature) = text.rsplit_once('.').unwrap();
    let mut signature = decode(signature).unwrap();
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    let another = format!("{head}.{}", encode(&signature));
    assert_eq!(verify(&another, &[key]), Err(Invalid::Signature));
}
