//! The next server fails, or cannot be asked: what is stored answers, where it may (RFC 5861 §4).

use super::Way;
use super::stored::{Usable, stored_story};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::deliver::{Delivered, Story};
use crate::fill::Stored;
use crate::pass::probe;
use crate::standing::Standing;
use seawall_client_conn::{Exchange, Wire};
use seawall_http_cache::{Forward, Outcome, is_upstream_error, serves_on_error};
use std::sync::Arc;

/// Whether a stored copy may answer for an error of the next server, by the purges of this moment.
pub(super) fn serves_on_error_now(proxy: &CacheProxy, asked: &Asked, stored: &Stored) -> bool {
    let now = seawall_client_conn::now();
    if !asked.takes(&stored.head) {
        return false;
    }
    let standing = proxy.standing_now(asked, &stored.head, now);
    match &standing {
        Standing::Live(freshness) | Standing::Stale(freshness) => {
            let directives = asked.directives_for(&stored.head, &standing, now);
            serves_on_error(freshness, &directives, now)
        }
        Standing::Gone => false,
    }
}

/// The next server failed: what is stored answers, if it may. `None`: nothing was sent.
pub(super) async fn on_error<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    asked: &Arc<Asked>,
    stored: Option<&Stored>,
    story: Story,
) -> Option<Delivered> {
    let stored = stored.filter(|stored| serves_on_error_now(proxy, asked, stored))?;
    let now = seawall_client_conn::now();
    let (Standing::Live(freshness) | Standing::Stale(freshness)) =
        proxy.standing_now(asked, &stored.head, now)
    else {
        return None;
    };
    let copy = Usable::kept(&stored.head, stored.variant, &freshness);
    stored_story(proxy, x, asked, copy, story).await
}

/// HEAD goes to the next server as it is, while a stored copy may answer for its failure (RFC 5861 §4).
pub(super) async fn head_or_stored<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    asked: &Arc<Asked>,
    stored: &Stored,
    forward: Forward,
) -> Way {
    let Some(probed) = probe(proxy, x, asked, forward).await else {
        return Way::Delivered(Delivered::nothing());
    };
    if probed.failed || is_upstream_error(probed.head.status) {
        let story = Story {
            outcome: Outcome::StaleError,
            forward: Some(forward),
            forward_status: (!probed.failed).then(|| probed.head.status.as_u16()),
            collapsed: false,
            detail: None,
        };
        if let Some(delivered) = on_error(proxy, x, asked, Some(stored), story).await {
            return Way::Delivered(delivered);
        }
    }
    let failed = probed.failed;
    let delivered = probed.deliver(x.wire()).await;
    let story = Story {
        outcome: delivered.outcome,
        forward: Some(forward),
        forward_status: (!failed).then_some(delivered.status),
        collapsed: false,
        detail: None,
    };
    proxy.decided(asked, &story, delivered.status, false, None);
    Way::Delivered(delivered)
}
