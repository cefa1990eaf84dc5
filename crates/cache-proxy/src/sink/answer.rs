//! An answer that is a response of its own: whether it is stored, who may have it, and how it goes to clients.

use super::part::IN_PARTS_BYTES_MAX;
use super::{Body, FillSink, Keeping};
use crate::copy::CopyHead;
use crate::fill::Stored;
use crate::growing::{Answer, Share};
use crate::outbound::via;
use crate::refreshed::selecting;
use crate::scoped::{TOO_MANY, is_error, scopes};
use crate::shown::{coding, show, take_cache_status, withheld};
use crate::unstorable::with_credentials;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use seawall_cache_store::Coding;
use seawall_http_cache::{
    CacheControl, QueryVariation, Storable, Timestamp, Unstorable, into_stored_fields,
    is_of_the_range, is_upstream_error, storable_by, strip_hop_by_hop,
};
use seawall_purge::ScopeId;
use seawall_upstream::Phase;
use std::sync::Arc;

/// Whether an answer that is not stored ends the copy in whose place it came (RFC 9111 §4.3.3): it is what the resource is
/// now. Not where the next server has trouble of its own, nor where `why` is the request of this one client.
fn supersedes(status: StatusCode, why: Option<Unstorable>) -> bool {
    let trouble = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
    !trouble && !why.is_some_and(Unstorable::is_of_the_request)
}

