//! The nodes that were seen, and what each has acknowledged, cumulatively. Every receipt is computed from this table.

use crate::store::{Expect, Store, StoreError};
use parking_lot::Mutex;
use seawall_control_protocol::{Ack, Hello};
use seawall_purge::receipt::{Standing, State, Tally, state};
use seawall_purge::{Epoch, PurgeSeq};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

/// Members of a fleet, those removed among them.
pub const MEMBERS_MAX: usize = 4096;
/// Acknowledgements whose times are remembered, for each node.
const TIMES_MAX: usize = 4096;
const PREFIX: &str = "nodes/";

/// What is kept of a member. Positions are written when it comes and goes: an older one only makes a receipt wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    kind: String,
    software: String,
    first_seen_ms: u64,
    last_seen_ms: u64,
    epoch: u64,
    n: u64,
    /// Where the log stood when an operator removed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed_at: Option<(u64, u64)>,
}

#[derive(Clone, Debug)]
struct Member {
    kind: String,
    software: String,
    first_seen_ms: u64,
    last_seen_ms: u64,
    applied: PurgeSeq,
    removed_at: Option<PurgeSeq>,
    /// The number of its stream, while it has one.
    stream: Option<u64>,
    /// The last refusal of a document: its name, its generation, why.
    refused: BTreeMap<String, (u64, String)>,
    documents: BTreeMap<String, u64>,
    /// Position and time (Unix milliseconds) of acknowledgements, oldest first.
    times: VecDeque<(u64, u64)>,
}

/// A member, for people and scripts.
#[derive(Clone, Debug, Serialize)]
pub struct NodeView {
    pub id: String,
    pub kind: String,
    pub software: String,
    pub connected: bool,
    /// `epoch.n`, as in the log.
    pub applied: String,
    /// Purges that it has not applied yet; absent where its position is of another epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
    pub first_seen_ms: u64,
    pub last_seen_ms: u64,
    /// Documents by name, with the generation in force.
    pub documents: BTreeMap<String, u64>,
    /// Documents that it refuses, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, String>,
}

/// How one purge stands on one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub node: String,
    pub state: State,
    /// Milliseconds from the append to the acknowledgement, where it was seen.
    pub took_ms: Option<u64>,
    /// A pending member: since when it is away (Unix milliseconds).
    pub since_ms: Option<u64>,
}

/// Members by id.
pub struct Members {
    store: Arc<dyn Store>,
    by_id: Mutex<BTreeMap<String, Member>>,
    /// Counts acknowledgements and changes of membership: receipts are looked at again.
    changes: watch::Sender<u64>,
}

