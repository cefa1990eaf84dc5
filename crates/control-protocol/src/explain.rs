//! How a node would answer a request, and what it holds under its key: the question and the answer.

use crate::checked::{ProtocolError, at_most, sequence, wire_sequence};
use crate::wire;
use seawall_purge::{BootId, Generation, Label, PurgeSeq};
use std::ops::Range;

/// Fields of the request that is explained, beside its host.
pub const FIELDS_MAX: usize = 64;
/// Bytes of its host and target, and of all its fields.
const ADDRESS_BYTES_MAX: usize = 32 << 10;
const FIELD_BYTES_MAX: usize = 64 << 10;
/// Copies that a node tells of.
pub const COPIES_MAX: usize = 64;
/// Fields that a node tells of one copy.
pub const COPY_FIELDS_MAX: usize = 16;
/// Purges in one list.
pub const PURGES_MAX: usize = 64;
/// Decisions that a node tells.
pub const DECISIONS_MAX: usize = 8;
/// Servers that a node would ask.
pub const ASKS_MAX: usize = 64;
/// Codings that a node tells of one copy.
pub const RECODED_MAX: usize = 8;
/// Pieces of a body that a node tells of.
pub const HELD_MAX: usize = 64;
/// Characters of one text; more are cut.
const TEXT_CHARS_MAX: usize = 512;

/// A GET that is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainGet {
    /// `http` or `https`.
    pub scheme: String,
    pub host: String,
    /// In origin form.
    pub target: String,
    /// The other fields, at most [`FIELDS_MAX`].
    pub fields: Vec<(String, String)>,
}

/// A node's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    pub service: String,
    /// Index of the rule that matches; `None`: the service's defaults hold.
    pub rule: Option<u32>,
    pub key: u128,
    /// The last purge in force on the node.
    pub purged: PurgeSeq,
    pub would: Would,
    /// The key of an equivalent URL under which the copies lie; `None`: under the request's own.
    pub found_under: Option<u128>,
    /// Whom the node asks, in this order: shields by id, origins by host and port.
    pub asks: Vec<String>,
    pub next_servers: NextServers,
    pub copies: Vec<StoredCopy>,
    /// Further copies that may lie on disks and were not read.
    pub unread: u32,
    /// The last purges of what the request alone tells, latest first.
    pub purges: Vec<Covering>,
    /// What became of the last requests with this key, newest first.
    pub decisions: Vec<Decision>,
}

/// What the servers are that a node asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextServers {
    /// The node's build does not tell.
    #[default]
    Unknown,
    Shields,
    Origins,
}

/// What becomes of the request now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Would {
    pub outcome: String,
    /// Why the next server is asked (RFC 9211 §2.2); empty where it is not.
    pub forward: String,
    pub why: String,
    /// Of an answer from the copy; `None`: the next server decides.
    pub status: Option<u16>,
    /// What is made of the copy's content for the request (`gzip`, `br`, `zstd`, `identity`); empty: it goes out as it is.
    pub recoding: String,
}

/// A stored response; all durations in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCopy {
    pub variant: u64,
    pub selected: bool,
    pub on_disk: bool,
    pub status: u16,
    pub length: u64,
    pub negotiable: bool,
    /// Seconds since the Unix epoch.
    pub received: u64,
    pub initial_age: u64,
    pub age: u64,
    pub lifetime: u64,
    pub lifetime_source: String,
    pub stale_while_revalidate: u64,
    pub stale_if_error: u64,
    pub no_cache: bool,
    pub must_revalidate: bool,
    pub label: Label,
    pub generation: Generation,
    pub revision: u32,
    pub standing: Standing,
    /// The fields that the arithmetic is made of, as they came.
    pub fields: Vec<(String, String)>,
    /// The last purges of its tags, latest first.
    pub purges: Vec<Covering>,
    /// The coding that it came in, which is undone for clients that do not accept it; empty: none is.
    pub decodable: String,
    pub recoded: Vec<Recoded>,
    /// Some of its body has never come.
    pub incomplete: bool,
    /// Not all of its body is here: some has never come, or was lost since.
    pub lacks: bool,
    /// What is here where that is so, in order.
    pub held: Vec<Range<u64>>,
    /// There may be more of these than are told.
    pub held_cut: bool,
}

