//! The life of one exchange: place, look up, judge, then deliver, fill or pass.

mod failed;
mod fetched;
mod look;
mod place;
mod stored;

use self::look::cached;
pub(crate) use self::place::Place;
pub(crate) use self::stored::wanted;
use crate::CacheProxy;
use crate::deliver::Delivered;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::tier::Link;
use crate::{pass, purge_method};
use http::Method;
use seawall_client_conn::{Exchange, Wire};
use seawall_http_cache::{Forward, forwards_left};
use seawall_purge::tier;
use seawall_service_model::CacheMode;
use std::sync::Arc;

/// Answers one request, whatever it takes.
///
/// What few requests need has memory of its own, here and below: the rest of an exchange is small then, and is not moved
/// about for it.
pub(crate) async fn answer<W: Wire>(proxy: &Arc<CacheProxy>, mut x: Exchange<W>) {
    let mut asked = match proxy.place(&mut x) {
        Ok(asked) => asked,
        Err(refusal) => return Box::pin(proxy.refuse(&mut x, None, &refusal)).await,
    };
    asked.since = proxy.since(&asked.service, &asked.link);
    if asked.since.is_some() && !matches!(asked.link, Link::Fleet { reaches: true, .. }) {
        proxy.count_fenced();
    }
    if let Link::Fleet { told, insists, .. } = asked.link {
        let reach = proxy.catches_up(told).await;
        asked.behind = tier::behind(told, reach, insists, || proxy.purges().nobodys());
    }
    // the log may have begun anew while it waited: what was stored under the old one is not judged by its last state
    let purges = proxy.snapshot().purges.clone();
    if !Arc::ptr_eq(&purges, &asked.snapshot.purges) {
        let services = asked.snapshot.services.clone();
        asked.snapshot = Arc::new(Snapshot { services, purges });
    }
    let asked = Arc::new(asked);
    if purge_method::is_purge(&asked) {
        return Box::pin(purge_method::answer(proxy, &mut x, &asked)).await;
    }
    if forwards_left(&asked.method, &*asked.fields) == Some(0) {
        return Box::pin(proxy.end_here(&mut x, &asked)).await;
    }
    let policy = asked.policy();
    let cacheable_method = asked.method == Method::GET || asked.method == Method::HEAD;
    let with_body = !x.wire().body_done();
    if x.upgrade || with_body || !cacheable_method || policy.cache == CacheMode::Bypass {
        let forward = if policy.cache == CacheMode::Bypass {
            Forward::Bypass
        } else {
            Forward::Method
        };
        return Box::pin(pass::pass(proxy, x, asked, forward, false)).await;
    }
    match cached(proxy, &mut x, &asked).await {
        Way::Delivered(delivered) => proxy.finished(&asked, delivered),
        Way::Refused(refusal) => Box::pin(proxy.refuse(&mut x, Some(&asked), &refusal)).await,
        Way::Pass(forward, insists) => {
            Box::pin(pass::pass(proxy, x, asked, forward, insists)).await;
        }
    }
}

enum Way {
    Delivered(Delivered),
    Refused(Refusal),
    /// Why, and whether a purge may cover what the next server has.
    Pass(Forward, bool),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::FillSink;

    /// Of what a function of two arguments promises.
    fn bytes<A, B, F>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_exchange_that_is_moved_and_allocated_for_each_request_is_small() {
        let answer = |proxy: &'static Arc<CacheProxy>, x: Exchange<FillSink>| answer(proxy, x);
        assert!(bytes(answer) <= 6 * 1024);
    }
}
