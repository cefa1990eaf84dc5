//! What an answer makes of the copy that lies under the key, and whether it may be used at all.

use super::{Body, FillSink};
use crate::fill::Stored;
use crate::growing::{Anew, Answer, Share, StoredAnswer};
use crate::refreshed::{Fate, Refreshed, refresh, selecting};
use crate::standing::Standing;
use crate::unstorable::with_credentials;
use http::response::Parts;
use http::{StatusCode, header};
use seawall_cache_store::Head;
use seawall_http_cache::{
    Freshness, Outcome, RequestDirectives, Reuse, Timestamp, has_preconditions, is_upstream_error,
    reuse, serves_on_error, strip_hop_by_hop, update_applies,
};
use seawall_purge::copy::is_validated;
use seawall_purge::{ScopeId, Source, Worth};

/// Whether a stale answer may be used at all (RFC 5861): while it is refreshed, or for an error.
fn is_in_a_window(freshness: &Freshness, now: Timestamp) -> bool {
    let nothing = RequestDirectives::default();
    let while_refreshed = reuse(freshness, &nothing, now);
    while_refreshed == Reuse::StaleWhileRevalidate || serves_on_error(freshness, &nothing, now)
}

impl FillSink {
    /// The final head decides what the fill is.
    pub(super) fn decide(&mut self, response: Parts) {
        let now = seawall_client_conn::now();
        let failed = self.ask.failure().is_some();
        if !failed && !self.reached(response.status) {
            return self.covered();
        }
        if let Some(stored) = self.before.stored.clone() {
            let erred = failed || is_upstream_error(response.status);
            if erred && self.may_serve_on_error(&stored.head, now) {
                let original = stored.head.original_fields();
                return self.answer_stored(Answer::Stored(StoredAnswer {
                    share: Share::Selecting(selecting(&original.fields).into()),
                    head: stored.head,
                    variant: stored.variant,
                    outcome: Outcome::StaleError,
                    withheld: None,
                    status: (!failed).then(|| response.status.as_u16()),
                    stale: self.asking.learned().stale(),
                    fetched: false,
                }));
            }
            if response.status == StatusCode::NOT_MODIFIED {
                let learned = self.asking.learned();
                let standing = self.proxy.standing_now(&self.asked, &stored.head, now);
                let gone = matches!(standing, Standing::Gone);
                if !is_validated(learned.conditional, gone) {
                    // a purge took the copy while we asked about it: who waits looks again
                    return self.in_vain();
                }
                return self.validated(&stored, &response, now);
            }
        }
        if self.ranged && !failed && response.status == StatusCode::PARTIAL_CONTENT {
            return self.part(response, now);
        }
        if self.ranged
            && !failed
            && response.status == StatusCode::RANGE_NOT_SATISFIABLE
            && self.asks_for_more_than_a_range()
        {
            // it was asked without what the client made the range depend on: that is for the next server to judge
            return self.answer_stored(Answer::Unusable(Anew::Alone));
        }
        self.own(response, now, failed);
    }

    /// Whether the origin itself was asked, where nothing else answers. A neighbour that cannot ask it says so by an
    /// error, or by nothing of the fleet's own.
    fn reached(&self, status: StatusCode) -> bool {
        self.asked.since.is_none()
            || is_upstream_error(status)
            || !matches!(
                self.asking.learned().source(),
                Source::Neighbour { fetched: false, .. }
            )
    }

    /// Whether the client's request has conditions, or several ranges, of which the fill asked for one.
    fn asks_for_more_than_a_range(&self) -> bool {
        let fields = &self.asked.fields;
        let ranges = fields.get_all(header::RANGE).iter();
        let several = ranges
            .map(header::HeaderValue::as_bytes)
            .any(|range| range.contains(&b','));
        several || has_preconditions(fields)
    }

    /// Judged at the moment of the error, by the purges of this moment too, for the one who began the fill. Who waits
    /// for it judges for itself.
    fn may_serve_on_error(&self, head: &Head, now: Timestamp) -> bool {
        if !self.asked.takes(head) {
            return false;
        }
        let standing = self.proxy.standing_now(&self.asked, head, now);
        match &standing {
            Standing::Live(freshness) | Standing::Stale(freshness) => {
                let directives = self.asked.directives_for(head, &standing, now);
                serves_on_error(freshness, &directives, now)
            }
            Standing::Gone => false,
        }
    }

