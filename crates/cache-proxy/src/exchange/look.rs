//! GET and HEAD: look up, judge, then deliver or fill, and look again where something else lies there by then.

use super::Way;
use super::failed::{head_or_stored, on_error, serves_on_error_now};
use super::fetched::Waiting;
use super::place::Place;
use super::stored::{Usable, stored_copy};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::deliver::{Delivered, Story};
use crate::fill::{self, Before, Stored, range_to_ask};
use crate::fills::{FillKey, Join};
use crate::growing::{First, Reader};
use crate::judged::{Judged, Lack, Next};
use crate::refusal::Refusal;
use crate::running::Running;
use http::{HeaderValue, Method};
use seawall_client_conn::{Exchange, Wire};
use seawall_http_cache::{Forward, Outcome, Timestamp, Why};
use seawall_purge::Generation;
use std::future::poll_fn;
use std::pin::pin;
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
    let mut looks = Looks::new(proxy);
    for _ in 0..LOOKS_MAX {
        if let Some(way) = look(proxy, x, own, &mut looks).await {
            return way;
        }
    }
    if own.since.is_some() {
        // what passes is judged by nobody
        let reason = "no answer came that the origin was asked for just now";
        return Way::Refused(Refusal::new(502, reason));
    }
    Way::Pass(Forward::Miss, true)
}

/// What the looks of one request have shown so far.
pub(super) struct Looks {
    asked_disk: bool,
    /// A copy that has lost what this request wants, and cannot get it back now.
    pub(super) lost: Option<Generation>,
    /// What is fetched for an equivalent URL may be one for this one.
    pub(super) alike: bool,
    /// What parts there are cannot be shared, and the whole is short.
    pub(super) whole: bool,
}

impl Looks {
    fn new(proxy: &CacheProxy) -> Self {
        Self {
            asked_disk: !proxy.store().has_disk(),
            lost: None,
            alike: true,
            whole: false,
        }
    }

    /// What lies under the request's own key, or under that of an equivalent URL.
    async fn find(&mut self, proxy: &Arc<CacheProxy>, own: &Arc<Asked>) -> Place {
        let mut place = Place {
            asked: own.clone(),
            found: proxy.store().lookup(own.key.0, &*own.fields),
            set: None,
        };
        if !place.has_copy() && !std::mem::replace(&mut self.asked_disk, true) {
            Box::pin(proxy.store().recall(own.key.0, &*own.fields)).await;
            place.found = proxy.store().lookup(own.key.0, &*own.fields);
        }
        if self.alike && !place.has_copy() {
            let elsewhere = proxy.elsewhere(own).await;
            match elsewhere.moved {
                Some((asked, found)) => (place.asked, place.found) = (asked, found),
                None => place.set = elsewhere.set,
            }
        }
        place
    }
}

/// One look. `None`: what it saw has changed since, or is not for this request.
async fn look<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    own: &Arc<Asked>,
    looks: &mut Looks,
) -> Option<Way> {
    let place = looks.find(proxy, own).await;
    let asked = &place.asked;
    let now = seawall_client_conn::now();
    if !asked.is_from_fleet() {
        proxy.store().asked_for(asked.key.0, now);
    }
    let judged = proxy.judge(asked, &place.found, looks.lost, now);
    let miss = match &judged {
        Judged::Answers(copy, outcome) => {
            if copy.why == Why::Window {
                refresh(proxy, asked, copy.stored());
            }
            let usable = Usable::kept(copy.head, copy.variant, &copy.freshness);
            if let Some(delivered) = stored_copy(proxy, x, asked, usable, *outcome).await {
                return Some(Way::Delivered(delivered));
            }
            looks.lost = Some(copy.head.generation());
            Miss::of(Lack::Lost)
        }
        Judged::Validates(copy, forward) => Miss {
            stored: Some(copy.stored()),
            forward: *forward,
            covered: false,
        },
        Judged::Lacks(lack) => Miss::of(*lack),
    };
    let fill_key = place.fill_key(proxy);
    match proxy.next(asked, miss.stored.as_ref(), &fill_key, looks.whole, now) {
        Next::Refused => Some(Way::Refused(Refusal::new(
            504,
            "not in cache, and only-if-cached was asked",
        ))),
        Next::Passes => Some(match &miss.stored {
            Some(stored)
                if asked.method == Method::HEAD && serves_on_error_now(proxy, asked, stored) =>
            {
                Box::pin(head_or_stored(proxy, x, asked, stored, miss.forward)).await
            }
            _ => Way::Pass(miss.forward, miss.covered),
        }),
        Next::Fills { alone, range } => {
            let fill = Wanted {
                key: fill_key,
                alone,
                range,
            };
            fills(proxy, x, &place, miss, fill, looks, now).await
        }
    }
}

