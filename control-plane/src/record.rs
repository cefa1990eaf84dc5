//! A purge as it is kept in the log: what was asked, and the ids that nodes compare.

use crate::store::{Entry, Record, StoreError};
use seawall_purge::record::SCOPES_MAX;
use seawall_purge::{Purge, ScopeId, Strength};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::sync::Arc;

/// What an operator named, in the words of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
}

/// One record's body. A purge of more scopes than one record may have is several consecutive records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeRecord {
    pub soft: bool,
    pub scopes: Vec<u64>,
    /// What this record's scopes were made from: each item stands in one record.
    pub named: Named,
    /// The name of the token that asked for it, or what stands for one.
    pub by: String,
    /// The token's id; records of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_token: Option<String>,
    /// The node by which it came, where it came by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_node: Option<String>,
    /// How often in a second origins are asked for what it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<NonZeroU32>,
    /// Records of this purge, from this one to its last.
    pub more: u32,
}

/// Who asked for a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct By {
    /// A token's name, or what stands for one.
    pub name: String,
    /// The token's id: names may be given twice.
    pub token: Option<String>,
    /// The node by which it came, as the node calls itself.
    pub node: Option<String>,
}

impl By {
    /// Who has no token.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

/// Bytes of what is named in one record, so that it fits the store's bound with its scopes.
const NAMED_BYTES_MAX: usize = 24 * 1024;

/// Items of one kind and their scopes, before they are packed into records.
#[derive(Clone, Debug)]
pub struct Item {
    pub kind: Kind,
    pub text: String,
    pub scopes: Vec<ScopeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Url,
    Tag,
    Prefix,
    Host,
    /// All of one service, named beside.
    Service,
    Everything,
}

impl Kind {
    /// The member of a request that names such items.
    pub fn member(self) -> &'static str {
        match self {
            Self::Url => "urls",
            Self::Tag => "tags",
            Self::Prefix => "prefixes",
            Self::Host => "hosts",
            Self::Service => "service",
            Self::Everything => "everything",
        }
    }
}

/// Packs items into as few records as the bounds allow.
pub fn pack(items: Vec<Item>, service: Option<&str>, soft: bool, by: &By) -> Vec<PurgeRecord> {
    let fresh = || PurgeRecord {
        soft,
        scopes: Vec::new(),
        named: Named {
            service: service.map(str::to_owned),
            ..Named::default()
        },
        by: by.name.clone(),
        by_token: by.token.clone(),
        by_node: by.node.clone(),
        pace: None,
        more: 0,
    };
    let mut records = vec![fresh()];
    let mut bytes = 0;
    for item in items {
        let mut scopes: Vec<u64> = item.scopes.iter().map(|scope| scope.0).collect();
        scopes.sort_unstable();
        scopes.dedup();
        let full = records.last().is_some_and(|record| {
            let used = !record.scopes.is_empty();
            used && (record.scopes.len() + scopes.len() > SCOPES_MAX
                || bytes + item.text.len() > NAMED_BYTES_MAX)
        });
        if full {
            records.push(fresh());
            bytes = 0;
        }
        bytes += item.text.len() + 8;
        let Some(record) = records.last_mut() else {
            continue;
        };
        record.scopes.extend(scopes);
        match item.kind {
            Kind::Url => record.named.urls.push(item.text),
            Kind::Tag => record.named.tags.push(item.text),
            Kind::Prefix => record.named.prefixes.push(item.text),
            Kind::Host => record.named.hosts.push(item.text),
            Kind::Service => {}
            Kind::Everything => record.named.everything = true,
        }
    }
    let count = records.len() as u32;
    for (record, at) in records.iter_mut().zip(1..) {
        record.more = count - at;
    }
    records
}

/// What a record is found by: its scopes, which begin what stands behind them. None where it cannot be read.
pub(crate) fn names_of(body: &[u8]) -> Vec<u64> {
    let record: Option<PurgeRecord> = serde_json::from_slice(body).ok();
    record.map_or_else(Vec::new, |record| record.scopes)
}

impl PurgeRecord {
    /// As it is appended.
    pub fn entry(&self) -> Entry {
        Entry {
            body: self.encode(),
            names: self.scopes.clone(),
        }
    }

