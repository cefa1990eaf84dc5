//! Cache directives that are meant for this cache and go before `Cache-Control` (RFC 9213), and the one way in which a
//! response's directives are read.

use std::sync::Arc;

use http::HeaderName;

use crate::cache_control::{CacheControl, DELTA_SECONDS_MAX, delta_seconds, qualified};
use crate::fields::Fields;
use crate::list::{Argument, for_each_element, trim};
use crate::sf::{BareItem, Dictionary};

/// The field that is meant for this cache alone; it goes to no client.
pub const SEAWALL_CACHE_CONTROL: HeaderName = HeaderName::from_static("seawall-cache-control");

/// The field for caches of content delivery networks (RFC 9213 §3.1).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The field for surrogates (Edge Architecture Specification 1.0), which is no structured field.
pub const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// The target list of a cache (RFC 9213 §2.2): fields with directives for it, the most special first.
///
/// The default is `Seawall-Cache-Control`, then `CDN-Cache-Control`. Without any the cache reads `Cache-Control` alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Targets(Arc<[HeaderName]>);

impl Targets {
    /// In this order.
    pub fn new(names: Vec<HeaderName>) -> Self {
        Targets(names.into())
    }

    /// Whether a field of this name can be told from others: RFC 9213 §3 wants names that end in `-Cache-Control`.
    pub fn may_be(name: &HeaderName) -> bool {
        let other_of_ours = name.as_str().starts_with("seawall-") && *name != SEAWALL_CACHE_CONTROL;
        let targeted = name.as_str().ends_with("-cache-control") || *name == SURROGATE_CONTROL;
        targeted && !other_of_ours
    }

    /// The fields, in the order in which they are asked.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }
}

impl Default for Targets {
    fn default() -> Self {
        Targets::new(vec![SEAWALL_CACHE_CONTROL, CDN_CACHE_CONTROL])
    }
}

impl CacheControl {
    /// The directives of a response for a cache with this target list: those of the first field of the list that can be
    /// read and is not empty, else those of `Cache-Control` (RFC 9213 §2.2).
    ///
    /// Where a targeted field governs, neither `Cache-Control` nor `Expires` counts. `no-transform` does, wherever it
    /// stands: it binds whoever forwards the response (RFC 9111 §5.2.2.6), and is no word about caching it.
    pub fn of(response: &dyn Fields, targets: &Targets) -> Self {
        for name in targets.names() {
            let read = if *name == SURROGATE_CONTROL {
                surrogate_control(response)
            } else {
                // §2.1: a field that is empty or cannot be parsed is as if absent
                let dictionary = Dictionary::of_field(response, name.as_str());
                dictionary.filter(|d| !d.is_empty()).map(|d| targeted(&d))
            };
            if let Some(mut cc) = read {
                cc.no_transform |= CacheControl::parse(response).no_transform;
                cc.target = Some(name.clone());
                return cc;
            }
        }
        CacheControl::parse(response)
    }
}

/// RFC 9213 §2.1: a directive is a member of its registered type; others are ignored, and so are parameters.
fn targeted(dictionary: &Dictionary) -> CacheControl {
    let flag = |key| dictionary.item(key) == Some(&BareItem::Boolean(true));
    let seconds = |key| match dictionary.item(key)? {
        // less than nothing: of no use, which is what 0 says too
        BareItem::Integer(n) => Some(u64::try_from(*n).unwrap_or(0).min(DELTA_SECONDS_MAX)),
        _ => None,
    };
    let mut cc = CacheControl {
        no_store: flag("no-store"),
        public: flag("public"),
        must_revalidate: flag("must-revalidate"),
        proxy_revalidate: flag("proxy-revalidate"),
        must_understand: flag("must-understand"),
        no_transform: flag("no-transform"),
        max_age: seconds("max-age"),
        s_maxage: seconds("s-maxage"),
        stale_while_revalidate: seconds("stale-while-revalidate"),
        stale_if_error: seconds("stale-if-error"),
        ..CacheControl::default()
    };
    for (key, all, names) in [
        ("no-cache", &mut cc.no_cache, &mut cc.no_cache_fields),
        ("private", &mut cc.private, &mut cc.private_fields),
    ] {
        match dictionary.item(key) {
            Some(BareItem::Boolean(true)) => *all = true,
            Some(BareItem::String(list)) => {
                qualified(&Argument::Quoted(list.as_bytes().into()), all, names);
            }
            _ => {}
        }
    }
    cc
}

/// What surrogates agree on: `no-store`, and `max-age=N` or `max-age=N+M`, whose M says for how long the response may be
/// used stale. Read with tolerance: what else is there (`content="ESI/1.0"`, a directive for one surrogate `;name`, what
/// cannot be read) is passed over, and the field governs where a directive is left.
fn surrogate_control(response: &dyn Fields) -> Option<CacheControl> {
    let mut cc = CacheControl::default();
    let mut governs = false;
    response.each(SURROGATE_CONTROL.as_str(), &mut |line| {
        for_each_element(line, |element| {
            if element.eq_ignore_ascii_case(b"no-store") {
                cc.no_store = true;
                governs = true;
                return;
            }
            let Some((fresh, stale)) = surrogate_max_age(element) else {
                return;
            };
            let smallest = |before: Option<u64>, now| before.map_or(now, |before| before.min(now));
            cc.max_age = Some(smallest(cc.max_age, fresh));
            for window in [&mut cc.stale_while_revalidate, &mut cc.stale_if_error] {
                *window = Some(smallest(*window, stale));
            }
            governs = true;
        });
    });
    governs.then_some(cc)
}

/// `max-age=N[+M]`.
fn surrogate_max_age(element: &[u8]) -> Option<(u64, u64)> {
    let equals = element.iter().position(|b| *b == b'=')?;
    let (name, value) = (&element[..equals], &element[equals + 1..]);
    if !trim(name).eq_ignore_ascii_case(b"max-age") {
        return None;
    }
    let mut numbers = value.splitn(2, |b| *b == b'+').map(trim);
    let fresh = delta_seconds(numbers.next()?)?;
    let stale = numbers.next().map_or(Some(0), delta_seconds)?;
    Some((fresh, stale))
}

#[cfg(test)]
mod tests;
