//! What an answer makes of the copy that lies under the key, and whether it may be used at all.

use super::{Body, FillSink};
use crate::fill::Stored;
use crate::growing::Answer;
use crate::shown::take_cache_status;
use crate::standing::Standing;
use http::{HeaderValue, Method, StatusCode, header};
use pingora::http::ResponseHeader;
use seawall_cache_store::{Coding, Head, HeadParts, Hidden};
use seawall_http_cache::{
    Freshness, Outcome, RequestDirectives, Reuse, Storable, Timestamp, add_vary, freshen, reuse,
    storable, strip_hop_by_hop, update_applies,
};
use seawall_purge::{ScopeId, Verdict};
use std::cmp::Ordering;
use std::sync::Arc;

/// RFC 5861 §4, judged at the moment of the error.
pub(crate) fn may_serve_on_error(freshness: &Freshness, now: Timestamp) -> bool {
    let stale_for = freshness.age(now).saturating_sub(freshness.lifetime);
    !freshness.must_revalidate
        && !freshness.no_cache
        && (now < freshness.fresh_until() || stale_for < freshness.stale_if_error)
}

/// Whether a stale answer may be used at all (RFC 5861): while it is refreshed, or for an error.
fn is_in_a_window(freshness: &Freshness, now: Timestamp) -> bool {
    let while_refreshed = reuse(freshness, &RequestDirectives::default(), now);
    while_refreshed == Reuse::StaleWhileRevalidate || may_serve_on_error(freshness, now)
}

impl FillSink {
    /// The final head decides what the fill is.
    pub(super) fn decide(&mut self, response: &ResponseHeader) {
        let now = seawall_client_conn::now();
        let failed = self.ask.failure().is_some();
        if let Some(stored) = self.before.stored.clone() {
            let erred = failed || matches!(response.status.as_u16(), 500 | 502 | 503 | 504);
            if erred && self.may_serve_on_error(&stored.head, now) {
                return self.answer_stored(stored.head, stored.variant, Outcome::StaleError);
            }
            if response.status == StatusCode::NOT_MODIFIED {
                let learned = self.asking.learned();
                let standing = self.proxy.standing_now(&self.asked, &stored.head, now);
                if !learned.conditional || matches!(standing, Standing::Gone) {
                    // a purge took the copy while we asked about it: who waits looks again
                    return self.in_vain();
                }
                return self.validated(&stored, response, now);
            }
        }
        self.own(response, now, failed);
    }

    /// Judged at the moment of the error, by the purges of this moment too.
    fn may_serve_on_error(&self, head: &Head, now: Timestamp) -> bool {
        match self.proxy.standing_now(&self.asked, head, now) {
            Standing::Usable(freshness) => may_serve_on_error(&freshness, now),
            Standing::Gone => false,
        }
    }

    fn answer_stored(&mut self, head: Arc<Head>, variant: u64, outcome: Outcome) {
        self.body = Body::Discard;
        self.fill.growing.set_answer(
            Answer::Stored {
                head,
                variant,
                outcome,
            },
            false,
        );
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
        let label = learned.label();
        let order = label.0.cmp_within(learned.own.0);
        if learned.fetched() || matches!(order, Some(Ordering::Equal | Ordering::Greater)) {
            // what was purged after the question is for others to judge
            return true;
        }
        let verdict = scopes.map(|scopes| self.proxy.snapshot().purges.judge(label, scopes));
        match (verdict, freshness) {
            (Some(Verdict::Live), _) => true,
            (Some(Verdict::Stale { since_ms }), Some(freshness)) => {
                let freshness = freshness.stale_since(Timestamp(since_ms / 1000), now);
                learned.stale() && is_in_a_window(&freshness, now)
            }
            (Some(Verdict::Stale { .. } | Verdict::Gone) | None, _) => false,
        }
    }

    /// A 304 to our question: the stored copy is the answer, with the fields that the 304 brought (RFC 9111 §4.3.4).
    fn validated(&mut self, stored: &Stored, update: &ResponseHeader, now: Timestamp) {
        let learned = self.asking.learned();
        let mut parts = stored.head.fields();
        let mut update_fields = update.headers.clone();
        strip_hop_by_hop(&mut update_fields);
        if !update_applies(&parts.fields, &update_fields) {
            // it speaks of another version than the one we asked about: ours is retired
            self.proxy.fills().leave(&self.fill);
            let generation = stored.head.generation;
            let store = self.proxy.store();
            store.retire(self.asked.key.0, stored.variant, generation);
            return self.in_vain();
        }
        let upstream_status = take_cache_status(&mut update_fields);
        // the tags it states come to those that the copy has: which of the copy's fields they replace is not known here
        let scopes = self.scopes(&update.headers, &[&stored.head.scopes]).ok();
        // its own Via is of this hop; the copy keeps the one it was stored with
        update_fields.remove(header::VIA);
        freshen(&mut parts.fields, &update_fields);
        match update_fields.get(header::AGE) {
            Some(age) => parts.fields.insert(header::AGE, age.clone()),
            None => parts.fields.remove(header::AGE),
        };
        let judged = storable(
            &Method::GET,
            &*self.asked.fields,
            stored.head.status,
            &parts.fields,
            &self.asked.policy().storage,
            learned.at,
            now,
        );
        parts.fields.remove(header::AGE);
        if !parts.fields.contains_key(header::DATE)
            && let Ok(date) = HeaderValue::from_str(&now.to_http_date())
        {
            parts.fields.insert(header::DATE, date);
        }
        if stored.head.coding == Coding::Negotiable {
            add_vary(&mut parts.fields, &header::ACCEPT_ENCODING);
        }
        self.withhold(&mut parts.fields);
        let key = self.asked.key.0;
        let (freshness, keep, scopes) = match (judged, scopes) {
            (Storable::Yes(freshness), Some(scopes)) => (freshness, true, scopes),
            (Storable::No(_), _) | (_, None) => {
                let scopes = stored.head.scopes.clone();
                (stored.head.freshness.clone(), false, scopes)
            }
        };
        if !self.may_use(Some(&scopes), Some(&freshness), now) {
            return self.covered();
        }
        if !keep {
            // it may be used for this answer, and not be kept
            let generation = stored.head.generation;
            self.proxy.store().retire(key, stored.variant, generation);
        }
        let inline = stored.head.inline_body();
        let (object, sums, inline) = match &stored.head.body {
            seawall_cache_store::Body::Inline => (key, [].into(), Some([&inline[..]])),
            seawall_cache_store::Body::Chunks { object, sums, .. } => (*object, sums.clone(), None),
        };
        let head = Arc::new(Head::new(
            HeadParts {
                generation: stored.head.generation,
                revision: stored.head.revision.wrapping_add(1),
                label: learned.label(),
                status: stored.head.status,
                fields: &parts.fields,
                hidden: Hidden::default(),
                upstream_cache_status: &upstream_status,
                freshness,
                length: stored.head.length,
                scopes,
                coding: stored.head.coding,
                object,
                sums,
            },
            inline.as_ref().map(|i| &i[..]),
        ));
        if keep {
            // the generation whose validator was sent, and no other
            self.proxy
                .store()
                .refresh(key, stored.variant, head.clone());
        }
        self.proxy.metrics().fills.revalidated.inc();
        self.answer_stored(head, stored.variant, Outcome::Revalidated);
    }
}
