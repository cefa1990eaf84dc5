//! How long something is waited for, whatever becomes of the machine.

use std::time::{Duration, Instant};

/// What one look can take: a client gives up after 10 s.
const LOOK_MAX: Duration = Duration::from_secs(15);

/// Time to wait, of which no more passes between two looks than a look can take: a machine that stood still for minutes
/// has used none of it up.
pub(crate) struct Patience {
    left: Duration,
    looked: Instant,
}

impl Patience {
    pub(crate) fn of(most: Duration) -> Self {
        Self {
            left: most,
            looked: Instant::now(),
        }
    }

    /// Whether there is some left. To be asked after each look.
    pub(crate) fn lasts(&mut self) -> bool {
        self.passed(self.looked.elapsed());
        self.looked = Instant::now();
        !self.left.is_zero()
    }

    fn passed(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time.min(LOOK_MAX));
    }
}

#[test]
fn a_machine_that_stands_still_uses_up_no_more_than_a_look() {
    let mut patience = Patience::of(4 * LOOK_MAX);
    patience.passed(Duration::from_hours(1));
    assert!(patience.lasts());
    for _ in 0..3 {
        patience.passed(LOOK_MAX);
    }
    assert!(!patience.lasts());
}