    pub fn encode(&self) -> Arc<[u8]> {
        // strings, numbers and switches: this cannot fail
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub fn decode(record: &Record) -> Result<Self, StoreError> {
        serde_json::from_slice(&record.body)
            .map_err(|error| StoreError::Corrupt(format!("purge {}: {error}", record.at)))
    }

    pub fn strength(&self) -> Strength {
        if self.soft {
            Strength::Soft
        } else {
            Strength::Hard
        }
    }

    /// As nodes are told it.
    pub fn purge(&self, record: &Record) -> Purge {
        Purge {
            at: record.at,
            term: record.term.0,
            appended_ms: record.appended_ms,
            strength: self.strength(),
            scopes: self.scopes.iter().copied().map(ScopeId).collect(),
            pace: self.pace,
        }
    }
}

impl Named {
    /// The member of a request that names the first of it.
    pub fn first(&self) -> &'static str {
        let lists = [
            (&self.urls, "urls"),
            (&self.tags, "tags"),
            (&self.prefixes, "prefixes"),
            (&self.hosts, "hosts"),
        ];
        let first = lists.into_iter().find(|(list, _)| !list.is_empty());
        first.map_or("", |(_, member)| member)
    }

    /// Takes in what another record of the same purge names.
    pub fn extend(&mut self, other: Self) {
        self.urls.extend(other.urls);
        self.tags.extend(other.tags);
        self.prefixes.extend(other.prefixes);
        self.hosts.extend(other.hosts);
        self.everything |= other.everything;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_purge::{Epoch, PurgeSeq};

    fn item(text: &str, scopes: u64) -> Item {
        Item {
            kind: Kind::Tag,
            text: text.into(),
            scopes: (0..scopes).map(ScopeId).collect(),
        }
    }

    #[test]
    fn a_purge_is_packed_into_records_within_the_bounds_and_none_of_it_is_lost() {
        let items: Vec<Item> = (0..30).map(|i| item(&format!("tag-{i}"), 90)).collect();
        let records = pack(items, Some("shop"), true, &By::named("ci"));
        assert_eq!(records.len(), 3);
        let mut all = Named::default();
        for (record, more) in records.iter().zip([2, 1, 0]) {
            assert!(record.scopes.len() <= SCOPES_MAX && record.more == more);
            all.extend(record.named.clone());
        }
        assert_eq!(all.tags.len(), 30);
        let long = "x".repeat(20_000);
        assert_eq!(
            pack(
                vec![item(&long, 1), item(&long, 1)],
                None,
                false,
                &By::named("ci")
            )
            .len(),
            2
        );
    }

    #[test]
    fn a_record_reads_as_it_was_written_and_a_damaged_one_says_which() {
        let mut written = pack(vec![item("a", 3)], None, false, &By::named("ci")).remove(0);
        written.pace = NonZeroU32::new(50);
        let mut record = Record {
            at: PurgeSeq::new(Epoch(1), 2),
            term: crate::store::Term(3),
            appended_ms: 4,
            body: written.encode(),
        };
        assert_eq!(written.purge(&record).pace, written.pace);
        assert_eq!(PurgeRecord::decode(&record), Ok(written));
        record.body = b"{}".as_slice().into();
        let error = PurgeRecord::decode(&record).unwrap_err().to_string();
        assert!(error.contains("1.2"), "{error}");
    }

    #[test]
    fn a_record_of_an_earlier_version_reads_without_token_node_and_pace() {
        let body = br#"{"soft":true,"scopes":[3],"named":{"tags":["a"]},"by":"ci","more":0}"#;
        let record = Record {
            at: PurgeSeq::new(Epoch(1), 2),
            term: crate::store::Term(3),
            appended_ms: 4,
            body: body.as_slice().into(),
        };
        let read = PurgeRecord::decode(&record).unwrap();
        assert_eq!(
            (read.by.as_str(), read.by_token, read.by_node, read.pace),
            ("ci", None, None, None)
        );
        // and is written as it was where there is none of them
        assert_eq!(
            &*pack(vec![item("a", 0)], None, false, &By::named("ci"))[0].encode(),
            br#"{"soft":false,"scopes":[],"named":{"tags":["a"]},"by":"ci","more":0}"#
        );
    }
}
