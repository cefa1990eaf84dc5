//! Identities of stored versions, never used twice.

/// Counts the starts of a node's storage: persisted, and raised before it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u32);

/// One stored version of one object. Later versions of the same node are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation {
    pub boot: BootId,
    pub counter: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_of_a_later_boot_is_greater_whatever_its_counter() {
        let before = Generation {
            boot: BootId(1),
            counter: u64::MAX,
        };
        let after = Generation {
            boot: BootId(2),
            counter: 0,
        };
        assert!(after > before);
    }
}
