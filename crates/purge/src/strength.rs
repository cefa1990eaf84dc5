//! How much a purge takes away.

/// Of a hard and a soft purge of one copy the hard one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strength {
    /// A covered copy is gone; not even its validators are used.
    Hard,
    /// A covered copy is stale from the moment the purge was appended.
    Soft,
}
