//! How long a node waits before it connects again.

use std::time::Duration;

/// The first wait, and the longest; before the random part.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// Random numbers are taken to this precision.
const PARTS: u32 = 1000;

/// Waits that double, each with a random part: nodes that lost the control plane at one moment do not come back at one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The control plane was reached: the next wait is short.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The next wait: between a half of the doubled one and one and a half, by `random`. At most 7.5 s.
    pub(super) fn wait(&mut self, random: u32) -> Duration {
        let wait = self.next / 2 + self.next * (random % PARTS) / PARTS;
        self.next = (self.next * 2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(random: u32) -> Vec<Duration> {
        let mut backoff = Backoff::new();
        (0..20).map(|_| backoff.wait(random)).collect()
    }

    #[test]
    fn waits_double_from_the_first_and_end_at_the_longest() {
        // of the middle, where the random part adds nothing
        let middle = waits(500);
        let doubled = [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000];
        let doubled = doubled.map(Duration::from_millis);
        assert_eq!(middle[..9], doubled);
        assert!(middle[9..].iter().all(|wait| *wait == LONGEST));
        for random in [0, 1, 499, 999, 1000, u32::MAX] {
            for (wait, middle) in waits(random).into_iter().zip(&middle) {
                assert!(wait >= *middle / 2 && wait < *middle * 3 / 2, "{wait:?}");
                assert!(wait > Duration::ZERO && wait < LONGEST * 3 / 2);
            }
        }
    }

    #[test]
    fn nodes_that_lose_the_control_plane_together_come_back_apart() {
        // a thousand nodes, all random numbers: each tenth of the span has its share
        let longest = |random| waits(random)[19];
        let (from, span) = (LONGEST / 2, LONGEST / 10);
        for tenth in 0..10 {
            let within = (0..PARTS).filter(|random| {
                let wait = longest(*random);
                wait >= from + span * tenth && wait < from + span * (tenth + 1)
            });
            assert_eq!(within.count(), 100, "{tenth}");
        }
    }

    #[test]
    fn after_a_contact_the_next_wait_is_short_again() {
        let mut backoff = Backoff::new();
        for _ in 0..20 {
            backoff.wait(999);
        }
        backoff.reset();
        assert_eq!(backoff.wait(500), FIRST);
        assert_eq!(backoff.wait(500), FIRST * 2);
    }
}
