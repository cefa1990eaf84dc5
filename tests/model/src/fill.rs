//! A node asks: attempts, the origin's answers, and what an answer makes of the copy that lies there.

use crate::config::{May, URL, ids};
use crate::moves::World;
use crate::promise::Event;
use crate::rule::Rule;
use crate::state::{
    Answer, Asked, At, Behind, Copy, Fill, Response, SHIELD, Stage, Told, Truth, Who,
};
use seawall_purge::copy::is_validated;
use seawall_purge::{Source, Verdict, Worth, tier};

impl World<'_> {
    /// Where connecting takes no time, the attempt is made at once.
    pub(crate) fn connect(&mut self, n: usize, f: usize) {
        if !self.c.connects {
            self.attempt(n, f);
        }
    }

    /// S is picked up, then the copy is judged, then the question goes out.
    pub(crate) fn attempt(&mut self, n: usize, f: usize) {
        let Some(mut fill) = self.s.nodes[n].fills[f] else {
            return;
        };
        let table = self.s.nodes[n].table;
        let own = table.at;
        let behind = fill.context.behind;
        let about = fill.stored.is_some_and(|copy| {
            let behind = behind.filter(|_| self.keeps(Rule::WhoLagsAsksUnconditionally));
            !self.keeps(Rule::JudgedBeforeEachAttempt)
                || self.verdict(n, &table, &copy, behind) != Verdict::Gone
        });
        let own_term = self.term_of(n, own.n);
        let told = Told {
            at: own,
            term: own_term,
        };
        let known = self.told(n, tier::told_on(behind.map(Behind::behind), told.told()));
        // what is fetched for a fenced node has to come from the origin
        let must_reach = fill.context.must_reach || self.is_fenced(n);
        fill.stage = Stage::Sent(Asked {
            own,
            known,
            about,
            must_reach,
            at: self.s.now,
        });
        self.s.nodes[n].fills[f] = Some(fill);
    }

    /// The origin answers the shield.
    pub(crate) fn read(&mut self, n: usize, f: usize) {
        let Some(mut fill) = self.s.nodes[n].fills[f] else {
            return;
        };
        let Stage::Sent(asked) = fill.stage else {
            return;
        };
        if asked.must_reach {
            self.seen.note(Event::Reached);
        }
        let version = self.c.versions[usize::from(self.s.version)];
        let error = self.s.broken;
        let validator = |of: u8| self.c.versions[usize::from(of)].validator;
        let same = fill.stored.is_some_and(|copy| {
            !copy.response.error && validator(copy.response.version) == version.validator
        });
        let scopes = if error { URL } else { version.scopes };
        let response = Response {
            truth: Truth::new(self.s.appended, scopes),
            version: self.s.version,
            error,
            scopes,
            stale: false,
        };
        let answer = Answer {
            response,
            not_modified: asked.about && same && !error,
            stated: None,
        };
        fill.stage = Stage::Back(asked, answer);
        self.s.nodes[n].fills[f] = Some(fill);
    }

    pub(crate) fn retry(&mut self, n: usize, f: usize) {
        self.spend(May::Retry);
        self.let_go(n, f);
        if let Some(fill) = &mut self.s.nodes[n].fills[f] {
            fill.stage = Stage::Begun;
        }
        self.connect(n, f);
    }

    /// A request at the shield whose asker has gone: what it began goes on.
    pub(crate) fn let_go(&mut self, n: usize, f: usize) {
        for fill in self.s.nodes[SHIELD].fills.iter_mut().flatten() {
            let is_it = |who: &Who| who.edge == Some((n as u8, f as u8));
            fill.first = fill.first.filter(|who| !is_it(who));
            fill.second = fill.second.filter(|who| !is_it(who));
        }
    }

    pub(crate) fn fail(&mut self, n: usize, f: usize) {
        self.spend(May::Fail);
        self.let_go(n, f);
        self.failed(n, f);
    }

    /// No next server answered: a stale copy, or an error of the node's own.
    pub(crate) fn failed(&mut self, n: usize, f: usize) {
        let Some(fill) = self.s.nodes[n].fills[f].take() else {
            return;
        };
        if self.gives_stored(n, &fill) {
            return;
        }
        self.refuse(fill.first);
        self.refuse(fill.second);
    }

    /// The stored copy answers for an error, where it may. Judged at the moment of the error, for each who waits.
    fn gives_stored(&mut self, n: usize, fill: &Fill) -> bool {
        let Some(copy) = fill.stored.filter(|_| self.c.sie && !fill.passes) else {
            return false;
        };
        let table = self.s.nodes[n].table;
        if self.keeps(Rule::JudgedAtTheError)
            && self.verdict(n, &table, &copy, fill.context.behind) == Verdict::Gone
        {
            return false;
        }
        self.seen.note(Event::ServedOnError);
        if let Some(who) = fill.first {
            self.give_copy(who, &copy, true);
        }
        if let Some(who) = fill.second {
            let table = self.table(n, who.context.was);
            let mine = self.verdict(n, &table, &copy, who.context.behind);
            if mine == Verdict::Gone {
                self.look_again(n, who);
            } else {
                self.give_copy(who, &copy, true);
            }
        }
        true
    }

    /// An answer arrives.
    pub(crate) fn decide(&mut self, n: usize, f: usize) {
        let Some(mut fill) = self.s.nodes[n].fills[f] else {
            return;
        };
        let Stage::Back(mut asked, answer) = fill.stage else {
            return;
        };
        if !self.keeps(Rule::LabelBeforeTheAttempt) {
            asked.own = self.s.nodes[n].table.at;
        }
        if fill.passes {
            self.s.nodes[n].fills[f] = None;
            let label = self.label(n, asked, answer);
            if let Some(who) = fill.first {
                self.give(who, &answer.response, label, fetched(answer));
            }
            return;
        }
        if answer.response.error && !answer.not_modified && fill.stored.is_some() {
            self.s.nodes[n].fills[f] = None;
            if self.gives_stored(n, &fill) {
                return;
            }
        }
        self.s.nodes[n].fills[f] = None;
        if answer.not_modified {
            return self.validated(n, f, fill, asked, answer);
        }
        let mut response = answer.response;
        if response.error
            && let Some(copy) = fill.replaced
        {
            // made now, it can be purged by them from now on
            let made = response.truth.valid;
            let inherited = Truth::new(made, copy.response.truth.scopes);
            response.truth = response.truth.and(inherited);
            if self.keeps(Rule::ErrorsInherit) {
                response.scopes |= copy.response.scopes;
            }
            self.seen.note(Event::Inherited);
        }
        if !self.may_use(n, asked, answer, &response) {
            return self.covered(n, f, fill);
        }
        let label = self.label(n, asked, answer);
        let fetched = fetched(answer);
        if self.c.bodies {
            fill.stage = Stage::Grows(response, label, fetched);
            let (first, second) = (fill.first.take(), fill.second.take());
            self.s.nodes[n].fills[f] = Some(fill);
            self.spread(n, first, second, &response, label, fetched);
            return;
        }
        self.store(n, asked, &response, label, fetched);
        self.spread(n, fill.first, fill.second, &response, label, fetched);
    }

    /// The body is complete: the copy is stored.
    pub(crate) fn finish(&mut self, n: usize, f: usize) {
        let Some(fill) = self.s.nodes[n].fills[f].take() else {
            return;
        };
        if let Stage::Grows(response, label, _) = fill.stage {
            let asked = Asked::default();
            self.store(n, asked, &response, label, false);
        }
    }

    fn store(&mut self, n: usize, asked: Asked, response: &Response, label: At, fetched: bool) {
        // what a node was told to let go of does not come back with a fill from before that
        self.s.nodes[n].copy = Some(Copy {
            response: *response,
            label,
            old: false,
            validated: if fetched { asked.at + 1 } else { 0 },
        });
    }

    /// Who waits gets an answer of the fill's own: who began it as it is, who joined if it is one for it too.
    fn spread(
        &mut self,
        n: usize,
        first: Option<Who>,
        second: Option<Who>,
        response: &Response,
        label: At,
        fetched: bool,
    ) {
        if let Some(who) = first {
            self.give(who, response, label, fetched);
        }
        if let Some(who) = second {
            self.share(n, who, response, label, fetched);
        }
    }

    /// A 304 came.
    fn validated(&mut self, n: usize, f: usize, fill: Fill, asked: Asked, answer: Answer) {
        let Some(copy) = fill.stored else {
            return self.look_all_again(n, &fill);
        };
        let table = self.s.nodes[n].table;
        let gone = self.verdict(n, &table, &copy, fill.context.behind) == Verdict::Gone;
        if self.keeps(Rule::JudgedWhenThe304Comes) && !is_validated(asked.about, gone) {
            self.seen.note(Event::ValidatedInVain);
            return self.look_all_again(n, &fill);
        }
        let mut response = copy.response;
        let told = answer.response;
        response.truth = response.truth.and(told.truth);
        response.truth.valid = told.truth.valid;
        if self.keeps(Rule::A304AddsTags) {
            response.scopes |= told.scopes;
        }
        if !self.keeps(Rule::A304TakesNoTagAway) {
            response.scopes = told.scopes;
        }
        response.stale = told.stale;
        if !self.may_use(n, asked, answer, &response) {
            return self.covered(n, f, fill);
        }
        let mut label = self.label(n, asked, answer);
        if !self.keeps(Rule::Tiers304ConfersItsLabel) {
            label = asked.own;
        }
        let is_from_the_origin = answer.stated.is_none();
        self.seen.note(if is_from_the_origin {
            Event::Validated
        } else {
            Event::ValidatedByTheShield
        });
        let fetched = fetched(answer);
        let same = self.s.nodes[n].copy == Some(copy);
        if same {
            self.store(n, asked, &response, label, fetched);
            if let Some(stored) = &mut self.s.nodes[n].copy {
                stored.old = copy.old;
            }
        } else if !self.keeps(Rule::A304ChangesTheCopyAskedAbout)
            && let Some(stored) = &mut self.s.nodes[n].copy
        {
            stored.label = label;
            stored.response.truth.valid = response.truth.valid;
            stored.response.stale = response.stale;
        }
        // for who is not fenced the origin's word on a copy is no fetch
        let told_on = fetched && asked.must_reach;
        self.spread(n, fill.first, fill.second, &response, label, told_on);
    }

    /// A purge known here covers the answer: it is asked for once more.
    fn covered(&mut self, n: usize, f: usize, mut fill: Fill) {
        if fill.insists || !self.keeps(Rule::CoveredIsAskedForInsisting) {
            return self.look_all_again(n, &fill);
        }
        self.seen.note(Event::Insisted);
        fill.insists = true;
        fill.stage = Stage::Begun;
        self.s.nodes[n].fills[f] = Some(fill);
        self.connect(n, f);
    }

    fn look_all_again(&mut self, n: usize, fill: &Fill) {
        for who in [fill.first, fill.second].into_iter().flatten() {
            self.look_again(n, who);
        }
    }

    pub(crate) fn look_again(&mut self, n: usize, who: Who) {
        self.seen.note(Event::LookedAgain);
        self.look(n, Who { again: true, ..who });
    }

    fn source(&self, asked: Asked, answer: Answer) -> Source {
        match answer.stated {
            None => Source::Origin,
            Some(_) if !self.keeps(Rule::StatedLabelCounts) => Source::Origin,
            Some((label, fetched)) => {
                let label = if self.keeps(Rule::EpochsAreNotCompared) {
                    label
                } else {
                    At {
                        epoch: asked.own.epoch,
                        n: label.n,
                    }
                };
                Source::Neighbour {
                    label: label.label(),
                    fetched,
                }
            }
        }
    }

    /// The label of a copy of the answer.
    fn label(&self, _n: usize, asked: Asked, answer: Answer) -> At {
        let source = self.source(asked, answer);
        if let Source::Neighbour {
            label,
            fetched: false,
        } = source
            && !self.keeps(Rule::NeverALargerS)
        {
            return label.0.into();
        }
        source.label(asked.own.label()).0.into()
    }

    /// Whether the answer of a neighbour may be used, by all that is known here of what it carries.
    fn may_use(&self, n: usize, asked: Asked, answer: Answer, response: &Response) -> bool {
        if !self.keeps(Rule::ReceiverJudges) {
            return true;
        }
        let table = self.s.nodes[n].table;
        let view = table.view(&self.c.purges, !self.keeps(Rule::EpochsAreNotCompared));
        let source = self.source(asked, answer);
        let scopes = ids(response.scopes);
        match source.worth(asked.own.label(), Some(scopes), &view) {
            Worth::Good => true,
            // within its window
            Worth::Stale { .. } => answer.response.stale && (self.c.swr || self.c.sie),
            Worth::Covered => false,
        }
    }
}

/// Whether the origin was asked for this very question.
fn fetched(answer: Answer) -> bool {
    answer.stated.is_none_or(|(_, fetched)| fetched)
}
