//! URLs that are equivalent for a response, as it declares by `No-Vary-Search` (draft-ietf-httpbis-no-vary-search-09 §7).
//!
//! A copy lies under the key of the URL that it was fetched for, and its own URL finds it there without any of this. What
//! is kept here is in memory alone: what the responses of a path declared, and where copies of equivalent URLs lie. What
//! is forgotten, by a restart or for want of room, makes misses, and what is learned again begins anew: a change ends the
//! copies of all URLs that are equivalent to its own as far as that is known here, and those of which it is not known
//! answer their own URL alone.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::recent::Recent;
use parking_lot::Mutex;
use seawall_cache_store::{Found, Head};
use seawall_http_cache::QueryVariation;
use seawall_purge::Generation;
use seawall_service_model::{CacheKey, KeyRules, equivalence_key, path_key};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Paths whose declarations are remembered, and declarations of one path, newest first.
const PATHS_MAX: usize = 1 << 16;
const PER_PATH_MAX: usize = 8;
/// Different declarations of all paths: most sites have a handful. What comes beyond is not followed.
const VARIATIONS_MAX: usize = 1024;
/// Sets of equivalent URLs of which copies are known, and copies of one set, newest first: they differ in variants.
const SETS_MAX: usize = 1 << 17;
const PER_SET_MAX: usize = 4;

/// All that a node knows of them.
#[derive(Debug)]
pub(crate) struct Equivalents {
    /// While nothing was ever declared nothing has to be looked up.
    in_force: AtomicBool,
    variations: Mutex<HashSet<Arc<QueryVariation>>>,
    paths: Recent<Arc<[Declared]>>,
    sets: Recent<Arc<[Place]>>,
    /// Times that something was learned.
    learned: AtomicU64,
}

/// What a response of a path declared.
#[derive(Clone, Debug)]
struct Declared {
    variation: Arc<QueryVariation>,
    /// Which time it was learned. It is part of the keys of the sets: what was forgotten once is found by none of them.
    learned: u64,
}

/// Where a copy may lie.
#[derive(Clone, Copy, Debug)]
struct Place {
    key: u128,
    /// Older copies there answer their own URL alone: changes that they missed were told to nobody.
    since: Generation,
}

/// A set of equivalent URLs: those for which a response that declared `variation` is the same.
#[derive(Clone, Debug)]
pub(crate) struct UrlSet {
    variation: Arc<QueryVariation>,
    learned: u64,
    pub(crate) key: u128,
}

/// Why a request is looked up under the key of another URL.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    variation: Arc<QueryVariation>,
    since: Generation,
}

impl Moved {
    /// Whether `head`, which lies under the key that the request was moved to, is of an equivalent URL.
    pub(crate) fn admits(&self, head: &Head) -> bool {
        head.generation() >= self.since
            && QueryVariation::of(&head.original_fields().fields).as_ref() == Some(&*self.variation)
    }
}

impl Default for Equivalents {
    fn default() -> Self {
        Self {
            in_force: AtomicBool::new(false),
            variations: Mutex::default(),
            paths: Recent::new(PATHS_MAX),
            sets: Recent::new(SETS_MAX),
            learned: AtomicU64::new(1),
        }
    }
}

impl Equivalents {
    /// One value for all that say the same. `None`: there is no room.
    fn shared(&self, variation: QueryVariation) -> Option<Arc<QueryVariation>> {
        let mut variations = self.variations.lock();
        if let Some(known) = variations.get(&variation) {
            return Some(known.clone());
        }
        if variations.len() >= VARIATIONS_MAX {
            variations.retain(|known| Arc::strong_count(known) > 1);
        }
        if variations.len() >= VARIATIONS_MAX {
            return None;
        }
        let variation = Arc::new(variation);
        variations.insert(variation.clone());
        Some(variation)
    }

    /// A response of the path declared `variation`, which is the newest from now on.
    fn learn(&self, path: u128, variation: QueryVariation) -> Option<Declared> {
        let variation = self.shared(variation)?;
        self.in_force.store(true, Ordering::Release);
        let mut newest = Declared {
            variation,
            learned: self.learned.fetch_add(1, Ordering::Relaxed),
        };
        self.paths.change(path, |known| {
            let known = known.unwrap_or_default();
            let is_same = |of: &&Declared| of.variation == newest.variation;
            if let Some(same) = known.iter().find(is_same) {
                newest.learned = same.learned;
            }
            let rest = known.iter().filter(|of| !is_same(of)).cloned();
            std::iter::once(newest.clone())
                .chain(rest)
                .take(PER_PATH_MAX)
                .collect()
        });
        Some(newest)
    }

    fn places(&self, set: &UrlSet) -> Arc<[Place]> {
        self.sets.get(set.key).unwrap_or_default()
    }

