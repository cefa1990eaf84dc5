//! What a fill answers, for one of those who wait for it.

use super::Way;
use super::failed::on_error;
use super::look::Looks;
use super::stored::{Usable, growing, stored_story};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::copy::CopyHead;
use crate::deliver::Story;
use crate::fill::Stored;
use crate::fills::Fill;
use crate::growing::{Anew, Answer, Reader, Share, StoredAnswer};
use crate::shown::Withheld;
use crate::standing::Standing;
use http::header;
use seawall_client_conn::{Exchange, Wire};
use seawall_http_cache::{
    Forward, Freshness, Outcome, RequestDirectives, Reuse, Timestamp, is_upstream_error, reuse,
    serves_on_error,
};
use seawall_purge::{Generation, ScopeId};
use std::cell::Cell;
use std::sync::Arc;

/// A request that waits for a fill.
pub(super) struct Waiting<'a> {
    pub(super) proxy: &'a Arc<CacheProxy>,
    pub(super) asked: &'a Arc<Asked>,
    /// The copy that does not answer it without the fill.
    pub(super) stored: Option<&'a Stored>,
    /// Why the next server is asked.
    pub(super) forward: Forward,
    /// A purge covers what lies here, and perhaps what the next server has.
    pub(super) covered: bool,
    /// Nobody else joins the fill.
    pub(super) alone: bool,
    /// This request began it.
    pub(super) led: bool,
    pub(super) fill: &'a Arc<Fill>,
}

