//! Who changed what, and when: entries of changes, and purges of the log, in one list.

use super::auth::Administers;
use super::extract::Parameters;
use super::purges::{latest, limit};
use super::time::rfc3339;
use super::{Api, Refused};
use crate::audit::{Entry, Kind, Outcome};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use seawall_purge::{Epoch, PurgeSeq};
use serde_json::{Value, json};

/// The word for purges among the kinds.
const PURGE: &str = "purge";

/// Where a list goes on: before this entry, and before this purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    entry: u64,
    purge: PurgeSeq,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let PurgeSeq { epoch, n } = self.purge;
        write!(f, "{}-{:x}-{n}", self.entry, epoch.0)
    }
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let entry = parts.next()?.parse().ok()?;
        let epoch = Epoch(u64::from_str_radix(parts.next()?, 16).ok()?);
        let n = parts.next()?.parse().ok()?;
        let purge = PurgeSeq::new(epoch, n);
        parts.next().is_none().then_some(Self { entry, purge })
    }
}

/// Which kinds are wanted.
struct Wanted {
    purges: bool,
    kinds: Vec<Kind>,
}

impl Wanted {
    fn parse(query: &Parameters) -> Result<Self, Refused> {
        let Some(text) = query.get("kind") else {
            return Ok(Self {
                purges: true,
                kinds: Kind::ALL.into(),
            });
        };
        let mut wanted = Self {
            purges: false,
            kinds: Vec::new(),
        };
        for word in text.split(',') {
            let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
            match kind {
                Some(kind) => wanted.kinds.push(kind),
                None if word == PURGE => wanted.purges = true,
                None => {
                    let all: Vec<&str> = Kind::ALL.into_iter().map(Kind::as_str).collect();
                    let reason =
                        format!("kinds are {PURGE}, {}, with commas between", all.join(", "));
                    return Err(Refused::field("kind", reason));
                }
            }
        }
        Ok(wanted)
    }
}

/// Latest first. The two lists are merged by their times; each keeps its own order where a clock was set back.
pub(super) async fn list(
    _: Administers,
    State(api): State<Api>,
    query: Parameters,
) -> Result<Response, Refused> {
    let limit = limit(&query)?;
    let wanted = Wanted::parse(&query)?;
    let head = api.plane.log.head().await?;
    let end = PurgeSeq::new(head.at.epoch, head.at.n + 1);
    let mut cursor = match query.get("after") {
        None => Cursor {
            entry: u64::MAX,
            purge: end,
        },
        Some(text) => Cursor::parse(text)
            .ok_or_else(|| Refused::field("after", "no list told that it goes on there"))?,
    };
    let entries = api
        .plane
        .audit
        .before(cursor.entry, limit, |kind| wanted.kinds.contains(&kind));
    // a log that has begun anew since has none of before
    let purges = if wanted.purges && cursor.purge.epoch == end.epoch {
        let before = cursor.purge.n.clamp(1, end.n);
        latest(&api.plane, head, before - 1, limit).await?
    } else {
        Vec::new()
    };
    let (mut entries, mut purges) = (entries.iter().peekable(), purges.into_iter().peekable());
    let mut told = Vec::new();
    while told.len() < limit {
        let purge_is_next = match (entries.peek(), purges.peek()) {
            (None, None) => break,
            (Some(entry), Some(purge)) => purge.at_ms > entry.at_ms,
            (None, Some(_)) => true,
            (Some(_), None) => false,
        };
        if purge_is_next {
            if let Some(purge) = purges.next() {
                cursor.purge = purge.first;
                told.push(of_purge(purge.body));
            }
        } else if let Some(entry) = entries.next() {
            cursor.entry = entry.seq;
            told.push(of_entry(entry));
        }
    }
    let mut body = json!({ "audit": told });
    if told.len() == limit {
        body["next"] = json!(cursor.to_string());
    }
    Ok(Json(body).into_response())
}

fn of_purge(mut purge: Value) -> Value {
    let mut told = json!({
        "kind": PURGE,
        "action": if purge["soft"] == true { "soft purge" } else { "purge" },
        "outcome": "done",
    });
    for (from, to) in [
        ("id", "target"),
        ("at", "at"),
        ("by", "by"),
        ("by_token", "by_token"),
        ("by_node", "by_node"),
        ("named", "named"),
    ] {
        let value = purge[from].take();
        if !value.is_null() {
            told[to] = value;
        }
    }
    told
}

fn of_entry(entry: &Entry) -> Value {
    let (outcome, detail) = match &entry.outcome {
        Some(Outcome::Done(detail)) => ("done", detail.as_str()),
        Some(Outcome::Refused(reason)) => ("refused", reason.as_str()),
        // under way, or the process ended meanwhile
        None => ("unknown", ""),
    };
    let mut told = json!({
        "kind": entry.kind,
        "action": entry.action,
        "target": entry.target,
        "at": rfc3339(entry.at_ms),
        "by": entry.by,
        "outcome": outcome,
    });
    if let Some(token) = &entry.by_token {
        told["by_token"] = json!(token);
    }
    if !detail.is_empty() {
        told["detail"] = json!(detail);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_is_written_and_nothing_else_does() {
        let cursor = Cursor {
            entry: 7,
            purge: PurgeSeq::new(Epoch(0xab), 9),
        };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for wrong in ["", "7", "7-ab", "7-ab-9-1", "x-ab-9", "7-xy-9", "7-ab--1"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }
}