    /// A copy for the set is going to lie under `key`.
    fn put(&self, set: &UrlSet, key: u128, next: impl FnOnce() -> Generation) {
        self.sets.change(set.key, |known| {
            let known = known.unwrap_or_default();
            let same = known.iter().find(|place| place.key == key);
            let newest = Place {
                key,
                since: same.map_or_else(next, |same| same.since),
            };
            let rest = known.iter().copied().filter(|place| place.key != key);
            std::iter::once(newest)
                .chain(rest)
                .take(PER_SET_MAX)
                .collect()
        });
    }
}

/// The sets that a target belongs to, by all that responses of its path declared, newest first.
fn sets(equivalents: &Equivalents, asked: &Asked, target: &str, rules: &KeyRules) -> Vec<UrlSet> {
    if !equivalents.in_force.load(Ordering::Acquire) {
        return Vec::new();
    }
    let path = path_of(asked, target, rules);
    let declared = equivalents.paths.get(path).unwrap_or_default();
    declared
        .iter()
        .map(|declared| set(asked, target, rules, declared))
        .collect()
}

fn path_of(asked: &Asked, target: &str, rules: &KeyRules) -> u128 {
    let (service, fields) = (&asked.service, &*asked.fields);
    path_key(service, asked.scheme, &asked.host, target, rules, fields).0
}

fn set(asked: &Asked, target: &str, rules: &KeyRules, declared: &Declared) -> UrlSet {
    let Declared { variation, learned } = declared.clone();
    let (service, fields) = (&asked.service, &*asked.fields);
    let key = equivalence_key(
        service,
        asked.scheme,
        &asked.host,
        target,
        rules,
        fields,
        &variation,
        learned,
    );
    UrlSet {
        variation,
        learned,
        key: key.0,
    }
}

/// Where copies lie for the URLs that are equivalent by one declaration.
pub(crate) struct Others {
    set: UrlSet,
    places: Arc<[Place]>,
}

impl Others {
    /// The keys under which a copy may lie that answers `asked`, beside its own, newest first, each with why.
    pub(crate) fn places(&self, asked: &Asked) -> impl Iterator<Item = (u128, Moved)> {
        let own = asked.own_key.0;
        let places = self.places.iter().filter(move |place| place.key != own);
        places.map(|place| {
            let moved = Moved {
                variation: self.set.variation.clone(),
                since: place.since,
            };
            (place.key, moved)
        })
    }

    /// Whose fetch may answer a request, and where such answers lay before.
    pub(crate) fn set(&self) -> (UrlSet, Option<u128>) {
        (self.set.clone(), self.places.first().map(|place| place.key))
    }
}

/// What is known of a request whose own key has no copy.
pub(crate) struct Elsewhere {
    /// The request under the key of an equivalent URL, where a copy lies that answers it.
    pub(crate) moved: Option<(Arc<Asked>, Found)>,
    /// By the newest declaration of its path: whose fetch may answer it, and where such answers lay before.
    pub(crate) set: Option<(UrlSet, Option<u128>)>,
}

impl CacheProxy {
    /// Where copies of equivalent URLs may lie, by what responses of the path declared, newest first.
    pub(crate) fn others(&self, asked: &Asked) -> Vec<Others> {
        if !asked.policy().no_vary_search {
            return Vec::new();
        }
        let sets = sets(self.equivalents(), asked, &asked.target, asked.key_rules());
        let others = |set: UrlSet| Others {
            places: self.equivalents().places(&set),
            set,
        };
        sets.into_iter().map(others).collect()
    }

    /// Looks for copies of equivalent URLs, in memory and then on the disks.
    pub(crate) async fn elsewhere(&self, asked: &Arc<Asked>) -> Elsewhere {
        let mut elsewhere = Elsewhere {
            moved: None,
            set: None,
        };
        let store = self.store();
        for others in self.others(asked) {
            for (key, moved) in others.places(asked) {
                let mut found = store.lookup(key, &*asked.fields);
                if !matches!(found, Found::Copy { .. }) && store.has_disk() {
                    store.recall(key, &*asked.fields).await;
                    found = store.lookup(key, &*asked.fields);
                }
                if matches!(&found, Found::Copy { head, .. } if moved.admits(head)) {
                    elsewhere.moved = Some((asked.moved_to(key, moved), found));
                    return elsewhere;
                }
            }
            elsewhere.set.get_or_insert_with(|| others.set());
        }
        elsewhere
    }

    /// Whether a copy for the set has come since no place of it had one, of which the newest was `before`.
    pub(crate) fn has_come(&self, asked: &Asked, set: &UrlSet, before: Option<u128>) -> bool {
        let places = self.equivalents().places(set);
        let Some(newest) = places.first().filter(|place| place.key != asked.own_key.0) else {
            return false;
        };
        let moved = Moved {
            variation: set.variation.clone(),
            since: newest.since,
        };
        let found = || self.store().lookup(newest.key, &*asked.fields);
        before != Some(newest.key)
            || matches!(found(), Found::Copy { head, .. } if moved.admits(&head))
    }

