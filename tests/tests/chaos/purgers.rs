//! Purges, and what their receipts tell.

use crate::fleet::{EDGES, NODES};
use crate::patience::Patience;
use crate::random::Random;
use crate::run::{Ends, Run, STATES};
use crate::site::Purge;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) const PURGERS: usize = 4;
/// Answers that a purge waits for, so that the hit ratio is not that of the machine.
const ANSWERS: u64 = 60;
/// ... at most so long: readers may all stand before a node that does.
const PACE: Duration = Duration::from_secs(2);
/// How long a purge waits for its receipt.
const WAIT: Duration = Duration::from_millis(50);
/// How long the control plane may be away.
const AWAY: Duration = Duration::from_secs(60);
/// Receipts that are asked for again after each purge.
const ASKED_AGAIN: usize = 3;

/// A purge whose receipt was not complete.
pub(crate) struct Open {
    id: String,
    asked: Instant,
    purge: Purge,
    told: Value,
    /// Which states each edge has told.
    heard: [[bool; STATES.len()]; EDGES],
}

/// Purges until it is enough. What is left: purges whose receipts wait.
pub(crate) fn purge(run: &Run, purger: usize) -> Vec<Open> {
    let _ends = Ends(run);
    let mut random = Random::new(run.seed, purger as u64);
    let mut open: Vec<Open> = Vec::new();
    let mut turn = 0_u64;
    while !run.is_enough() && !run.is_over() {
        pace(run);
        turn += 1;
        let purge = run.site.purge(&mut random);
        let asked = Instant::now();
        let told = append(run, &format!("{purger}-{turn}"), &purge);
        run.purged.fetch_add(1, Ordering::SeqCst);
        let id = told["id"].as_str().unwrap().to_owned();
        let mut new = Open {
            id,
            asked,
            purge,
            told: Value::Null,
            heard: Default::default(),
        };
        if !new.hear(run, told) {
            open.push(new);
        }
        // the one that waits longest, and some others
        for at in 0..ASKED_AGAIN.min(open.len()) {
            let at = if at == 0 { 0 } else { random.below(open.len()) };
            if open[at].ask(run) {
                open.remove(at);
                if open.is_empty() {
                    break;
                }
            }
        }
    }
    open
}

/// Waits until readers have been answered for a while.
fn pace(run: &Run) {
    let (before, deadline) = (run.answers.load(Ordering::Relaxed), Instant::now() + PACE);
    let answered = || run.answers.load(Ordering::Relaxed) - before;
    while answered() < ANSWERS * run.purgers as u64 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Has the purge in the log, however often the control plane goes away meanwhile.
fn append(run: &Run, key: &str, purge: &Purge) -> Value {
    let (body, mut patience) = (purge.asked(WAIT), Patience::of(AWAY));
    loop {
        match run.admin.ask("POST", "/v1/purges?receipts=all", key, &body) {
            Ok((200 | 202, told)) => return told,
            Ok((503, _)) | Err(_) => {}
            Ok(other) => panic!("{}: {other:?}", purge.named()),
        }
        assert!(patience.lasts() && !run.is_over(), "no purge is taken");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Open {
    /// Takes what a receipt tells; true: it is complete.
    fn hear(&mut self, run: &Run, told: Value) -> bool {
        for receipt in told["receipts"].as_array().into_iter().flatten() {
            let edge = NODES[..EDGES].iter().position(|id| receipt["node"] == **id);
            let state = STATES.iter().position(|state| receipt["state"] == **state);
            if let (Some(edge), Some(state)) = (edge, state)
                && !std::mem::replace(&mut self.heard[edge][state], true)
            {
                run.receipt(edge, state, &self.purge);
            }
        }
        let complete = told["complete"] == json!(true);
        self.told = told;
        complete
    }

    /// Asks for the receipt again; true: it is complete, or the log that the purge was in is gone.
    fn ask(&mut self, run: &Run) -> bool {
        let path = format!("/v1/purges/{}?receipts=all", self.id);
        match run.admin.ask("GET", &path, "", "") {
            Ok((200, told)) => self.hear(run, told),
            Ok((404, _)) => {
                let restores = run.restores.lock().unwrap();
                let lost = restores.iter().any(|restored| *restored > self.asked);
                assert!(lost, "{} is forgotten, and no log was restored", self.id);
                true
            }
            Ok((503, _)) | Err(_) => false,
            Ok(other) => panic!("{}: {other:?}", self.id),
        }
    }

    /// Waits until the receipt is complete.
    pub(crate) fn ends(mut self, run: &Run) {
        let mut patience = Patience::of(AWAY);
        while !self.ask(run) {
            assert!(patience.lasts(), "{} never ends: {}", self.id, self.told);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
