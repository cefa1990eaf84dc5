//! The control plane: its log, who is a member, and what it claims of a purge.

use crate::config::{May, PURGES_MAX};
use crate::moves::World;
use crate::promise::Event;
use crate::rule::Rule;
use crate::state::{At, Lease, MEMBERS, Member, NODES, Stream};
use seawall_purge::lease::Terms;
use seawall_purge::lineage::{
    Held, Log, Past, Reception, TermStart, moves_on, must_start_empty, receive,
};
use seawall_purge::receipt::{Standing, State as Stands, Tally, state};
use std::time::Duration;

impl World<'_> {
    /// Whether a node has a record that the log has not, at a position of its own.
    pub(crate) fn has_what_is_lost(&self, n: usize) -> bool {
        let plane = &self.s.plane;
        let at = self.s.nodes[n].table.at;
        let same = at.epoch == plane.epoch && at.n > 0;
        same && (at.n > plane.head || plane.log[usize::from(at.n) - 1].1 != self.term(n))
    }

    pub(crate) fn append(&mut self) {
        self.s.appended += 1;
        let plane = &mut self.s.plane;
        plane.log[usize::from(plane.head)] = (self.s.appended, plane.term);
        plane.appended[usize::from(plane.head)] = self.s.now;
        plane.head += 1;
    }

    /// Who wrote which part of the log; the next record is this writer's.
    fn terms(&self) -> ([TermStart; PURGES_MAX + 1], usize) {
        let plane = &self.s.plane;
        let mut starts = [TermStart { first: 0, term: 0 }; PURGES_MAX + 1];
        let mut count = 0;
        let written = plane.log[..usize::from(plane.head)].iter();
        let terms = written.map(|(_, term)| *term).chain([plane.term]);
        for (index, term) in terms.enumerate() {
            if count == 0 || starts[count - 1].term != u64::from(term) {
                starts[count] = TermStart {
                    first: index as u64 + 1,
                    term: term.into(),
                };
                count += 1;
            }
        }
        (starts, count)
    }

    /// A node says hello: it is received, and from then on receipts wait for it.
    pub(crate) fn hello(&mut self, n: usize) {
        let node = &self.s.nodes[n];
        let (id, at) = (usize::from(node.id), node.table.at);
        let member = self.s.plane.members[id];
        let held = Held {
            // the beginning is that of no epoch
            at: at.seq(),
            term: self.term(n).into(),
        };
        let past = if member.known {
            Some(Past {
                removed: member.removed_at.is_some() && self.keeps(Rule::RemovedStartsEmpty),
                owes_empty: member.empties,
            })
        } else if self.keeps(Rule::StrangersWithAPastStartEmpty) {
            None
        } else {
            Some(Past {
                removed: false,
                owes_empty: false,
            })
        };
        let removed = must_start_empty(past, held.at);
        let (starts, count) = self.terms();
        let plane = &self.s.plane;
        let log = Log {
            head: plane.at().seq(),
            first: plane.first.into(),
            terms: &starts[..count],
        };
        let mut reception = receive(&held, removed, log);
        if reception == Reception::RolledBack {
            let beyond = at.n > plane.head;
            let ignored = if beyond {
                !self.keeps(Rule::PositionsBeyondTheHeadTell)
            } else {
                !self.keeps(Rule::TermsTell)
            };
            if ignored {
                reception = Reception::Continue;
            } else if self.keeps(Rule::RolledBackLogsBeginAnEpoch) {
                self.begin_epoch();
            }
        }
        if reception == Reception::StartEmpty
            && !removed
            && !self.keeps(Rule::TrimmedPastStartsEmpty)
        {
            let trimmed = at.epoch == self.s.plane.epoch;
            if trimmed {
                reception = Reception::Continue;
            }
        }
        let head = self.s.plane.at();
        let beginning = reception.beginning(at.seq(), head.seq());
        let empty = reception != Reception::Continue;
        let applied = if empty && !self.keeps(Rule::NothingAppliedBeforeItIsSaid) {
            head
        } else {
            beginning.applied.into()
        };
        let owes = removed && self.keeps(Rule::OwedUntilDone);
        self.s.plane.members[id] = Member {
            known: true,
            applied,
            kept: applied,
            removed_at: None,
            empties: owes,
            kept_empties: owes,
        };
        let term = match head.n {
            0 => 0,
            n => self.s.plane.log[usize::from(n) - 1].1,
        };
        self.s.nodes[n].stream = Stream::Welcomed { empty, head, term };
    }

    /// A node has shown that the log was rolled back.
    fn begin_epoch(&mut self) {
        self.seen.note(Event::Epoch);
        self.s.epochs += 1;
        let plane = &mut self.s.plane;
        plane.epoch = self.s.epochs;
        plane.head = 0;
        plane.first = 1;
        plane.log = [(0, 0); PURGES_MAX];
        plane.appended = [0; PURGES_MAX];
        for n in 0..NODES {
            // the next thing that their streams are to tell is not there
            self.s.nodes[n].stream = Stream::None;
        }
    }

    /// An acknowledgement on a node's own stream.
    pub(crate) fn ack(&mut self, n: usize) {
        let node = &mut self.s.nodes[n];
        let member = &mut self.s.plane.members[usize::from(node.id)];
        if moves_on(member.applied.seq(), node.table.at.seq()) {
            member.applied = node.table.at;
        }
        if std::mem::take(&mut member.empties) {
            (member.kept, member.kept_empties) = (member.applied, false);
        }
        // it is a member again by its own word
        node.bound |= std::mem::take(&mut node.owed);
    }

    pub(crate) fn late_ack(&mut self, n: usize) {
        let Some(late) = self.s.nodes[n].late.take() else {
            return;
        };
        self.seen.note(Event::Late);
        if self.keeps(Rule::OldStreamsSayNothing) {
            return;
        }
        let member = &mut self.s.plane.members[usize::from(self.s.nodes[n].id)];
        if moves_on(member.applied.seq(), late.seq()) {
            member.applied = late;
        }
    }

    /// A stream ends, and the control plane hears of it.
    pub(crate) fn disconnect(&mut self, n: usize) {
        self.hang_up(n);
        let node = &self.s.nodes[n];
        let member = &mut self.s.plane.members[usize::from(node.id)];
        (member.kept, member.kept_empties) = (member.applied, member.empties);
    }

    /// A stream ends; what was on its way on it may come late.
    pub(crate) fn hang_up(&mut self, n: usize) {
        let node = &mut self.s.nodes[n];
        let member = &self.s.plane.members[usize::from(node.id)];
        let up = matches!(node.stream, Stream::Up { .. });
        if self.c.receipts && self.c.late && up && member.applied != node.table.at {
            node.late = Some(node.table.at);
        }
        node.stream = Stream::None;
        node.lease = Lease {
            from: node.lease.from,
            ..Lease::default()
        };
    }

    pub(crate) fn remove(&mut self, id: usize) {
        self.spend(May::Remove);
        let head = self.s.plane.at();
        if let Some(n) = (0..NODES).find(|&n| usize::from(self.s.nodes[n].id) == id) {
            self.hang_up(n);
        }
        let member = &mut self.s.plane.members[id];
        member.removed_at = Some(head);
        (member.kept, member.kept_empties) = (member.applied, member.empties);
    }

    pub(crate) fn forget(&mut self, id: usize) {
        self.spend(May::Forget);
        self.s.plane.members[id] = Member::default();
    }

    pub(crate) fn keep(&mut self, id: usize) {
        let member = &mut self.s.plane.members[id];
        (member.kept, member.kept_empties) = (member.applied, member.empties);
    }

    pub(crate) fn restart(&mut self) {
        self.spend(May::Restart);
        self.start();
    }

    fn start(&mut self) {
        for n in 0..NODES {
            self.hang_up(n);
            // nobody is there to hear it
            self.s.nodes[n].late = None;
        }
        let head = self.s.plane.at();
        let kept = self.keeps(Rule::PositionsAreKept);
        for member in &mut self.s.plane.members {
            if member.known {
                member.applied = if kept { member.kept } else { head };
                member.kept = member.applied;
                member.empties = member.kept_empties;
            }
        }
        self.s.terms += 1;
        self.s.plane.term = self.s.terms;
    }

    /// The control plane starts on an older image of its disk, with the records up to `to`.
    pub(crate) fn roll_back(&mut self, to: u8) {
        self.spend(May::RollBack);
        let plane = &mut self.s.plane;
        plane.head = to;
        for n in usize::from(to)..PURGES_MAX {
            plane.log[n] = (0, 0);
            plane.appended[n] = 0;
        }
        for member in &mut plane.members[..MEMBERS] {
            if member.kept.epoch == plane.epoch {
                member.kept.n = member.kept.n.min(to);
            }
            member.removed_at = member.removed_at.filter(|at| at.n <= to);
        }
        self.start();
    }

    pub(crate) fn lease_terms(&self) -> Terms {
        Terms {
            length: Duration::from_millis(self.c.lease_ticks.into()),
            reuse: Duration::from_millis(self.c.reuse_ticks.into()),
            margin: Duration::ZERO,
            drift_ppm: 0,
        }
    }

    /// Whether it may be claimed that who has not applied the purge at `n` is fenced.
    fn is_fenced_for(&self, n: u8) -> bool {
        if !self.c.leases {
            return false;
        }
        let mut terms = self.lease_terms();
        if !self.keeps(Rule::FencedAfterTheLease) {
            terms.length = Duration::ZERO;
        }
        if !self.keeps(Rule::FencedAfterTheReuse) {
            terms.reuse = Duration::ZERO;
        }
        let appended = self.s.plane.appended[usize::from(n) - 1];
        let from = terms.fenced_from(Duration::from_millis(appended.into()));
        Duration::from_millis(self.s.now.into()) >= from
    }

    /// Says of each purge whether it is complete, and binds those for whom that was said.
    pub(crate) fn claim(&mut self) {
        for n in self.s.plane.first..=self.s.plane.head {
            let (order, _) = self.s.plane.log[usize::from(n) - 1];
            let purge = At {
                epoch: self.s.plane.epoch,
                n,
            };
            let fenced = self.is_fenced_for(n);
            let standing = |member: &Member| Standing {
                applied: member.applied.seq(),
                removed_at: member.removed_at.map(At::seq),
                fenced,
            };
            let members = self.s.plane.members;
            let stands = |member: &Member| {
                let known = member.known;
                known
                    .then(|| state(&standing(member), purge.seq()))
                    .flatten()
            };
            let tally = Tally::of(members.iter().filter_map(stands));
            if !tally.is_complete() {
                continue;
            }
            self.seen.note(Event::Complete);
            if tally.removed > 0 {
                self.seen.note(Event::CompleteWithRemoved);
            }
            if tally.fenced > 0 {
                self.seen.note(Event::CompleteWithFenced);
            }
            let bit = 1 << (order - 1);
            for node in &mut self.s.nodes {
                match stands(&members[usize::from(node.id)]) {
                    Some(Stands::Applied) => node.bound |= bit,
                    Some(Stands::Fenced) => node.fenced |= bit,
                    Some(Stands::Removed | Stands::Pending) | None => node.owed |= bit,
                }
            }
        }
    }
}