    /// What an answer that is going to be stored for `asked` declares, remembered before the copy gets its generation: a
    /// change that comes after that finds it.
    pub(crate) fn declared(&self, asked: &Asked, variation: QueryVariation) -> Option<UrlSet> {
        if !asked.policy().no_vary_search {
            return None;
        }
        let (target, rules) = (&asked.target, asked.key_rules());
        let declared = self
            .equivalents()
            .learn(path_of(asked, target, rules), variation)?;
        let set = set(asked, target, rules, &declared);
        self.equivalents()
            .put(&set, asked.own_key.0, || self.store().next_generation());
        Some(set)
    }

    /// The keys under which copies lie that would answer a GET for `target`, beside its own, and those by which it would
    /// wait for one that is on its way.
    pub(crate) fn keys_of_equivalents(
        &self,
        asked: &Asked,
        target: &str,
        rules: &KeyRules,
    ) -> Vec<CacheKey> {
        let equivalents = self.equivalents();
        sets(equivalents, asked, target, rules)
            .iter()
            .flat_map(|set| {
                let places = equivalents.places(set);
                let keys = places.iter().map(|place| place.key);
                keys.chain([set.key]).map(CacheKey).collect::<Vec<_>>()
            })
            .collect()
    }
}

impl Asked {
    /// Whether this request's URL is of the set.
    pub(crate) fn is_of(&self, of: &UrlSet) -> bool {
        let declared = Declared {
            variation: of.variation.clone(),
            learned: of.learned,
        };
        set(self, &self.target, self.key_rules(), &declared).key == of.key
    }

    /// Whether a copy that lies under its key, which may be that of an equivalent URL, is one for it.
    pub(crate) fn is_answered_by(&self, head: &Head) -> bool {
        self.moved.as_ref().is_none_or(|moved| moved.admits(head))
    }

    /// The same request, looked up under `key`, that of an equivalent URL.
    pub(crate) fn moved_to(&self, key: u128, moved: Moved) -> Arc<Self> {
        Arc::new(Self {
            key: CacheKey(key),
            moved: Some(moved),
            ..self.clone()
        })
    }

    /// The same request, for copies that lie under `key`.
    pub(crate) fn under(self: &Arc<Self>, key: u128) -> Arc<Self> {
        if self.key.0 == key {
            return self.clone();
        }
        Arc::new(Self {
            key: CacheKey(key),
            ..Self::clone(self)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};
    use seawall_purge::BootId;

    fn variation(name: usize) -> QueryVariation {
        let mut fields = HeaderMap::new();
        let value = format!("params=(\"{name}\")");
        fields.insert("no-vary-search", HeaderValue::from_str(&value).unwrap());
        QueryVariation::of(&fields).unwrap()
    }

    fn generation(counter: u64) -> Generation {
        Generation {
            boot: BootId(1),
            counter,
        }
    }

    #[test]
    fn the_newest_declarations_of_a_path_are_remembered_each_since_it_was_learned() {
        let equivalents = Equivalents::default();
        let first = equivalents.learn(1, variation(0)).unwrap();
        equivalents.learn(1, variation(1)).unwrap();
        assert_eq!(
            equivalents.learn(1, variation(0)).unwrap().learned,
            first.learned
        );
        let other = equivalents.learn(2, variation(0)).unwrap();
        assert!(other.learned != first.learned && Arc::ptr_eq(&other.variation, &first.variation));
        for n in 1..=PER_PATH_MAX {
            equivalents.learn(1, variation(n)).unwrap();
        }
        let known = equivalents.paths.get(1).unwrap();
        assert_eq!(known.len(), PER_PATH_MAX);
        assert_eq!(*known[0].variation, variation(PER_PATH_MAX));
        // what was forgotten begins anew
        assert_ne!(
            equivalents.learn(1, variation(0)).unwrap().learned,
            first.learned
        );
    }

    #[test]
    fn what_no_path_declares_any_more_makes_room_for_others() {
        let equivalents = Equivalents::default();
        for n in 0..VARIATIONS_MAX {
            equivalents.learn(n as u128, variation(n)).unwrap();
        }
        assert!(equivalents.learn(0, variation(VARIATIONS_MAX)).is_none());
        for n in 1..=PER_PATH_MAX {
            equivalents.learn(0, variation(n)).unwrap();
        }
        assert!(equivalents.learn(0, variation(VARIATIONS_MAX)).is_some());
    }

    #[test]
    fn a_place_keeps_the_time_since_which_it_is_known_and_a_new_one_begins() {
        let equivalents = Equivalents::default();
        let set = UrlSet {
            variation: Arc::new(variation(0)),
            learned: 1,
            key: 5,
        };
        for (key, now) in [
            (1, 10),
            (2, 20),
            (1, 30),
            (3, 40),
            (4, 50),
            (5, 60),
            (2, 70),
        ] {
            equivalents.put(&set, key, || generation(now));
        }
        let places: Vec<_> = equivalents
            .places(&set)
            .iter()
            .map(|p| (p.key, p.since))
            .collect();
        let expected = [(2, 70), (5, 60), (4, 50), (3, 40)];
        assert_eq!(
            places,
            expected.map(|(key, since)| (key, generation(since)))
        );
    }
}
