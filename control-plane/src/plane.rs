//! The control plane's parts together, and what an operator can do with them. The API and the nodes' stream both go
//! through here.

use crate::audit::{Audit, Change};
use crate::events::Events;
use crate::keys::Keys;
use crate::leases::{Fence, Leases};
use crate::log::{AppendError, Appended, PurgeLog};
use crate::members::{Members, Receipt, Unapplied};
use crate::questions::{Answers, Questions};
use crate::record::{By, Item, Kind, Named, PurgeRecord, pack};
use crate::serve::ended;
use crate::services::{Covered, InForce, Services};
use crate::shields::Shields;
use crate::store::{Damage, IdempotencyKey, Store, StoreError, Watched};
use crate::tokens::Tokens;
use seawall_control_protocol::documents::SERVICES;
use seawall_control_protocol::map::{SHIELDS, ShieldEntry};
use seawall_control_protocol::{About, Document, ExplainGet};
use seawall_purge::{PurgeSeq, Scope, ScopeId};
use seawall_telemetry::ControlPlaneMetrics;
use serde_json::json;
use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, watch};

/// Changes that operators ask for at a time; further ones wait.
const CHANGES_MAX: usize = 64;
/// How long nodes may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(2);

/// The parts.
pub struct Plane {
    pub log: PurgeLog,
    pub members: Members,
    pub leases: Leases,
    pub services: Services,
    pub tokens: Tokens,
    pub keys: Keys,
    pub audit: Audit,
    pub events: Events,
    pub questions: Questions,
    pub metrics: Arc<ControlPlaneMetrics>,
    pub(crate) shields: Shields,
    /// What of the store was found damaged since the start: the control plane is not ready then.
    pub(crate) damage: Damage,
    /// Room for changes under way.
    changes: Arc<Semaphore>,
    /// Streams end when this says so.
    pub(crate) ending: watch::Sender<bool>,
    /// Numbers of streams.
    pub(crate) streams: AtomicU64,
}

impl Plane {
    /// Opens all parts over one store. `shields`: the map that edges are told; `lease`: the length of leases.
    pub async fn open(
        store: Arc<dyn Store>,
        shields: Option<&[ShieldEntry]>,
        lease: Duration,
    ) -> Result<Self, StoreError> {
        let damage = Damage::default();
        let store: Arc<dyn Store> = Arc::new(Watched::new(store, damage.clone()));
        // before the services: their count of changes holds this one
        let shields = Shields::open(store.clone(), shields).await?;
        let log = PurgeLog::open(store.clone()).await?;
        let head = log.head().await?.at;
        Ok(Self {
            log,
            leases: Leases::open(store.clone(), lease, head).await?,
            members: Members::open(store.clone()).await?,
            services: Services::open(store.clone()).await?,
            audit: Audit::open(store.clone()).await?,
            keys: Keys::open(store.clone(), unix_ms()).await?,
            tokens: Tokens::open(store).await?,
            events: Events::default(),
            questions: Questions::default(),
            metrics: ControlPlaneMetrics::new(),
            shields,
            damage,
            changes: Arc::new(Semaphore::new(CHANGES_MAX)),
            ending: watch::Sender::new(false),
            streams: AtomicU64::new(1),
        })
    }