    pub(super) fn answer_stored(&mut self, answer: Answer) {
        self.body = Body::Discard;
        self.fill.growing.set_answer(answer, false);
        self.fill.growing.finish(true);
        self.proxy.fills().leave(&self.fill);
    }

    /// The fill came to nothing. It leaves the map before anything else changes: who comes from now on does not join it,
    /// and who waits looks again.
    fn in_vain(&mut self) {
        self.proxy.fills().leave(&self.fill);
        self.body = Body::Discard;
        self.fill.growing.finish(false);
    }

    /// The answer is covered by a purge that is known here: it is asked for once more, by another sink of this fill.
    pub(super) fn covered(&mut self) {
        if self.asking.insists() {
            return self.in_vain();
        }
        self.asking.set_covered();
        self.body = Body::Discard;
        self.ended = true;
    }

    /// Whether an answer for which no origin was asked may be used, by the purges known here. The neighbour has judged
    /// it too, but a copy of its may carry less than is known here. `scopes`: what it can be purged by, if that is known.
    pub(super) fn may_use(
        &self,
        scopes: Option<&[ScopeId]>,
        freshness: Option<&Freshness>,
        now: Timestamp,
    ) -> bool {
        let learned = self.asking.learned();
        let purges = &self.proxy.snapshot().purges;
        let worth = learned.source().worth(learned.own, scopes, &**purges);
        match (worth, freshness) {
            (Worth::Good, _) => true,
            (Worth::Stale { since_ms }, Some(freshness)) => {
                let freshness = freshness.stale_since(Timestamp(since_ms / 1000), now);
                learned.stale() && is_in_a_window(&freshness, now)
            }
            (Worth::Stale { .. } | Worth::Covered, _) => false,
        }
    }

    /// A 304 to our question: the stored copy is the answer, with the fields that the 304 brought (RFC 9111 §4.3.4).
    fn validated(&mut self, stored: &Stored, update: &Parts, now: Timestamp) {
        let mut repeated = update.headers.clone();
        strip_hop_by_hop(&mut repeated);
        if !update_applies(&stored.head.original_fields().fields, &repeated) {
            // it speaks of another version than the one we asked about: ours is retired
            self.proxy.fills().leave(&self.fill);
            let generation = stored.head.generation();
            let store = self.proxy.store();
            store.retire(self.asked.key.0, stored.variant, generation);
            return self.in_vain();
        }
        let learned = self.asking.learned();
        let refreshed = refresh(
            &self.proxy,
            &self.asked,
            &learned,
            learned.label(),
            stored,
            update,
            now,
        );
        let Refreshed { head, .. } = &refreshed;
        if !self.may_use(Some(head.scopes()), Some(&head.freshness()), now) {
            return self.covered();
        }
        learned.confirm(head);
        let put = refreshed.put(&self.proxy, &self.asked, stored);
        let variant = put.unwrap_or(stored.variant);
        if refreshed.fate == Fate::Left && self.asked.fields.contains_key(header::AUTHORIZATION) {
            let key = with_credentials(self.asked.own_key.0);
            self.proxy.unstorable().remember(key, now);
        }
        self.proxy.metrics().fills.revalidated.inc();
        let share = match refreshed.fate {
            // who waits may have asked for an equivalent URL, which it says no more
            _ if refreshed.declares_otherwise => Share::FirstOnly,
            Fate::Kept => Share::Selecting(refreshed.names.into()),
            // it may be used for this answer, and not be kept
            Fate::Left | Fate::Retired => Share::FirstOnly,
        };
        self.answer_stored(Answer::Stored(StoredAnswer {
            head: refreshed.head,
            variant,
            outcome: Outcome::Revalidated,
            share,
            withheld: refreshed.withheld,
            status: Some(update.status.as_u16()),
            stale: learned.stale(),
            fetched: self.asked.since.is_some() && learned.fetched(),
        }));
    }
}
