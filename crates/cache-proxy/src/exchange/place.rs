//! Where a request's copy lies, or would.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::equivalents::UrlSet;
use crate::fill::Stored;
use crate::fills::FillKey;
use crate::standing::Standing;
use seawall_cache_store::Found;
use seawall_http_cache::Timestamp;
use seawall_purge::Generation;
use std::sync::Arc;

/// Where a look ended.
pub(crate) struct Place {
    /// The request, under the key that `found` lies under.
    pub(crate) asked: Arc<Asked>,
    pub(crate) found: Found,
    /// Whose fetch may answer it, and where such answers lay before.
    pub(crate) set: Option<(UrlSet, Option<u128>)>,
}

impl Place {
    pub(super) fn has_copy(&self) -> bool {
        matches!(self.found, Found::Copy { .. })
    }

    /// The copy that lies there, usable or not.
    pub(super) fn copy(&self) -> Option<Stored> {
        match &self.found {
            Found::Copy { head, variant } => Some(Stored::new(head, *variant)),
            Found::OtherVariants | Found::Nothing => None,
        }
    }

    /// The fill that a request joins. Requests for equivalent URLs share one, as far as what the path's responses
    /// declared says so.
    pub(crate) fn fill_key(&self, proxy: &CacheProxy) -> FillKey {
        let key = self.asked.key.0;
        let (joined, varies) = match &self.set {
            Some((set, before)) => (set.key, before.unwrap_or(key)),
            None => (key, key),
        };
        let found = match &self.found {
            Found::Copy { head, .. } => Some(&**head),
            Found::OtherVariants | Found::Nothing => None,
        };
        proxy.fill_key(&self.asked, joined, varies, found)
    }

    /// Whether another copy than `stored` lies there by now that the request may use, or one has come for an equivalent
    /// URL.
    pub(super) fn has_changed(
        &self,
        proxy: &CacheProxy,
        stored: Option<&Stored>,
        lost: Option<Generation>,
        now: Timestamp,
    ) -> bool {
        let asked = &self.asked;
        if let Some((set, before)) = &self.set
            && proxy.has_come(asked, set, *before)
        {
            return true;
        }
        let seen = stored.map(|s| (s.head.generation(), s.head.revision));
        match proxy.store().lookup(asked.key.0, &*asked.fields) {
            Found::Copy { head, .. } => {
                Some((head.generation(), head.revision)) != seen
                    && Some(head.generation()) != lost
                    && asked.is_answered_by(&head)
                    && !matches!(proxy.standing(asked, &head, now), Standing::Gone)
            }
            Found::OtherVariants | Found::Nothing => false,
        }
    }
}
