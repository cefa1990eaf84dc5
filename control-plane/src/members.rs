//! The nodes that were seen, and what each has acknowledged, cumulatively. Every receipt is computed from this table.

mod leased;

pub use self::leased::{Judge, Unapplied};
use crate::store::{Expect, Store, StoreError};
use parking_lot::Mutex;
use seawall_control_protocol::{Ack, Hello};
use seawall_purge::lineage::{Past, moves_on, must_start_empty};
use seawall_purge::receipt::{State, Tally};
use seawall_purge::{Epoch, PurgeSeq};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Members of a fleet, those removed among them.
pub const MEMBERS_MAX: usize = 4096;
/// Acknowledgements whose times are remembered, for each node.
const TIMES_MAX: usize = 4096;
const PREFIX: &str = "nodes/";

/// How long after a start members that were not heard of yet are worth waiting for: they connect again by themselves, after
/// at most 5 s and a random half of it.
const RETURN_MAX: Duration = Duration::from_secs(8);

/// What is kept of a member. Positions are written when it comes and goes, every minute and at the end: an older one only
/// makes a receipt wait.
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
    /// It was told to start empty, and has not said yet that it has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    empties: bool,
    /// It has acknowledged all services as they stood at this revision of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    services: Option<u64>,
}

#[derive(Clone, Debug)]
struct Member {
    kind: String,
    software: String,
    first_seen_ms: u64,
    last_seen_ms: u64,
    applied: PurgeSeq,
    removed_at: Option<PurgeSeq>,
    empties: bool,
    /// It has acknowledged all services as they stood at this revision of the store.
    services: Option<u64>,
    /// When its last renewal was answered, since this start.
    answered: Option<Duration>,
    /// The number of its stream, while it has one.
    stream: Option<u64>,
    /// Whether it has had a stream since this start.
    heard: bool,
    /// Up to this position of its epoch nobody saw when it applied what.
    unseen: u64,
    /// Whether the store has an older position.
    unkept: bool,
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
    /// Absent where it has not been given one since the control plane started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseView>,
}

/// A member's lease, for people and scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum LeaseView {
    /// It runs until then, unless it is renewed; a time as in RFC 3339.
    Held { until: String },
    /// It ran out then.
    Lost { since: String },
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
    /// A fenced member: since when (by the clock of leases).
    pub fenced_since: Option<Duration>,
}

/// How a node is received.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// What it holds; the beginning where it starts empty.
    pub applied: PurgeSeq,
    /// Where the log stood.
    pub head: PurgeSeq,
    /// It was told to let go of all copies.
    pub starts_empty: bool,
    /// It was, and its position will not tell whether it has: see [`Members::must_start_empty`].
    pub owes_empty: bool,
}

/// Members by id.
pub struct Members {
    store: Arc<dyn Store>,
    by_id: Mutex<BTreeMap<String, Member>>,
    /// One change of membership at a time, so that the store has them in the order of this table.
    changing: tokio::sync::Mutex<()>,
    opened: Instant,
    /// Counts acknowledgements and changes of membership: receipts are looked at again.
    changes: watch::Sender<u64>,
}