/// What was made of a copy's content, and lies beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recoded {
    /// `gzip`, `br`, `zstd`, or `identity` where the copy's own coding was undone.
    pub recoding: String,
    pub length: u64,
    pub on_disk: bool,
}

/// What the purges make of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Live,
    /// By a soft purge; milliseconds since the Unix epoch.
    Stale {
        since_ms: u64,
    },
    Gone,
}

/// The last purge of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covering {
    pub kind: String,
    pub name: String,
    pub n: u64,
    pub soft: bool,
}

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub method: String,
    pub outcome: String,
    pub status: u16,
    pub forward: String,
    pub forward_status: Option<u16>,
    pub stored: bool,
    pub collapsed: bool,
    pub detail: String,
}

/// A text within its bound.
pub fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

fn status(status: u32) -> Result<u16, ProtocolError> {
    u16::try_from(status).map_err(|_| ProtocolError::Value {
        field: "status",
        wanted: "status of an answer",
    })
}

/// A status, which may be missing.
fn told(wire: u32) -> Result<Option<u16>, ProtocolError> {
    (wire != 0).then(|| status(wire)).transpose()
}

fn key(field: &'static str, wire: Vec<u8>) -> Result<u128, ProtocolError> {
    let bytes = wire.try_into().map_err(|_| ProtocolError::Value {
        field,
        wanted: "key of 16 bytes",
    })?;
    Ok(u128::from_be_bytes(bytes))
}

fn pairs(fields: Vec<wire::Field>) -> Vec<(String, String)> {
    let pair = |field: wire::Field| (cut(field.name), cut(field.value));
    fields.into_iter().map(pair).collect()
}

fn wire_fields(fields: &[(String, String)]) -> Vec<wire::Field> {
    let field = |(name, value): &(String, String)| wire::Field {
        name: name.clone(),
        value: value.clone(),
    };
    fields.iter().map(field).collect()
}

impl TryFrom<wire::ExplainGet> for ExplainGet {
    type Error = ProtocolError;

    fn try_from(wire: wire::ExplainGet) -> Result<Self, ProtocolError> {
        if wire.scheme != "http" && wire.scheme != "https" {
            return Err(ProtocolError::Value {
                field: "scheme",
                wanted: "http or https",
            });
        }
        if !wire.target.starts_with('/') {
            return Err(ProtocolError::Value {
                field: "target",
                wanted: "target in origin form",
            });
        }
        at_most(
            "address",
            wire.host.len() + wire.target.len(),
            ADDRESS_BYTES_MAX,
        )?;
        at_most("fields", wire.fields.len(), FIELDS_MAX)?;
        let bytes = wire.fields.iter().map(|f| f.name.len() + f.value.len());
        at_most("bytes of fields", bytes.sum(), FIELD_BYTES_MAX)?;
        let fields = wire.fields.into_iter().map(|f| (f.name, f.value));
        Ok(Self {
            scheme: wire.scheme,
            host: wire.host,
            target: wire.target,
            fields: fields.collect(),
        })
    }
}

impl From<&ExplainGet> for wire::ExplainGet {
    fn from(explain: &ExplainGet) -> Self {
        Self {
            scheme: explain.scheme.clone(),
            host: explain.host.clone(),
            target: explain.target.clone(),
            fields: wire_fields(&explain.fields),
        }
    }
}

impl TryFrom<wire::Explained> for Explained {
    type Error = ProtocolError;

