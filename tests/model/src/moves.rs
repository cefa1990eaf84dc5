//! One step: from a moment to the next.

use crate::action::Action;
use crate::config::{Config, May};
use crate::promise::{Event, Seen, broken};
use crate::rule::Rule;
use crate::state::{Behind, Context, Copy, NODES, State, Truth};
use crate::table::Table;
use seawall_purge::Verdict;
use seawall_purge::copy::Known;

/// A moment that changes.
#[derive(Debug)]
pub struct World<'a> {
    pub c: &'a Config,
    pub seen: &'a Seen,
    pub s: State,
}

impl World<'_> {
    pub fn may(&self, what: May) -> bool {
        self.s.left[what as usize] > 0
    }

    pub(crate) fn spend(&mut self, what: May) {
        self.s.left[what as usize] -= 1;
    }

    pub fn keeps(&self, rule: Rule) -> bool {
        self.c.keeps(rule)
    }

    /// What comes of `action`.
    pub fn step(&mut self, action: Action) {
        let index = usize::from;
        match action {
            Action::Ask(n) => self.ask(n.into()),
            Action::Attempt(n, f) => self.attempt(n.into(), f.into()),
            Action::Wait(n, f) => self.wait(n.into(), f.into()),
            Action::Take(n, f) => self.take(n.into(), f.into()),
            Action::Read(n, f) => self.read(n.into(), f.into()),
            Action::Decide(n, f) => self.decide(n.into(), f.into()),
            Action::Finish(n, f) => self.finish(n.into(), f.into()),
            Action::Retry(n, f) => self.retry(n.into(), f.into()),
            Action::Fail(n, f) => self.fail(n.into(), f.into()),
            Action::Change => {
                self.spend(May::Change);
                self.s.version += 1;
            }
            Action::Err => {
                self.spend(May::Err);
                self.s.broken = !self.s.broken;
            }
            Action::Expire(n) => {
                self.spend(May::Expire);
                if let Some(copy) = &mut self.s.nodes[index(n)].copy {
                    copy.response.stale = true;
                }
            }
            Action::Evict(n) => {
                self.spend(May::Evict);
                self.s.nodes[index(n)].copy = None;
            }
            Action::Append => self.append(),
            Action::Hello(n) => self.hello(n.into()),
            Action::Welcome(n) => self.welcome(n.into()),
            Action::Deliver(n) => self.deliver(n.into()),
            Action::Sync(n) => self.s.nodes[index(n)].durable = 0,
            Action::Ack(n) => self.ack(n.into()),
            Action::LateAck(n) => self.late_ack(n.into()),
            Action::Disconnect(n) => {
                self.spend(May::Disconnect);
                self.disconnect(n.into());
            }
            Action::Remove(id) => self.remove(id.into()),
            Action::Forget(id) => self.forget(id.into()),
            Action::Keep(id) => self.keep(id.into()),
            Action::Restart => self.restart(),
            Action::RollBack(to) => self.roll_back(to),
            Action::Trim => {
                self.spend(May::Trim);
                self.s.plane.first += 1;
            }
            Action::Fold(n, floor) => {
                self.spend(May::Fold);
                self.seen.note(Event::Folded);
                let raises = self.keeps(Rule::FoldingRaisesTheFloor);
                let table = &mut self.s.nodes[index(n)].table;
                table.fold(floor, &self.c.purges, raises);
            }
            Action::Crash(n) => self.crash(n.into()),
            Action::Cut(n) => self.cut(n.into()),
            Action::Lose(n) => self.lose(n.into()),
            Action::GiveUp(n) => self.give_up(n.into()),
            Action::Tick => {
                self.spend(May::Tick);
                self.s.now += 1;
            }
            Action::Renew(n) => self.renew(n.into()),
            Action::Renewed(n) => self.renewed(n.into()),
            Action::Leased(n) => self.leased(n.into()),
        }
        if self.c.receipts {
            self.claim();
        }
        self.hits();
    }

    /// The table that judges for a request: of before the node started empty, if it is from before that.
    pub(crate) fn table(&self, n: usize, was: bool) -> Table {
        let node = &self.s.nodes[n];
        match node.was {
            Some(table) if was => table,
            _ => node.table,
        }
    }

    /// What the purges known by now make of a copy, for a request.
    pub(crate) fn verdict(
        &self,
        n: usize,
        table: &Table,
        copy: &Copy,
        behind: Option<Behind>,
    ) -> Verdict {
        let known = Known {
            label: copy.label.label(),
            scopes: crate::config::ids(copy.response.scopes),
            unaccounted: copy.old && !self.s.nodes[n].serves,
        };
        let view = table.view(&self.c.purges, !self.keeps(Rule::EpochsAreNotCompared));
        known.verdict(behind.map(Behind::behind), &view)
    }

    pub(crate) fn answered(&mut self, bound: u8, fenced: u8, truth: Truth, stale: bool) {
        self.s.bad |= broken(&self.c.purges, bound, fenced, truth, stale);
    }

    /// Whoever asks now and is answered with a copy at once is answered rightly: no event is needed for that, since it
    /// changes nothing.
    fn hits(&mut self) {
        for n in 0..NODES {
            let Some(copy) = self.s.nodes[n].copy else {
                continue;
            };
            if !self.s.nodes[n].settled {
                continue;
            }
            let context = Context::default();
            let Some(stale) = self.hit(n, &copy, context) else {
                continue;
            };
            let node = &self.s.nodes[n];
            let (bound, fenced) = (node.bound, node.fenced);
            if bound != 0 && !stale {
                self.seen.note(Event::HitAfterPurge);
            }
            if copy.old {
                self.seen.note(Event::FromBeforeTheStart);
            }
            self.answered(bound, fenced, copy.response.truth, stale);
        }
    }

    /// Whether a request is answered with a copy at once, and whether as a stale one.
    pub(crate) fn hit(&self, n: usize, copy: &Copy, context: Context) -> Option<bool> {
        let table = self.table(n, context.was);
        let verdict = self.verdict(n, &table, copy, context.behind);
        match verdict {
            Verdict::Gone => {
                self.seen.note(Event::Gone);
                return None;
            }
            Verdict::Stale { .. } => self.seen.note(Event::MadeStale),
            Verdict::Live => {}
        }
        if context.must_reach || self.is_fenced(n) {
            let reusable = !context.must_reach && self.is_reusable(copy);
            return (reusable && verdict == Verdict::Live && !copy.response.stale).then_some(false);
        }
        if verdict == Verdict::Live && !copy.response.stale {
            return Some(false);
        }
        let stale = self.c.swr && !context.refreshes;
        stale.then_some(true)
    }
}
