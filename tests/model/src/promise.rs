//! What must never be, and what must be reachable lest that be no proof.

use crate::config::{SCOPES, Spec};
use crate::state::Truth;
use seawall_purge::Strength;
use std::sync::atomic::{AtomicU64, Ordering};

/// A response went out that a hard purge covers and that is from before it.
pub const HARD: u8 = 1;
/// A response went out as fresh that a soft purge covers and that was not validated since.
pub const SOFT: u8 = 2;
/// A node for which it was claimed that it answers nothing unvalidated has done so.
pub const FENCED: u8 = 4;

/// Which promises an answer breaks. `bound`: the purges that the node had acknowledged when the request's head arrived;
/// `fenced`: those for which it had been claimed to be fenced; `stale`: it goes out as a stale one.
pub fn broken(purges: &[Spec], bound: u8, fenced: u8, truth: Truth, stale: bool) -> u8 {
    let mut bad = 0;
    for (index, purge) in purges.iter().enumerate() {
        if purge.scopes & truth.scopes == 0 {
            continue;
        }
        let order = index as u8 + 1;
        let bit = 1 << index;
        if bound & bit != 0 {
            match purge.strength {
                Strength::Hard => {
                    let carried = (0..SCOPES).filter(|s| purge.scopes & truth.scopes & 1 << s != 0);
                    if carried.map(|s| truth.since[s]).any(|since| since < order) {
                        bad |= HARD;
                    }
                }
                Strength::Soft if truth.valid < order && !stale => bad |= SOFT,
                Strength::Soft => {}
            }
        }
        if fenced & bit != 0 && truth.valid < order {
            bad |= FENCED;
        }
    }
    bad
}

/// What has to happen somewhere, or the model shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client could be answered with a fresh copy after its node acknowledged a purge.
    HitAfterPurge,
    /// A copy was gone when it was looked at.
    Gone,
    /// A soft purge made a copy stale that was looked at.
    MadeStale,
    /// A stale copy answered while it was refreshed.
    ServedStale,
    /// A stale copy answered for an error.
    ServedOnError,
    /// Somebody joined a fill and got its answer.
    Shared,
    /// Two edges joined a fill at a shield that knew less than both.
    SharedBehind,
    /// Who joined looked again.
    LookedAgain,
    /// The shield was behind.
    Behind,
    /// It had another record at the position of who asked, or knew none there.
    OtherBranch,
    /// An edge got a copy of the shield's.
    FromTheShield,
    /// A neighbour's answer was covered, and asked for once more.
    Insisted,
    /// A request gave up looking.
    Passed,
    /// A 304 of the origin, and one of the shield, made a copy good.
    Validated,
    ValidatedByTheShield,
    /// A 304 was none any more.
    ValidatedInVain,
    /// An error was stored in the place of a copy, with what that carried.
    Inherited,
    /// A node started empty.
    StartedEmpty,
    /// A copy from before a start answered.
    FromBeforeTheStart,
    /// A purge was complete.
    Complete,
    /// ... with a member that had been removed, or was fenced.
    CompleteWithRemoved,
    CompleteWithFenced,
    /// A new epoch began.
    Epoch,
    /// A copy was used that a fenced node had validated.
    Reused,
    /// A question of a fenced node reached the origin.
    Reached,
    /// A table has folded.
    Folded,
    /// An acknowledgement of an older stream came.
    Late,
}

/// The events that were seen, in all states together.
#[derive(Debug, Default)]
pub struct Seen(AtomicU64);

impl Seen {
    pub fn note(&self, event: Event) {
        let bit = 1 << event as u64;
        if self.0.load(Ordering::Relaxed) & bit == 0 {
            self.0.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub fn has(&self, event: Event) -> bool {
        self.0.load(Ordering::Relaxed) & 1 << event as u64 != 0
    }
}
