use super::*;
use crate::{About, Answer, Question, Told};
use seawall_purge::Epoch;

fn get() -> ExplainGet {
    ExplainGet {
        scheme: "https".into(),
        host: "www.example".into(),
        target: "/a?b".into(),
        fields: vec![("accept-language".into(), "de".into())],
    }
}

fn covering(kind: &str, soft: bool) -> Covering {
    Covering {
        kind: kind.into(),
        name: "t".into(),
        n: 7,
        soft,
    }
}

fn explained() -> Explained {
    Explained {
        service: "site".into(),
        rule: Some(0),
        key: u128::MAX - 5,
        purged: PurgeSeq::new(Epoch(3), 9),
        would: Would {
            outcome: "stale".into(),
            forward: String::new(),
            why: "within its window".into(),
            status: Some(206),
            recoding: "br".into(),
        },
        found_under: Some(u128::MAX - 6),
        asks: vec!["shield-1".into(), "shield-0".into()],
        next_servers: NextServers::Shields,
        copies: vec![StoredCopy {
            variant: u64::MAX,
            selected: true,
            on_disk: true,
            status: 200,
            length: 5,
            negotiable: true,
            received: 1_800_000_000,
            initial_age: 1,
            age: 70,
            lifetime: 60,
            lifetime_source: "max-age".into(),
            stale_while_revalidate: 30,
            stale_if_error: 31,
            no_cache: true,
            must_revalidate: true,
            label: Label(PurgeSeq::new(Epoch(3), 8)),
            generation: Generation {
                boot: BootId(2),
                counter: 11,
            },
            revision: 1,
            standing: Standing::Stale { since_ms: 12 },
            fields: vec![("cache-control".into(), "max-age=60".into())],
            purges: vec![covering("tag", true)],
            decodable: "gzip".into(),
            recoded: vec![Recoded {
                recoding: "identity".into(),
                length: 9,
                on_disk: true,
            }],
            incomplete: true,
            lacks: true,
            held: vec![0..3, 4..5],
            held_cut: true,
        }],
        unread: 2,
        purges: vec![covering("url", false)],
        decisions: vec![Decision {
            at_ms: 5,
            method: "GET".into(),
            outcome: "miss".into(),
            status: 200,
            forward: "uri-miss".into(),
            forward_status: Some(200),
            stored: true,
            collapsed: true,
            detail: "no-store".into(),
        }],
    }
}

#[test]
fn a_request_and_how_it_would_be_answered_survive_the_wire() {
    let question = Question {
        id: 4,
        about: About::Explain(get()),
    };
    let sent = Question::try_from(wire::Question::from(&question));
    assert_eq!(sent, Ok(question));
    let mut other = explained();
    other.rule = None;
    other.copies[0].standing = Standing::Gone;
    other.decisions[0].forward_status = None;
    other.would.status = None;
    other.found_under = None;
    other.next_servers = NextServers::Origins;
    for told in [explained(), other] {
        let answer = Answer {
            id: 4,
            outcome: Ok(Told::Explained(Box::new(told))),
        };
        assert_eq!(Answer::try_from(wire::Answer::from(&answer)), Ok(answer));
    }
}

#[test]
fn a_request_beyond_the_bounds_is_refused() {
    let check = |change: fn(&mut wire::ExplainGet)| {
        let mut wire = wire::ExplainGet::from(&get());
        change(&mut wire);
        assert!(ExplainGet::try_from(wire).is_err());
    };
    check(|wire| wire.scheme = "ftp".into());
    check(|wire| wire.target = "a".into());
    check(|wire| wire.target = format!("/{}", "a".repeat(ADDRESS_BYTES_MAX)));
    check(|wire| wire.fields = vec![wire::Field::default(); FIELDS_MAX + 1]);
    check(|wire| wire.fields[0].value = "a".repeat(FIELD_BYTES_MAX));
}

#[test]
fn an_answer_beyond_the_bounds_is_refused() {
    let check = |change: fn(&mut wire::Explained)| {
        let mut wire = wire::Explained::from(&explained());
        change(&mut wire);
        assert!(Explained::try_from(wire).is_err());
    };
    check(|wire| wire.key = vec![1; 15]);
    check(|wire| wire.found_under = vec![1; 15]);
    check(|wire| wire.purged = None);
    check(|wire| wire.would = None);
    check(|wire| wire.asks = vec![String::new(); ASKS_MAX + 1]);
    check(|wire| wire.copies = vec![wire.copies[0].clone(); COPIES_MAX + 1]);
    check(|wire| wire.copies[0].status = 70_000);
    check(|wire| wire.copies[0].standing = "gone?".into());
    check(|wire| wire.copies[0].fields = vec![wire::Field::default(); COPY_FIELDS_MAX + 1]);
    check(|wire| wire.copies[0].recoded = vec![wire::Recoded::default(); RECODED_MAX + 1]);
    check(|wire| wire.copies[0].held = vec![wire::HeldBytes::default(); HELD_MAX + 1]);
    check(|wire| wire.copies[0].purges = vec![wire::Covering::default(); PURGES_MAX + 1]);
    check(|wire| wire.purges = vec![wire::Covering::default(); PURGES_MAX + 1]);
    check(|wire| wire.decisions = vec![wire::Decision::default(); DECISIONS_MAX + 1]);
}

#[test]
fn what_an_older_build_does_not_tell_is_not_known() {
    let mut wire = wire::Explained::from(&explained());
    wire.next_servers = 0;
    let told = Explained::try_from(wire.clone()).unwrap();
    assert_eq!(told.next_servers, NextServers::Unknown);
    // nor is what a newer one tells
    wire.next_servers = 77;
    let told = Explained::try_from(wire).unwrap();
    assert_eq!(told.next_servers, NextServers::Unknown);
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let mut wire = wire::Explained::from(&explained());
    wire.service = "ä".repeat(TEXT_CHARS_MAX + 3);
    let told = Explained::try_from(wire).unwrap();
    assert_eq!(told.service, "ä".repeat(TEXT_CHARS_MAX));
}
