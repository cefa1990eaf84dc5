//! What is not cacheable passes through, streaming both ways, on the client's own session.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::deliver::Delivered;
use crate::fill::ATTEMPTS_MAX;
use crate::message;
use crate::outbound::{Asking, Hook, append_list, introduce};
use crate::refusal::Refusal;
use crate::sink::{take_cache_status, withhold};
use crate::tier::TierKind;
use http::{HeaderValue, header};
use seawall_client_conn::{Exchange, Wire};
use seawall_http_cache::{CacheStatus, Forward, Outcome, is_unsafe_method};
use seawall_upstream::{Ask, Settling};
use std::sync::Arc;
use std::time::Duration;

/// A device that takes longer to write an invalidation down is waited for no more: the answer is worth more.
const DURABLE_WAIT: Duration = Duration::from_secs(5);

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
    let kind = proxy.tier().kind();
    let shown = asked.service.response.cache_status || asked.is_from_fleet();
    let (answering, store_of) = (asking.clone(), proxy.clone());
    let ask = Arc::new(Ask::new(
        proxy.tier().hops(&asked.service, asked.key.hash64()),
        asked.service.timeouts,
        ATTEMPTS_MAX,
        Box::new(Hook {
            asked: asked.clone(),
            asking: asking.clone(),
            proxy: proxy.clone(),
            validates: None,
            answer: Some(Box::new(move |asked, response| {
                let succeeded = response.status.is_success() || response.status.is_redirection();
                let settling = (is_unsafe_method(&asked.method) && succeeded)
                    .then(|| invalidate(&store_of, asked.key.0))
                    .flatten();
                let mut fields = response.headers.clone();
                let mut status = take_cache_status(&mut fields);
                if shown {
                    let member = CacheStatus {
                        cache: kind.cache_name(),
                        hit: false,
                        forward: Some(forward),
                        forward_status: Some(response.status.as_u16()),
                        ttl: None,
                        stored: false,
                        collapsed: false,
                        key: None,
                        detail: None,
                    };
                    if !status.is_empty() {
                        status.extend_from_slice(b", ");
                    }
                    status.extend_from_slice(member.to_string().as_bytes());
                    if let Ok(value) = HeaderValue::from_bytes(&status) {
                        fields.insert("cache-status", value);
                    }
                }
                append_list(
                    &mut fields,
                    &header::VIA,
                    &format!("1.1 {}", kind.cache_name()),
                );
                if kind == TierKind::Edge {
                    withhold(asked, &mut fields);
                }
                if asked.is_from_fleet() {
                    let learned = answering.learned();
                    crate::link::write_answer(&mut fields, learned.stated());
                }
                message::replace_response_fields(response, fields);
                settling
            })),
        }),
    ));
    let mut fields = (*asked.fields).clone();
    introduce(&mut fields, &asked, proxy.tier());
    message::replace_request_fields(&mut x.request, &fields);
    let stop = x.stop().clone();
    let session = x.into_session();
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
    proxy.finished(
        &asked,
        Delivered {
            outcome,
            status,
            bytes: tally.sent(),
        },
    );
}

/// RFC 9111 §4.4, on the nodes that the request passed, before its sender learns of its success: the answer waits until
/// no loss of power can undo it. What is not stored, and is not being fetched, needs no entry: there are more URLs than
/// entries.
fn invalidate(proxy: &CacheProxy, key: u128) -> Option<Settling> {
    if !proxy.store().knows(key) && !proxy.fills().knows(key) {
        return None;
    }
    let durability = proxy.store().invalidate(key)?;
    Some(Box::pin(async move {
        if !durability.reached(DURABLE_WAIT).await {
            tracing::warn!("an invalidation is not on the disk yet: a loss of power could undo it");
        }
    }))
}