    /// Has a change run to its end, whatever becomes of the one who asked for it: a caller who hangs up would leave it
    /// half done, as in the store and not in memory.
    pub async fn whole<T: Send + 'static>(
        &self,
        change: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let room = self.changes.clone().acquire_owned().await;
        let room = room.map_err(|_| StoreError::Unavailable)?;
        let done = tokio::spawn(async move {
            let done = change.await;
            drop(room);
            done
        });
        // it panicked, or everything ends
        done.await.map_err(|_| StoreError::Unknown)
    }

    /// Has a change run to its end as [`Self::whole`] does, between an entry that says who asked for it and what became of
    /// it: see [`Audit::entered`].
    pub async fn entered<T, E>(
        self: &Arc<Self>,
        by: By,
        what: Change,
        change: impl Future<Output = Result<T, E>> + Send + 'static,
        came_to: impl FnOnce(&T) -> String + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + ToString + Send + 'static,
    {
        let plane = self.clone();
        let entered = async move {
            plane
                .audit
                .entered(&by, what, unix_ms(), change, came_to)
                .await
        };
        self.whole(entered).await?
    }

    /// Appends a purge; durable when this returns, and on its way to all nodes.
    pub async fn purge(
        &self,
        records: &[PurgeRecord],
        key: IdempotencyKey,
    ) -> Result<Appended, AppendError> {
        let started = std::time::Instant::now();
        let appended = self.log.append(records, key, unix_ms()).await?;
        // after it is in the log for everybody: a renewal that is answered without it was sent before
        self.leases.appended(appended.last);
        let metrics = &self.metrics;
        metrics
            .purge_append_seconds
            .observe(started.elapsed().as_secs_f64());
        if appended.again {
            return Ok(appended);
        }
        metrics.purge_log_position.set(appended.last.n as i64);
        let soft = records.first().is_some_and(|record| record.soft);
        if soft {
            metrics.purges_soft.inc();
        } else {
            metrics.purges_hard.inc();
        }
        Ok(appended)
    }

    /// How the purge at `last` of `named` stands on every member, now.
    pub fn receipts(&self, last: PurgeSeq, appended_ms: u64, named: &Named) -> Vec<Receipt> {
        let view = FencedBy::new(self, last, named);
        self.members
            .receipts(last, appended_ms, &|member| view.judge(member))
    }

    /// Waits until no member is pending for the purge at `last` of `named`, or the wait is over; how it stands then.
    /// Without a wait of the caller's own, members that are away are not waited for; when the control plane ends, nobody
    /// is.
    pub async fn wait(
        &self,
        last: PurgeSeq,
        appended_ms: u64,
        named: &Named,
        wait: Option<Duration>,
    ) -> Vec<Receipt> {
        const DEFAULT: Duration = Duration::from_secs(5);
        let until = tokio::time::Instant::now() + wait.unwrap_or(DEFAULT);
        let mut changes = self.members.changes();
        let mut ending = self.ending.subscribe();
        loop {
            changes.mark_unchanged();
            let mut look = until;
            {
                let view = FencedBy::new(self, last, named);
                let judge = |member| view.judge(member);
                let members = &self.members;
                let hopeless = wait.is_none() && members.waits_for_the_away_alone(last, &judge);
                let now = tokio::time::Instant::now();
                let ends = *ending.borrow();
                if members.tally(last, &judge).is_complete() || hopeless || ends || now >= until {
                    return members.receipts(last, appended_ms, &judge);
                }
                let returning = members.returning_until();
                if now < returning {
                    look = look.min(returning);
                }
                if let Some(next) = view.next.get() {
                    look = look.min(now + next.saturating_sub(self.leases.now()));
                }
            }
            // too late, a change, a lease that has ended by then, or the end: all are seen above
            tokio::select! {
                _ = tokio::time::timeout_at(look, changes.changed()) => {}
                () = ended(&mut ending) => {}
            }
        }
    }

    /// What all nodes would let go with these scopes; those that are away are silent.
    pub async fn estimate(&self, scopes: Vec<ScopeId>) -> Option<Answers> {
        self.ask(About::Estimate { scopes }).await
    }

    /// How all nodes would answer a request; those that are away are silent.
    pub async fn explain(&self, get: ExplainGet) -> Option<Answers> {
        self.ask(About::Explain(get)).await
    }

    async fn ask(&self, about: About) -> Option<Answers> {
        let mut ending = self.ending.subscribe();
        let asked = self.questions.ask(&about, PATIENCE, ended(&mut ending));
        let mut answers = asked.await?;
        let told = |id: &String| answers.told.iter().any(|(node, _)| node == id);
        // also one whose stream ends at this moment, which is neither asked nor away yet
        let present = self.members.present().into_iter();
        let silent: Vec<String> = present.filter(|id| !told(id)).collect();
        answers.silent.extend(silent);
        answers.silent.sort_unstable();
        answers.silent.dedup();
        Some(answers)
    }

    /// Makes room in the history for a service that was never there: where it is full, the one that was deleted longest
    /// ago is forgotten. Its copies are purged first: nobody could name them later.
    pub async fn make_room_for_service(&self, id: &str) -> Result<(), AppendError> {
        let Some(oldest) = self.services.to_forget_for(id).await? else {
            return Ok(());
        };
        tracing::warn!(
            service = oldest,
            "a deleted service is forgotten, and its copies are purged"
        );
        let item = Item {
            kind: Kind::Service,
            text: String::new(),
            scopes: vec![Scope::Service { service: &oldest }.id()],
        };
        let records = pack(
            vec![item],
            Some(&oldest),
            false,
            &By::named("control plane"),
        );
        self.purge(&records, random_key()?).await?;
        self.services.forget(&oldest).await?;
        Ok(())
    }

    /// The documents that a node which holds `held` is to be told, with the generations it has then.
    pub fn documents_for(
        &self,
        in_force: &InForce,
        held: &BTreeMap<String, u64>,
    ) -> (Vec<Document>, BTreeMap<String, u64>) {
        let mut documents = in_force.documents_for(held);
        let mut generations = in_force.generations();
        if let Some(shields) = self.shields.document() {
            generations.insert(SHIELDS.into(), shields.generation);
            if held.get(SHIELDS) != Some(&shields.generation) {
                documents.push(shields);
            }
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

    /// Whether a node that holds these generations was told of documents that this store does not hold: generations of
    /// a name grow only, and none is beyond the store's own count.
    pub fn is_behind(&self, held: &HashMap<String, u64>) -> bool {
        let in_force = self.services.in_force();
        let mut now = in_force.generations();
        now.extend(self.shields.document().map(|d| (d.name, d.generation)));
        let last = now.values().copied().max().unwrap_or(0);
        // a map of shields that was taken back since is not behind either
        let last = last.max(in_force.revision().0).max(self.shields.last());
        held.iter()
            .any(|(name, held)| *held > now.get(name).copied().unwrap_or(last))
    }

    /// A moment of the clock of leases as Unix milliseconds.
    pub(crate) fn unix_ms_of(&self, at: Duration) -> u64 {
        let (now, unix) = (self.leases.now(), unix_ms());
        let ms = |time: Duration| time.as_millis() as u64;
        match now.checked_sub(at) {
            Some(ago) => unix.saturating_sub(ms(ago)),
            None => unix.saturating_add(ms(at.saturating_sub(now))),
        }
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

    /// Tells of leases that ran out, and of those that are held again. `told`: by member, whether its lease was held when
    /// this was called last.
    pub fn tell_of_leases(&self, told: &mut BTreeMap<String, bool>) {
        let mut now = BTreeMap::new();
        for (id, answered) in self.members.answered() {
            let Some(answered) = answered else { continue };
            let held = self.leases.now() < self.leases.terms().runs_until(answered);
            if told.get(&id).is_some_and(|before| *before != held) {
                let state = if held { "lease-held" } else { "lease-lost" };
                tracing::info!(node = id, held, "the lease of a node");
                self.events
                    .tell("node", json!({ "node": id, "state": state }));
            }
            now.insert(id, held);
        }
        *told = now;
    }

    /// Metrics in Prometheus' text format.
    pub async fn gather(&self) -> String {
        let answered = self.members.answered();
        let runs = |answered| self.leases.now() < self.leases.terms().runs_until(answered);
        let held = answered.iter().filter(|(_, at)| at.is_some_and(runs));
        let held = held.count();
        self.metrics.leases_held.set(held as i64);
        self.metrics.leases_lost.set((answered.len() - held) as i64);
        let (connected, away) = self.members.count();
        self.metrics.nodes_connected.set(connected as i64);
        self.metrics.nodes_away.set(away as i64);
        if let Ok(head) = self.log.head().await {
            self.metrics.purge_log_position.set(head.at.n as i64);
        }
        self.metrics.gather()
    }
}

/// Who is fenced for one purge. What it covers is looked at only where somebody has not applied it.
struct FencedBy<'a> {
    plane: &'a Plane,
    purge: PurgeSeq,
    named: &'a Named,
    /// The revision of the services that a member has to have acknowledged.
    since: OnceCell<Option<u64>>,
    /// When the next member comes to be fenced.
    next: Cell<Option<Duration>>,
}

impl<'a> FencedBy<'a> {
    fn new(plane: &'a Plane, purge: PurgeSeq, named: &'a Named) -> Self {
        Self {
            plane,
            purge,
            named,
            since: OnceCell::new(),
            next: Cell::new(None),
        }
    }

    fn judge(&self, member: Unapplied) -> Fence {
        let since = self.since.get_or_init(|| {
            let in_force = self.plane.services.in_force();
            in_force.fenced_since(&Covered::by(self.named))
        });
        // what it has in force may be anything from what it has acknowledged to what is in force here
        if since.is_none_or(|since| member.services < Some(since)) {
            return Fence::Unknown;
        }
        let fence = self.plane.leases.fence(self.purge, member.answered);
        if let Fence::From(from) = fence {
            let next = self.next.get().map_or(from, |next| next.min(from));
            self.next.set(Some(next));
        }
        fence
    }
}

/// For an append that nobody tries again.
pub(crate) fn random_key() -> Result<IdempotencyKey, StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| StoreError::Unavailable)?;
    Ok(IdempotencyKey(u128::from_le_bytes(random)))
}

pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}
