//! Why a request would be answered so, in words.

use crate::CacheProxy;
use crate::judged::{Judged, Lack};
use seawall_cache_store::Found;
use seawall_http_cache::{Freshness, Timestamp, Why, serves_on_error};

impl CacheProxy {
    /// Why it is judged so.
    pub(super) fn reason(&self, found: &Found, judged: &Judged<'_>, now: Timestamp) -> String {
        let copy = match judged {
            Judged::Answers(copy, _) | Judged::Validates(copy, _) => copy,
            Judged::Lacks(lack) => return self.lack_in_words(found, *lack).to_owned(),
        };
        let mut reason = in_words(&copy.freshness, copy.why, now);
        if copy.softly_purged {
            reason = format!("a soft purge made the copy stale: {reason}");
        }
        let validates = matches!(judged, Judged::Validates(..));
        if validates && serves_on_error(&copy.freshness, &copy.directives, now) {
            reason += "; it would answer for an error of the next server";
        }
        reason
    }

    fn lack_in_words(&self, found: &Found, lack: Lack) -> &'static str {
        let before = match found {
            Found::Copy { head, .. } => head.generation().boot != self.store().boot(),
            Found::OtherVariants | Found::Nothing => false,
        };
        match lack {
            Lack::Nothing => "nothing is stored under the key",
            Lack::OtherVariants => "none of the variants under the key is for these fields",
            Lack::Gone if before && !self.purges().serves_stored() => {
                "the copy is from before the node's start, and which purges it missed is not known yet"
            }
            Lack::Gone => "a purge covers the copy",
            Lack::Lost => "the copy has lost what the request wants",
        }
    }
}

fn in_words(fresh: &Freshness, decides: Why, now: Timestamp) -> String {
    let age = fresh.age(now);
    let (left, stale) = (
        fresh.lifetime.saturating_sub(age),
        age.saturating_sub(fresh.lifetime),
    );
    let window = fresh.stale_while_revalidate;
    match decides {
        Why::Fresh => format!("the copy is fresh for {left} s more"),
        Why::Window => format!(
            "the copy is stale since {stale} s, within stale-while-revalidate of {window} s: it is refreshed beside"
        ),
        Why::Accepted => format!("the copy is stale since {stale} s, which the request accepts"),
        Why::NoCache => "the copy's no-cache wants a validation each time".to_owned(),
        Why::RequestNoCache => "the request's no-cache wants a validation".to_owned(),
        Why::RequestMaxAge => format!("the copy is {age} s old, more than the request's max-age"),
        Why::RequestMinFresh => {
            format!("the copy is fresh for {left} s more, less than the request's min-fresh")
        }
        Why::MustRevalidate => format!(
            "the copy is stale since {stale} s, and must-revalidate, proxy-revalidate or s-maxage forbid its use"
        ),
        Why::RequestTakesNoStale => {
            format!("the copy is stale since {stale} s, which the request does not take")
        }
        Why::NoLifetime => "nothing gives the copy a lifetime".to_owned(),
        Why::Stale if window > 0 => {
            format!(
                "the copy is stale since {stale} s, beyond stale-while-revalidate of {window} s"
            )
        }
        Why::Stale => format!("the copy is stale since {stale} s"),
    }
}