/// Why a request asks the next server.
struct Miss {
    /// A copy that may be validated.
    stored: Option<Stored>,
    forward: Forward,
    /// A purge covers what lies here, and perhaps what the next server has.
    covered: bool,
}

impl Miss {
    fn of(lack: Lack) -> Self {
        Self {
            stored: None,
            forward: lack.forward(),
            covered: lack == Lack::Gone,
        }
    }
}

/// The fill that a request joins or begins.
struct Wanted {
    key: FillKey,
    alone: bool,
    range: Option<HeaderValue>,
}

/// Joins a fill, or begins it, and acts on what it answers. `None`: that is none for this request.
async fn fills<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    place: &Place,
    miss: Miss,
    fill: Wanted,
    looks: &mut Looks,
    now: Timestamp,
) -> Option<Way> {
    let (asked, stored) = (&place.asked, miss.stored.as_ref());
    let Wanted { key, alone, range } = fill;
    let join = if alone {
        proxy.fills().alone(key, &asked.fields, asked.own_key.0)
    } else {
        proxy.fills().join(key, &asked.fields, asked.own_key.0, || {
            place.has_changed(proxy, stored, looks.lost, now)
        })
    };
    let (mut reader, fill, led, mut running) = match join {
        Join::Again => return None,
        Join::Full => return Some(Box::pin(full(proxy, x, asked, stored)).await),
        Join::Follow(reader, fill) => (reader, fill, false, Running::elsewhere()),
        Join::Lead(reader, fill) => {
            let before = Before {
                stored: stored.cloned(),
                replaced: place.copy(),
            };
            let running = fill::begin(proxy, fill.clone(), asked.clone(), before, range);
            (reader, fill, true, running)
        }
    };
    let answer = match running.beside(pin!(first(x.wire(), &mut reader))).await {
        Ok(First::Answer(answer)) => answer,
        // a validation that led nowhere has retired its copy, a neighbour's answer was covered twice, and what became
        // of somebody else's fill says nothing
        Ok(First::Interim(_) | First::Failed) => return None,
        Err(Gone) => return Some(Way::Delivered(Delivered::nothing())),
    };
    let waiting = Waiting {
        proxy,
        asked,
        stored,
        forward: miss.forward,
        covered: miss.covered,
        alone,
        led,
        fill: &fill,
    };
    let answered = pin!(waiting.answered(x, answer, reader, looks));
    running.beside(answered).await
}

/// As many fills as are allowed are running.
async fn full<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    asked: &Arc<Asked>,
    stored: Option<&Stored>,
) -> Way {
    let story = Story {
        detail: Some("fills-full"),
        ..Story::hit(Outcome::StaleError)
    };
    match on_error(proxy, x, asked, stored, story).await {
        Some(delivered) => Way::Delivered(delivered),
        None => Way::Refused(Refusal::new(
            503,
            "too many requests wait for the next server",
        )),
    }
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
fn refresh(proxy: &Arc<CacheProxy>, asked: &Arc<Asked>, stored: Stored) {
    if !proxy.turns().is_free(&asked.service) {
        // there is another stale answer to begin it, when the origin may be asked
        proxy.metrics().origin_budget.put_off.inc();
        return;
    }
    let own = asked.key.0;
    let key = proxy.fill_key(asked, own, own, Some(&*stored.head));
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
        // nobody waits for it: it goes on by itself
        drop(fill::begin(proxy, fill, asked, before, range));
    }
}
