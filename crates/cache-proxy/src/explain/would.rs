//! What would become of the request.

use super::body::Body;
use super::seen::Seen;
use crate::CacheProxy;
use crate::deliver::Story;
use crate::held::{Held, NotHeld};
use crate::judged::{Judged, Lack, Next};
use seawall_cache_store::Found;
use seawall_control_protocol::explain::Would;
use seawall_http_cache::{Forward, Outcome, Timestamp};
use seawall_service_model::CacheMode;

impl CacheProxy {
    /// In the order of an exchange, and judged by the same functions.
    pub(super) fn would(&self, seen: &Seen, now: Timestamp) -> Would {
        let Seen { asked, view } = seen;
        if asked.policy().cache == CacheMode::Bypass {
            let why = "the rule says so: nothing is looked up or stored";
            return forwards(Outcome::Bypass, Forward::Bypass, why.to_owned());
        }
        let place = seen.place(self);
        let judged = self.judge(asked, &place.found, None, now);
        let mut why = self.reason(&place.found, &judged, now);
        if asked.moved.is_some() {
            why = format!("the copy is that of an equivalent URL (No-Vary-Search): {why}");
        }
        if asked.since.is_some() {
            why = format!("the node is fenced, and answers with what the origin confirms: {why}");
        }
        let (forward, stored) = match judged {
            Judged::Answers(copy, outcome) => {
                let body = self.body(seen, &copy);
                match body.held {
                    Ok(held) => return answers(outcome, held, &body, why),
                    Err(NotHeld::Spared) => {
                        why += "; it lacks some of what the request wants of its body, which is not asked for in parts";
                    }
                    Err(NotHeld::Lost) => {
                        why += "; it has lost some of what the request wants of its body, which cannot be had again";
                    }
                }
                (Lack::Lost.forward(), None)
            }
            Judged::Validates(copy, forward) => (forward, Some(copy.stored())),
            Judged::Lacks(lack) => (lack.forward(), None),
        };
        if view.unread > 0 && !matches!(place.found, Found::Copy { .. }) {
            why += "; a disk may have more";
        }
        let fill = place.fill_key(self);
        match self.next(asked, stored.as_ref(), &fill, false, now) {
            Next::Refused => Would {
                outcome: Outcome::Error.as_str().to_owned(),
                why: why + "; only-if-cached is answered with 504",
                status: Some(504),
                ..Would::default()
            },
            Next::Passes => {
                why += "; it is asked for as the client asks, and not stored";
                forwards(Outcome::Pass, forward, why)
            }
            Next::Fills { alone: true, .. } => {
                why += "; the last answer could not be stored";
                forwards(Outcome::Unstorable, forward, why)
            }
            Next::Fills { range, .. } => {
                if let Some(range) = range.as_ref().and_then(|range| range.to_str().ok()) {
                    why += &format!("; of it {range} is asked for");
                }
                forwards(Outcome::Miss, forward, why)
            }
        }
    }
}

fn answers(outcome: Outcome, held: Held, body: &Body, mut why: String) -> Would {
    let mut story = Story::hit(outcome);
    if held == Held::Partial {
        story = story.partial();
        why += "; some of what the request wants of its body is not here, and is asked for";
    }
    why += &body.in_words();
    Would {
        outcome: story.outcome.as_str().to_owned(),
        forward: story.forward.map_or("", Forward::as_str).to_owned(),
        why,
        status: Some(body.status.as_u16()),
        recoding: body.recoding().to_owned(),
    }
}

fn forwards(outcome: Outcome, forward: Forward, why: String) -> Would {
    Would {
        outcome: outcome.as_str().to_owned(),
        forward: forward.as_str().to_owned(),
        why,
        ..Would::default()
    }
}
