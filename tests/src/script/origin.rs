//! The origin of a script: one object that changes, and answers that tell when they were made.
//!
//! Each answer with content, and each 304, is a *production*. Its number stands in a field of its own (`x-p7: 1`), which
//! a copy keeps when later 304s add theirs. So an answer tells all productions that have a part in it, and its body tells
//! which one it came with.

use crate::script::message::Head;

/// How long a production is fresh, and how long it may be used stale where it grants that, in seconds.
pub const LIFETIME: u64 = 100;
pub const WINDOW: u64 = 60;

/// Bytes of a body: two pieces.
pub const PIECE: usize = 6;

pub const TAGS: [&str; 2] = ["t", "u"];
pub const URL: &str = "/a";

/// What the object says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    pub version: u64,
    /// Which of [`TAGS`] it names.
    pub tags: [bool; 2],
    /// It grants `stale-while-revalidate`, `stale-if-error`.
    pub grants: [bool; 2],
}

/// How it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another content, with these tags.
    Version([bool; 2]),
    /// The same content, with these tags.
    Tags([bool; 2]),
}

/// What the origin answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// 304 where the request's condition holds, else the content.
    Truth,
    /// The content, whatever the condition.
    Whole,
    NotFound,
    Fail,
    NoStore,
}

/// How much of an answer goes out at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    All,
    /// The head with the first piece.
    Two,
    /// The head, which nobody holds back, then piece by piece.
    Three,
}

/// An answer that the origin made, in a step of the script and at a time of its clock.
#[derive(Clone, Debug)]
pub struct Production {
    pub step: usize,
    pub clock: u64,
    /// The clock when anybody may have begun to ask for it.
    pub asked: u64,
    pub status: u16,
    pub tags: [bool; 2],
    pub grants: [bool; 2],
    pub may_be_stored: bool,
}

/// The moment of an answer, as [`Production`] has it.
#[derive(Clone, Copy, Debug)]
pub struct When {
    pub step: usize,
    pub clock: u64,
    pub asked: u64,
}

fn list(tags: [bool; 2]) -> String {
    let named = TAGS.iter().zip(tags).filter(|(_, named)| *named);
    named.map(|(tag, _)| *tag).collect::<Vec<_>>().join(" ")
}

/// The body of production `number`.
pub fn body(number: usize) -> [Vec<u8>; 2] {
    [
        format!("p{number:04}-").into_bytes(),
        format!("e{number:04}\n").into_bytes(),
    ]
}

/// Answers `request` from `object`, in pieces, the head in the first one; notes what was made.
pub fn answer(
    object: Object,
    request: &Head,
    (how, pieces): (How, Pieces),
    now: When,
    made: &mut Vec<Production>,
) -> Vec<Vec<u8>> {
    if how == How::Fail {
        return vec![b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n".to_vec()];
    }
    // weak: what two productions of one version say of themselves differs
    let etag = format!("W/\"v{}\"", object.version);
    let holds = request.field("if-none-match") == Some(etag.as_str());
    let status = match how {
        How::Truth if holds => 304,
        How::NotFound => 404,
        _ => 200,
    };
    let is_error = status == 404;
    let production = Production {
        step: now.step,
        clock: now.clock,
        asked: now.asked,
        status,
        tags: if is_error { [false; 2] } else { object.tags },
        grants: if is_error { [false; 2] } else { object.grants },
        may_be_stored: how != How::NoStore,
    };
    let mut control = format!("max-age={LIFETIME}");
    for (name, granted) in ["while-revalidate", "if-error"]
        .iter()
        .zip(production.grants)
    {
        if granted {
            control.push_str(&format!(", stale-{name}={WINDOW}"));
        }
    }
    if how == How::NoStore {
        control = "no-store".into();
    }
    let number = made.len() + 1;
    let mut head = Head {
        line: format!("HTTP/1.1 {status} x"),
        fields: vec![
            ("cache-control".into(), control),
            (format!("x-p{number}"), "1".into()),
        ],
    };
    let mut add = |name: &str, value: String| head.fields.push((name.into(), value));
    if !is_error {
        add("etag", etag);
    }
    if production.tags != [false; 2] {
        add("surrogate-key", list(production.tags));
    }
    if status != 304 {
        add("content-length", (2 * PIECE).to_string());
    }
    if pieces == Pieces::Three {
        add("content-type", "text/event-stream".into());
    }
    made.push(production);
    let mut first = head.bytes();
    let mut rest = Vec::new();
    if status != 304 && request.method() != "HEAD" {
        rest = body(number).to_vec();
        let at_once = match pieces {
            Pieces::All => 2,
            Pieces::Two => 1,
            Pieces::Three => 0,
        };
        first.extend(rest.drain(..at_once).flatten());
    }
    rest.insert(0, first);
    rest
}
