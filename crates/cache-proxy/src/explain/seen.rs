//! What lies there for a request, seen without anything being moved.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::exchange::Place;
use pingora_timeout::timeout;
use seawall_cache_store::{Found, View};
use std::sync::Arc;
use std::time::Duration;

/// Heads that are read from disks for one explanation: of the request's own key, and of each key of an equivalent URL
/// (at most 32), and how long all of them may take.
const READS_MAX: usize = 16;
const READS_ELSEWHERE_MAX: usize = 4;
const READS_WAIT: Duration = Duration::from_millis(1000);

/// What lies there.
pub(super) struct Seen {
    /// The request, under the key that the copies lie under.
    pub(super) asked: Arc<Asked>,
    pub(super) view: View,
}

impl CacheProxy {
    /// Looks where an exchange looks: under the request's own key, then under those of equivalent URLs.
    pub(super) async fn see(&self, own: &Arc<Asked>) -> Seen {
        let reading = self.look(own, READS_MAX, READS_ELSEWHERE_MAX);
        match timeout(READS_WAIT, reading).await {
            Ok(seen) => seen,
            // what memory alone has
            Err(_) => self.look(own, 0, 0).await,
        }
    }

    async fn look(&self, own: &Arc<Asked>, reads: usize, reads_elsewhere: usize) -> Seen {
        let (store, fields) = (self.store(), &*own.fields);
        let view = store.view(own.key.0, fields, reads).await;
        if !view.selected {
            for others in self.others(own) {
                for (key, moved) in others.places(own) {
                    let view = store.view(key, fields, reads_elsewhere).await;
                    let copy = view.copies.first().filter(|_| view.selected);
                    if copy.is_some_and(|kept| moved.admits(&kept.head)) {
                        let asked = own.moved_to(key, moved);
                        return Seen { asked, view };
                    }
                }
            }
        }
        Seen {
            asked: own.clone(),
            view,
        }
    }
}

impl Seen {
    /// The same as an exchange has it.
    pub(super) fn place(&self, proxy: &CacheProxy) -> Place {
        let Self { asked, view } = self;
        let found = match view.copies.first().filter(|_| view.selected) {
            Some(kept) => Found::Copy {
                head: kept.head.clone(),
                variant: kept.variant,
            },
            None if view.varies => Found::OtherVariants,
            None => Found::Nothing,
        };
        let elsewhere = asked.moved.is_none() && !view.selected;
        let mut others = elsewhere.then(|| proxy.others(asked)).into_iter().flatten();
        Place {
            asked: asked.clone(),
            found,
            set: others.next().map(|others| others.set()),
        }
    }
}
