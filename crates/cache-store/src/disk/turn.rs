//! When all that lay on the disks has been written over: minima from before have nothing left to keep dead.

use std::time::{Duration, Instant};

/// Between two turns: a read that was begun before the first has ended by the second.
const TURN_WAIT: Duration = Duration::from_secs(60);

/// How far one disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// So many bytes were written; with so many more, all from before is gone.
    At(u64, u64),
    /// It is off, and what lies on it is not used again.
    Void,
    /// It is off, and the next start may find what lies on it.
    MayComeBack,
}

/// The last turn of all disks, and where each stood.
#[derive(Debug)]
pub(crate) struct Turn {
    at: Instant,
    marks: Vec<u64>,
}

impl Turn {
    pub(crate) fn new(now: Instant, disks: usize) -> Self {
        Self {
            at: now,
            marks: vec![0; disks],
        }
    }

    /// The last turn was as long ago as it has to be.
    #[cfg(test)]
    pub(crate) fn rewind(&mut self) {
        self.at = self.at.checked_sub(TURN_WAIT).unwrap_or(self.at);
    }

    /// Whether all disks have been written over since this last said yes.
    pub(crate) fn turned(&mut self, now: Instant, stands: impl Iterator<Item = Stand>) -> bool {
        if now.saturating_duration_since(self.at) < TURN_WAIT {
            return false;
        }
        let marks: Option<Vec<u64>> = stands
            .zip(&self.marks)
            .map(|(stand, &mark)| match stand {
                Stand::At(position, turn) => {
                    (position.saturating_sub(mark) >= turn).then_some(position)
                }
                Stand::Void => Some(mark),
                Stand::MayComeBack => None,
            })
            .collect();
        let Some(marks) = marks else {
            return false;
        };
        *self = Self { at: now, marks };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_over_when_every_disk_in_use_was_written_over_and_not_too_soon() {
        let begun = Instant::now();
        let later = |minutes: u32| begun + minutes * TURN_WAIT;
        let mut turn = Turn::new(begun, 3);
        let mut turned =
            |minutes, stands: [Stand; 3]| turn.turned(later(minutes), stands.into_iter());
        let (at, void) = (|n| Stand::At(n, 100), Stand::Void);
        let rows = [
            (0, [at(500), at(500), void], false),
            (1, [at(500), at(99), void], false),
            (1, [at(500), at(100), Stand::MayComeBack], false),
            (1, [at(500), at(100), void], true),
            // each from where it stood
            (2, [at(599), at(200), void], false),
            (2, [at(600), at(200), void], true),
            (2, [at(900), at(900), void], false),
            (3, [void, at(900), void], true),
        ];
        for (minutes, stands, expected) in rows {
            assert_eq!(turned(minutes, stands), expected, "{minutes} {stands:?}");
        }
    }
}
