//! Nodes: their streams, what they put in force, crashes, leases.

use crate::config::{May, PURGES_MAX};
use crate::moves::World;
use crate::promise::Event;
use crate::rule::Rule;
use crate::state::{At, Copy, FILLS, Lease, SHIELD, Stage, Stream, Told};
use crate::table::Table;
use seawall_purge::lineage::{Contact, Recovered, caught_up, serves_stored, tells_position};
use seawall_purge::record::{Purge, news};
use seawall_purge::tier;
use std::time::Duration;

/// A position of a lineage that nobody is of: another one for each attempt that tells it, and for each question that it
/// stands for.
pub(crate) const NOBODY: Told = Told {
    at: At {
        epoch: u8::MAX,
        n: 0,
    },
    term: 0,
};

impl World<'_> {
    /// The term of the last record that a node has.
    pub(crate) fn term(&self, n: usize) -> u8 {
        self.term_of(n, self.s.nodes[n].table.at.n)
    }

    /// The term of a node's record at a position; 0: there is none, or it is not known.
    pub(crate) fn term_of(&self, n: usize, at: u8) -> u8 {
        let terms = &self.s.nodes[n].terms;
        let at = usize::from(at).checked_sub(1);
        at.and_then(|at| terms.get(at)).copied().unwrap_or(0)
    }

    pub(crate) fn welcome(&mut self, n: usize) {
        let Stream::Welcomed { empty, head, term } = self.s.nodes[n].stream else {
            return;
        };
        self.s.nodes[n].stream = Stream::Up { head };
        if empty {
            self.start_empty(n, head, term);
        }
        self.catch_up(n, head);
    }

    fn start_empty(&mut self, n: usize, head: At, term: u8) {
        self.seen.note(Event::StartedEmpty);
        let mut acknowledged = 0;
        for (order, _) in &self.s.plane.log[..usize::from(head.n.min(self.s.plane.head))] {
            acknowledged |= 1 << (order - 1);
        }
        let floor = self.keeps(Rule::TablesBeginWithAFloor);
        let node = &mut self.s.nodes[n];
        node.was = self.c.snapshots.then_some(node.table);
        node.copy = None;
        node.table = Table::new(head);
        if !floor {
            node.table.hard_floor = 0;
        }
        node.durable = 0;
        node.terms = [0; PURGES_MAX];
        if head.n > 0 {
            node.terms[usize::from(head.n) - 1] = term;
        }
        node.bound |= acknowledged;
        if !self.c.snapshots {
            return;
        }
        for fill in node.fills.iter_mut().flatten() {
            fill.context.was = true;
            for who in [&mut fill.first, &mut fill.second].into_iter().flatten() {
                who.context.was = true;
            }
        }
        if n == SHIELD {
            for node in &mut self.s.nodes[..SHIELD] {
                for fill in node.fills.iter_mut().flatten() {
                    if let Stage::Waits(_, was) = &mut fill.stage {
                        *was = true;
                    }
                }
            }
        }
    }

    /// The next purge is made durable, put in the table, counted in S and acknowledged.
    pub(crate) fn deliver(&mut self, n: usize) {
        let plane = self.s.plane;
        let node = &mut self.s.nodes[n];
        if node.table.at.n + 1 < plane.first {
            if self.c.keeps(Rule::TrimmedPastStartsEmpty) {
                // it is to say hello again
                node.stream = Stream::None;
                return;
            }
            node.table.at.n = plane.first - 1;
        }
        let next = node.table.at.n + 1;
        if next > plane.head {
            return;
        }
        let (order, term) = plane.log[usize::from(next) - 1];
        let purge = Purge {
            at: At {
                epoch: plane.epoch,
                n: next,
            }
            .seq(),
            term: term.into(),
            appended_ms: order.into(),
            strength: self.c.purges[usize::from(order) - 1].strength,
            scopes: Vec::new(),
            pace: None,
        };
        let told = [purge];
        if !news(node.table.at.seq(), &told).is_ok_and(|news| news.len() == 1) {
            node.stream = Stream::None;
            return;
        }
        node.table.apply(order);
        node.terms[usize::from(next) - 1] = term;
        // an acknowledgement is of everything up to its position
        for (order, _) in &plane.log[..usize::from(next)] {
            node.bound |= 1 << (order - 1);
        }
        if !self.c.keeps(Rule::DurableBeforeAcknowledged) {
            node.durable += 1;
        }
        if let Stream::Up { head } = node.stream {
            self.catch_up(n, head);
        }
    }

    fn catch_up(&mut self, n: usize, head: At) {
        let node = &mut self.s.nodes[n];
        if caught_up(true, node.table.at.seq(), head.seq()) {
            node.serves |= serves_stored(node.recovered, Contact::CaughtUp);
            node.settled = true;
            node.recovered = Recovered::Whole;
        }
    }

    pub(crate) fn give_up(&mut self, n: usize) {
        let node = &mut self.s.nodes[n];
        node.serves |= serves_stored(node.recovered, Contact::Away);
        node.settled = true;
    }

    pub(crate) fn crash(&mut self, n: usize) {
        self.spend(May::Crash);
        // what was not durable is lost, and nothing shows it
        for _ in 0..std::mem::take(&mut self.s.nodes[n].durable) {
            self.s.nodes[n].table.cut();
        }
        if !self.keeps(Rule::ReadBackBeforeAnswering) {
            self.s.nodes[n].table.records = Default::default();
        }
        // a mark beside the log says over restarts that it was cut
        let recovered = match self.s.nodes[n].recovered {
            Recovered::Cut if self.keeps(Rule::CutsAreMarked) => Recovered::Cut,
            Recovered::Lost => Recovered::Lost,
            _ => Recovered::Whole,
        };
        self.reboot(n, recovered);
    }

    pub(crate) fn cut(&mut self, n: usize) {
        self.spend(May::Cut);
        self.s.nodes[n].table.cut();
        self.s.nodes[n].durable = 0;
        self.reboot(n, Recovered::Cut);
        if !self.keeps(Rule::CutLogsWaitForTheControlPlane) {
            self.s.nodes[n].serves = true;
        }
    }

    pub(crate) fn lose(&mut self, n: usize) {
        self.spend(May::Lose);
        let node = &mut self.s.nodes[n];
        node.table = Table::new(At::default());
        node.terms = [0; PURGES_MAX];
        node.durable = 0;
        if self.c.keeps(Rule::LostLogsStartEmpty) {
            node.copy = None;
        }
        self.reboot(n, Recovered::Lost);
    }

    /// All that was in memory is gone; what was on disk is there, from before this start.
    fn reboot(&mut self, n: usize, recovered: Recovered) {
        for f in 0..FILLS {
            if n != SHIELD {
                self.let_go(n, f);
            }
            self.s.nodes[n].fills[f] = None;
        }
        self.hang_up(n);
        let node = &mut self.s.nodes[n];
        node.was = None;
        node.recovered = recovered;
        node.serves = serves_stored(recovered, Contact::Waiting);
        node.settled = false;
        node.lease = Lease::default();
        if let Some(copy) = &mut node.copy {
            *copy = Copy {
                old: true,
                validated: 0,
                ..*copy
            };
        }
        if n == SHIELD {
            for node in &mut self.s.nodes[..SHIELD] {
                for fill in node.fills.iter_mut().flatten() {
                    if matches!(
                        fill.stage,
                        Stage::Sent(_) | Stage::Waits(..) | Stage::Held(_)
                    ) {
                        fill.stage = Stage::Begun;
                    }
                }
            }
        }
    }

    /// What a node tells that would tell `known`: nobody's position where it does not know what it has forgotten, so that
    /// nothing that others have is new enough.
    pub(crate) fn told(&self, n: usize, known: Option<tier::Told>) -> Told {
        let tells = tells_position(self.s.nodes[n].recovered, Contact::Away)
            || !self.keeps(Rule::WhoForgotTellsNoPosition);
        let mut told = known.filter(|_| tells).map_or(NOBODY, Told::from);
        if !self.keeps(Rule::PositionsAreToldWithTerms) {
            told.term = 0;
        }
        told
    }

    /// Whether a node's lease has run out.
    pub(crate) fn is_fenced(&self, n: usize) -> bool {
        if !self.c.leases || !self.keeps(Rule::FencedAnswersNothingUnvalidated) {
            return false;
        }
        let now = Duration::from_millis(self.s.now.into());
        self.s.nodes[n].lease.from.is_none_or(|from| {
            let until = self
                .lease_terms()
                .runs_until(Duration::from_millis(from.into()));
            now >= until
        })
    }

    /// Whether a fenced node may use a copy once more, which the origin has said to be good.
    pub(crate) fn is_reusable(&self, copy: &Copy) -> bool {
        let until = copy.validated + self.c.reuse_ticks;
        copy.validated > 0 && self.s.now + 1 < until
    }

    pub(crate) fn renew(&mut self, n: usize) {
        self.spend(May::Renew);
        self.s.nodes[n].lease.sent = Some(self.s.now);
    }

    /// The control plane answers a renewal, behind the purges that it has told.
    pub(crate) fn renewed(&mut self, n: usize) {
        let (now, head) = (self.s.now, self.s.plane.head);
        let lease = &mut self.s.nodes[n].lease;
        if let Some(sent) = lease.sent.take() {
            lease.answered = Some((sent, now, head));
        }
    }

    pub(crate) fn lease_may_arrive(&self, n: usize) -> bool {
        let node = &self.s.nodes[n];
        let behind_purges = self.keeps(Rule::RenewalsStandBehindPurges);
        let head = node.lease.answered.map_or(0, |(_, _, head)| head);
        !behind_purges || node.table.at.n >= head
    }

    pub(crate) fn leased(&mut self, n: usize) {
        let now = self.s.now;
        let from_sending = self.keeps(Rule::LeasesCountFromTheSending);
        let lease = &mut self.s.nodes[n].lease;
        if let Some((sent, _, _)) = lease.answered.take() {
            let from = if from_sending { sent } else { now };
            lease.from = lease.from.max(Some(from));
        }
    }
}
