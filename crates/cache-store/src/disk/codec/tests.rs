use super::*;
use crate::head::HeadParts;
use crate::sums::Sums;
use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;
use std::sync::LazyLock;

fn encoded(record: &impl Code) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes).unwrap();
    assert!(
        bytes.len() <= record.estimated_size(),
        "the estimate is no upper bound: {} > {}",
        bytes.len(),
        record.estimated_size()
    );
    bytes
}

/// What was encoded decodes to something that is encoded alike and looks alike.
fn check<R: Code + std::fmt::Debug>(record: &R) {
    let bytes = encoded(record);
    let back = R::decode(&mut &bytes[..]).unwrap();
    assert_eq!(format!("{back:?}"), format!("{record:?}"));
    assert_eq!(encoded(&back), bytes);
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(R::decode(&mut &bytes[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(R::decode(&mut &longer[..]).is_err(), "something behind it");
    let mut other = bytes;
    for version in [VERSION - 1, VERSION + 1] {
        other[0] = version;
        assert!(R::decode(&mut &other[..]).is_err(), "another version");
    }
}

fn generation() -> impl Strategy<Value = Generation> {
    any::<(u32, u64)>().prop_map(|(boot, counter)| Generation {
        boot: BootId(boot),
        counter,
    })
}

fn content_coding() -> impl Strategy<Value = ContentCoding> {
    prop::sample::select(&ContentCoding::PREFERRED[..])
}

fn recoding() -> impl Strategy<Value = Recoding> {
    prop_oneof![
        Just(Recoding::Identity),
        content_coding().prop_map(Recoding::To),
    ]
}

prop_compose! {
    fn head()(
        generation in generation(),
        (revision, epoch, n) in any::<(u32, u64, u64)>(),
        status in 100u16..1000,
        source in 0u8..7,
        (lifetime, initial_age, received) in any::<(u64, u64, u64)>(),
        (swr, sie, no_cache, must_revalidate) in any::<(u64, u64, bool, bool)>(),
        coding in prop_oneof![
            Just(Coding::AsIs),
            Just(Coding::Negotiable),
            content_coding().prop_map(Coding::Decodable),
            (recoding(), generation(), any::<u32>()).prop_map(|(to, g, r)| Coding::Recoded(to, g, r)),
        ],
        value in "[ -~]{0,40}",
        (members, hidden) in ("[a-z; ]{0,20}", "([a-z]{1,9}(: [!-~]{0,9})?\n){0,4}"),
        body in prop::collection::vec(any::<u8>(), 0..500),
        chunks in prop::option::of((any::<u128>(), prop::collection::vec(any::<u64>(), 1..50))),
        scopes in prop::collection::vec(any::<u64>(), 0..20),
    ) -> Entry {
        let mut fields = HeaderMap::new();
        fields.insert("x-field", value.trim().parse().unwrap());
        let scopes: Vec<ScopeId> = scopes.into_iter().map(ScopeId).collect();
        let (object, sums) = chunks.clone().unwrap_or_default();
        let parts = HeadParts {
            generation,
            revision,
            label: Label(PurgeSeq::new(Epoch(epoch), n)),
            status: StatusCode::from_u16(status).unwrap(),
            fields: &fields,
            hidden: Hidden::from_bytes(hidden.as_bytes()),
            upstream_cache_status: members.as_bytes(),
            freshness: Freshness {
                lifetime,
                source: source_of(source).unwrap(),
                initial_age,
                received: Timestamp(received),
                stale_while_revalidate: swr,
                stale_if_error: sie,
                no_cache,
                must_revalidate,
            },
            length: if chunks.is_some() {
                sums.len() as u64 * CHUNK_BYTES - 1
            } else {
                body.len() as u64
            },
            scopes: &scopes,
            coding,
            object,
            sums: sums.into(),
        };
        let inline = [&body[..]];
        Entry::Head(Arc::new(Head::new(parts, chunks.is_none().then_some(&inline[..]))))
    }
}

prop_compose! {
    fn incomplete()(
        start in 0..1_000_u64,
        rest in 0..1_000_u64,
        body in prop::collection::vec(any::<u8>(), 1..500),
    ) -> Entry {
        let length = start + body.len() as u64 + rest;
        Entry::Head(Arc::new(Head::incomplete(parts_of(length), start, &body)))
    }
}

prop_compose! {
    fn variants()(
        lists in prop::collection::vec(prop::collection::vec("[a-z][a-z-]{0,20}", 0..5), 0..20),
        digests in prop::collection::vec(any::<u64>(), 0..100),
    ) -> Entry {
        let mut variants = Variants::default();
        for names in lists {
            let names: Vec<HeaderName> = names.iter().map(|n| n.parse().unwrap()).collect();
            variants.add_list(&names);
        }
        for digest in digests {
            variants.add_variant(digest);
        }
        Entry::Variants(Arc::new(variants))
    }
}

proptest! {
    #[test]
    fn heads_and_variants_come_back_as_they_were(entry in prop_oneof![head(), incomplete(), variants()]) {
        check(&entry);
    }

    #[test]
    fn keys_and_chunks_come_back_as_they_were(
        (primary, variant, index) in any::<(u128, u64, u32)>(),
        generation in generation(),
        bytes: Vec<u8>,
    ) {
        check(&HeadKey { primary, variant });
        check(&ChunkKey { object: primary, generation, index });
        check(&Chunk(bytes.into()));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = HeadKey::decode(&mut &bytes[..]);
        let _ = ChunkKey::decode(&mut &bytes[..]);
        let _ = Chunk::decode(&mut &bytes[..]);
        let _ = Entry::decode(&mut &bytes[..]);
        for kind in [KIND_HEAD, KIND_VARIANTS] {
            let bytes = [&[VERSION, kind], &bytes[..]].concat();
            let _ = Entry::decode(&mut &bytes[..]);
        }
    }

    #[test]
    fn a_changed_record_never_panics_when_it_is_decoded_and_used(
        entry in prop_oneof![head(), incomplete(), variants()],
        at: usize,
        to: u8,
    ) {
        let mut bytes = encoded(&entry);
        let at = at % bytes.len().min(220);
        bytes[at] = to;
        if let Ok(Entry::Head(head)) = Entry::decode(&mut &bytes[..]) {
            let _ = (head.serialised(), head.cache_status_prefix(), head.inline_body());
            let _ = head.original_fields();
        }
    }
}

#[test]
fn the_format_of_version_4_stays_as_it_is() {
    let generation = Generation {
        boot: BootId(3),
        counter: 0x0102,
    };
    let key = HeadKey {
        primary: 0x11,
        variant: 0x22,
    };
    golden(&key, "04 11000000000000000000000000000000 2200000000000000");
    let key = ChunkKey {
        object: 0x11,
        generation,
        index: 5,
    };
    golden(
        &key,
        "04 11000000000000000000000000000000 03000000 0201000000000000 05000000",
    );
    golden(&Chunk(Bytes::from_static(b"abc")), "04 03000000 616263");

    let mut variants = Variants::default();
    variants.add_list(&[http::header::ACCEPT]);
    variants.add_variant(9);
    golden(
        &Entry::Variants(Arc::new(variants)),
        "04 01 01 0100 0600 616363657074 01 0900000000000000",
    );

    let mut fields = HeaderMap::new();
    fields.insert("a", "b".parse().unwrap());
    let parts = |length, coding| HeadParts {
        generation,
        revision: 1,
        label: Label(PurgeSeq::new(Epoch(7), 8)),
        status: StatusCode::OK,
        fields: &fields,
        hidden: Hidden::from_bytes(b"a: c\nd\n"),
        upstream_cache_status: b"s",
        freshness: Freshness {
            lifetime: 60,
            source: LifetimeSource::MaxAge,
            initial_age: 1,
            received: Timestamp(1000),
            stale_while_revalidate: 2,
            stale_if_error: 3,
            no_cache: false,
            must_revalidate: true,
        },
        length,
        scopes: &[ScopeId(0x33)],
        coding,
        object: 0x11,
        sums: vec![0x44].into(),
    };
    let common = "04 00 03000000 0201000000000000 01000000 0700000000000000 0800000000000000 c800 \
                  3c00000000000000 02 0100000000000000 e803000000000000 0200000000000000 0300000000000000 02";
    // "HTTP/1.1 200 OK\r\na: b\r\n", "cache-status: s, "
    let record =
        "485454502f312e3120323030204f4b0d0a613a20620d0a 63616368652d7374617475733a20732c20";
    let inline: &[&[u8]] = &[b"xy"];
    golden(
        &Entry::Head(Arc::new(Head::new(
            parts(2, Coding::Negotiable),
            Some(inline),
        ))),
        &format!(
            "{common} 0200000000000000 01 00 01000000 3300000000000000 07000000 613a20630a640a 17000000 11000000 {record} 7879"
        ),
    );
    let gzip = Recoding::To(ContentCoding::Gzip);
    let coding = Coding::Recoded(gzip, generation, 4);
    golden(
        &Entry::Head(Arc::new(Head::new(parts(70_000, coding), None))),
        &format!(
            "{common} 7011010000000000 03 01 03000000 0201000000000000 04000000 \
             01 11000000000000000000000000000000 01000000 4400000000000000 \
             01000000 3300000000000000 07000000 613a20630a640a 17000000 11000000 {record}"
        ),
    );
    let part = Head::incomplete(parts(10, Coding::AsIs), 3, b"xy");
    golden(
        &Entry::Head(Arc::new(part)),
        &format!(
            "{common} 0a00000000000000 00 02 0300000000000000 0500000000000000 \
             01000000 3300000000000000 07000000 613a20630a640a 17000000 11000000 {record} 7879"
        ),
    );
}

#[test]
fn a_part_that_lies_beyond_the_length_or_is_empty_is_no_record() {
    let decodes = |start: u64, bytes: &[u8], length| {
        let head = Head {
            length,
            ..Head::incomplete(parts_of(length), start, bytes)
        };
        let bytes = encoded(&Entry::Head(Arc::new(head)));
        Entry::decode(&mut &bytes[..]).is_ok()
    };
    assert!(decodes(3, b"xy", 5) && decodes(0, b"xy", 10));
    assert!(!decodes(4, b"xy", 5) && !decodes(3, b"", 5));
}

fn golden(record: &(impl Code + std::fmt::Debug), hex: &str) {
    let digits: String = hex.split_whitespace().collect();
    let wanted: Vec<u8> = (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(&digits[i * 2..i * 2 + 2], 16).unwrap())
        .collect();
    assert_eq!(encoded(record), wanted);
    check(record);
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    let chunk = [&[VERSION][..], &u32::MAX.to_le_bytes(), b"abc"].concat();
    assert!(Chunk::decode(&mut &chunk[..]).is_err());
    // ends where the sums of 2^32 - 1 chunks should begin
    let Entry::Head(head) = Entry::Head(Arc::new(chunked())) else {
        unreachable!()
    };
    let bytes = encoded(&Entry::Head(head));
    assert!(Entry::decode(&mut &bytes[..]).is_err());
}

/// A head whose count of checksums is not its count of chunks.
fn chunked() -> Head {
    Head::new(parts_of(u64::from(u32::MAX) * CHUNK_BYTES), None)
}

fn parts_of(length: u64) -> HeadParts<'static> {
    static NO_FIELDS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    HeadParts {
        generation: Generation::default(),
        revision: 0,
        label: Label::default(),
        status: StatusCode::OK,
        fields: &NO_FIELDS,
        hidden: Hidden::default(),
        upstream_cache_status: b"",
        freshness: Freshness {
            lifetime: 0,
            source: LifetimeSource::None,
            initial_age: 0,
            received: Timestamp(0),
            stale_while_revalidate: 0,
            stale_if_error: 0,
            no_cache: false,
            must_revalidate: false,
        },
        length,
        scopes: &[],
        coding: Coding::AsIs,
        object: 0,
        sums: Sums::default(),
    }
}

#[test]
fn each_content_coding_has_a_code_that_stays_its_own() {
    for (code, coding) in [
        (1, ContentCoding::Gzip),
        (2, ContentCoding::Brotli),
        (3, ContentCoding::Zstd),
    ] {
        assert_eq!(content_coding_code(coding), code);
        assert_eq!(content_coding_of(code), Some(coding));
    }
    // 0 stands for none, where that may be
    for code in [0, 4, 255] {
        assert_eq!(content_coding_of(code), None);
    }
}

#[test]
fn each_source_of_a_lifetime_has_a_code_that_stays_its_own() {
    for (code, source) in [
        (0, LifetimeSource::Override),
        (1, LifetimeSource::SMaxage),
        (2, LifetimeSource::MaxAge),
        (3, LifetimeSource::Expires),
        (4, LifetimeSource::Default),
        (5, LifetimeSource::Heuristic),
        (6, LifetimeSource::None),
        (7, LifetimeSource::TargetedSMaxage),
        (8, LifetimeSource::TargetedMaxAge),
    ] {
        assert_eq!(source_code(source), code);
        assert_eq!(source_of(code), Some(source));
    }
    assert_eq!(source_of(9), None);
}