impl FillSink {
    /// The answer is a response of its own.
    pub(super) fn own(&mut self, response: Parts, now: Timestamp, failed: bool) {
        let learned = self.asking.learned();
        let mut fields = response.headers;
        let replaced = self.before.replaced.clone();
        let inherits = replaced.as_ref().filter(|_| is_error(response.status));
        let inherited: Vec<&[ScopeId]> = inherits.iter().map(|of| of.head.scopes()).collect();
        // of the fields as they came: some of them are not stored
        let scopes = self.scopes(&fields, &inherited);
        let (names, variation) = (selecting(&fields), QueryVariation::of(&fields));
        let upstream_cache_status = take_cache_status(&mut fields);
        let bodiless = matches!(response.status.as_u16(), 204 | 304);
        self.want = if bodiless {
            Some(0)
        } else {
            fields
                .get(header::CONTENT_LENGTH)
                .and_then(|v| v.to_str().ok()?.parse().ok())
        };
        // without a length and without chunks the body ends with the connection: a truncation could not be seen
        let end_is_seen = learned.framed || bodiless;
        let storage = &self.asked.policy().storage;
        let cc = CacheControl::of(&fields, &storage.targets);
        let judged = if failed {
            None
        } else if self.ranged && is_of_the_range(response.status) {
            // a 416 is the answer to this range alone
            Some(Storable::No(Unstorable::Partial))
        } else {
            Some(storable_by(
                &cc,
                &Method::GET,
                &*self.asked.fields,
                response.status,
                &fields,
                storage,
                (learned.at, now),
            ))
        };
        let (freshness, why) = match judged {
            Some(Storable::Yes(freshness)) => (Some(freshness), None),
            Some(Storable::No(why)) => (None, Some(why)),
            None => (None, None),
        };
        let mut detail = why.map(Unstorable::as_str);
        if self.asked.since.is_some() && (failed || is_upstream_error(response.status)) {
            // with a lease a stored copy might have stood in
            detail = Some("fenced");
        } else if failed
            && self
                .ask
                .failure()
                .is_some_and(|f| f.phase == Phase::OriginBudget)
        {
            detail = Some("origin-budget");
        }
        let kind = self.proxy.tier().kind();
        let mut apart = None;
        if freshness.is_some() {
            apart = withheld(kind, &self.asked, &fields, &cc);
            fields = into_stored_fields(fields, &cc);
        } else {
            // Age with the rest: whoever keeps the answer counts from there (RFC 9111 §5.1)
            strip_hop_by_hop(&mut fields);
        }
        if !fields.contains_key(header::DATE)
            && let Ok(date) = HeaderValue::from_str(&now.to_http_date())
        {
            fields.insert(header::DATE, date);
        }
        if !failed && !self.may_use(scopes.as_deref().ok(), freshness.as_ref(), now) {
            return self.covered();
        }
        let scopes = match scopes {
            Ok(scopes) => freshness.is_some().then_some(scopes),
            Err(why) if freshness.is_some() => {
                self.proxy.metrics().fills.unscoped.inc();
                detail = Some(why);
                None
            }
            Err(_) => None,
        };
        if detail == Some(TOO_MANY) {
            // errors take over more and more: the next one begins anew. Nobody was promised anything
            drop(self.proxy.store().invalidate(self.asked.key.0));
        }
        let mut limit = self.asked.service.limits.object_bytes_max;
        limit = limit.min(match self.part {
            None => self.proxy.store().body_bytes_max(),
            // what is asked for lies here, not all of it
            Some(_) => IN_PARTS_BYTES_MAX,
        });
        let fits = self.want.is_none_or(|want| want <= limit);
        if freshness.is_some() && !fits {
            detail = Some("too-large");
        } else if freshness.is_some() && !end_is_seen {
            detail = Some("ends-by-close");
        }
        let keep = freshness.is_some() && scopes.is_some() && fits && end_is_seen;
        let coding = match &self.part {
            Some(part) if !part.comes_whole() => Coding::AsIs,
            _ => coding(
                kind,
                self.asked.policy(),
                response.status,
                &fields,
                self.want,
            ),
        };
        if !failed {
            via(&mut fields, learned.version, kind);
        }
        let hidden = show(kind, &self.asked, &mut fields, coding);
        let share = if freshness.is_some() || failed {
            Share::Selecting(names.clone().into())
        } else {
            Share::FirstOnly
        };
        // before it gets its generation
        let equivalents = keep
            .then(|| self.proxy.declared(&self.asked, variation?))
            .flatten();
        // what was changed since it was asked for stays so; else it is as young as what it declares
        let generation = match &scopes {
            Some(scopes) => {
                // it may have been joined by what its URL and others have in common
                let keys = [self.asked.own_key.0, self.fill.key.key];
                self.proxy.store().renewed(&keys, scopes, self.generation)
            }
            None => self.generation,
        };
        let head = Arc::new(CopyHead {
            status: response.status,
            fields,
            upstream_cache_status: upstream_cache_status.into(),
            length: self.want,
            freshness: freshness.clone(),
            stored: keep,
            coding,
            generation,
            label: learned.label(),
            scopes: scopes.as_deref().map(Arc::from),
            equivalents,
            fetched: learned.fetched(),
            stale: learned.stale(),
            framed: end_is_seen,
            whole_only: false,
            detail,
            failed,
        });
        let key = self.asked.own_key.0;
        let (store, unstorable) = (self.proxy.store(), self.proxy.unstorable());
        if freshness.is_some() {
            unstorable.forget(key);
            if self.asked.fields.contains_key(header::AUTHORIZATION) {
                unstorable.forget(with_credentials(key));
            }
            store.note_vary(key, &names);
            if !names.is_empty() && self.fill.key.key == key {
                let variant = store.fill_variant(key, &*self.fill.request);
                self.proxy.fills().varies(&self.fill, variant);
            }
        } else if !failed && !response.status.is_server_error() {
            match why {
                Some(Unstorable::RequestNoStore) => {}
                Some(Unstorable::Partial) if self.ranged => {}
                Some(Unstorable::Authorization) => {
                    unstorable.remember(with_credentials(key), now);
                }
                _ => unstorable.remember(key, now),
            }
        }
        if let Some(Stored { head, variant }) = &replaced
            && !keep
            && !failed
            && supersedes(response.status, why)
        {
            store.retire(self.asked.key.0, *variant, head.generation());
        }
        let keeping = match (keep, freshness, scopes) {
            (true, Some(freshness), Some(scopes)) => Some(Box::new(Keeping {
                head: head.clone(),
                names,
                hidden,
                scopes,
                freshness,
                sums: Vec::new(),
            })),
            _ => None,
        };
        if let Some(part) = self.part {
            return self.begin_part(part, keeping, share, apart, why);
        }
        self.body = keeping.map_or(Body::Pass, Body::Keep);
        let answer = Answer::Own {
            head,
            share,
            withheld: apart,
        };
        self.fill.growing.set_answer(answer, keep);
        if !keep {
            self.proxy.fills().leave(&self.fill);
        }
    }

    /// What an answer can be purged by, `taken_over` and what a neighbour stated included. An error says why it is not
    /// known in full: such an answer is not stored.
    pub(super) fn scopes(
        &self,
        fields: &HeaderMap,
        taken_over: &[&[ScopeId]],
    ) -> std::result::Result<Box<[ScopeId]>, &'static str> {
        let stated = self.asking.learned().scopes.ok_or("unreadable-scopes")?;
        let taken_over = [taken_over, &[&stated[..]]].concat();
        scopes(&self.asked, fields, &taken_over)
    }
}
