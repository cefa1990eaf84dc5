//! How a request would be answered, and why, without anybody being asked and anything being changed.

mod copies;
mod purges;
mod supposed;
mod words;

use self::purges::{covering, named_by_request};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::judged::{Judged, Lack, Next};
use crate::last::Decided;
use pingora_timeout::timeout;
use seawall_cache_store::{Found, Kept, View};
use seawall_control_protocol::explain::{
    ASKS_MAX, COPIES_MAX, Decision, ExplainGet, Explained, StoredCopy, Would, cut,
};
use seawall_http_cache::{Forward, Outcome, Timestamp};
use seawall_service_model::CacheMode;
use seawall_upstream::{Hop, Role};
use std::time::Duration;

/// Heads that are read from disks for one explanation, and how long all of them may take.
const READS_MAX: usize = 16;
const READS_WAIT: Duration = Duration::from_millis(1000);

impl CacheProxy {
    /// How a GET of this would be answered now.
    pub(crate) async fn explain(&self, get: &ExplainGet) -> Result<Explained, String> {
        let asked = self.suppose(get)?;
        let key = asked.key.0;
        let viewed = timeout(
            READS_WAIT,
            self.store().view(key, &*asked.fields, READS_MAX),
        );
        let view = match viewed.await {
            Ok(view) => view,
            // what memory alone has
            Err(_) => self.store().view(key, &*asked.fields, 0).await,
        };
        let now = seawall_client_conn::now();
        let of_request = named_by_request(&asked);
        let copy = |(index, kept): (usize, &Kept)| {
            let selected = view.selected && index == 0;
            self.copy(&asked, kept, selected, &of_request, now)
        };
        let shown = view.copies.iter().take(COPIES_MAX);
        let copies: Vec<StoredCopy> = shown.enumerate().map(copy).collect();
        let decisions = self.last().of(key).into_iter().map(decision);
        Ok(Explained {
            service: asked.service.id.0.to_string(),
            rule: asked.rule.map(|rule| rule as u32),
            key,
            purged: asked.snapshot.purges.at(),
            would: self.would(&asked, &view, now),
            asks: self.asks(&asked),
            unread: (view.unread + view.copies.len() - copies.len()) as u32,
            copies,
            purges: covering(&asked, &of_request),
            decisions: decisions.collect(),
        })
    }

    /// In the order of an exchange, and judged by the same function.
    fn would(&self, asked: &Asked, view: &View, now: Timestamp) -> Would {
        if asked.policy().cache == CacheMode::Bypass {
            let why = "the rule says so: nothing is looked up or stored";
            return forwards(Outcome::Bypass, Forward::Bypass, why.to_owned());
        }
        let found = found(view);
        let judged = self.judge(asked, &found, None, now);
        let mut why = self.reason(&found, &judged, now);
        let (forward, stored) = match judged {
            Judged::Answers(copy, outcome) if !copy.head.is_incomplete() => {
                return Would {
                    outcome: outcome.as_str().to_owned(),
                    forward: String::new(),
                    why,
                };
            }
            Judged::Answers(..) => {
                why +=
                    "; some of its body has never come: what a request wants of that is asked for";
                (Lack::Lost.forward(), None)
            }
            Judged::Validates(copy, forward) => (forward, Some(copy.stored())),
            Judged::Lacks(lack) => (lack.forward(), None),
        };
        if view.unread > 0 && !matches!(found, Found::Copy { .. }) {
            why += "; a disk may have more";
        }
        let head = match &found {
            Found::Copy { head, .. } => Some(&**head),
            Found::OtherVariants | Found::Nothing => None,
        };
        let key = asked.key.0;
        let fill = self.fill_key(asked, key, key, head);
        match self.next(asked, stored.as_ref(), &fill, false, now) {
            Next::Refused => Would {
                outcome: Outcome::Error.as_str().to_owned(),
                forward: String::new(),
                why: why + "; only-if-cached is answered with 504",
            },
            Next::Passes => forwards(Outcome::Pass, forward, why),
            Next::Fills { alone: true, .. } => {
                why += "; the last answer could not be stored";
                forwards(Outcome::Unstorable, forward, why)
            }
            Next::Fills { alone: false, .. } => forwards(Outcome::Miss, forward, why),
        }
    }

    fn asks(&self, asked: &Asked) -> Vec<String> {
        let key = asked.key.hash64();
        let mut names = self.tier().shields(&asked.service, key);
        if names.is_empty() {
            let hops = self.tier().hops(&asked.service, key);
            let origin = |hop: &Hop| {
                let spec = hop.target.spec();
                (hop.role == Role::Origin).then(|| format!("{}:{}", spec.host, spec.port))
            };
            names = hops.iter().filter_map(origin).collect();
        }
        names.truncate(ASKS_MAX);
        names
    }
}

/// What a lookup would find.
fn found(view: &View) -> Found {
    match view.copies.first().filter(|_| view.selected) {
        Some(kept) => Found::Copy {
            head: kept.head.clone(),
            variant: kept.variant,
        },
        None if view.varies => Found::OtherVariants,
        None => Found::Nothing,
    }
}

fn forwards(outcome: Outcome, forward: Forward, why: String) -> Would {
    Would {
        outcome: outcome.as_str().to_owned(),
        forward: forward.as_str().to_owned(),
        why,
    }
}

fn decision(decided: Decided) -> Decision {
    Decision {
        at_ms: decided.at_ms,
        method: cut(decided.method.as_str().to_owned()),
        outcome: decided.outcome.as_str().to_owned(),
        status: decided.status,
        forward: decided.forward.map_or("", Forward::as_str).to_owned(),
        forward_status: decided.forward_status,
        stored: decided.stored,
        collapsed: decided.collapsed,
        detail: cut(decided.detail.unwrap_or_default().into_owned()),
    }
}
