//! The node's side of a lease: renewals that were sent, their answers, and until when it may answer unvalidated.

use super::Terms;
use crate::PurgeSeq;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

/// Renewals without an answer that are remembered, and answers whose head is not reached yet.
const MAX: usize = 64;

/// The renewals of one stream. All times are of one clock of the node, which goes on while the machine sleeps.
#[derive(Clone, Debug)]
pub struct Renewals {
    terms: Terms,
    next: u64,
    /// Number and time of those that were sent, oldest first.
    sent: VecDeque<(u64, Duration)>,
    /// When the renewal was sent, and what has to be applied before its lease is held.
    answered: VecDeque<(Duration, PurgeSeq)>,
    runs_until: Duration,
}

impl Renewals {
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            next: 1,
            sent: VecDeque::new(),
            answered: VecDeque::new(),
            runs_until: Duration::ZERO,
        }
    }

    /// A renewal is about to be sent; its number, which is never 0.
    pub fn send(&mut self, now: Duration) -> u64 {
        let id = self.next;
        self.next += 1;
        self.sent.push_back((id, now));
        if self.sent.len() > MAX {
            // a late answer to it is let go
            self.sent.pop_front();
        }
        id
    }

    /// The renewal `id` was answered, when the log stood at `head`. An answer to what was not sent changes nothing.
    pub fn answered(&mut self, id: u64, head: PurgeSeq) {
        let Some(at) = self.sent.iter().position(|(sent, _)| *sent == id) else {
            return;
        };
        let (_, sent) = self.sent[at];
        // those before it give shorter leases
        self.sent.drain(..=at);
        if self.answered.len() >= MAX {
            // the oldest is reached first
            self.answered.pop_back();
        }
        self.answered.push_back((sent, head));
    }

    /// Until when the node may answer unvalidated, now that it has applied everything up to `held`; zero where it never
    /// held a lease of this stream.
    pub fn runs_until(&mut self, held: PurgeSeq) -> Duration {
        let reached = |head: PurgeSeq| {
            let order = held.cmp_within(head);
            matches!(order, Some(Ordering::Equal | Ordering::Greater))
        };
        while let Some((sent, head)) = self.answered.front() {
            if !reached(*head) {
                break;
            }
            self.runs_until = self.runs_until.max(self.terms.runs_until(*sent));
            self.answered.pop_front();
        }
        self.runs_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    const fn at(n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(1), n)
    }

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn renewals() -> Renewals {
        Renewals::new(Terms::of(secs(10)))
    }

    #[test]
    fn a_lease_runs_from_when_its_renewal_was_sent_and_not_from_its_answer() {
        let mut renewals = renewals();
        let first = renewals.send(secs(100));
        assert_eq!(renewals.runs_until(at(9)), secs(0));
        let second = renewals.send(secs(103));
        renewals.answered(first, at(9));
        assert_eq!(renewals.runs_until(at(9)), secs(110));
        renewals.answered(second, at(9));
        assert_eq!(renewals.runs_until(at(9)), secs(113));
    }

    #[test]
    fn a_lease_is_held_only_once_the_log_was_applied_as_far_as_its_answer_tells() {
        let mut renewals = renewals();
        let (first, second) = (renewals.send(secs(100)), renewals.send(secs(103)));
        renewals.answered(first, at(5));
        renewals.answered(second, at(7));
        assert_eq!(renewals.runs_until(at(4)), secs(0));
        assert_eq!(renewals.runs_until(at(6)), secs(110));
        assert_eq!(renewals.runs_until(PurgeSeq::new(Epoch(2), 9)), secs(110));
        assert_eq!(renewals.runs_until(at(7)), secs(113));
    }

    #[test]
    fn answers_to_nothing_and_answers_once_more_give_no_lease() {
        let mut renewals = renewals();
        let first = renewals.send(secs(100));
        let second = renewals.send(secs(103));
        renewals.answered(7, at(0));
        renewals.answered(0, at(0));
        assert_eq!(renewals.runs_until(at(9)), secs(0));
        renewals.answered(second, at(0));
        renewals.answered(second, at(0));
        // one that comes behind a later one
        renewals.answered(first, at(0));
        assert_eq!(renewals.runs_until(at(9)), secs(113));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_answer_still_counts() {
        let mut renewals = renewals();
        for n in 0..1000 {
            let id = renewals.send(secs(n));
            if n % 2 == 0 {
                renewals.answered(id, at(n));
            }
        }
        assert!(renewals.sent.len() <= MAX && renewals.answered.len() <= MAX);
        assert_eq!(renewals.runs_until(at(0)), secs(10));
        assert_eq!(renewals.runs_until(at(1000)), secs(998 + 10));
    }
}
