//! One purge, as it stands in the log.

use crate::{PurgeSeq, ScopeId, Strength};

/// Scopes of one purge: more are several purges.
pub const SCOPES_MAX: usize = 1000;

/// One record of the purge log. A copy is covered that carries any of the scopes and whose label is older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    pub at: PurgeSeq,
    /// Drawn at random at each start of the log's writer: tells apart two records of one position.
    pub term: u64,
    /// Milliseconds since the Unix epoch, by the writer's clock. Softly purged copies are stale since then.
    pub appended_ms: u64,
    pub strength: Strength,
    /// 1 to [`SCOPES_MAX`].
    pub scopes: Vec<ScopeId>,
}
