//! Counters of one thing by what became of it: a label's values, each found beforehand.

use prometheus::{Histogram, IntCounter};

/// Fills by result.
#[derive(Debug)]
pub struct FillCounters {
    pub stored: IntCounter,
    pub revalidated: IntCounter,
    pub failed: IntCounter,
    pub unscoped: IntCounter,
}

/// Purges asked for because of changes, by result.
#[derive(Debug)]
pub struct ChangeCounters {
    pub asked: IntCounter,
    pub failed: IntCounter,
    pub dropped: IntCounter,
}

/// Fetches of lost chunks by result.
#[derive(Debug)]
pub struct PartCounters {
    pub fetched: IntCounter,
    pub refused: IntCounter,
    pub failed: IntCounter,
}

/// Client connections that were cut, by reason.
#[derive(Debug)]
pub struct CutCounters {
    pub unread: IntCounter,
    pub reset: IntCounter,
}

/// Turns of questions to origins that a budget or a pace bounds, by what they waited for.
#[derive(Debug)]
pub struct OriginBudgetCounters {
    pub at_once: IntCounter,
    pub queued: IntCounter,
    pub refused: IntCounter,
    pub put_off: IntCounter,
}

/// Connections that questions to next servers went over.
#[derive(Debug)]
pub struct UpstreamConnectionCounters {
    pub reused: IntCounter,
    pub opened: IntCounter,
}

/// How long next servers took, by phase.
#[derive(Debug)]
pub struct UpstreamSeconds {
    pub connect: Histogram,
    pub first_byte: Histogram,
}
