//! The examples of RFC 7541 Appendix C, and what one side writes for the other to read.

use super::*;
use bytes::BytesMut;
use proptest::prelude::*;

type Fields = Vec<(String, Vec<u8>)>;

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Undecodable> {
    let mut fields = Fields::new();
    decoder.decode(block, |name, value| {
        let name = String::from_utf8(name.to_vec()).unwrap();
        fields.push((name, value.to_vec()));
    })?;
    Ok(fields)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| (byte as char).to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

#[track_caller]
fn check(blocks: &[(&str, &str)]) {
    let mut decoder = Decoder::default();
    for (hex, expected) in blocks {
        let fields = read(&mut decoder, &bytes(hex)).unwrap();
        let text: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(text.join("\n"), *expected);
    }
}

#[track_caller]
fn refuses(hex: &str) {
    let mut decoder = Decoder::default();
    assert!(read(&mut decoder, &bytes(hex)).is_err(), "{hex}");
}

const FIRST: &str = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com";
const SECOND: &str =
    ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache";
const THIRD: &str = ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value";

#[test]
fn rfc_7541_c_2_single_fields() {
    check(&[(
        "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
        "custom-key: custom-header",
    )]);
    check(&[("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path")]);
    check(&[(
        "1008 7061 7373 776f 7264 0673 6563 7265 74",
        "password: secret",
    )]);
    check(&[("82", ":method: GET")]);
}

#[test]
fn rfc_7541_c_3_requests_without_huffman() {
    check(&[
        ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST),
        ("8286 84be 5808 6e6f 2d63 6163 6865", SECOND),
        (
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
            THIRD,
        ),
    ]);
}

#[test]
fn rfc_7541_c_4_requests_with_huffman() {
    check(&[
        ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST),
        ("8286 84be 5886 a8eb 1064 9cbf", SECOND),
        (
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            THIRD,
        ),
    ]);
}

#[test]
fn what_stands_for_nothing_is_refused() {
    // an index of 0, and one beyond the tables
    refuses("80");
    refuses("be");
    refuses("7f 01");
    // integers without end, or of more than anything has
    refuses("ff");
    refuses("ff 80 80 80 80 80 01");
    refuses("ff ff ff ff ff 0f");
    // strings that end too early, or are no code
    refuses("40 0a 63");
    refuses("00 01 61 84 00 00 00 00");
    refuses("00 01 61 81 00");
    // the table's size: more than it may have, or behind a field
    refuses("3f e2 1f");
    refuses("82 20");
    check(&[("3f e1 1f 82", ":method: GET")]);
}

#[test]
fn a_field_is_in_the_table_from_the_second_time_on() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let mut lens = Vec::new();
    for age in ["1", "2", "3"] {
        let mut block = BytesMut::new();
        encoder.begin(&mut block);
        Encoder::status(200, &mut block);
        encoder.field(b"cache-control", b"max-age=3600", &mut block);
        encoder.field(b"age", age.as_bytes(), &mut block);
        encoder.field(b"x-served-by", b"edge-1", &mut block);
        let fields = read(&mut decoder, &block).unwrap();
        assert_eq!(fields[0], (":status".into(), b"200".to_vec()));
        assert_eq!(
            fields[1],
            ("cache-control".into(), b"max-age=3600".to_vec())
        );
        assert_eq!(fields[2], ("age".into(), age.as_bytes().to_vec()));
        assert_eq!(fields[3], ("x-served-by".into(), b"edge-1".to_vec()));
        lens.push(block.len());
    }
    // one byte each for what is in the table, and "age" with its one digit
    assert_eq!(lens[2], 1 + 1 + 4 + 1);
    assert!(lens[0] > 30, "{lens:?}");
}

proptest! {
    #[test]
    fn any_fields_are_read_as_they_were_written_whatever_size_the_table_has(
        blocks in proptest::collection::vec(
            (
                proptest::option::of(0usize..6000),
                100u16..600,
                proptest::collection::vec(("[a-c]{1,3}|set-cookie|etag|vary", "[xy]{0,2}|z{1000,1200}"), 0..12),
            ),
            0..12,
        )
    ) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for (size, status, fields) in blocks {
            if let Some(size) = size {
                // several changes between two blocks
                encoder.resize(size / 2);
                encoder.resize(size);
            }
            let mut block = BytesMut::new();
            encoder.begin(&mut block);
            Encoder::status(status, &mut block);
            for (name, value) in &fields {
                encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
            }
            let mut expected = vec![(":status".to_owned(), status.to_string().into_bytes())];
            expected.extend(fields.into_iter().map(|(name, value)| (name, value.into_bytes())));
            prop_assert_eq!(read(&mut decoder, &block).unwrap(), expected);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(block: Vec<u8>) {
        let _ = read_any(&block);
    }
}

fn read_any(block: &[u8]) -> Result<(), Undecodable> {
    Decoder::default().decode(block, |_, _| {})
}
