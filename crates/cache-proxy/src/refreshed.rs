//! A stored copy that an update speaks of, a 304 or the answer to a HEAD: its new head, and what becomes of it.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::Learned;
use crate::fill::Stored;
use crate::scoped::scopes;
use crate::shown::{Withheld, show, take_cache_status, withheld};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use seawall_cache_store::{Body, Coding, Head, HeadParts, Sums};
use seawall_http_cache::{
    CacheControl, Form, QueryVariation, Storable, Timestamp, Vary, freshen, into_stored_fields,
    may_compress, may_decode, storable_by, strip_hop_by_hop, vary,
};
use seawall_purge::Label;
use std::sync::Arc;

/// A copy with the fields of an update.
pub(crate) struct Refreshed {
    pub(crate) head: Arc<Head>,
    pub(crate) fate: Fate,
    /// The fields that select it now.
    pub(crate) names: Vec<HeaderName>,
    /// What of its fields is for the one who asked alone.
    pub(crate) withheld: Withheld,
    /// It was selected by other fields before.
    refiled: bool,
    /// Other URLs are equivalent for it than before (`No-Vary-Search`).
    pub(crate) declares_otherwise: bool,
}

/// What becomes of the copy that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The refreshed one takes its place.
    Kept,
    /// It stays as it was: this one's request allows no more, which is nothing to other clients.
    Left,
    /// It ends: the update forbids storing it.
    Retired,
}

/// The fields that select an answer with `fields`, as the next server sent them.
pub(crate) fn selecting(fields: &HeaderMap) -> Vec<HeaderName> {
    match vary(fields) {
        Vary::Fields(names) => names,
        Vary::None | Vary::Star => Vec::new(),
    }
}

/// Merges `update` into the copy `stored` (RFC 9111 §3.2) and judges the result. Changes nothing yet.
///
/// `label` is that of the refreshed copy. Merged and judged is what the next server said; what clients do not get of it is taken off after that.
pub(crate) fn refresh(
    proxy: &CacheProxy,
    asked: &Asked,
    learned: &Learned,
    label: Label,
    stored: &Stored,
    update: &Parts,
    now: Timestamp,
) -> Refreshed {
    let old = &stored.head;
    let mut update_fields = update.headers.clone();
    strip_hop_by_hop(&mut update_fields);
    let upstream_status = take_cache_status(&mut update_fields);
    // the tags it states come to those that the copy has: which of the copy's fields they replace is not known here
    let told = learned.scopes.as_ref();
    let scopes =
        told.and_then(|told| scopes(asked, &update.headers, &[old.scopes(), &told[..]]).ok());
    // its own Via is of this hop; the copy keeps the one it was stored with
    update_fields.remove(header::VIA);
    let mut fields = old.original_fields().fields;
    let names_before = selecting(&fields);
    let declared_before = QueryVariation::of(&fields);
    let form = match old.coding() {
        Coding::Negotiable => Form::CodedHere,
        Coding::AsIs | Coding::Decodable(_) | Coding::Recoded(..) => Form::AsReceived,
    };
    freshen(&mut fields, &update_fields, form);
    let storage = &asked.policy().storage;
    let cc = CacheControl::of(&fields, &storage.targets);
    let judged = storable_by(
        &cc,
        &Method::GET,
        &*asked.fields,
        old.status,
        &fields,
        storage,
        (learned.at, now),
    );
    let kind = proxy.tier().kind();
    let mut withheld = withheld(kind, asked, &fields, &cc);
    if update_fields.contains_key(header::SET_COOKIE) && !fields.contains_key(header::SET_COOKIE) {
        // it does not come into a copy without cookies, and the one who asked gets it
        let mut cookies = withheld.as_deref().cloned().unwrap_or_default();
        for cookie in update_fields.get_all(header::SET_COOKIE) {
            cookies.append(header::SET_COOKIE, cookie.clone());
        }
        withheld = Some(Arc::new(cookies));
    }
    let mut fields = into_stored_fields(fields, &cc);
    if !fields.contains_key(header::DATE)
        && let Ok(date) = HeaderValue::from_str(&now.to_http_date())
    {
        fields.insert(header::DATE, date);
    }
    let names = selecting(&fields);
    let (policy, targets) = (asked.policy(), &asked.policy().storage.targets);
    let declares_otherwise = QueryVariation::of(&fields) != declared_before;
    let coding = match old.coding() {
        Coding::Negotiable if !may_compress(&fields, targets, &policy.compress_types) => {
            Coding::AsIs
        }
        Coding::Decodable(coding) if may_decode(&fields, targets) != Some(coding) => Coding::AsIs,
        coding => coding,
    };
    let hidden = show(kind, asked, &mut fields, coding);
    let (freshness, fate, scopes) = match (judged, scopes.as_deref()) {
        // the update was asked for about another URL, which may be another resource by now
        (Storable::Yes(_), _) if declares_otherwise && asked.moved.is_some() => {
            (old.freshness(), Fate::Retired, old.scopes())
        }
        (Storable::Yes(freshness), Some(scopes)) => (freshness, Fate::Kept, scopes),
        (Storable::No(why), _) if why.is_of_the_request() => {
            (old.freshness(), Fate::Left, old.scopes())
        }
        (Storable::No(_), _) | (_, None) => (old.freshness(), Fate::Retired, old.scopes()),
    };
    let inline = old.inline();
    let (object, sums, inline) = match old.body() {
        Body::Inline | Body::Part(_) => (asked.key.0, Sums::default(), Some([inline])),
        Body::Chunks(chunks) => (chunks.object, chunks.sums.clone(), None),
    };
    let parts = HeadParts {
        generation: old.generation(),
        revision: old.revision.wrapping_add(1),
        label,
        status: old.status,
        fields: &fields,
        hidden,
        upstream_cache_status: &upstream_status,
        freshness,
        length: old.length,
        scopes,
        coding,
        object,
        sums,
    };
    let head = match (old.body(), &inline) {
        (Body::Part(held), Some([bytes])) => Head::incomplete(parts, held.start, bytes),
        _ => Head::new(parts, inline.as_ref().map(|i| &i[..])),
    };
    Refreshed {
        head: Arc::new(head),
        fate,
        refiled: names != names_before,
        declares_otherwise,
        names,
        withheld,
    }
}

impl Refreshed {
    /// Does to the store what is to be done, and tells the variant under which the copy lies then. `None`: it was to be
    /// kept, and another one lies there by now, which stays.
    pub(crate) fn put(&self, proxy: &CacheProxy, asked: &Asked, stored: &Stored) -> Option<u64> {
        let (store, key) = (proxy.store(), asked.key.0);
        let generation = stored.head.generation();
        match self.fate {
            // its old place would answer requests that it is no answer to any more (RFC 9111 §4.1)
            Fate::Kept if self.refiled => {
                let (old, head) = (stored.variant, self.head.clone());
                return store.refile(key, old, &self.names, &*asked.fields, head);
            }
            // the generation whose validator was sent, and no other
            Fate::Kept => {
                let put = store.refresh(key, stored.variant, self.head.clone());
                return put.then_some(stored.variant);
            }
            Fate::Retired => store.retire(key, stored.variant, generation),
            Fate::Left => {}
        }
        Some(stored.variant)
    }
}
