//! What a copy that answers would send.

use super::seen::Seen;
use crate::CacheProxy;
use crate::coder;
use crate::copy::CopyHead;
use crate::deliver::{takes_body, would_send};
use crate::exchange::wanted;
use crate::held::{Held, NotHeld, held, may_ask};
use crate::judged::Usable;
use http::StatusCode;
use seawall_cache_store::{Place, Recoded, Recoding};
use std::ops::Range;

/// What is sent of a copy.
pub(super) struct Body {
    pub(super) status: StatusCode,
    /// How much of it is here.
    pub(super) held: Result<Held, NotHeld>,
    coded: Option<Coded>,
}

/// What is made of the copy's content for the request.
struct Coded {
    recoding: Recoding,
    /// It lies beside the copy.
    lies: bool,
}

impl CacheProxy {
    /// As a delivery does it: a coding that lies there, or one that is made of the whole copy, or the copy as it is.
    pub(super) fn body(&self, seen: &Seen, copy: &Usable<'_>) -> Body {
        let asked = &*seen.asked;
        let (store, may_ask) = (self.store(), may_ask(asked));
        let held = |head, ranges: &[Range<u64>]| held(store, head, ranges, asked, may_ask);
        let as_is = CopyHead::of_stored(copy.head, &copy.freshness);
        let Some(recoding) = wanted(self, asked, copy.head.coding(), copy.head.generation()) else {
            let (status, ranges) = would_send(asked, &as_is, true);
            return Body {
                status,
                held: held(copy.head, &ranges),
                coded: None,
            };
        };
        if let Some(coded) = lying(seen, recoding) {
            let coded_head = CopyHead::of_stored(&coded.head, &copy.freshness);
            let (status, ranges) = would_send(asked, &coded_head, true);
            if let Ok(held) = held(&coded.head, &ranges) {
                return Body {
                    status,
                    held: Ok(held),
                    coded: Some(Coded {
                        recoding,
                        lies: true,
                    }),
                };
            }
        }
        let recoded = coder::recoded(&as_is, recoding);
        let (status, _) = would_send(asked, &recoded, false);
        let whole = 0..copy.head.length;
        // where no body goes out nothing is made
        let takes = takes_body(asked, &recoded);
        Body {
            status,
            held: held(
                copy.head,
                if takes {
                    std::slice::from_ref(&whole)
                } else {
                    &[]
                },
            ),
            coded: Some(Coded {
                recoding,
                lies: false,
            }),
        }
    }
}

/// The coding beside the copy that the request selects, where a lookup would find it: with a copy that comes from a disk
/// its codings come along, and beside one that is in memory none is looked for there.
fn lying(seen: &Seen, recoding: Recoding) -> Option<&Recoded> {
    let kept = seen.view.copies.first()?;
    let mut recoded = kept.recoded.iter();
    let found = recoded.find(|recoded| recoded.recoding == recoding)?;
    (found.place == Place::Memory || kept.place == Place::Disk).then_some(found)
}

impl Body {
    pub(super) fn recoding(&self) -> &'static str {
        self.coded
            .as_ref()
            .map_or("", |coded| token(coded.recoding))
    }

    /// What goes out, beside the copy as it is.
    pub(super) fn in_words(&self) -> String {
        let Some(Coded { recoding, lies }) = self.coded else {
            return String::new();
        };
        let what = match recoding {
            Recoding::To(coding) => format!("as {}", coding.token()),
            Recoding::Identity => "decoded".to_owned(),
        };
        let how = if lies {
            "which lies beside the copy"
        } else {
            "which is made of the copy for it"
        };
        format!("; it goes out {what}, {how}")
    }
}

/// The name of a coding, for people.
pub(super) fn token(recoding: Recoding) -> &'static str {
    match recoding {
        Recoding::To(coding) => coding.token(),
        Recoding::Identity => "identity",
    }
}
