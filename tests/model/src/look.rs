//! A node is asked: it answers with its copy, joins a fill, or begins one.

use crate::config::{May, Scopes, URL};
use crate::moves::World;
use crate::node::NOBODY;
use crate::promise::Event;
use crate::rule::Rule;
use crate::state::{Asked, Behind, Context, Copy, FILLS, Fill, SHIELD, Stage, Told, Who};
use seawall_purge::tier::Reach;
use seawall_purge::{Verdict, join, tier};

impl World<'_> {
    /// Whether a client's question to an edge would come to something that is modelled.
    pub(crate) fn can_be_asked(&self, n: usize) -> bool {
        if !self.s.nodes[n].settled {
            return false;
        }
        let context = Context::default();
        let copy = self.s.nodes[n].copy;
        let is_hit = copy.is_some_and(|copy| self.hit(n, &copy, context) == Some(false));
        !is_hit && self.has_room(n, context)
    }

    /// Whether the shield can take a question.
    pub(crate) fn can_take(&self, asked: Asked) -> bool {
        let context = Context {
            must_reach: asked.must_reach,
            ..Context::default()
        };
        self.s.nodes[SHIELD].settled && self.has_room(SHIELD, context)
    }

    /// Whether a fill can begin, or be joined by one more.
    fn has_room(&self, n: usize, context: Context) -> bool {
        let fills = &self.s.nodes[n].fills[..usize::from(self.c.fills)];
        fills.iter().any(|fill| match fill {
            None => true,
            Some(fill) => {
                let shared = !context.must_reach && !self.is_fenced(n);
                fill.second.is_none() && fill.floor.is_some() && shared
            }
        })
    }

    /// Whether the shield knows less than who asks it.
    pub(crate) fn lags(&self, asked: Asked) -> bool {
        self.reach(asked) == Reach::NotYet
    }

    /// Whether the shield has come to what who asks it knows.
    fn reach(&self, asked: Asked) -> Reach {
        let at = self.s.nodes[SHIELD].table.at;
        let term = match self.term_of(SHIELD, asked.known.at.n) {
            0 => None,
            term => Some(term.into()),
        };
        tier::reach(asked.known.told(), at.seq(), term)
    }

    pub(crate) fn ask(&mut self, n: usize) {
        self.spend(May::Ask);
        let node = &self.s.nodes[n];
        let who = Who {
            edge: None,
            bound: node.bound,
            fenced: node.fenced,
            context: Context::default(),
            again: false,
        };
        self.look(n, who);
    }

    /// An edge's question reaches the shield and waits for the shield to know as much.
    pub(crate) fn wait(&mut self, n: usize, f: usize) {
        if let Some(fill) = &mut self.s.nodes[n].fills[f]
            && let Stage::Sent(asked) = fill.stage
        {
            fill.stage = Stage::Waits(asked, false);
        }
    }

    /// The shield looks at an edge's question.
    pub(crate) fn take(&mut self, n: usize, f: usize) {
        let Some(fill) = &mut self.s.nodes[n].fills[f] else {
            return;
        };
        let (asked, was) = match fill.stage {
            Stage::Sent(asked) => (asked, false),
            Stage::Waits(asked, was) => (asked, was),
            _ => return,
        };
        fill.stage = Stage::Held(asked);
        let insists = fill.insists;
        let refreshes = fill.context.refreshes;
        let shield = &self.s.nodes[SHIELD];
        let reach = self.reach(asked);
        let nobodys = || NOBODY.at.seq();
        let behind = tier::behind(asked.known.told(), reach, insists, nobodys);
        match reach {
            Reach::Reached => {}
            Reach::NotYet => self.seen.note(Event::Behind),
            Reach::OtherBranch => self.seen.note(Event::OtherBranch),
        }
        let who = Who {
            edge: Some((n as u8, f as u8)),
            bound: shield.bound,
            fenced: shield.fenced,
            context: Context {
                behind: behind
                    .map(Behind::from)
                    .filter(|_| self.keeps(Rule::WhoLagsUsesNothing)),
                insists,
                refreshes,
                must_reach: asked.must_reach && self.keeps(Rule::FencedReachesTheOrigin),
                was: was && !self.keeps(Rule::TableIsReadAfterTheWait),
            },
            again: false,
        };
        self.look(SHIELD, who);
    }

    /// The life of a request at a node.
    pub(crate) fn look(&mut self, n: usize, who: Who) {
        let context = who.context;
        let table = self.table(n, context.was);
        let found = self.s.nodes[n].copy;
        let gone = found
            .is_some_and(|copy| self.verdict(n, &table, &copy, context.behind) == Verdict::Gone);
        if let Some(copy) = found
            && let Some(stale) = self.hit(n, &copy, context)
        {
            if stale {
                self.seen.note(Event::ServedStale);
                self.refresh(n, &copy, context);
            } else if self.is_fenced(n) {
                self.seen.note(Event::Reused);
            }
            return self.give_copy(who, &copy, stale);
        }
        let unconditionally = self.keeps(Rule::WhoLagsAsksUnconditionally);
        let stored = found.filter(|copy| {
            !gone || !unconditionally && self.verdict(n, &table, copy, None) != Verdict::Gone
        });
        if who.again {
            // it gave up looking
            self.seen.note(Event::Passed);
            let fill = Fill {
                floor: None,
                context,
                stored: None,
                replaced: None,
                insists: self.keeps(Rule::PassesInsist),
                passes: true,
                stage: Stage::Begun,
                first: Some(who),
                second: None,
            };
            return self.begin(n, fill);
        }
        let floor = self.floor(n, context, found.as_ref());
        // a fenced node's answers are for who asked for them
        let alone = context.must_reach
            || self.is_fenced(n)
            || context.behind.is_some_and(|known| known.told == NOBODY);
        let joinable = self.s.nodes[n]
            .fills
            .iter_mut()
            .flatten()
            .find(|fill| fill.floor == Some(floor) && !alone);
        if let Some(fill) = joinable {
            if fill.second.is_some() {
                // one who waits is like another
                return self.refuse(Some(who));
            }
            if let Stage::Grows(response, label, _) = fill.stage {
                let fetched = true;
                return self.share(n, who, &response, label, fetched);
            }
            // a refreshment in the background has no first one: who comes is second all the same
            fill.second = Some(who);
            return;
        }
        let fill = Fill {
            floor: (!alone).then_some(floor),
            context,
            stored,
            replaced: found,
            insists: context.insists,
            passes: false,
            stage: Stage::Begun,
            first: Some(who),
            second: None,
        };
        self.begin(n, fill);
    }

    /// Begins a fill where there is room; else who asked is refused.
    fn begin(&mut self, n: usize, fill: Fill) {
        let fills = usize::from(self.c.fills);
        let place = (0..fills.min(FILLS)).find(|&f| self.s.nodes[n].fills[f].is_none());
        match place {
            Some(f) => {
                self.s.nodes[n].fills[f] = Some(fill);
                self.connect(n, f);
            }
            None => self.refuse(fill.first),
        }
    }

    /// Whoever waits gets an error of the node's own.
    pub(crate) fn refuse(&mut self, who: Option<Who>) {
        if let Some((n, f)) = who.and_then(|who| who.edge) {
            self.failed(n.into(), f.into());
        }
    }

    /// Refreshes a stale copy in the background, once.
    fn refresh(&mut self, n: usize, copy: &Copy, context: Context) {
        let floor = self.floor(n, context, Some(copy));
        let mut fills = self.s.nodes[n].fills.iter().flatten();
        if fills.any(|fill| fill.floor == Some(floor)) {
            return;
        }
        let fill = Fill {
            floor: Some(floor),
            context: Context {
                refreshes: true,
                ..context
            },
            stored: Some(*copy),
            replaced: Some(*copy),
            insists: context.insists,
            passes: false,
            stage: Stage::Begun,
            first: None,
            second: None,
        };
        self.begin(n, fill);
    }

    fn floor(&self, n: usize, context: Context, found: Option<&Copy>) -> Told {
        if !self.keeps(Rule::JoinsByFloor) {
            return Told::default();
        }
        let table = self.table(n, context.was);
        let view = table.view(&self.c.purges, false);
        let mut scopes: Scopes = URL;
        if self.keeps(Rule::FloorByTheCopysTags) {
            scopes |= found.map_or(0, |copy| copy.response.scopes);
        }
        let scopes = || crate::config::ids(scopes).to_vec();
        let behind = context.behind.map(Behind::behind);
        let mut floor = Told::from(join::floor(behind, &view, scopes));
        if !self.keeps(Rule::WhoLagsJoinsByTerm) {
            floor.term = 0;
        }
        floor
    }
}
