//! What becomes of a GET or HEAD by what was found for it: the exchange does it, and an explanation tells it.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::fill::{Stored, is_long, range_to_ask};
use crate::fills::FillKey;
use crate::standing::Standing;
use crate::unstorable::{in_parts, with_credentials};
use http::{HeaderValue, Method, header};
use seawall_cache_store::{Found, Head};
use seawall_http_cache::{
    Forward, Freshness, Outcome, RequestDirectives, Timestamp, Why, asks_for_part, has_conditions,
    why,
};
use seawall_purge::Generation;
use std::sync::Arc;
use std::time::Duration;

/// What was found, judged.
#[derive(Debug)]
pub(crate) enum Judged<'f> {
    /// The copy answers.
    Answers(Usable<'f>, Outcome),
    /// The next server is asked, and may confirm the copy, or fail and have the copy answer.
    Validates(Usable<'f>, Forward),
    /// The next server is asked for an answer of its own.
    Lacks(Lack),
}

/// A copy that may be used, and what decides how.
#[derive(Debug)]
pub(crate) struct Usable<'f> {
    pub(crate) head: &'f Arc<Head>,
    pub(crate) variant: u64,
    pub(crate) freshness: Freshness,
    /// A soft purge made it stale.
    pub(crate) softly_purged: bool,
    /// What the request asks of this copy.
    pub(crate) directives: RequestDirectives,
    pub(crate) why: Why,
}

impl Usable<'_> {
    pub(crate) fn stored(&self) -> Stored {
        Stored::new(self.head, self.variant)
    }
}

/// Why no copy is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    Nothing,
    OtherVariants,
    /// A purge covers the copy, or nobody can tell.
    Gone,
    /// The copy has lost what this request wants, and cannot get it back now.
    Lost,
}

impl Lack {
    pub(crate) fn forward(self) -> Forward {
        match self {
            Lack::Nothing | Lack::Gone => Forward::UriMiss,
            Lack::OtherVariants => Forward::VaryMiss,
            Lack::Lost => Forward::Partial,
        }
    }
}

/// How the next server is asked.
#[derive(Debug)]
pub(crate) enum Next {
    /// It is not: the request takes nothing that is not in the cache.
    Refused,
    /// As the client does; what it answers goes to the client as it comes.
    Passes,
    /// By a fill.
    Fills {
        /// Which nobody else joins.
        alone: bool,
        /// Of this range rather than of the whole.
        range: Option<HeaderValue>,
    },
}

impl CacheProxy {
    /// What becomes of `asked` by what was `found` under its key. `lost`: the copy that cannot answer it, as was seen.
    pub(crate) fn judge<'f>(
        &self,
        asked: &Asked,
        found: &'f Found,
        lost: Option<Generation>,
        now: Timestamp,
    ) -> Judged<'f> {
        let (head, variant) = match found {
            Found::Copy { head, variant } => (head, *variant),
            Found::OtherVariants => return Judged::Lacks(Lack::OtherVariants),
            Found::Nothing => return Judged::Lacks(Lack::Nothing),
        };
        let standing = self.standing(asked, head, now);
        let directives = asked.directives_for(head, &standing, now);
        let softly_purged = standing.is_softly_purged();
        let (Standing::Live(freshness) | Standing::Stale(freshness)) = standing else {
            return Judged::Lacks(Lack::Gone);
        };
        if lost == Some(head.generation()) {
            return Judged::Lacks(Lack::Lost);
        }
        let usable = Usable {
            head,
            variant,
            why: why(&freshness, &directives, now),
            freshness,
            softly_purged,
            directives,
        };
        let takes = asked.takes(head);
        match usable.why {
            Why::Fresh if takes => Judged::Answers(usable, Outcome::Hit),
            // a neighbour that refreshes its own stale copy wants more than another one
            Why::Window | Why::Accepted if takes && !asked.refreshes() => {
                Judged::Answers(usable, Outcome::Stale)
            }
            // RFC 9211 §2.2: `request` where the response alone would have done
            _ if usable.freshness.ttl(now) > 0 && !usable.freshness.no_cache => {
                Judged::Validates(usable, Forward::Request)
            }
            _ => Judged::Validates(usable, Forward::Stale),
        }
    }

    /// How the next server is asked by `asked`, which `stored` does not answer: a copy to be validated. `fill`: the fill
    /// that it would join. `whole`: parts are known to be of no use.
    pub(crate) fn next(
        &self,
        asked: &Asked,
        stored: Option<&Stored>,
        fill: &FillKey,
        whole: bool,
        now: Timestamp,
    ) -> Next {
        if asked.directives.only_if_cached {
            return Next::Refused;
        }
        if asked.method == Method::HEAD {
            return Next::Passes;
        }
        let joins = || self.fills().has(fill);
        if stored.is_none() && asked.is_from_fleet() && asks_for_part(&asked.fields) && !joins() {
            // a neighbour has lost a part of its copy, and there is none here: the part alone, not the whole
            return Next::Passes;
        }
        let alone = self.is_alone(asked, fill, stored.is_some(), now);
        if alone && stored.is_none() && has_conditions(&asked.fields) {
            // what is not stored is asked for as the client does: the next server judges its conditions and ranges
            return Next::Passes;
        }
        let mut range = range_to_ask(asked, stored).filter(|_| !whole && !alone);
        if range.is_some() && self.unstorable().contains(in_parts(asked.own_key.0), now) && !joins()
        {
            match stored {
                None => return Next::Passes,
                // of a long one the range is asked for nevertheless: a 304 answers for the copy, and a part of another
                // version ends it, which happens once
                Some(stored) if is_long(stored) => {}
                Some(_) => range = None,
            }
        }
        Next::Fills { alone, range }
    }

    /// Whether nobody else may have the answer to this request, as far as is known: it is not worth waiting for.
    fn is_alone(&self, asked: &Asked, fill: &FillKey, validates: bool, now: Timestamp) -> bool {
        // a validation may be joined: there is a copy to share
        let known = !validates && self.unstorable().contains(asked.own_key.0, now);
        // another one's answer will do, and this one's is for nobody else
        let own = asked.directives.no_store && !self.fills().has(fill);
        self.is_of_its_credentials(asked, now) || known || own
    }

    /// Whether answers to such a request were seen not to be storable lately.
    pub(crate) fn is_unstorable(&self, asked: &Asked, now: Timestamp) -> bool {
        self.unstorable().contains(asked.own_key.0, now) || self.is_of_its_credentials(asked, now)
    }

    /// Whether answers are for the one alone who has these credentials.
    fn is_of_its_credentials(&self, asked: &Asked, now: Timestamp) -> bool {
        asked.fields.contains_key(header::AUTHORIZATION)
            && self
                .unstorable()
                .contains(with_credentials(asked.own_key.0), now)
    }

    /// The fill that a request joins under `key`, where what lies under `varies` tells by what its answers vary.
    /// `found`: the copy there, usable or not.
    pub(crate) fn fill_key(
        &self,
        asked: &Asked,
        key: u128,
        varies: u128,
        found: Option<&Head>,
    ) -> FillKey {
        FillKey {
            key,
            variant: self.store().fill_variant(varies, &*asked.fields),
            floor: asked.floor(found),
            since: asked.since.map_or(Duration::ZERO, |since| since.fill),
        }
    }
}
