//! The Vary field lists and variants seen under one primary key (RFC 9111 §4.1).

use http::HeaderName;
use seawall_http_cache::{Fields, variant_digest};
use std::collections::VecDeque;
use std::sync::Arc;

/// Field lists remembered for one key.
pub const LISTS_MAX: usize = 8;
/// Variants remembered for one key; a further one takes the place of the oldest.
pub const VARIANTS_MAX: usize = 64;

/// What is known of a key whose responses vary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variants {
    /// Newest first.
    lists: VecDeque<Arc<[HeaderName]>>,
    /// Digests of the variants stored, newest first.
    digests: VecDeque<u64>,
}

/// The digest under which the variant that `names` selects for `request` is stored.
pub fn digest_of(names: &[HeaderName], request: &dyn Fields) -> u64 {
    if names.is_empty() {
        DIGEST_UNVARIED
    } else {
        variant_digest(names, request)
    }
}

/// A response without Vary under a key that has responses with Vary.
pub const DIGEST_UNVARIED: u64 = 1;

impl Variants {
    /// Remembers a field list as the newest.
    pub fn add_list(&mut self, names: &[HeaderName]) {
        let at = self.lists.iter().position(|l| **l == *names);
        let list = at
            .and_then(|i| self.lists.remove(i))
            .unwrap_or_else(|| names.into());
        self.lists.push_front(list);
        self.lists.truncate(LISTS_MAX);
    }

    /// Remembers a variant as the newest. Returns the one that had to go.
    pub fn add_variant(&mut self, digest: u64) -> Option<u64> {
        self.digests.retain(|d| *d != digest);
        self.digests.push_front(digest);
        if self.digests.len() > VARIANTS_MAX {
            self.digests.pop_back()
        } else {
            None
        }
    }

    /// The variants that `request` selects, by the newest list first.
    pub fn candidates<'a>(&'a self, request: &'a dyn Fields) -> impl Iterator<Item = u64> + 'a {
        self.lists
            .iter()
            .map(|names| digest_of(names, request))
            .filter(|d| self.digests.contains(d))
    }

    /// The digest by the newest list, whether or not such a variant is stored: requests that differ in it do not wait
    /// for the same fill.
    pub fn newest(&self, request: &dyn Fields) -> u64 {
        self.lists
            .front()
            .map_or(DIGEST_UNVARIED, |names| digest_of(names, request))
    }

    /// The field lists and the digests, each newest first.
    pub(crate) fn parts(&self) -> (&VecDeque<Arc<[HeaderName]>>, &VecDeque<u64>) {
        (&self.lists, &self.digests)
    }

    /// `None`: more than is remembered.
    pub(crate) fn from_parts(
        lists: VecDeque<Arc<[HeaderName]>>,
        digests: VecDeque<u64>,
    ) -> Option<Self> {
        (lists.len() <= LISTS_MAX && digests.len() <= VARIANTS_MAX)
            .then_some(Self { lists, digests })
    }

    /// Bytes held, for the store's accounting.
    pub fn weight(&self) -> usize {
        200 + self.digests.len() * 8 + self.lists.iter().map(|l| 16 + l.len() * 40).sum::<usize>()
    }
}
