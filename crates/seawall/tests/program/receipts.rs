//! Receipts that are kept: `purge --receipt`, `purge show --signed`, `purge verify`, and the keys.

use crate::cdn::{Cdn, parse};
use crate::running::{run, stderr, stdout};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use seawall_control_plane::signed::{PublicKey, SIGNED_BYTES_MAX, sign};
use serde_json::json;
use std::fs;

#[test]
fn a_receipt_is_written_and_verified_with_the_control_plane_and_without() {
    let cdn = Cdn::start();
    let keys = cdn.file("keys.json", &cdn.tell(&["key", "list", "--json"], 0));
    let kept = cdn.file("kept.jws", "");
    let told = cdn.tell(&["purge", "http://a/", "--soft", "--receipt", &kept], 0);
    assert!(told.contains("complete: in force on all 3 nodes"), "{told}");
    let id = told.split(' ').nth(1).unwrap().to_owned();
    let shown = cdn.tell(&["purge", "show", &id, "--signed"], 0);
    let shown = cdn.file("shown.jws", &shown);
    let wrapped = cdn.tell(&["purge", "show", &id, "--signed", "--json"], 0);
    let wrapped = cdn.file("wrapped.json", &wrapped);
    for file in [&kept, &shown, &wrapped] {
        let online = cdn.tell(&["purge", "verify", file], 0);
        // nobody listens there
        let offline = run(&[
            "purge",
            "verify",
            file,
            "--key",
            &keys,
            "--admin",
            "127.0.0.1:1",
        ]);
        assert_eq!(offline.status.code(), Some(0), "{}", stderr(&offline));
        assert_eq!(stdout(&offline), online);
        for word in [
            "valid: signed with ",
            &id,
            "in force on all 3 nodes",
            "soft, at 2",
            "by operator",
            "urls: http://a/",
        ] {
            assert!(online.contains(word), "{word}: {online}");
        }
    }
    let json = cdn.json(&["purge", "verify", &kept]);
    assert_eq!(
        (&json["valid"], &json["complete"]),
        (&json!(true), &json!(true))
    );
    let receipt = &json["receipt"];
    assert_eq!(
        receipt["receipts"].as_array().unwrap().len(),
        3,
        "{receipt}"
    );
    let position = format!(
        "{}-{}",
        receipt["epoch"].as_str().unwrap(),
        receipt["first"]
    );
    assert_eq!((id, &receipt["last"]), (position, &receipt["first"]));
    assert!(
        receipt["by_token"].is_string() && receipt["computed"].is_string(),
        "{receipt}"
    );
}

#[test]
fn receipts_of_a_key_that_was_replaced_stay_valid_and_are_dated() {
    let cdn = Cdn::start();
    let (old, new) = (cdn.file("old.jws", ""), cdn.file("new.jws", ""));
    cdn.tell(&["purge", "http://a/", "--receipt", &old], 0);
    let before = cdn.file("keys.json", &cdn.tell(&["key", "list", "--json"], 0));
    let told = cdn.tell(&["key", "rotate"], 0);
    let key = told.split(' ').nth(4).unwrap();
    cdn.tell(&["purge", "http://a/", "--receipt", &new], 0);
    let list = cdn.tell(&["key", "list"], 0);
    assert_eq!(list.lines().count(), 3, "{list}");
    assert!(
        list.lines().last().unwrap().contains(key) && list.contains("signs now"),
        "{list}"
    );
    cdn.tell(&["purge", "verify", &old], 0);
    assert!(cdn.tell(&["purge", "verify", &new], 0).contains(key));
    let refused = cdn.tell(&["purge", "verify", &new, "--key", &before], 1);
    assert!(refused.contains("not among the known ones"), "{refused}");
}

/// A receipt of a key of the test's own, and the file of its public half.
struct Kept {
    dir: tempfile::TempDir,
    pair: Ed25519KeyPair,
    key: PublicKey,
}

impl Kept {
    fn new() -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let bytes = pair.public_key().as_ref().try_into().unwrap();
        let key = PublicKey::new(bytes, None, None);
        let dir = tempfile::tempdir().unwrap();
        let kept = Self { dir, pair, key };
        kept.file("keys", kept.key.jwk().to_string().as_bytes());
        kept
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn receipt(&self, complete: bool) -> String {
        let receipt = json!({
            "form": 1, "computed_ms": 5, "id": "a-1", "complete": complete, "nodes": 2, "removed": 0,
            "pending": u8::from(!complete),
        });
        sign(&self.pair, &self.key.id, &receipt)
    }

    fn verify(&self, bytes: &[u8], keys: &str) -> (Option<i32>, String, String) {
        let file = self.file("receipt", bytes);
        let done = run(&["purge", "verify", &file, "--key", keys, "--json"]);
        (done.status.code(), stdout(&done), stderr(&done))
    }
}