/// Why a node is not let in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("the fleet has {MEMBERS_MAX} members: remove some that are gone")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Members {
    /// Reads who was a member before: they stay pending until they are heard of again, or removed.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let mut members = BTreeMap::new();
        for document in store.list(PREFIX).await?.documents {
            let id = document.key[PREFIX.len()..].to_owned();
            let body = document.body.unwrap_or_default();
            let kept: Kept = serde_json::from_slice(&body)
                .map_err(|error| StoreError::Corrupt(format!("{}: {error}", document.key)))?;
            members.insert(id, Member::of(kept));
        }
        Ok(Self {
            store,
            by_id: Mutex::new(members),
            changes: watch::Sender::new(0),
        })
    }

    /// Whether an operator removed this node, and it has not been received since.
    pub fn is_removed(&self, id: &str) -> bool {
        let members = self.by_id.lock();
        members.get(id).is_some_and(|m| m.removed_at.is_some())
    }

    /// A node was received, and its stream is `stream`; `applied` is what it holds, or the head where it starts empty.
    /// Durable when this returns: from then on receipts wait for it.
    pub async fn join(
        &self,
        hello: &Hello,
        applied: PurgeSeq,
        stream: u64,
        now_ms: u64,
    ) -> Result<(), JoinError> {
        let kept = {
            let mut members = self.by_id.lock();
            if members.len() >= MEMBERS_MAX && !members.contains_key(&hello.node_id) {
                return Err(JoinError::Full);
            }
            let before = members.get(&hello.node_id);
            let first_seen_ms = before.map_or(now_ms, |before| before.first_seen_ms);
            let member = Member {
                kind: hello.kind.clone(),
                software: hello.software.clone(),
                first_seen_ms,
                last_seen_ms: now_ms,
                applied,
                removed_at: None,
                stream: Some(stream),
                refused: BTreeMap::new(),
                documents: hello.documents.clone().into_iter().collect(),
                times: VecDeque::new(),
            };
            let kept = member.kept();
            members.insert(hello.node_id.clone(), member);
            kept
        };
        self.keep(&hello.node_id, &kept).await?;
        self.changed();
        Ok(())
    }

    /// A node acknowledges, on its stream `stream`; one of an older stream changes nothing. An acknowledgement that is
    /// older than one before it changes no position.
    pub fn acknowledge(&self, id: &str, stream: u64, ack: &Ack, now_ms: u64) {
        let mut members = self.by_id.lock();
        let Some(member) = members.get_mut(id).filter(|m| m.stream == Some(stream)) else {
            return;
        };
        member.last_seen_ms = now_ms;
        for document in &ack.documents {
            match &document.result {
                Ok(()) => {
                    member.refused.remove(&document.name);
                    member
                        .documents
                        .insert(document.name.clone(), document.generation);
                }
                Err(reason) => {
                    let refused = (document.generation, reason.clone());
                    member.refused.insert(document.name.clone(), refused);
                }
            }
        }
        let moved = match ack.purged.cmp_within(member.applied) {
            Some(Ordering::Greater) => true,
            Some(_) => false,
            // the node was received into this epoch: it acknowledges no other
            None => false,
        };
        if moved {
            member.applied = ack.purged;
            member.times.push_back((ack.purged.n, now_ms));
            if member.times.len() > TIMES_MAX {
                member.times.pop_front();
            }
        }
        drop(members);
        if moved || !ack.documents.is_empty() {
            self.changed();
        }
    }

    /// A node's stream has ended. Returns whether it was its last one.
    pub async fn leave(&self, id: &str, stream: u64, now_ms: u64) -> bool {
        let kept = {
            let mut members = self.by_id.lock();
            let Some(member) = members.get_mut(id).filter(|m| m.stream == Some(stream)) else {
                return false;
            };
            member.stream = None;
            member.last_seen_ms = now_ms;
            member.kept()
        };
        if let Err(error) = self.keep(id, &kept).await {
            // an older position in the store only makes a receipt wait
            tracing::warn!(%error, node = id, "the position of a node could not be kept");
        }
        self.changed();
        true
    }

    /// An operator says that a node is gone for good: nothing waits for it any more, and it starts empty should it come
    /// back. False: there is no such member.
    pub async fn remove(&self, id: &str, head: PurgeSeq, now_ms: u64) -> Result<bool, StoreError> {
        let kept = {
            let members = self.by_id.lock();
            let Some(member) = members.get(id).filter(|m| m.removed_at.is_none()) else {
                return Ok(false);
            };
            let mut removed = member.clone();
            removed.removed_at = Some(head);
            removed.last_seen_ms = now_ms;
            removed.kept()
        };
        // durable first: a receipt must not say "removed" of a node that is a member again after a restart
        self.keep(id, &kept).await?;
        if let Some(member) = self.by_id.lock().get_mut(id) {
            member.removed_at = Some(head);
            member.stream = None;
        }
        self.changed();
        Ok(true)
    }

    async fn keep(&self, id: &str, kept: &Kept) -> Result<(), StoreError> {
        let body = serde_json::to_vec(kept).unwrap_or_default();
        let key = format!("{PREFIX}{id}");
        self.store.put(&key, body.into(), Expect::Any).await?;
        Ok(())
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Says when receipts are to be looked at again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether the stream numbered `stream` is still the one of its node.
    pub fn is_current(&self, id: &str, stream: u64) -> bool {
        let members = self.by_id.lock();
        members.get(id).is_some_and(|m| m.stream == Some(stream))
    }

    /// How the purge at `purge`, appended at `appended_ms`, stands on every member that it is the business of.
    pub fn receipts(&self, purge: PurgeSeq, appended_ms: u64) -> Vec<Receipt> {
        let members = self.by_id.lock();
        let receipt = |(id, member): (&String, &Member)| {
            let state = state(&member.standing(), purge)?;
            let away = state == State::Pending && member.stream.is_none();
            Some(Receipt {
                node: id.clone(),
                state,
                took_ms: (state == State::Applied)
                    .then(|| member.took(purge.n, appended_ms))
                    .flatten(),
                since_ms: (state == State::Pending).then_some(if away {
                    member.last_seen_ms
                } else {
                    appended_ms
                }),
            })
        };
        members.iter().filter_map(receipt).collect()
    }

    /// The same, counted.
    pub fn tally(&self, purge: PurgeSeq) -> Tally {
        let members = self.by_id.lock();
        let states = members
            .values()
            .filter_map(|member| state(&member.standing(), purge));
        Tally::of(states)
    }

    /// Whether every member that is pending for `purge` is away.
    pub fn waits_for_the_away_alone(&self, purge: PurgeSeq) -> bool {
        let members = self.by_id.lock();
        let mut pending = members
            .values()
            .filter(|member| state(&member.standing(), purge) == Some(State::Pending));
        pending.all(|member| member.stream.is_none())
    }

    /// Members that were not removed, for `head`.
    pub fn list(&self, head: PurgeSeq) -> Vec<NodeView> {
        let members = self.by_id.lock();
        let view = |(id, member): (&String, &Member)| {
            let of_this_epoch = member.applied.epoch == head.epoch;
            let refused = member.refused.iter();
            NodeView {
                id: id.clone(),
                kind: member.kind.clone(),
                software: member.software.clone(),
                connected: member.stream.is_some(),
                applied: member.applied.to_string(),
                behind: of_this_epoch.then(|| head.n.saturating_sub(member.applied.n)),
                first_seen_ms: member.first_seen_ms,
                last_seen_ms: member.last_seen_ms,
                documents: member.documents.clone(),
                refused: refused
                    .map(|(name, (generation, why))| {
                        (name.clone(), format!("generation {generation}: {why}"))
                    })
                    .collect(),
            }
        };
        let present = members.iter().filter(|(_, m)| m.removed_at.is_none());
        present.map(view).collect()
    }

    /// Connected members, and those that are away.
    pub fn count(&self) -> (usize, usize) {
        let members = self.by_id.lock();
        let present = members.values().filter(|m| m.removed_at.is_none());
        let (connected, away): (Vec<_>, Vec<_>) = present.partition(|m| m.stream.is_some());
        (connected.len(), away.len())
    }
}

