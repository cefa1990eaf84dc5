//! Waiting until what was written to a log is on the device.

use std::time::Duration;
use tokio::sync::watch;

/// How many records were appended before: counts on when the log is written anew.
pub(crate) type Position = u64;

/// A record that is on its way to the device, in one group with its neighbours. Dropping it takes nothing back.
#[derive(Debug)]
pub struct Durability {
    reached: watch::Receiver<Position>,
    position: Position,
}

impl Durability {
    pub(crate) fn new(reached: &watch::Sender<Position>, position: Position) -> Self {
        Self {
            reached: reached.subscribe(),
            position,
        }
    }

    /// Waits until no loss of power can undo the record, `wait` at most, and says whether that is so: it is on the
    /// device, or the log had to be given up and what it was kept for is void.
    pub async fn reached(mut self, wait: Duration) -> bool {
        let position = self.position;
        let reached = self.reached.wait_for(|reached| *reached >= position);
        matches!(pingora_timeout::timeout(wait, reached).await, Ok(Ok(_)))
    }
}
