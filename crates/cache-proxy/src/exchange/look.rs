//! GET and HEAD: look up, judge, then deliver or fill, and look again where something else lies there by then.

use super::Way;
use super::failed::{head_or_stored, on_error, serves_on_error_now};
use super::stored::{Usable, growing, stored_copy, stored_story};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::deliver::{Delivered, Story};
use crate::fill::{self, Before, Stored, range_to_ask};
use crate::fills::{Fill, FillKey, Join};
use crate::growing::{Anew, Answer, First, Reader, Share};
use crate::refusal::Refusal;
use crate::standing::Standing;
use crate::unstorable::{in_parts, with_credentials};
use http::{Method, header};
use seawall_cache_store::Found;
use seawall_client_conn::{Exchange, Wire};
use seawall_http_cache::{
    Forward, Freshness, Outcome, RequestDirectives, Reuse, Timestamp, asks_for_part,
    has_conditions, is_upstream_error, reuse, serves_on_error,
};
use seawall_purge::{Generation, ScopeId};
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
    own: &Arc<Asked>,
) -> Way {
    let directives = own.directives;
    let mut asked_disk = !proxy.store().has_disk();
    // a copy that has lost what this request wants, and cannot get it back now
    let mut lost = None;
    // what was fetched for an equivalent URL was none for this one
    let mut alike = true;
    // what parts there are cannot be shared, and the whole is short
    let mut whole = false;
    for _ in 0..LOOKS_MAX {
        let (mut asked, mut set) = (own.clone(), None);
        let mut found = proxy.store().lookup(own.key.0, &*own.fields);
        if !matches!(found, Found::Copy { .. }) && !std::mem::replace(&mut asked_disk, true) {
            proxy.store().recall(own.key.0, &*own.fields).await;
            found = proxy.store().lookup(own.key.0, &*own.fields);
        }
        if alike && !matches!(found, Found::Copy { .. }) {
            let elsewhere = proxy.elsewhere(own).await;
            set = elsewhere.set;
            if let Some((moved, copy)) = elsewhere.moved {
                (asked, found, set) = (moved, copy, None);
            }
        }
        let (asked, key) = (&asked, asked.key.0);
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
                let directives = asked.directives_for(&head, &judged, now);
                let may = reuse(freshness, &directives, now);
                let outcome = match may {
                    Reuse::Fresh => Some(Outcome::Hit),
                    // a neighbour that refreshes its own stale copy wants more than another one
                    _ if asked.refreshes() => None,
                    Reuse::StaleWhileRevalidate | Reuse::StaleOnRequest => Some(Outcome::Stale),
                    Reuse::Validate { .. } => None,
                };
                let stored = Stored { head, variant };
                if may == Reuse::StaleWhileRevalidate && outcome.is_some() {
                    refresh(proxy, asked, stored.clone(), x.stop());
                }
                match outcome {
                    Some(outcome) => {
                        let copy = stored.usable(freshness);
                        match stored_copy(proxy, x, asked, copy, outcome).await {
                            Some(delivered) => return Way::Delivered(delivered),
                            None => {
                                lost = Some(stored.head.generation);
                                (None, Forward::Partial)
                            }
                        }
                    }
                    // RFC 9211 §2.2: `request` where the response alone would have done
                    None if freshness.ttl(now) > 0 && !freshness.no_cache => {
                        (Some(stored), Forward::Request)
                    }
                    None => (Some(stored), Forward::Stale),
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
            return match &stored {
                Some(stored) if serves_on_error_now(proxy, asked, stored) => {
                    head_or_stored(proxy, x, asked, stored, forward).await
                }
                _ => Way::Pass(forward, covered),
            };
        }
        let seen = stored
            .as_ref()
            .map(|s| (s.head.generation, s.head.revision));
        // requests for equivalent URLs share a fetch, as far as what the path's responses declared says so
        let (joined, varies) = match &set {
            Some((set, before)) => (set.key, before.unwrap_or(key)),
            None => (key, key),
        };
        let fill_key = FillKey {
            key: joined,
            variant: proxy.store().fill_variant(varies, &*asked.fields),
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
        let mut range = range_to_ask(asked, stored.as_ref()).filter(|_| !whole && !alone);
        if range.is_some()
            && proxy.unstorable().contains(in_parts(asked.own_key.0), now)
            && !proxy.fills().has(&fill_key)
        {
            if stored.is_none() {
                return Way::Pass(forward, covered);
            }
            range = None;
        }
        let join = if alone {
            proxy
                .fills()
                .alone(fill_key, &asked.fields, asked.own_key.0)
        } else {
            proxy
                .fills()
                .join(fill_key, &asked.fields, asked.own_key.0, || {
                    if let Some((set, before)) = &set
                        && proxy.has_come(asked, set, *before)
                    {
                        return true;
                    }
                    match proxy.store().lookup(key, &*asked.fields) {
                        Found::Copy { head, .. } => {
                            Some((head.generation, head.revision)) != seen
                                && Some(head.generation) != lost
                                && asked.is_answered_by(&head)
                                && matches!(proxy.standing(asked, &head, now), Standing::Usable(_))
                        }
                        _ => false,
                    }
                })
        };
        let (mut reader, fill, led) = match join {
            Join::Again => continue,
            Join::Full => {
                let story = Story {
                    detail: Some("fills-full"),
                    ..Story::hit(Outcome::StaleError)
                };
                if let Some(delivered) = on_error(proxy, x, asked, stored.as_ref(), story).await {
                    return Way::Delivered(delivered);
                }
                return Way::Refused(Refusal::new(
                    503,
                    "too many requests wait for the next server",
                ));
            }
            Join::Follow(reader, fill) => (reader, fill, false),
            Join::Lead(reader, fill) => {
                let (fill_of, asked_of) = (fill.clone(), asked.clone());
                let stored = stored.clone();
                let before = Before { stored, replaced };
                fill::spawn(proxy, fill_of, asked_of, before, range, x.stop());
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
                status,
                stale,
                fetched,
            } => {
                drop(reader);
                let lies = match outcome {
                    // a part came, and is stored as what was fetched
                    Outcome::Miss => asked.under(fill.own),
                    _ => asked.clone(),
                };
                if !led && !share.admits(&fill.request, &asked.fields) {
                    continue;
                }
                if !led && !store_survives(proxy, &fill, &head.scopes, head.generation) {
                    continue;
                }
                if !led && !asked.is_answered_by(&head) {
                    alike = false;
                    continue;
                }
                if outcome == Outcome::Miss && fill.own != asked.own_key.0 {
                    // of an equivalent URL: it is found there if it says so
                    continue;
                }
                let story = Story {
                    outcome: match outcome {
                        Outcome::Miss if !led => Outcome::Collapsed,
                        outcome => outcome,
                    },
                    forward: Some(forward),
                    forward_status: status,
                    collapsed: !led,
                    detail: None,
                };
                let now = seawall_client_conn::now();
                let standing = proxy.standing(asked, &head, now);
                let accepts = || match &standing {
                    Standing::Usable(freshness) => {
                        let directives = asked.directives_for(&head, &standing, now);
                        accepts(freshness, &directives, now)
                    }
                    Standing::Gone => false,
                };
                let shared = led
                    || if outcome == Outcome::StaleError && !matches!(standing, Standing::Gone) {
                        // the next server failed, and this is what there is for everybody who asked it
                        accepts()
                    } else {
                        asked.may_share(head.label, Some(&head.scopes), |_| false)
                            && (!stale || accepts())
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
                    kept: share != Share::FirstOnly,
                    fetched,
                    withheld: withheld.as_deref().filter(|_| led),
                };
                match stored_story(proxy, x, &lies, copy, story).await {
                    Some(delivered) => return Way::Delivered(delivered),
                    None => lost = Some(head.generation),
                }
            }
            Answer::Unusable(Anew::Alone) if asked.fields.contains_key(header::RANGE) => {
                return Way::Pass(forward, covered);
            }
            Answer::Unusable(_) => whole = true,
            Answer::Own {
                head,
                share,
                withheld,
            } => {
                let mine = led || share.admits(&fill.request, &asked.fields);
                let scopes = head.scopes.as_deref().unwrap_or_default();
                if !led && !store_survives(proxy, &fill, scopes, head.generation) {
                    continue;
                }
                let same = fill.own == asked.own_key.0
                    || head.equivalents.as_ref().is_some_and(|of| asked.is_of(of));
                alike &= same;
                let now = seawall_client_conn::now();
                if !led && (head.failed || is_upstream_error(head.status)) {
                    // for the one who asked no stale copy would do; for this one it may
                    let story = Story {
                        outcome: Outcome::StaleError,
                        forward: Some(forward),
                        forward_status: (!head.failed).then(|| head.status.as_u16()),
                        collapsed: true,
                        detail: None,
                    };
                    let delivered = on_error(proxy, x, asked, stored.as_ref(), story).await;
                    if let Some(delivered) = delivered {
                        return Way::Delivered(delivered);
                    }
                }
                // the next server gave it as a stale one, which may be had by who would have got the same
                let stale = |since| {
                    head.freshness.as_ref().is_some_and(|freshness| {
                        let freshness = freshness.stale_since(since, now);
                        let directives = directives.narrowing();
                        reuse(&freshness, &directives, now) == Reuse::StaleWhileRevalidate
                            || (head.stale && serves_on_error(&freshness, &directives, now))
                    })
                };
                let accepts = || {
                    let freshness = head.freshness.as_ref();
                    freshness.is_some_and(|freshness| accepts(freshness, &directives, now))
                };
                let shared = led
                    || head.failed
                    || (asked.may_share(head.label, head.scopes.as_deref(), stale)
                        && (!head.stale || accepts()));
                if !mine || !shared || !(same || head.failed) {
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
                // it lies there, or will
                let asked = &asked.under(fill.own);
                let delivered = growing(proxy, x, asked, &head, reader, story, withheld).await;
                return Way::Delivered(delivered);
            }
        }
    }
    Way::Pass(Forward::Miss, true)
}

/// Whether what a fill brings has outlived all changes so far. If not, nobody joins it any more: it is not known whether
/// who waits asked before the change.
fn store_survives(
    proxy: &CacheProxy,
    fill: &Arc<Fill>,
    scopes: &[ScopeId],
    generation: Generation,
) -> bool {
    let survives = proxy.store().survives(fill.own, scopes, generation);
    if !survives {
        proxy.fills().leave(fill);
    }
    survives
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
        && unstorable.contains(with_credentials(asked.own_key.0), now);
    // a validation may be joined: there is a copy to share
    let known = !validates && unstorable.contains(asked.own_key.0, now);
    // another one's answer will do, and this one's is for nobody else
    let own = directives.no_store && !proxy.fills().has(fill);
    credentials || known || own
}

/// Whether who waited for somebody else's answer may have a stale copy that is known to be the best there is now.
fn accepts(freshness: &Freshness, directives: &RequestDirectives, now: Timestamp) -> bool {
    !matches!(reuse(freshness, directives, now), Reuse::Validate { .. })
        || serves_on_error(freshness, directives, now)
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
    if let Some(fill) = proxy.fills().begin(key, &asked.fields, asked.own_key.0) {
        let range = range_to_ask(asked, Some(&stored));
        let before = Before {
            stored: Some(stored.clone()),
            replaced: Some(stored),
        };
        let asked = Arc::new(Asked {
            refresh: true,
            ..Asked::clone(asked)
        });
        fill::spawn(proxy, fill, asked, before, range, stop);
    }
}
