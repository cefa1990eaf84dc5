//! The answer to a POST that is a representation of its target is stored on its way to the client, for the GETs that come
//! after it (RFC 9110 §9.3.3). What lay there ends first (RFC 9111 §4.4).

use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::Asking;
use crate::invalidate::sites;
use crate::outbound::via;
use crate::refreshed::selecting;
use crate::scoped::scopes;
use crate::shown::{show, take_cache_status};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use seawall_cache_store::{Coding, Durability, Head, HeadParts, Hidden, INLINE_MAX, Sums};
use seawall_client_conn::Tap;
use seawall_http_cache::{Freshness, Storable, represents_target, storable, stored_fields};
use seawall_purge::{Generation, Label, ScopeId};
use seawall_service_model::{CacheMode, Invalidate};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A POST whose answer may be stored. At most [`INLINE_MAX`] bytes of its body are held.
pub(crate) struct Posted {
    proxy: Arc<CacheProxy>,
    /// As a GET of the same: what is stored is judged, found and shown by GET's rule.
    asked: Asked,
    /// Drawn before anything was asked: what was changed since then is newer than the answer may be.
    begun: Generation,
    coming: Mutex<Option<Coming>>,
    stored: AtomicBool,
}

/// The copy, as its body comes.
pub(crate) struct Coming {
    begun: Generation,
    /// Drawn when what lay there had ended; `None`: it has not, or another change came meanwhile.
    generation: Option<Generation>,
    ended: bool,
    key: u128,
    label: Label,
    fields: HeaderMap,
    hidden: Hidden,
    upstream_cache_status: Vec<u8>,
    freshness: Freshness,
    scopes: Box<[ScopeId]>,
    names: Vec<HeaderName>,
    /// The length that was announced.
    want: Option<u64>,
    /// It is no longer than this.
    limit: u64,
    body: BytesMut,
}

impl Posted {
    /// `None`: its answer is stored in no case. Not where the fleet is told of changes: it ends what changed everywhere,
    /// this answer too.
    pub(super) fn new(proxy: &Arc<CacheProxy>, asked: &Arc<Asked>) -> Option<Arc<Self>> {
        let as_get = Asked {
            method: Method::GET,
            rule: asked.key_rule,
            ..Asked::clone(asked)
        };
        let may = asked.method == Method::POST
            && asked.policy().cache == CacheMode::Cache
            && as_get.policy().cache == CacheMode::Cache
            && asked.service.invalidate != Invalidate::Fleet;
        may.then(|| {
            Arc::new(Self {
                proxy: proxy.clone(),
                asked: as_get,
                begun: proxy.store().next_generation(),
                coming: Mutex::new(None),
                stored: AtomicBool::new(false),
            })
        })
    }

    /// Judges the head of the answer, as the next server sent it.
    pub(super) fn judge(&self, response: &ResponseHeader, asking: &Asking) -> Option<Coming> {
        let (proxy, asked) = (&self.proxy, &self.asked);
        let (status, policy) = (response.status, &asked.policy().storage);
        let now = seawall_client_conn::now();
        let learned = asking.learned();
        let mut fields = response.headers.clone();
        let upstream_cache_status = take_cache_status(&mut fields);
        let sites = sites(asked);
        let is_target =
            represents_target(&sites, &asked.target, status, &fields, &policy.targets, now);
        // a declaration of equivalent URLs came with no GET
        let plain = !fields.contains_key("no-vary-search");
        if !is_target || !plain || !learned.framed || !learned.fetched() {
            return None;
        }
        let judged = storable(
            &Method::GET,
            &*asked.fields,
            status,
            &fields,
            policy,
            learned.at,
            now,
        );
        let Storable::Yes(freshness) = judged else {
            return None;
        };
        let length = fields.get(header::CONTENT_LENGTH);
        let want = length.and_then(|v| v.to_str().ok()?.parse().ok());
        let limit = asked.service.limits.object_bytes_max.min(INLINE_MAX);
        if want.is_some_and(|want: u64| want > limit) {
            return None;
        }
        let stated = learned.scopes.as_ref()?;
        let scopes = scopes(asked, &response.headers, &[&stated[..]]).ok()?;
        let mut fields = stored_fields(&fields, &policy.targets);
        if !fields.contains_key(header::DATE)
            && let Ok(date) = HeaderValue::from_str(&now.to_http_date())
        {
            fields.insert(header::DATE, date);
        }
        let kind = proxy.tier().kind();
        via(&mut fields, learned.version, kind);
        let hidden = show(kind, asked, &mut fields, Coding::AsIs);
        Some(Coming {
            begun: self.begun,
            generation: None,
            ended: false,
            key: asked.own_key.0,
            label: learned.label(),
            fields,
            hidden,
            upstream_cache_status,
            freshness,
            scopes,
            names: selecting(&response.headers),
            want,
            limit,
            body: BytesMut::new(),
        })
    }

    /// The head goes on to the client: what follows is the body of `coming`. Returns whether it is going to be stored.
    pub(super) fn begin(&self, coming: Option<Coming>) -> bool {
        let coming = coming.filter(|coming| coming.generation.is_some());
        let stores = coming.is_some();
        *self.coming.lock() = coming;
        stores
    }
}

impl Coming {
    pub(crate) fn key(&self) -> u128 {
        self.key
    }

    /// Ends what lies under its key, which it takes the place of. For the first time only: it would end itself.
    pub(crate) fn succeed(&mut self, proxy: &CacheProxy) -> Option<Durability> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let store = proxy.store();
        let (generation, durability) = store.succeed(self.key, &self.scopes, self.begun);
        self.generation = generation;
        // who asks from now on gets what the origin says from now on
        proxy.fills().forget(self.key);
        durability
    }
}

impl Tap for Posted {
    fn data(&self, data: &Bytes) {
        let mut coming = self.coming.lock();
        let Some(copy) = &mut *coming else { return };
        let length = (copy.body.len() + data.len()) as u64;
        if length > copy.want.unwrap_or(copy.limit) {
            *coming = None;
            return;
        }
        copy.body.extend_from_slice(data);
        if copy.want == Some(length)
            && let Some(copy) = coming.take()
        {
            // the client may know that this is the end, and ask at once
            self.store(copy);
        }
    }

    fn ended(&self) {
        let coming = self.coming.lock().take();
        if let Some(copy) = coming.filter(|copy| copy.want.is_none_or(|want| want == 0)) {
            self.store(copy);
        }
    }
}

impl Posted {
    fn store(&self, copy: Coming) {
        let Some(generation) = copy.generation else {
            return;
        };
        let length = copy.body.len() as u64;
        let mut fields = copy.fields;
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        let head = Head::new(
            HeadParts {
                generation,
                revision: 0,
                label: copy.label,
                status: StatusCode::OK,
                fields: &fields,
                hidden: copy.hidden,
                upstream_cache_status: &copy.upstream_cache_status,
                freshness: copy.freshness,
                length,
                scopes: &copy.scopes,
                coding: Coding::AsIs,
                object: copy.key,
                sums: Sums::default(),
            },
            Some(&[&copy.body[..]]),
        );
        let store = self.proxy.store();
        store.note_vary(copy.key, &copy.names);
        store.insert(copy.key, &copy.names, &*self.asked.fields, Arc::new(head));
        self.proxy.unstorable().forget(copy.key);
        self.stored.store(true, Ordering::Release);
    }

    pub(super) fn is_stored(&self) -> bool {
        self.stored.load(Ordering::Acquire)
    }
}
