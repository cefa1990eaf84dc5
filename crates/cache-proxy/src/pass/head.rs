//! The answer to a HEAD that passes says what a GET would get: the copy that lies here is held against it.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::Asking;
use crate::fill::Stored;
use crate::refreshed::refresh;
use crate::standing::Standing;
use http::Method;
use pingora::http::ResponseHeader;
use seawall_cache_store::Found;
use seawall_http_cache::{HeadUpdate, Storable, Unstorable, head_update, storable};
use seawall_service_model::CacheMode;

/// RFC 9111 §4.3.5: a copy of the same version gets the answer's fields, as by a 304, and one of another version ends.
pub(super) fn freshen_by_head(
    proxy: &CacheProxy,
    asked: &Asked,
    response: &ResponseHeader,
    asking: &Asking,
) {
    if asked.method != Method::HEAD {
        return;
    }
    // what lies there is GET's, and is judged and shown by GET's rule
    let asked = &Asked {
        rule: asked.key_rule,
        ..asked.clone()
    };
    if asked.policy().cache == CacheMode::Bypass {
        return;
    }
    let (store, key) = (proxy.store(), asked.key.0);
    let Found::Copy { head, variant } = store.lookup(key, &*asked.fields) else {
        return;
    };
    let now = seawall_client_conn::now();
    if matches!(proxy.standing_now(asked, &head, now), Standing::Gone) {
        // what a purge took does not come back
        return;
    }
    let learned = asking.learned();
    let (status, fields) = (response.status, &response.headers);
    let original = head.original_fields().fields;
    match head_update(head.status, &original, head.length, status, fields) {
        update @ (HeadUpdate::Freshen | HeadUpdate::Describe) => {
            let label = match update {
                HeadUpdate::Freshen => learned.label(),
                // what was purged meanwhile stays so: nothing says that it is what the origin has
                _ => head.label(),
            };
            let stored = Stored { head, variant };
            let refreshed = refresh(proxy, asked, &learned, label, &stored, response, now);
            refreshed.put(proxy, asked, &stored);
        }
        HeadUpdate::Stale => {
            let policy = &asked.policy().storage;
            let request = &*asked.fields;
            let judged = storable(
                &Method::GET,
                request,
                status,
                fields,
                policy,
                learned.at,
                now,
            );
            if !matches!(judged, Storable::No(why) if Unstorable::is_of_the_request(why)) {
                store.retire(key, variant, head.generation());
            }
        }
        HeadUpdate::Nothing => {}
    }
}
