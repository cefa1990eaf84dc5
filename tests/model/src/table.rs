//! The purges that a node knows, in the place of `seawall_purge::Table`.
//!
//! The real table is a map of a million scopes behind locks. This one holds a position, three records and a floor, all
//! scopes in one part. `tests/table.rs` shows that both judge alike, and that both cover more when they fold.

use crate::config::{Scopes, Spec};
use crate::state::At;
use seawall_purge::{Judge, Label, PurgeSeq, ScopeId, Strength, Verdict};

/// Purges of one epoch up to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    pub at: At,
    /// The purge at each position after the beginning, by the order of all appends; 0: none, or folded.
    pub records: [u8; crate::config::PURGES_MAX],
    /// Copies from before it are gone.
    pub hard_floor: u8,
    /// Copies from before it are stale: position, and the append that they are stale since.
    pub soft_floor: (u8, u8),
}

impl Table {
    pub fn new(at: At) -> Self {
        Self {
            at,
            records: [0; crate::config::PURGES_MAX],
            hard_floor: at.n,
            soft_floor: (0, 0),
        }
    }

    /// Takes in the purge after S; `order`: which append it was.
    pub fn apply(&mut self, order: u8) {
        self.at.n += 1;
        self.records[usize::from(self.at.n) - 1] = order;
    }

    /// Lets go of the last record, as a log does whose end is lost.
    pub fn cut(&mut self) {
        if self.at.n > self.hard_floor {
            self.records[usize::from(self.at.n) - 1] = 0;
            self.at.n -= 1;
        }
    }

    /// Lets go of the records up to `floor`; `raises` the floors to it.
    pub fn fold(&mut self, floor: u8, purges: &[Spec], raises: bool) {
        for n in 1..=floor {
            let order = std::mem::take(&mut self.records[usize::from(n) - 1]);
            if order == 0 || !raises {
                continue;
            }
            match purges[usize::from(order) - 1].strength {
                Strength::Hard => self.hard_floor = self.hard_floor.max(floor),
                Strength::Soft => {
                    let since = match self.soft_floor {
                        (0, _) => order,
                        (_, since) => since.min(order),
                    };
                    self.soft_floor = (floor, since);
                }
            }
        }
    }

    /// To be asked.
    pub fn view<'a>(&'a self, purges: &'a [Spec], any_epoch: bool) -> View<'a> {
        View {
            table: self,
            purges,
            any_epoch,
        }
    }
}

/// A table with what its purges name.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    table: &'a Table,
    purges: &'a [Spec],
    /// The rule is broken that labels of other epochs are dead.
    any_epoch: bool,
}

impl View<'_> {
    /// Position, order of the append, what it is.
    fn records(&self) -> impl Iterator<Item = (u64, u8, Spec)> + '_ {
        let records = self.table.records.iter().enumerate();
        let known = records.filter(|(_, order)| **order > 0);
        known.map(|(n, &order)| (n as u64 + 1, order, self.purges[usize::from(order) - 1]))
    }
}

fn bits(scopes: &[ScopeId]) -> Scopes {
    scopes
        .iter()
        .fold(0, |bits, id| bits | 1 << ((id.0 >> 40) - 1))
}

impl Judge for View<'_> {
    fn at(&self) -> PurgeSeq {
        self.table.at.seq()
    }

    fn judge(&self, label: Label, scopes: &[ScopeId]) -> Verdict {
        if label.0.epoch != self.at().epoch && !self.any_epoch {
            return Verdict::Gone;
        }
        let (label, scopes) = (label.0.n, bits(scopes));
        if label >= self.at().n || scopes == 0 {
            return Verdict::Live;
        }
        let covers = |&(n, _, spec): &(u64, u8, Spec)| n > label && spec.scopes & scopes != 0;
        let mut hard = self.records().filter(covers);
        if u64::from(self.table.hard_floor) > label
            || hard.any(|(_, _, spec)| spec.strength == Strength::Hard)
        {
            return Verdict::Gone;
        }
        let (floor, folded) = self.table.soft_floor;
        let folded = (u64::from(floor) > label).then_some(folded);
        let known = self.records().filter(covers).map(|(_, order, _)| order);
        match known.chain(folded).min() {
            Some(order) => Verdict::Stale {
                since_ms: order.into(),
            },
            None => Verdict::Live,
        }
    }

    fn last_of(&self, scopes: &[ScopeId]) -> u64 {
        let scopes = bits(scopes);
        let of_them = self
            .records()
            .filter(|(_, _, spec)| spec.scopes & scopes != 0);
        let last = of_them.map(|(n, _, _)| n).max().unwrap_or(0);
        last.max(self.table.hard_floor.into())
            .max(self.table.soft_floor.0.into())
    }
}