impl Member {
    fn of(kept: Kept) -> Self {
        let seq = |(epoch, n)| PurgeSeq::new(Epoch(epoch), n);
        Self {
            kind: kept.kind,
            software: kept.software,
            first_seen_ms: kept.first_seen_ms,
            last_seen_ms: kept.last_seen_ms,
            applied: seq((kept.epoch, kept.n)),
            removed_at: kept.removed_at.map(seq),
            stream: None,
            refused: BTreeMap::new(),
            documents: BTreeMap::new(),
            times: VecDeque::new(),
        }
    }

    fn standing(&self) -> Standing {
        Standing {
            applied: self.applied,
            removed_at: self.removed_at,
            // services say "serve" when a lease runs out; there are no leases yet
            fenced: false,
        }
    }

    fn kept(&self) -> Kept {
        Kept {
            kind: self.kind.clone(),
            software: self.software.clone(),
            first_seen_ms: self.first_seen_ms,
            last_seen_ms: self.last_seen_ms,
            epoch: self.applied.epoch.0,
            n: self.applied.n,
            removed_at: self.removed_at.map(|at| (at.epoch.0, at.n)),
        }
    }

    /// Milliseconds from `appended_ms` to the first acknowledgement that reached `n`, if it is remembered.
    fn took(&self, n: u64, appended_ms: u64) -> Option<u64> {
        let at = self.times.partition_point(|(acked, _)| *acked < n);
        // before the first one remembered, it may have been an earlier one
        if at == 0 && self.times.len() == TIMES_MAX {
            return None;
        }
        let (_, when) = self.times.get(at)?;
        (*when >= appended_ms).then(|| when - appended_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use seawall_purge::lineage::Held;
    use std::collections::HashMap;

    fn seq(epoch: u64, n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(epoch), n)
    }

    fn hello(id: &str, at: PurgeSeq) -> Hello {
        Hello {
            node_id: id.into(),
            version: 1,
            held: Held { at, term: 0 },
            documents: HashMap::new(),
            kind: "edge".into(),
            software: String::new(),
        }
    }

    fn ack(purged: PurgeSeq) -> Ack {
        Ack {
            purged,
            documents: Vec::new(),
        }
    }

    async fn members(store: &Arc<dyn Store>) -> Members {
        let members = Members::open(store.clone()).await.unwrap();
        for (stream, (id, at)) in [("a", seq(1, 5)), ("b", seq(1, 7))].into_iter().enumerate() {
            let stream = stream as u64;
            members.join(&hello(id, at), at, stream, 10).await.unwrap();
        }
        members
    }

    fn store() -> Arc<dyn Store> {
        Arc::new(MemoryStore::new(Epoch(1)))
    }

    fn pending(members: &Members, purge: PurgeSeq) -> Vec<String> {
        let receipts = members.receipts(purge, 0).into_iter();
        receipts
            .filter(|receipt| receipt.state == State::Pending)
            .map(|receipt| receipt.node)
            .collect()
    }

    #[tokio::test]
    async fn a_purge_is_pending_on_nodes_that_are_behind_or_of_another_epoch() {
        let members = members(&store()).await;
        assert_eq!(pending(&members, seq(1, 6)), ["a"]);
        assert_eq!(pending(&members, seq(2, 1)), ["a", "b"]);
        assert!(!members.tally(seq(1, 6)).is_complete());
        assert!(members.tally(seq(1, 5)).is_complete());
    }

    #[tokio::test]
    async fn acknowledgements_are_cumulative_and_never_go_back() {
        let members = members(&store()).await;
        members.acknowledge("a", 0, &ack(seq(1, 8)), 30);
        members.acknowledge("a", 0, &ack(seq(1, 3)), 40);
        members.acknowledge("a", 0, &ack(seq(2, 100)), 40);
        members.acknowledge("stranger", 0, &ack(seq(1, 100)), 40);
        // of a stream that is no longer b's
        members.acknowledge("b", 9, &ack(seq(1, 100)), 40);
        assert_eq!(pending(&members, seq(1, 8)), ["b"]);
        let receipts = members.receipts(seq(1, 6), 20);
        assert_eq!(receipts[0].took_ms, Some(10));
    }

    #[tokio::test]
    async fn nothing_waits_for_a_node_that_was_removed_and_it_is_told_as_removed() {
        let store = store();
        let members = members(&store).await;
        assert!(members.remove("a", seq(1, 6), 50).await.unwrap());
        assert!(!members.remove("a", seq(1, 6), 50).await.unwrap());
        for members in [&members, &Members::open(store.clone()).await.unwrap()] {
            assert_eq!(members.receipts(seq(1, 6), 0)[0].state, State::Removed);
            assert!(members.receipts(seq(1, 7), 0).iter().all(|r| r.node != "a"));
            assert!(members.is_removed("a") && !members.is_removed("b"));
        }
    }

    #[tokio::test]
    async fn a_node_that_is_away_while_the_control_plane_restarts_stays_pending() {
        let store = store();
        let first = members(&store).await;
        first.acknowledge("a", 0, &ack(seq(1, 9)), 30);
        let again = Members::open(store).await.unwrap();
        // its last acknowledgement was not kept: that makes receipts wait, never claim
        assert_eq!(pending(&again, seq(1, 9)), ["a", "b"]);
        assert_eq!(pending(&again, seq(1, 5)), Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_stream_that_came_last_is_the_nodes_own() {
        let store = store();
        let members = members(&store).await;
        let at = seq(1, 6);
        members.join(&hello("a", at), at, 7, 60).await.unwrap();
        assert!(
            !members.leave("a", 0, 61).await,
            "the old stream ended late"
        );
        assert!(members.is_current("a", 7));
        assert!(members.leave("a", 7, 62).await);
    }
}
