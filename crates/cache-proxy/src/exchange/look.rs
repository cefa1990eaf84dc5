//! GET and HEAD: look up, judge, then deliver or fill, and look again where something else lies there by then.

use super::Way;
use super::stored::{Usable, growing, stored_copy, stored_story};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::deliver::{Delivered, Story};
use crate::fill::{self, Stored};
use crate::fills::{FillKey, Join};
use crate::growing::{Answer, First, Reader};
use crate::refusal::Refusal;
use crate::sink::may_serve_on_error;
use crate::standing::Standing;
use crate::unstorable::with_credentials;
use http::{Method, header};
use seawall_cache_store::Found;
use seawall_client_conn::{Exchange, Wire};
use seawall_http_cache::{
    Forward, Outcome, RequestDirectives, Reuse, Timestamp, asks_for_part, has_conditions, reuse,
};
use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// Looks that find something else each time, before a request asks for itself.
const LOOKS_MAX: usize = 4;

/// GET and HEAD, from the cache where that may be.
pub(super) async fn cached<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    asked: &Arc<Asked>,
) -> Way {
    let directives = RequestDirectives::parse(&*asked.fields);
    let key = asked.key.0;
    let mut asked_disk = !proxy.store().has_disk();
    // a copy that has lost what this request wants, and cannot get it back now
    let mut lost = None;
    for _ in 0..LOOKS_MAX {
        let mut found = proxy.store().lookup(key, &*asked.fields);
        if !matches!(found, Found::Copy { .. }) && !std::mem::replace(&mut asked_disk, true) {
            proxy.store().recall(key, &*asked.fields).await;
            found = proxy.store().lookup(key, &*asked.fields);
        }
        let now = seawall_client_conn::now();
        let replaced = match &found {
            Found::Copy { head, variant } => Some(Stored {
                head: head.clone(),
                variant: *variant,
            }),
            _ => None,
        };
        let judged = match &replaced {
            Some(Stored { head, .. }) => proxy.standing(asked, head, now),
            None => Standing::Gone,
        };
        let (stored, forward) = match (found, &judged) {
            (Found::Nothing, _) => (None, Forward::UriMiss),
            (Found::OtherVariants, _) => (None, Forward::VaryMiss),
            (Found::Copy { .. }, Standing::Gone) => (None, Forward::UriMiss),
            (Found::Copy { head, .. }, _) if lost == Some(head.generation) => {
                (None, Forward::Partial)
            }
            (Found::Copy { head, variant }, Standing::Usable(freshness)) => {
                match reuse(freshness, &directives, now) {
                    Reuse::Fresh => {
                        let copy = Usable {
                            head: &head,
                            variant,
                            freshness,
                            withheld: None,
                        };
                        match stored_copy(proxy, x, asked, copy, Outcome::Hit).await {
                            Some(delivered) => return Way::Delivered(delivered),
                            None => {
                                lost = Some(head.generation);
                                (None, Forward::Partial)
                            }
                        }
                    }
                    Reuse::StaleWhileRevalidate => {
                        let stored = Stored {
                            head: head.clone(),
                            variant,
                        };
                        refresh(proxy, asked, stored, x.stop());
                        let copy = Usable {
                            head: &head,
                            variant,
                            freshness,
                            withheld: None,
                        };
                        match stored_copy(proxy, x, asked, copy, Outcome::Stale).await {
                            Some(delivered) => return Way::Delivered(delivered),
                            None => {
                                lost = Some(head.generation);
                                (None, Forward::Partial)
                            }
                        }
                    }
                    Reuse::Validate { .. } => {
                        let why = if freshness.ttl(now) > 0 {
                            Forward::Request
                        } else {
                            Forward::Stale
                        };
                        (Some(Stored { head, variant }), why)
                    }
                }
            }
        };
        if directives.only_if_cached {
            return Way::Refused(Refusal::new(
                504,
                "not in cache, and only-if-cached was asked",
            ));
        }
        let covered = replaced.is_some() && matches!(judged, Standing::Gone);
        if asked.method == Method::HEAD {
            return Way::Pass(forward, covered);
        }
        let seen = stored
            .as_ref()
            .map(|s| (s.head.generation, s.head.revision));
        let fill_key = FillKey {
            key,
            variant: proxy.store().fill_variant(key, &*asked.fields),
            floor: asked.floor(replaced.as_ref().map(|of| &*of.head)),
        };
        if stored.is_none()
            && asked.is_from_fleet()
            && asks_for_part(&asked.fields)
            && !proxy.fills().has(&fill_key)
        {
            // a neighbour has lost a part of its copy, and there is none here: the part alone, not the whole
            return Way::Pass(forward, covered);
        }
        let alone = is_alone(proxy, asked, &directives, &fill_key, stored.is_some(), now);
        if alone && stored.is_none() && has_conditions(&asked.fields) {
            // what is not stored is asked for as the client does: the next server judges its conditions and ranges
            return Way::Pass(forward, covered);
        }
        let join = if alone {
            proxy.fills().alone(fill_key, &asked.fields)
        } else {
            proxy.fills().join(fill_key, &asked.fields, || {
                match proxy.store().lookup(key, &*asked.fields) {
                    Found::Copy { head, .. } => {
                        Some((head.generation, head.revision)) != seen
                            && Some(head.generation) != lost
                            && matches!(proxy.standing(asked, &head, now), Standing::Usable(_))
                    }
                    _ => false,
                }
            })
        };
        let (mut reader, fill, led) = match join {
            Join::Again => continue,
            Join::Full => {
                return Way::Refused(Refusal::new(
                    503,
                    "too many requests wait for the next server",
                ));
            }
            Join::Follow(reader, fill) => (reader, fill, false),
            Join::Lead(reader, fill) => {
                let (fill_of, asked_of) = (fill.clone(), asked.clone());
                fill::spawn(proxy, fill_of, asked_of, stored, replaced, x.stop());
                (reader, fill, true)
            }
        };
        let answer = match first(x.wire(), &mut reader).await {
            Ok(First::Answer(answer)) => answer,
            // a validation that led nowhere has retired its copy, a neighbour's answer was covered twice, and what became
            // of somebody else's fill says nothing
            Ok(First::Interim(_) | First::Failed) => continue,
            Err(Gone) => {
                return Way::Delivered(Delivered::nothing());
            }
        };
        match answer {
            Answer::Stored {
                head,
                variant,
                outcome,
                share,
                withheld,
            } => {
                drop(reader);
                if !led && !share.admits(&fill.request, &asked.fields) {
                    continue;
                }
                let story = Story {
                    outcome,
                    forward: Some(forward),
                    forward_status: (outcome == Outcome::Revalidated).then_some(304),
                    collapsed: !led,
                    detail: None,
                };
                let now = seawall_client_conn::now();
                let standing = proxy.standing(asked, &head, now);
                let shared = led
                    || match (&standing, outcome) {
                        // the next server failed, and this is what there is for everybody who asked it
                        (Standing::Usable(freshness), Outcome::StaleError) => {
                            may_serve_on_error(freshness, now)
                        }
                        _ => asked.may_share(head.label, Some(&head.scopes), |_| false),
                    };
                if !shared {
                    continue;
                }
                let freshness = match standing {
                    Standing::Usable(freshness) => freshness,
                    // this one asked before the purge
                    Standing::Gone => Cow::Borrowed(&head.freshness),
                };
                let copy = Usable {
                    head: &head,
                    variant,
                    freshness: &freshness,
                    withheld: withheld.as_deref().filter(|_| led),
                };
                match stored_story(proxy, x, asked, copy, story).await {
                    Some(delivered) => return Way::Delivered(delivered),
                    None => lost = Some(head.generation),
                }
            }
            Answer::Own {
                head,
                share,
                withheld,
            } => {
                let mine = led || share.admits(&fill.request, &asked.fields);
                let now = seawall_client_conn::now();
                // the next server gave it as a stale one, which may be had by who would have got the same
                let stale = |since| {
                    head.freshness.as_ref().is_some_and(|freshness| {
                        let freshness = freshness.stale_since(since, now);
                        reuse(&freshness, &directives, now) == Reuse::StaleWhileRevalidate
                            || (head.stale && may_serve_on_error(&freshness, now))
                    })
                };
                let shared = led
                    || head.failed
                    || asked.may_share(head.label, head.scopes.as_deref(), stale);
                if !mine || !shared {
                    // not this one's answer: the key is remembered, or has its own variant by now
                    continue;
                }
                let outcome = match (led, head.failed) {
                    (_, true) => Outcome::Error,
                    (true, _) if alone => Outcome::Unstorable,
                    (true, _) => Outcome::Miss,
                    (false, _) => Outcome::Collapsed,
                };
                let story = Story {
                    outcome,
                    forward: Some(forward),
                    forward_status: (!head.failed).then(|| head.status.as_u16()),
                    collapsed: !led,
                    detail: None,
                };
                let withheld = withheld.as_deref().filter(|_| led);
                let delivered = growing(proxy, x, asked, &head, reader, story, withheld).await;
                return Way::Delivered(delivered);
            }
        }
    }
    Way::Pass(Forward::Miss, true)
}

