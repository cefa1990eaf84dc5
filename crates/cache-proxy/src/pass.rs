//! What is not cacheable passes through, streaming both ways, on the client's own session.

mod answer;
mod head;
mod posted;
mod probe;

use self::answer::answered;
pub(crate) use self::posted::Coming;
use self::posted::Posted;
pub(crate) use self::probe::probe;
use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::{Asking, Hook};
use crate::deliver::{Delivered, Story};
use crate::fill::ATTEMPTS_MAX;
use crate::outbound::introduce;
use crate::refusal::Refusal;
use http::{HeaderValue, header};
use seawall_client_conn::{Exchange, Wire};
use seawall_http_cache::{Forward, Outcome, forwards_left, strip_hop_by_hop};
use seawall_upstream::Ask;
use std::sync::Arc;

/// Lets the exchange pass. `insists`: a purge may cover what neighbours have, and nobody here judges their answer.
pub(crate) async fn pass<W: Wire>(
    proxy: &Arc<CacheProxy>,
    mut x: Exchange<W>,
    asked: Arc<Asked>,
    forward: Forward,
    insists: bool,
) {
    let limit = asked.service.limits.request_body_bytes_max;
    let announced = asked
        .fields
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > limit) {
        let refusal = Refusal::new(
            413,
            format!("the request body is longer than {limit} bytes"),
        );
        return proxy.refuse(&mut x, Some(&asked), &refusal).await;
    }
    x.wire().limit_body(limit);
    let asking = Asking::new(&asked, insists);
    let posted = Posted::new(proxy, &asked).filter(|_| !x.upgrade);
    let ask = question(proxy, &asked, &asking, forward, posted.clone());
    let mut fields = (*asked.fields).clone();
    strip_hop_by_hop(&mut fields);
    if x.upgrade {
        // the one protocol that a connection may change to here (RFC 9110 §7.8)
        fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    if let Some(left) = forwards_left(&asked.method, &*asked.fields) {
        fields.insert(
            header::MAX_FORWARDS,
            HeaderValue::from(left.saturating_sub(1)),
        );
    }
    introduce(&mut fields, &asked, proxy.tier());
    x.request.headers = fields;
    let stop = x.stop().clone();
    let mut session = x.into_session();
    if let Some(posted) = posted.clone() {
        session.set_tap(posted);
    }
    let tally = session.tally();
    proxy.upstream().exchange(session, ask.clone(), &stop).await;

    let failed = ask.failure();
    let status = failed
        .as_ref()
        .map(|f| f.status)
        .or(asking.learned().status)
        .unwrap_or(499);
    let outcome = match (failed, forward) {
        (Some(_), _) => Outcome::Error,
        (None, Forward::Bypass) => Outcome::Bypass,
        (None, _) => Outcome::Pass,
    };
    let story = Story {
        outcome,
        forward: Some(forward),
        forward_status: asking
            .learned()
            .status
            .filter(|_| outcome != Outcome::Error),
        collapsed: false,
        detail: None,
    };
    let stored = posted.is_some_and(|posted| posted.is_stored());
    proxy.decided(&asked, &story, status, stored, None);
    proxy.finished(
        &asked,
        Delivered {
            outcome,
            status,
            bytes: tally.sent(),
        },
    );
}

/// The question whose answer's head goes on to the client.
fn question(
    proxy: &Arc<CacheProxy>,
    asked: &Arc<Asked>,
    asking: &Arc<Asking>,
    forward: Forward,
    posted: Option<Arc<Posted>>,
) -> Arc<Ask> {
    let (answering, store_of) = (asking.clone(), proxy.clone());
    Arc::new(Ask::new(
        proxy.tier().hops(&asked.service, asked.key.hash64()),
        asked.service.timeouts,
        ATTEMPTS_MAX,
        Box::new(Hook {
            asked: asked.clone(),
            asking: asking.clone(),
            proxy: proxy.clone(),
            validates: None,
            replaces: None,
            answer: Some(Box::new(move |asked, response| {
                answered(
                    &store_of,
                    asked,
                    response,
                    &answering,
                    forward,
                    posted.as_deref(),
                )
            })),
        }),
    ))
}
