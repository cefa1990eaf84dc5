//! What readers, purgers and faults share, and the figures of a run.

use crate::fleet::{Admin, EDGES};
use crate::site::{OBJECTS, Purge, Site};
use seawall_tests::Judge;
use seawall_tests::judge::Least;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Violations that are told in full.
const TOLD_MAX: usize = 10;
/// Faults before a violation that are told with it.
const FAULTS_TOLD: usize = 6;
/// Purges between two lines of a run that is under way.
const TOLD_EVERY: usize = 5000;
/// States of receipts that say something about what is answered.
pub(crate) const STATES: [&str; 2] = ["applied", "fenced"];

pub(crate) struct Run {
    pub(crate) seed: u64,
    /// Purges at least.
    pub(crate) purges: usize,
    /// So many purge at the same time.
    pub(crate) purgers: usize,
    pub(crate) site: Arc<Site>,
    pub(crate) judge: Judge,
    /// As `judge`, by those receipts alone that told of a fence.
    fenced: Judge,
    /// Receipts of edges by state, each state of each once.
    receipts: [AtomicU64; STATES.len()],
    /// Answers by the state that the receipt told which they were judged by: that of the newest purge.
    judged: [AtomicU64; STATES.len()],
    pub(crate) edges: [SocketAddr; EDGES],
    pub(crate) admin: Admin,
    begun: Instant,

    /// Readers end.
    pub(crate) over: AtomicBool,
    pub(crate) purged: AtomicUsize,
    /// Every fault has been had so often.
    pub(crate) rounds: AtomicUsize,
    pub(crate) answers: AtomicU64,
    pub(crate) hits: AtomicU64,
    /// Requests without a whole answer, or with another status than 200 or 304.
    pub(crate) failures: AtomicU64,
    pub(crate) violations: AtomicU64,
    told: Mutex<Vec<String>>,
    faults: Mutex<(BTreeMap<&'static str, usize>, Vec<String>)>,
    /// When backups were put back; while one is, a moment to come.
    pub(crate) restores: Mutex<Vec<Instant>>,
}

/// Ends the run for all when one of its threads panics, so that none waits for it.
pub(crate) struct Ends<'r>(pub(crate) &'r Run);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.over.store(true, Ordering::SeqCst);
        }
    }
}

impl Run {
    pub(crate) fn new(
        (seed, purges, purgers): (u64, usize, usize),
        site: Arc<Site>,
        edges: [SocketAddr; EDGES],
        admin: Admin,
    ) -> Self {
        Self {
            seed,
            purges,
            purgers,
            site,
            judge: Judge::new(EDGES, OBJECTS),
            fenced: Judge::new(EDGES, OBJECTS),
            receipts: Default::default(),
            judged: Default::default(),
            edges,
            admin,
            begun: Instant::now(),
            over: AtomicBool::new(false),
            purged: AtomicUsize::new(0),
            rounds: AtomicUsize::new(0),
            answers: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            violations: AtomicU64::new(0),
            told: Mutex::default(),
            faults: Mutex::default(),
            restores: Mutex::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Tells how the run is, now and then: one that is cut off has told something.
    pub(crate) fn tell(&self, told: &mut usize) {
        let purged = self.purged.load(Ordering::SeqCst);
        if purged / TOLD_EVERY > *told {
            *told = purged / TOLD_EVERY;
            println!("{}", self.figures());
        }
    }

    /// Enough was purged, and every fault was had.
    pub(crate) fn is_enough(&self) -> bool {
        self.purged.load(Ordering::SeqCst) >= self.purges && self.rounds.load(Ordering::SeqCst) > 0
    }

    /// What a purge covers is judged by the receipt of an edge from now on.
    pub(crate) fn receipt(&self, edge: usize, state: usize, purge: &Purge) {
        self.receipts[state].fetch_add(1, Ordering::Relaxed);
        for (object, version) in &purge.covers {
            let (object, version, strength) = (*object, *version, purge.strength);
            if STATES[state] == "fenced" {
                self.fenced.in_force(edge, object, version, strength);
            }
            self.judge.in_force(edge, object, version, strength);
        }
    }

    /// Receipts of edges that told of a fence.
    pub(crate) fn fenced(&self) -> u64 {
        self.receipts[1].load(Ordering::SeqCst)
    }

    /// Counts an answer by the receipt that it is judged by, whose state is told; none: no receipt says anything of it.
    pub(crate) fn judged(&self, edge: usize, object: usize, least: Least) -> Option<&'static str> {
        let newest = |least: Least| least.any.max(least.fresh);
        if newest(least) == 0 {
            return None;
        }
        let fenced = newest(self.fenced.least(edge, object)) == newest(least);
        let state = usize::from(fenced);
        self.judged[state].fetch_add(1, Ordering::Relaxed);
        Some(STATES[state])
    }

    /// An answer that a receipt says cannot be.
    pub(crate) fn violation(&self, what: &str) {
        self.violations.fetch_add(1, Ordering::SeqCst);
        let mut told = self.told.lock().unwrap();
        if told.len() < TOLD_MAX {
            let faults = self.faults.lock().unwrap();
            let last = &faults.1[faults.1.len().saturating_sub(FAULTS_TOLD)..];
            let purged = self.purged.load(Ordering::SeqCst);
            let violation = format!(
                "{:?} after {purged} purges: {what}; faults before: {}",
                self.begun.elapsed(),
                last.join(", ")
            );
            println!("{violation}");
            told.push(violation);
        }
    }

    pub(crate) fn fault(&self, kind: &'static str, what: &str) {
        let mut faults = self.faults.lock().unwrap();
        *faults.0.entry(kind).or_default() += 1;
        faults
            .1
            .push(format!("{what} at {:?}", self.begun.elapsed()));
    }

    /// Hits of all answers.
    pub(crate) fn hit_ratio(&self) -> f64 {
        let of = |count: &AtomicU64| count.load(Ordering::SeqCst) as f64;
        of(&self.hits) / of(&self.answers).max(1.0)
    }

    pub(crate) fn figures(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::SeqCst);
        let by_state = |counts: &[AtomicU64; 2]| {
            let counts = STATES.iter().zip(counts);
            let counts = counts.map(|(state, count)| format!("{state} {}", of(count)));
            counts.collect::<Vec<_>>().join(", ")
        };
        let faults = self.faults.lock().unwrap();
        let kinds = faults.0.iter().map(|(kind, n)| format!("{kind} {n}"));
        format!(
            "{} purges, {} answers, {:.1} % hits, {} requests without an answer, {} violations in {:.0?} (seed {})\nreceipts of edges: {}; answers judged by receipts: {}\nfaults: {}\n{}",
            self.purged.load(Ordering::SeqCst),
            of(&self.answers),
            100.0 * self.hit_ratio(),
            of(&self.failures),
            of(&self.violations),
            self.begun.elapsed(),
            self.seed,
            by_state(&self.receipts),
            by_state(&self.judged),
            kinds.collect::<Vec<_>>().join(", "),
            self.told.lock().unwrap().join("\n"),
        )
    }
}
