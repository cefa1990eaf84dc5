//! A node answers who asked it.

use crate::config::ids;
use crate::moves::World;
use crate::promise::Event;
use crate::rule::Rule;
use crate::state::{Answer, At, Behind, Copy, Response, Stage, Who};
use seawall_purge::{Worth, join, tier};

impl World<'_> {
    /// A copy that lies here answers, as it is or as a stale one.
    pub(crate) fn give_copy(&mut self, who: Who, copy: &Copy, stale: bool) {
        let mut response = copy.response;
        response.stale |= stale;
        if who.edge.is_some() && !stale {
            self.seen.note(Event::FromTheShield);
        }
        self.give_labelled(who, &response, copy.label, false, false);
    }

    /// An answer goes to who asked for it.
    pub(crate) fn give(&mut self, who: Who, response: &Response, label: At, fetched: bool) {
        self.give_labelled(who, response, label, fetched, false);
    }

    /// An answer that somebody else asked for goes to who waited for it, if it is one for it too.
    pub(crate) fn share(
        &mut self,
        n: usize,
        who: Who,
        response: &Response,
        label: At,
        fetched: bool,
    ) {
        let table = self.table(n, who.context.was);
        let view = table.view(&self.c.purges, !self.keeps(Rule::EpochsAreNotCompared));
        let behind = who.context.behind.map(Behind::behind);
        let scopes = ids(response.scopes);
        let worth = if self.keeps(Rule::WhoJoinedJudges) {
            join::share(behind, label.label(), Some(scopes), &view)
        } else {
            Worth::Good
        };
        let (shared, stale) = match worth {
            Worth::Good => (true, response.stale),
            Worth::Stale { .. } => (self.c.swr || (response.stale && self.c.sie), true),
            Worth::Covered => (false, false),
        };
        if !shared {
            return self.look_again(n, who);
        }
        self.seen.note(Event::Shared);
        if behind.is_some() {
            self.seen.note(Event::SharedBehind);
        }
        let mut response = *response;
        response.stale |= stale;
        self.give_labelled(who, &response, label, fetched, true);
    }

    fn give_labelled(
        &mut self,
        who: Who,
        response: &Response,
        label: At,
        fetched: bool,
        joined: bool,
    ) {
        // a copy that a soft purge made stale meanwhile goes out as fresh only to who asked before that
        self.answered(who.bound, who.fenced, response.truth, response.stale);
        let Some((edge, f)) = who.edge else {
            return;
        };
        let behind = who.context.behind.map(Behind::behind);
        let stated = tier::stated(behind, label.label(), joined, fetched);
        let scopes_are_stated = self.keeps(Rule::ScopesAreStated);
        let Some(fill) = &mut self.s.nodes[usize::from(edge)].fills[usize::from(f)] else {
            return;
        };
        let Stage::Held(asked) = fill.stage else {
            return;
        };
        let validator = |of: u8| self.c.versions[usize::from(of)].validator;
        let same = fill.stored.is_some_and(|copy| {
            !copy.response.error && validator(copy.response.version) == validator(response.version)
        });
        let mut told = *response;
        if !scopes_are_stated {
            told.scopes = if response.error {
                crate::config::URL
            } else {
                self.c.versions[usize::from(response.version)].scopes
            };
        }
        fill.stage = Stage::Back(
            asked,
            Answer {
                response: told,
                not_modified: asked.about && same && !response.error,
                stated: Some((stated.0.into(), fetched && !joined)),
            },
        );
    }
}