    fn try_from(wire: wire::Explained) -> Result<Self, ProtocolError> {
        let next_servers = match wire.next_servers() {
            wire::NextServers::Unknown => NextServers::Unknown,
            wire::NextServers::Shields => NextServers::Shields,
            wire::NextServers::Origins => NextServers::Origins,
        };
        let found_under = match wire.found_under {
            under if under.is_empty() => None,
            under => Some(key("found_under", under)?),
        };
        let would = wire.would.ok_or(ProtocolError::Missing("would"))?;
        at_most("asks", wire.asks.len(), ASKS_MAX)?;
        at_most("copies", wire.copies.len(), COPIES_MAX)?;
        at_most("decisions", wire.decisions.len(), DECISIONS_MAX)?;
        let copies = wire.copies.into_iter().map(StoredCopy::try_from);
        let decisions = wire.decisions.into_iter().map(Decision::try_from);
        Ok(Self {
            service: cut(wire.service),
            rule: wire.rule,
            key: key("key", wire.key)?,
            purged: sequence("purged", wire.purged.as_ref())?,
            would: Would {
                outcome: cut(would.outcome),
                forward: cut(would.forward),
                why: cut(would.why),
                status: told(would.status)?,
                recoding: cut(would.recoding),
            },
            found_under,
            asks: wire.asks.into_iter().map(cut).collect(),
            next_servers,
            copies: copies.collect::<Result<_, _>>()?,
            unread: wire.unread,
            purges: purges(wire.purges)?,
            decisions: decisions.collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Explained> for wire::Explained {
    fn from(told: &Explained) -> Self {
        Self {
            service: told.service.clone(),
            rule: told.rule,
            key: told.key.to_be_bytes().to_vec(),
            purged: Some(wire_sequence(told.purged)),
            would: Some(wire::Would {
                outcome: told.would.outcome.clone(),
                forward: told.would.forward.clone(),
                why: told.would.why.clone(),
                status: told.would.status.unwrap_or_default().into(),
                recoding: told.would.recoding.clone(),
            }),
            found_under: told
                .found_under
                .map_or(Vec::new(), |key| key.to_be_bytes().to_vec()),
            asks: told.asks.clone(),
            next_servers: match told.next_servers {
                NextServers::Unknown => wire::NextServers::Unknown,
                NextServers::Shields => wire::NextServers::Shields,
                NextServers::Origins => wire::NextServers::Origins,
            }
            .into(),
            copies: told.copies.iter().map(Into::into).collect(),
            unread: told.unread,
            purges: told.purges.iter().map(Into::into).collect(),
            decisions: told.decisions.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::StoredCopy> for StoredCopy {
    type Error = ProtocolError;

    fn try_from(wire: wire::StoredCopy) -> Result<Self, ProtocolError> {
        at_most("fields", wire.fields.len(), COPY_FIELDS_MAX)?;
        at_most("recoded", wire.recoded.len(), RECODED_MAX)?;
        at_most("held", wire.held.len(), HELD_MAX)?;
        let recoded = wire.recoded.into_iter().map(|recoded| Recoded {
            recoding: cut(recoded.recoding),
            length: recoded.length,
            on_disk: recoded.on_disk,
        });
        let held = wire.held.iter().map(|held| held.start..held.end);
        let standing = match wire.standing.as_str() {
            "live" => Standing::Live,
            "stale" => Standing::Stale {
                since_ms: wire.stale_since_ms,
            },
            "gone" => Standing::Gone,
            _ => {
                return Err(ProtocolError::Value {
                    field: "standing",
                    wanted: "live, stale or gone",
                });
            }
        };
        Ok(Self {
            variant: wire.variant,
            selected: wire.selected,
            on_disk: wire.on_disk,
            status: status(wire.status)?,
            length: wire.length,
            negotiable: wire.negotiable,
            received: wire.received,
            initial_age: wire.initial_age,
            age: wire.age,
            lifetime: wire.lifetime,
            lifetime_source: cut(wire.lifetime_source),
            stale_while_revalidate: wire.stale_while_revalidate,
            stale_if_error: wire.stale_if_error,
            no_cache: wire.no_cache,
            must_revalidate: wire.must_revalidate,
            label: Label(sequence("label", wire.label.as_ref())?),
            generation: Generation {
                boot: BootId(wire.boot),
                counter: wire.generation,
            },
            revision: wire.revision,
            standing,
            fields: pairs(wire.fields),
            purges: purges(wire.purges)?,
            decodable: cut(wire.decodable),
            recoded: recoded.collect(),
            incomplete: wire.incomplete,
            lacks: wire.lacks,
            held: held.collect(),
            held_cut: wire.held_cut,
        })
    }
}

impl From<&StoredCopy> for wire::StoredCopy {
    fn from(copy: &StoredCopy) -> Self {
        let (standing, stale_since_ms) = match copy.standing {
            Standing::Live => ("live", 0),
            Standing::Stale { since_ms } => ("stale", since_ms),
            Standing::Gone => ("gone", 0),
        };
        let recoded = copy.recoded.iter().map(|recoded| wire::Recoded {
            recoding: recoded.recoding.clone(),
            length: recoded.length,
            on_disk: recoded.on_disk,
        });
        let held = copy.held.iter().map(|held| wire::HeldBytes {
            start: held.start,
            end: held.end,
        });
        Self {
            variant: copy.variant,
            selected: copy.selected,
            on_disk: copy.on_disk,
            status: copy.status.into(),
            length: copy.length,
            negotiable: copy.negotiable,
            received: copy.received,
            initial_age: copy.initial_age,
            age: copy.age,
            lifetime: copy.lifetime,
            lifetime_source: copy.lifetime_source.clone(),
            stale_while_revalidate: copy.stale_while_revalidate,
            stale_if_error: copy.stale_if_error,
            no_cache: copy.no_cache,
            must_revalidate: copy.must_revalidate,
            label: Some(wire_sequence(copy.label.0)),
            boot: copy.generation.boot.0,
            generation: copy.generation.counter,
            revision: copy.revision,
            standing: standing.to_owned(),
            stale_since_ms,
            fields: wire_fields(&copy.fields),
            purges: copy.purges.iter().map(Into::into).collect(),
            decodable: copy.decodable.clone(),
            recoded: recoded.collect(),
            incomplete: copy.incomplete,
            lacks: copy.lacks,
            held: held.collect(),
            held_cut: copy.held_cut,
        }
    }
}

fn purges(wire: Vec<wire::Covering>) -> Result<Vec<Covering>, ProtocolError> {
    at_most("purges", wire.len(), PURGES_MAX)?;
    let covering = |wire: wire::Covering| Covering {
        kind: cut(wire.kind),
        name: cut(wire.name),
        n: wire.n,
        soft: wire.soft,
    };
    Ok(wire.into_iter().map(covering).collect())
}

impl From<&Covering> for wire::Covering {
    fn from(covering: &Covering) -> Self {
        Self {
            kind: covering.kind.clone(),
            name: covering.name.clone(),
            n: covering.n,
            soft: covering.soft,
        }
    }
}

impl TryFrom<wire::Decision> for Decision {
    type Error = ProtocolError;

    fn try_from(wire: wire::Decision) -> Result<Self, ProtocolError> {
        Ok(Self {
            at_ms: wire.at_ms,
            method: cut(wire.method),
            outcome: cut(wire.outcome),
            status: status(wire.status)?,
            forward: cut(wire.forward),
            forward_status: told(wire.forward_status)?,
            stored: wire.stored,
            collapsed: wire.collapsed,
            detail: cut(wire.detail),
        })
    }
}

impl From<&Decision> for wire::Decision {
    fn from(decision: &Decision) -> Self {
        Self {
            at_ms: decision.at_ms,
            method: decision.method.clone(),
            outcome: decision.outcome.clone(),
            status: decision.status.into(),
            forward: decision.forward.clone(),
            forward_status: decision.forward_status.unwrap_or_default().into(),
            stored: decision.stored,
            collapsed: decision.collapsed,
            detail: decision.detail.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
