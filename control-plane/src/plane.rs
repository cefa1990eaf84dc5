//! The control plane's parts together, and what an operator can do with them. The API and the nodes' stream both go
//! through here.

use crate::events::Events;
use crate::log::{AppendError, Appended, PurgeLog};
use crate::members::Members;
use crate::questions::{Answers, Questions};
use crate::record::PurgeRecord;
use crate::services::{InForce, Services, decode, encode};
use crate::store::{Expect, IdempotencyKey, Store, StoreError};
use crate::tokens::Tokens;
use seawall_control_protocol::documents::SERVICES;
use seawall_control_protocol::map::{SHIELDS, ShieldEntry};
use seawall_control_protocol::{About, Document};
use seawall_purge::receipt::Tally;
use seawall_purge::{PurgeSeq, ScopeId};
use seawall_telemetry::ControlPlaneMetrics;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long nodes may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(2);

/// The parts.
pub struct Plane {
    pub log: PurgeLog,
    pub members: Members,
    pub services: Services,
    pub tokens: Tokens,
    pub events: Events,
    pub questions: Questions,
    pub metrics: Arc<ControlPlaneMetrics>,
    /// The shields that edges are told of; `None`: their own files say.
    shields: Option<Document>,
    /// Numbers of streams.
    pub(crate) streams: std::sync::atomic::AtomicU64,
}

impl Plane {
    /// Opens all parts over one store. `shields`: the map that edges are told.
    pub async fn open(
        store: Arc<dyn Store>,
        shields: Option<&[ShieldEntry]>,
    ) -> Result<Self, StoreError> {
        let shields = match shields {
            Some(shields) => Some(put_shields(&store, shields).await?),
            None => None,
        };
        Ok(Self {
            log: PurgeLog::open(store.clone()).await?,
            members: Members::open(store.clone()).await?,
            services: Services::open(store.clone()).await?,
            tokens: Tokens::open(store).await?,
            events: Events::default(),
            questions: Questions::default(),
            metrics: ControlPlaneMetrics::new(),
            shields,
            streams: std::sync::atomic::AtomicU64::new(1),
        })
    }

    /// Appends a purge; durable when this returns, and on its way to all nodes.
    pub async fn purge(
        &self,
        records: &[PurgeRecord],
        key: IdempotencyKey,
    ) -> Result<(Appended, u64), AppendError> {
        let now_ms = unix_ms();
        let started = std::time::Instant::now();
        let appended = self.log.append(records, key, now_ms).await?;
        let metrics = &self.metrics;
        metrics
            .purge_append_seconds
            .observe(started.elapsed().as_secs_f64());
        metrics.purge_log_position.set(appended.last.n as i64);
        let soft = records.first().is_some_and(|record| record.soft);
        if soft {
            metrics.purges_soft.inc();
        } else {
            metrics.purges_hard.inc();
        }
        // a retry has its first time: receipts count from there
        let before = PurgeSeq::new(appended.first.epoch, appended.first.n - 1);
        let first = self.log.read(before, 1).await?;
        let appended_ms = first.first().map_or(now_ms, |record| record.appended_ms);
        Ok((appended, appended_ms))
    }

    /// Waits until no member is pending for the purge at `last`, or the wait is over. Without a wait of the caller's
    /// own, members that are away are not waited for.
    pub async fn wait(&self, last: PurgeSeq, wait: Option<Duration>) -> Tally {
        const DEFAULT: Duration = Duration::from_secs(5);
        let until = tokio::time::Instant::now() + wait.unwrap_or(DEFAULT);
        let mut changes = self.members.changes();
        loop {
            changes.mark_unchanged();
            let tally = self.members.tally(last);
            let hopeless = wait.is_none() && self.members.waits_for_the_away_alone(last);
            if tally.is_complete() || hopeless {
                return tally;
            }
            match tokio::time::timeout_at(until, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return self.members.tally(last),
            }
        }
    }

    /// What all connected nodes would let go with these scopes.
    pub async fn estimate(&self, scopes: Vec<ScopeId>) -> Option<Answers> {
        let about = About::Estimate { scopes };
        self.questions.ask(&about, PATIENCE).await
    }

    /// The documents that a node which holds `held` is to be told, with the generations it has then.
    pub fn documents_for(
        &self,
        in_force: &InForce,
        held: &BTreeMap<String, u64>,
    ) -> (Vec<Document>, BTreeMap<String, u64>) {
        let mut documents = in_force.documents_for(held);
        let mut generations = in_force.generations();
        if let Some(shields) = &self.shields {
            if held.get(SHIELDS) != Some(&shields.generation) {
                documents.push(shields.clone());
            }
            generations.insert(SHIELDS.into(), shields.generation);
        }
        for (name, generation) in held {
            // what no part of this control plane knows
            if !generations.contains_key(name) && !name.starts_with(SERVICES) {
                documents.push(Document {
                    name: name.clone(),
                    generation: generation + 1,
                    body: None,
                });
            }
        }
        (documents, generations)
    }

    /// Takes a member out of the fleet.
    pub async fn remove_node(&self, id: &str) -> Result<bool, StoreError> {
        let head = self.log.head().await?.at;
        let removed = self.members.remove(id, head, unix_ms()).await?;
        if removed {
            tracing::info!(node = id, "a node is removed");
            self.events
                .tell("node", json!({ "node": id, "state": "removed" }));
        }
        Ok(removed)
    }

    /// Metrics in Prometheus' text format.
    pub async fn gather(&self) -> String {
        let (connected, away) = self.members.count();
        self.metrics.nodes_connected.set(connected as i64);
        self.metrics.nodes_away.set(away as i64);
        if let Ok(head) = self.log.head().await {
            self.metrics.purge_log_position.set(head.at.n as i64);
        }
        self.metrics.gather()
    }
}

async fn put_shields(
    store: &Arc<dyn Store>,
    shields: &[ShieldEntry],
) -> Result<Document, StoreError> {
    const KEY: &str = "map/shields";
    let body = encode(&shields);
    let before = store.get(KEY).await?;
    let same = match &before {
        Some(document) => decode::<Vec<ShieldEntry>>(document)? == shields,
        None => false,
    };
    let revision = match (same, before) {
        (true, Some(document)) => document.revision,
        _ => store.put(KEY, body.clone(), Expect::Any).await?,
    };
    Ok(Document {
        name: SHIELDS.into(),
        generation: revision.0,
        body: Some(body.to_vec()),
    })
}

pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}
