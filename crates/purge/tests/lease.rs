//! Leases and what is claimed of them, both sides together: messages are lost, late and doubled, and clocks differ.

use proptest::prelude::*;
use seawall_purge::lease::Terms;
use seawall_purge::lease::claims::Claims;
use seawall_purge::lease::renewals::Renewals;
use seawall_purge::{Epoch, PurgeSeq};
use std::time::Duration;

/// Milliseconds of a run.
const RUN: u64 = 12_000;
const DELAY_MAX: usize = 2500;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

#[derive(Clone, Copy)]
enum Message {
    Renewal(u64),
    Lease(u64, u64),
    Purges(u64),
}

fn at(n: u64) -> PurgeSeq {
    PurgeSeq::new(Epoch(1), n)
}

/// How often a purge was claimed as fenced on the node, and how often the node held a lease; a violation is a panic.
fn run(seed: u64, slow_ppm: u32) -> (usize, usize) {
    let mut random = Random(seed);
    let ms = Duration::from_millis;
    let terms = Terms {
        margin: Duration::ZERO,
        ..Terms::of(ms(1000))
    };
    // the node's clock is the slower one, and counts from elsewhere
    let node = |t: u64| ms(5_000_000) + ms(t) * (1_000_000 - slow_ppm) / 1_000_000;
    let mut claims = Claims::new(terms, Duration::ZERO, at(0), ms(0));
    let mut renewals = Renewals::new(terms);
    let (mut head, mut applied) = (0, 0);
    let mut under_way: Vec<(u64, Message)> = Vec::new();
    let mut cut_until = 0;
    let (mut claimed, mut held) = (0, 0);
    for t in 0..RUN {
        if random.below(1500) == 0 {
            cut_until = t + random.below(6000) as u64;
        }
        let mut send = |random: &mut Random, message| {
            // lost, once, or twice
            for _ in 0..[0, 1, 1, 1, 2][random.below(5)] {
                let delay = 1 + random.below(DELAY_MAX) * random.below(2);
                under_way.push((t + delay as u64, message));
            }
        };
        if random.below(100) == 0 {
            let id = renewals.send(node(t));
            send(&mut random, Message::Renewal(id));
        }
        if random.below(400) == 0 {
            head += 1;
            claims.appended(at(head), ms(t));
        }
        if random.below(60) == 0 {
            send(&mut random, Message::Purges(head));
        }
        let (now, later) = under_way.into_iter().partition(|(when, _)| *when <= t);
        under_way = later;
        for (_, message) in now {
            if t < cut_until {
                continue;
            }
            match message {
                Message::Renewal(id) => under_way.push((t + 1, Message::Lease(id, head))),
                Message::Lease(id, head) => renewals.answered(id, at(head)),
                Message::Purges(up_to) => applied = applied.max(up_to),
            }
        }
        let unfenced = node(t) < renewals.runs_until(at(applied));
        held += usize::from(unfenced);
        for n in applied + 1..=head {
            let from = claims.fenced_from(at(n), None).unwrap();
            if from <= ms(t) {
                claimed += 1;
                assert!(!unfenced, "purge {n} at {t} ms, seed {seed}");
            }
        }
    }
    (claimed, held)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_node_answers_by_itself_for_a_purge_that_it_is_claimed_to_be_fenced_for(
        seed: u64,
        slow_ppm in 0..=999_u32,
    ) {
        run(seed, slow_ppm);
    }
}

#[test]
fn such_runs_have_claims_and_leases() {
    let runs = (0..20).map(|seed| run(seed, 500));
    let (claimed, held) = runs.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    assert!(claimed > 1000 && held > 1000, "{claimed} {held}");
}