/// Why a node is not let in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("the fleet has {MEMBERS_MAX} members: remove some that are gone")]
    Full,
    /// It was removed after it was looked up: it says hello again, and starts empty.
    #[error("the node was removed meanwhile")]
    Removed,
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
            changing: tokio::sync::Mutex::default(),
            opened: Instant::now(),
            changes: watch::Sender::new(0),
        })
    }

    /// Whether a node that holds `held` has to start empty: an operator removed it and it has not done so since; or it
    /// comes with a past that nobody here knows, as one whose removal was forgotten does.
    pub fn must_start_empty(&self, id: &str, held: PurgeSeq) -> bool {
        let members = self.by_id.lock();
        let past = members.get(id).map(|member| Past {
            removed: member.removed_at.is_some(),
            owes_empty: member.empties,
        });
        must_start_empty(past, held)
    }

    /// A node was received, and its stream is `stream`. Durable when this returns: from then on receipts wait for it.
    /// After an error nothing is changed. Whether it has to start empty is looked at again: a receipt that told it as
    /// removed must not wait for it again while it may answer with its old copies.
    pub async fn join(
        &self,
        hello: &Hello,
        received: Received,
        stream: u64,
        now_ms: u64,
    ) -> Result<(), JoinError> {
        let _one = self.changing.lock().await;
        if !received.owes_empty && self.must_start_empty(&hello.node_id, hello.held.at) {
            return Err(JoinError::Removed);
        }
        let before = self.by_id.lock().get(&hello.node_id).cloned();
        if before.is_none() {
            self.make_room().await?;
        }
        let member = Member {
            kind: hello.kind.clone(),
            software: hello.software.clone(),
            first_seen_ms: before.as_ref().map_or(now_ms, |b| b.first_seen_ms),
            last_seen_ms: now_ms,
            applied: received.applied,
            removed_at: None,
            empties: received.owes_empty,
            // one that starts empty is told all of them anew
            services: before
                .as_ref()
                .filter(|_| !received.starts_empty)
                .and_then(|before| before.services),
            answered: before.and_then(|before| before.answered),
            stream: Some(stream),
            heard: true,
            unseen: if received.starts_empty {
                received.head.n
            } else {
                received.applied.n
            },
            unkept: false,
            refused: BTreeMap::new(),
            documents: hello.documents.clone().into_iter().collect(),
            times: VecDeque::new(),
        };
        self.keep(&hello.node_id, &member.kept()).await?;
        self.by_id.lock().insert(hello.node_id.clone(), member);
        self.changed();
        Ok(())
    }

    /// Room for one more: where there is none, the member that was removed longest ago is forgotten. Should it come back,
    /// it starts empty as a stranger with a past does.
    async fn make_room(&self) -> Result<(), JoinError> {
        let oldest = {
            let members = self.by_id.lock();
            if members.len() < MEMBERS_MAX {
                return Ok(());
            }
            let removed = members.iter().filter(|(_, m)| m.removed_at.is_some());
            let oldest = removed.min_by_key(|(_, m)| m.last_seen_ms);
            oldest.map(|(id, _)| id.clone()).ok_or(JoinError::Full)?
        };
        match self
            .store
            .delete(&format!("{PREFIX}{oldest}"), Expect::Any)
            .await
        {
            Ok(_) | Err(StoreError::Conflict { current: None }) => {}
            Err(error) => return Err(error.into()),
        }
        self.by_id.lock().remove(&oldest);
        Ok(())
    }

    /// A node acknowledges, on its stream `stream`; one of an older stream changes nothing. An acknowledgement that is
    /// older than one before it changes no position. Returns whether it has just started empty as it owed, which is to
    /// be kept soon ([`Self::keep_positions`]): forgotten, it would lose its copies once more.
    pub fn acknowledge(&self, id: &str, stream: u64, ack: &Ack, now_ms: u64) -> bool {
        let mut members = self.by_id.lock();
        let Some(member) = members.get_mut(id).filter(|m| m.stream == Some(stream)) else {
            return false;
        };
        member.last_seen_ms = now_ms;
        // the first word on a stream comes after it has let go of its copies
        let settled = std::mem::take(&mut member.empties);
        member.unkept |= settled;
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
        let moved = moves_on(member.applied, ack.purged);
        if moved {
            member.applied = ack.purged;
            member.unkept = true;
            member.times.push_back((ack.purged.n, now_ms));
            if member.times.len() > TIMES_MAX {
                member.times.pop_front();
            }
        }
        drop(members);
        if moved || !ack.documents.is_empty() {
            self.changed();
        }
        settled
    }

    /// A node's stream has ended. Returns whether it was its last one.
    pub async fn leave(&self, id: &str, stream: u64, now_ms: u64) -> bool {
        let _one = self.changing.lock().await;
        let kept = {
            let mut members = self.by_id.lock();
            let Some(member) = members.get_mut(id).filter(|m| m.stream == Some(stream)) else {
                return false;
            };
            member.stream = None;
            member.last_seen_ms = now_ms;
            member.unkept = false;
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
        let _one = self.changing.lock().await;
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
            member.last_seen_ms = now_ms;
            member.stream = None;
        }
        self.changed();
        Ok(true)
    }

    /// Writes the positions that have moved since they were written last.
    pub async fn keep_positions(&self) -> Result<(), StoreError> {
        let _one = self.changing.lock().await;
        let moved: Vec<(String, Kept)> = {
            let mut members = self.by_id.lock();
            let moved = members.iter_mut().filter(|(_, member)| member.unkept);
            let kept = |(id, member): (&String, &mut Member)| {
                member.unkept = false;
                (id.clone(), member.kept())
            };
            moved.map(kept).collect()
        };
        for (id, kept) in moved {
            if let Err(error) = self.keep(&id, &kept).await {
                if let Some(member) = self.by_id.lock().get_mut(&id) {
                    member.unkept = true;
                }
                return Err(error);
            }
        }
        Ok(())
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
    /// `judge` says which of those that have not applied it are fenced.
    pub fn receipts(&self, purge: PurgeSeq, appended_ms: u64, judge: Judge<'_>) -> Vec<Receipt> {
        let members = self.by_id.lock();
        let receipt = |(id, member): (&String, &Member)| {
            let (state, fenced_since) = member.stands(purge, judge)?;
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
                fenced_since,
            })
        };
        members.iter().filter_map(receipt).collect()
    }

    /// The same, counted: the receipts that `receipts` told, so that the two cannot disagree.
    pub fn count_of(receipts: &[Receipt]) -> Tally {
        Tally::of(receipts.iter().map(|receipt| receipt.state))
    }

    /// The count alone.
    pub fn tally(&self, purge: PurgeSeq, judge: Judge<'_>) -> Tally {
        let members = self.by_id.lock();
        let states = members
            .values()
            .filter_map(|member| member.stands(purge, judge));
        Tally::of(states.map(|(state, _)| state))
    }

    /// Until when members that were not heard of since this start may well come back.
    pub fn returning_until(&self) -> Instant {
        self.opened + RETURN_MAX
    }

    /// Whether every member that is pending for `purge` is away, and not just about to come back.
    pub fn waits_for_the_away_alone(&self, purge: PurgeSeq, judge: Judge<'_>) -> bool {
        let returning = Instant::now() < self.returning_until();
        let members = self.by_id.lock();
        let mut pending = members
            .values()
            .filter(|member| matches!(member.stands(purge, judge), Some((State::Pending, _))));
        pending.all(|member| member.stream.is_none() && (member.heard || !returning))
    }

    /// Members that were not removed, connected or not.
    pub fn present(&self) -> Vec<String> {
        let members = self.by_id.lock();
        let present = members.iter().filter(|(_, m)| m.removed_at.is_none());
        present.map(|(id, _)| id.clone()).collect()
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
                lease: None,
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
            empties: kept.empties,
            services: kept.services,
            answered: None,
            stream: None,
            heard: false,
            unseen: kept.n,
            unkept: false,
            refused: BTreeMap::new(),
            documents: BTreeMap::new(),
            times: VecDeque::new(),
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
            empties: self.empties,
            services: self.services,
        }
    }

    /// Milliseconds from `appended_ms` to the first acknowledgement that reached `n`, if it is remembered.
    fn took(&self, n: u64, appended_ms: u64) -> Option<u64> {
        if n <= self.unseen {
            return None;
        }
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
mod tests;
