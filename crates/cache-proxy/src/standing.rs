//! What the purges make of a copy, for one request.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::copy::CopyHead;
use crate::snapshot::Snapshot;
use seawall_cache_store::Head;
use seawall_http_cache::{Freshness, Timestamp};
use seawall_purge::copy::Known;
use seawall_purge::join::{self, Floor};
use seawall_purge::{Label, PurgeSeq, ScopeId, Verdict, Worth, tier};
use seawall_service_model::scope_ids;

/// How a stored copy may be used.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// As its freshness says.
    Live(Freshness),
    /// As this says, since a soft purge made it stale.
    Stale(Freshness),
    /// Not at all: a hard purge covers it, or nobody can tell.
    Gone,
}

impl Standing {
    /// Whether a soft purge made it stale.
    pub(crate) fn is_softly_purged(&self) -> bool {
        matches!(self, Self::Stale(_))
    }
}

impl CacheProxy {
    /// Whether no purge covers `head`: of a copy that was judged before, by one comparison.
    #[inline]
    pub(crate) fn is_live(&self, snapshot: &Snapshot, head: &Head) -> bool {
        // S first, then the table, then the memo of that S
        let at = snapshot.purges.at();
        head.memo.is_live(head.label(), at)
            || matches!(self.verdict(snapshot, head, at), Verdict::Live)
    }

    /// Whether `head` may still be asked about with its validators, or answer in the place of an error: by the purges of
    /// this moment, those of another lineage included, should the log have begun anew since `asked` came.
    pub(crate) fn standing_now(&self, asked: &Asked, head: &Head, now: Timestamp) -> Standing {
        self.standing_in(&self.snapshot(), asked, head, now)
    }

    fn verdict(&self, snapshot: &Snapshot, head: &Head, at: PurgeSeq) -> Verdict {
        let known = Known {
            label: head.label(),
            scopes: head.scopes(),
            unaccounted: head.generation().boot != self.store().boot()
                && !self.purges().serves_stored(),
        };
        // whether the sender of the request admits its label was asked before
        let verdict = known.verdict(None, &*snapshot.purges);
        match verdict {
            Verdict::Live => head.memo.set_live(at),
            Verdict::Stale { since_ms } => {
                let since_ms = head.memo.stale_since(since_ms);
                return Verdict::Stale { since_ms };
            }
            Verdict::Gone => {}
        }
        verdict
    }

    /// How `head` may be used for `asked` at `now`.
    pub(crate) fn standing(&self, asked: &Asked, head: &Head, now: Timestamp) -> Standing {
        self.standing_in(&asked.snapshot, asked, head, now)
    }

    fn standing_in(
        &self,
        snapshot: &Snapshot,
        asked: &Asked,
        head: &Head,
        now: Timestamp,
    ) -> Standing {
        if !asked.admits(head.label()) {
            return Standing::Gone;
        }
        let at = snapshot.purges.at();
        if head.memo.is_live(head.label(), at) {
            return Standing::Live(head.freshness());
        }
        match self.verdict(snapshot, head, at) {
            Verdict::Live => Standing::Live(head.freshness()),
            Verdict::Stale { since_ms } => {
                let since = Timestamp(since_ms / 1000);
                Standing::Stale(head.freshness().stale_since(since, now))
            }
            Verdict::Gone => Standing::Gone,
        }
    }
}

impl Asked {
    /// The purge floor of a request: the last purge of anything that its copy is known to carry. A fill from before it
    /// is not joined. `found`: what lies under the key, covered or not; it tells tags.
    pub(crate) fn floor(&self, found: Option<&Head>) -> Floor {
        let scopes = || {
            let mut scopes: Vec<ScopeId> = Vec::with_capacity(16);
            let rules = self.key_rules();
            // one that is too deep is not stored; its fill is shared all the same
            let _ = scope_ids(&self.service, &self.host, &self.target, rules, &mut scopes);
            scopes.extend(found.iter().flat_map(|head| head.scopes().iter().copied()));
            scopes
        };
        join::floor(self.behind, &*self.snapshot.purges, scopes)
    }

    /// The label to state to a neighbour.
    pub(crate) fn label_of(&self, head: &CopyHead, joined: bool) -> Label {
        tier::stated(self.behind, head.label, joined, head.fetched)
    }

    /// Whether an answer that somebody else asked for, with this label and these scopes, is one for this request too: its
    /// tags are known only now. `None`: its scopes are not known. `stale`: whether it would do as one that is stale since
    /// then.
    pub(crate) fn may_share(
        &self,
        label: Label,
        scopes: Option<&[ScopeId]>,
        stale: impl FnOnce(Timestamp) -> bool,
    ) -> bool {
        match join::share(self.behind, label, scopes, &*self.snapshot.purges) {
            Worth::Good => true,
            Worth::Stale { since_ms } => stale(Timestamp(since_ms / 1000)),
            Worth::Covered => false,
        }
    }
}
