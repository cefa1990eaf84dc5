//! Copies whose content cannot be decoded, or is more than may be made of it: they go out as they came.

use parking_lot::Mutex;
use seawall_purge::Generation;
use std::collections::HashSet;

/// As many are remembered; beyond that all are forgotten, and tried once more.
const REMEMBERED_MAX: usize = 4096;

/// The generations that were tried in vain. A 304 leaves a copy its generation, since its bytes are the same.
#[derive(Debug, Default)]
pub(crate) struct Undecodable(Mutex<HashSet<Generation>>);

impl Undecodable {
    pub(super) fn remember(&self, generation: Generation) {
        let mut tried = self.0.lock();
        if tried.len() >= REMEMBERED_MAX {
            tried.clear();
        }
        tried.insert(generation);
    }

    pub(crate) fn contains(&self, generation: Generation) -> bool {
        self.0.lock().contains(&generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_purge::BootId;

    #[test]
    fn what_was_tried_in_vain_is_remembered_within_bounds() {
        let of = |counter| Generation {
            boot: BootId(1),
            counter,
        };
        let tried = Undecodable::default();
        for counter in 0..REMEMBERED_MAX as u64 {
            tried.remember(of(counter));
        }
        assert!(tried.contains(of(0)) && !tried.contains(of(REMEMBERED_MAX as u64)));
        tried.remember(of(REMEMBERED_MAX as u64));
        assert!(tried.contains(of(REMEMBERED_MAX as u64)));
        assert_eq!(tried.0.lock().len(), 1);
    }
}