#[test]
fn the_exit_code_tells_valid_and_complete_valid_and_not_and_invalid_apart() {
    let kept = Kept::new();
    let keys = kept.dir.path().join("keys").to_str().unwrap().to_owned();
    let whole = kept.receipt(true);
    for (receipt, code) in [(whole.clone(), 0), (kept.receipt(false), 3)] {
        let (told, out, _) = kept.verify(receipt.as_bytes(), &keys);
        assert_eq!(
            (told, parse(&out)["valid"].as_bool()),
            (Some(code), Some(true)),
            "{out}"
        );
    }
    // what stands around a receipt is nobody's word
    let pending = kept.receipt(false);
    let around = [
        json!({ "signed": pending, "complete": true, "receipt": { "complete": true } }).to_string(),
        format!(
            r#"{{"valid":true,"x":[{}0],"signed":"{pending}"}}"#,
            "[],".repeat(1 << 20)
        ),
    ];
    for wrapped in around {
        let (told, out, _) = kept.verify(wrapped.as_bytes(), &keys);
        assert_eq!(told, Some(3), "{out}");
        assert_eq!(parse(&out)["complete"], false, "{out}");
    }
    let twice = format!(r#"{{"signed":"{pending}","signed":"{whole}"}}"#);
    let deep = format!(r#"{{"signed":{}"#, "[".repeat(1 << 20));
    let middle = whole.len() / 2;
    let mut flipped = whole.clone().into_bytes();
    flipped[middle] ^= 1;
    let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let other = PublicKey::new(other.public_key().as_ref().try_into().unwrap(), None, None);
    let other = kept.file("other", other.jwk().to_string().as_bytes());
    let no_keys = kept.file("none", b"nonsense");
    let empty = kept.file("empty", br#"{"keys": []}"#);
    let huge = vec![b'a'; SIGNED_BYTES_MAX + 1];
    let rows: [(&str, &[u8], &str, &str); 11] = [
        ("empty", b"", &keys, "three parts"),
        ("twice", twice.as_bytes(), &keys, "three parts"),
        ("deep", deep.as_bytes(), &keys, "three parts"),
        ("cut", &whole.as_bytes()[..middle], &keys, "three parts"),
        (
            "flipped",
            &flipped,
            &keys,
            "the signature is not of this text",
        ),
        (
            "another key",
            whole.as_bytes(),
            &other,
            "not among the known ones",
        ),
        ("no text", &[0xff, 0xfe], &keys, "is no text"),
        ("huge", &huge, &keys, "is longer than"),
        ("no keys", whole.as_bytes(), &no_keys, "no JSON Web Key"),
        (
            "empty keys",
            whole.as_bytes(),
            &empty,
            "there is no key in it",
        ),
        (
            "no file of keys",
            whole.as_bytes(),
            "/no/such",
            "cannot be read",
        ),
    ];
    for (id, bytes, keys, reason) in rows {
        let (code, out, error) = kept.verify(bytes, keys);
        assert_eq!(code, Some(1), "{id}: {out} {error}");
        assert!(
            error.contains(reason) && error.trim_end().lines().count() == 1,
            "{id}: {error}"
        );
        if !out.is_empty() {
            assert_eq!(parse(&out)["valid"], false, "{id}");
        }
    }
    assert_eq!(run(&["purge", "verify"]).status.code(), Some(2));
    assert_eq!(
        run(&["purge", "verify", "/no/such", "--key", &keys])
            .status
            .code(),
        Some(1)
    );
}

/// A purge that an earlier version took: what it names would have drawn lines of its own.
#[test]
fn what_a_receipt_names_draws_no_line_of_its_own() {
    let kept = Kept::new();
    let receipt = json!({
        "form": 1, "computed_ms": 5, "id": "a-1", "complete": false, "nodes": 2, "removed": 0, "pending": 1,
        "by": "ci\n  urls: http://x/", "named": {
            "service": "shop", "tags": ["a\n  tags: b", "\u{1b}[2J\u{9b}2J"],
        },
    });
    let file = kept.file(
        "receipt",
        sign(&kept.pair, &kept.key.id, &receipt).as_bytes(),
    );
    let keys = kept.dir.path().join("keys").to_str().unwrap().to_owned();
    let told = stdout(&run(&["purge", "verify", &file, "--key", &keys]));
    assert!(
        !told.chars().any(|c| c.is_control() && c != '\n'),
        "{told:?}"
    );
    let rest: Vec<&str> = told.lines().skip(2).collect();
    let wanted = [
        "hard, at , by ci   urls: http://x/",
        "  service: shop",
        "  tags: a   tags: b",
        "  tags:  [2J 2J",
    ];
    assert_eq!(rest, wanted, "{told}");
}