/// Whether nobody else may have the answer to this request, as far as is known: it is not worth waiting for.
fn is_alone(
    proxy: &CacheProxy,
    asked: &Asked,
    directives: &RequestDirectives,
    fill: &FillKey,
    validates: bool,
    now: Timestamp,
) -> bool {
    let unstorable = proxy.unstorable();
    let credentials = asked.fields.contains_key(header::AUTHORIZATION)
        && unstorable.contains(with_credentials(fill.key), now);
    // a validation may be joined: there is a copy to share
    let known = !validates && unstorable.contains(fill.key, now);
    // another one's answer will do, and this one's is for nobody else
    let own = directives.no_store && !proxy.fills().has(fill);
    credentials || known || own
}

struct Gone;

/// The answer of a fill; interim answers go to the client on the way.
async fn first<W: Wire>(wire: &mut W, reader: &mut Reader) -> Result<First, Gone> {
    loop {
        let first = match reader.poll_first(None) {
            Poll::Ready(first) => first,
            Poll::Pending => {
                wire.flush().await.map_err(|_| Gone)?;
                tokio::select! { biased;
                    first = poll_fn(|cx| reader.poll_first(Some(cx))) => first,
                    _ = wire.idle() => return Err(Gone),
                }
            }
        };
        match first {
            First::Interim(head) => wire.head(&head, false).await.map_err(|_| Gone)?,
            other => return Ok(other),
        }
    }
}

/// Refreshes a stale copy in the background, once for all who are served from it.
fn refresh(
    proxy: &Arc<CacheProxy>,
    asked: &Arc<Asked>,
    stored: Stored,
    stop: &seawall_client_conn::ShutdownWatch,
) {
    let key = FillKey {
        key: asked.key.0,
        variant: proxy.store().fill_variant(asked.key.0, &*asked.fields),
        floor: asked.floor(Some(&stored.head)),
    };
    if let Some(fill) = proxy.fills().begin(key, &asked.fields) {
        let replaced = Some(stored.clone());
        fill::spawn(proxy, fill, asked.clone(), Some(stored), replaced, stop);
    }
}