impl Waiting<'_> {
    /// Acts on the answer. `None`: it is none for this request, which looks again.
    pub(super) async fn answered<W: Wire>(
        &self,
        x: &mut Exchange<W>,
        answer: Answer,
        reader: Reader,
        looks: &mut Looks,
    ) -> Option<Way> {
        match answer {
            Answer::Stored(stored) => {
                drop(reader);
                self.by_stored(x, &stored, looks).await
            }
            Answer::Unusable(Anew::Alone) if self.asked.fields.contains_key(header::RANGE) => {
                Some(Way::Pass(self.forward, self.covered))
            }
            Answer::Unusable(_) => {
                looks.whole = true;
                None
            }
            Answer::Own {
                head,
                share,
                withheld,
            } => {
                self.by_own(x, &head, &share, &withheld, reader, looks)
                    .await
            }
        }
    }

    async fn by_stored<W: Wire>(
        &self,
        x: &mut Exchange<W>,
        answer: &StoredAnswer,
        looks: &mut Looks,
    ) -> Option<Way> {
        let Self {
            proxy, asked, led, ..
        } = *self;
        let head = &answer.head;
        let lies = match answer.outcome {
            // a part came, and is stored as what was fetched
            Outcome::Miss => asked.under(self.fill.own),
            _ => asked.clone(),
        };
        if !led && !answer.share.admits(&self.fill.request, &asked.fields) {
            return None;
        }
        if !led && !self.survives(head.scopes(), head.generation()) {
            return None;
        }
        if !led && !asked.is_answered_by(head) {
            looks.alike = false;
            return None;
        }
        if answer.outcome == Outcome::Miss && self.fill.own != asked.own_key.0 {
            // of an equivalent URL: it is found there if it says so
            return None;
        }
        let now = seawall_client_conn::now();
        let standing = proxy.standing(asked, head, now);
        if !led && !self.shares(answer, &standing, now) {
            return None;
        }
        let freshness = match standing {
            Standing::Live(freshness) | Standing::Stale(freshness) => freshness,
            // this one asked before the purge
            Standing::Gone => head.freshness(),
        };
        let copy = Usable {
            head,
            variant: answer.variant,
            freshness: &freshness,
            kept: answer.share != Share::FirstOnly,
            fetched: answer.fetched,
            withheld: answer.withheld.as_deref().filter(|_| led),
        };
        let outcome = match answer.outcome {
            Outcome::Miss if !led => Outcome::Collapsed,
            outcome => outcome,
        };
        let story = self.story(outcome, answer.status);
        let delivered = stored_story(proxy, x, &lies, copy, story).await;
        if delivered.is_none() {
            looks.lost = Some(head.generation());
        }
        delivered.map(Way::Delivered)
    }

    /// Whether a copy that answers somebody else may answer this request.
    fn shares(&self, answer: &StoredAnswer, standing: &Standing, now: Timestamp) -> bool {
        let (asked, head) = (self.asked, &answer.head);
        let accepts = || match standing {
            Standing::Live(freshness) | Standing::Stale(freshness) => {
                let directives = asked.directives_for(head, standing, now);
                accepts(freshness, &directives, now)
            }
            Standing::Gone => false,
        };
        if answer.outcome == Outcome::StaleError {
            // the next server failed, and this is what there is for everybody who asked it: nothing was fetched, so that it
            // is as old for each of them as its label says
            return accepts();
        }
        asked.may_share(head.label(), Some(head.scopes()), |_| false)
            && (!answer.stale || accepts())
    }

    async fn by_own<W: Wire>(
        &self,
        x: &mut Exchange<W>,
        head: &Arc<CopyHead>,
        share: &Share,
        withheld: &Withheld,
        reader: Reader,
        looks: &mut Looks,
    ) -> Option<Way> {
        let Self {
            proxy, asked, led, ..
        } = *self;
        let mine = led || share.admits(&self.fill.request, &asked.fields);
        let scopes = head.scopes.as_deref().unwrap_or_default();
        if !led && !self.survives(scopes, head.generation) {
            return None;
        }
        let same = self.fill.own == asked.own_key.0
            || head.equivalents.as_ref().is_some_and(|of| asked.is_of(of));
        looks.alike &= same;
        let now = seawall_client_conn::now();
        let status = (!head.failed).then(|| head.status.as_u16());
        if !led && (head.failed || is_upstream_error(head.status)) {
            // for the one who asked no stale copy would do; for this one it may
            let story = self.story(Outcome::StaleError, status);
            let on_error = on_error(proxy, x, asked, self.stored, story);
            if let Some(delivered) = Box::pin(on_error).await {
                return Some(Way::Delivered(delivered));
            }
        }
        // stale for this request, and not for who asked before that soft purge
        let since = Cell::new(None);
        if !mine || !self.shares_own(head, now, &since) || !(same || head.failed) {
            // not this one's answer: the key is remembered, or has its own variant by now
            return None;
        }
        let stale = since.get().map(|since| {
            Arc::new(CopyHead {
                freshness: head.freshness.as_ref().map(|f| f.stale_since(since, now)),
                stale: true,
                ..CopyHead::clone(head)
            })
        });
        let head = stale.as_ref().unwrap_or(head);
        let outcome = match (led, head.failed) {
            (_, true) => Outcome::Error,
            (true, _) if self.alone => Outcome::Unstorable,
            (true, _) => Outcome::Miss,
            (false, _) => Outcome::Collapsed,
        };
        let story = self.story(outcome, status);
        let withheld = withheld.as_deref().filter(|_| led);
        // it lies there, or will
        let asked = &asked.under(self.fill.own);
        let delivered = growing(proxy, x, asked, head, reader, story, withheld).await;
        Some(Way::Delivered(delivered))
    }

    /// Whether an answer that somebody else may have asked for is one for this request too, and `stale_since` when only as
    /// a stale one.
    fn shares_own(
        &self,
        head: &CopyHead,
        now: Timestamp,
        stale_since: &Cell<Option<Timestamp>>,
    ) -> bool {
        let directives = &self.asked.directives;
        // the next server gave it as a stale one, which may be had by who would have got the same
        let stale = |since| {
            stale_since.set(Some(since));
            head.freshness.as_ref().is_some_and(|freshness| {
                let freshness = freshness.stale_since(since, now);
                let directives = directives.narrowing();
                reuse(&freshness, &directives, now) == Reuse::StaleWhileRevalidate
                    || (head.stale && serves_on_error(&freshness, &directives, now))
            })
        };
        let accepts = || {
            let freshness = head.freshness.as_ref();
            freshness.is_some_and(|freshness| accepts(freshness, directives, now))
        };
        self.led
            || head.failed
            || (self
                .asked
                .may_share(head.label, head.scopes.as_deref(), stale)
                && (!head.stale || accepts()))
    }

    fn story(&self, outcome: Outcome, forward_status: Option<u16>) -> Story {
        Story {
            outcome,
            forward: Some(self.forward),
            forward_status,
            collapsed: !self.led,
            detail: None,
        }
    }

    /// Whether what the fill brings has outlived all changes so far. If not, nobody joins it any more: it is not known
    /// whether who waits asked before the change.
    fn survives(&self, scopes: &[ScopeId], generation: Generation) -> bool {
        let survives = self
            .proxy
            .store()
            .survives(self.fill.own, scopes, generation);
        if !survives {
            self.proxy.fills().leave(self.fill);
        }
        survives
    }
}

/// Whether who waited for somebody else's answer may have a stale copy that is known to be the best there is now.
fn accepts(freshness: &Freshness, directives: &RequestDirectives, now: Timestamp) -> bool {
    !matches!(reuse(freshness, directives, now), Reuse::Validate { .. })
        || serves_on_error(freshness, directives, now)
}
