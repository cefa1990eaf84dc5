//! Positions in the purge log.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A lineage of the purge log. A log that was restored or rolled back starts a new one; epochs have no order that
/// matters beyond "another one".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

/// A position in the purge log. Numbers of different epochs are never compared, hence no `Ord`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PurgeSeq {
    pub epoch: Epoch,
    /// Dense within the epoch, from 1; 0 is "before the first purge".
    pub n: u64,
}

impl PurgeSeq {
    pub const fn new(epoch: Epoch, n: u64) -> Self {
        Self { epoch, n }
    }

    /// The order of two positions of one lineage; `None` across lineages.
    pub fn cmp_within(self, other: Self) -> Option<Ordering> {
        (self.epoch == other.epoch).then(|| self.n.cmp(&other.n))
    }

    /// Whether everything up to `other` is known at this position; never where they are of two lineages.
    pub fn reaches(self, other: Self) -> bool {
        matches!(
            self.cmp_within(other),
            Some(Ordering::Equal | Ordering::Greater)
        )
    }

    /// Whether a purge at this position could cover a copy with `label`: a later position of the same lineage, or any
    /// of another one.
    pub fn after(self, label: Label) -> bool {
        !label.0.reaches(self)
    }
}

/// Written `epoch.n`, both decimal.
impl fmt::Display for PurgeSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.0, self.n)
    }
}

/// A text that is not `epoch.n`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a purge sequence is written as epoch.n, two decimal numbers, not {0:?}")]
pub struct ParseSequenceError(pub String);

impl FromStr for PurgeSeq {
    type Err = ParseSequenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse::<u64>().ok()).flatten()
        };
        text.split_once('.')
            .and_then(|(epoch, n)| Some(Self::new(Epoch(number(epoch)?), number(n)?)))
            .ok_or_else(|| ParseSequenceError(text.chars().take(64).collect()))
    }
}

/// The label of a fill, and of the copy it wrote: the last purge that this node had acknowledged when it asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Label(pub PurgeSeq);

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(epoch: u64, n: u64) -> PurgeSeq {
        PurgeSeq::new(Epoch(epoch), n)
    }

    #[test]
    fn a_sequence_is_read_as_it_is_written() {
        for text in ["0.0", "7.18446744073709551615"] {
            assert_eq!(text.parse::<PurgeSeq>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_that_is_no_sequence_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".1",
            "1",
            "1.2.3",
            "+1.2",
            "1.-2",
            "1.18446744073709551616",
            " 1.2",
        ] {
            assert!(text.parse::<PurgeSeq>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers_of_two_epochs_are_never_compared() {
        assert_eq!(seq(1, 5).cmp_within(seq(2, 5)), None);
        assert_eq!(seq(1, 5).cmp_within(seq(1, 6)), Some(Ordering::Less));
    }

    #[test]
    fn a_position_reaches_itself_and_those_before_it_in_its_lineage() {
        assert!(seq(1, 5).reaches(seq(1, 5)) && seq(1, 5).reaches(seq(1, 4)));
        assert!(!seq(1, 5).reaches(seq(1, 6)));
        assert!(!seq(1, 5).reaches(seq(2, 4)) && !seq(1, 5).reaches(seq(2, 0)));
    }

    #[test]
    fn a_purge_covers_what_was_asked_for_before_it_and_everything_of_another_epoch() {
        assert!(seq(1, 6).after(Label(seq(1, 5))));
        assert!(!seq(1, 5).after(Label(seq(1, 5))));
        assert!(!seq(1, 4).after(Label(seq(1, 5))));
        assert!(seq(2, 0).after(Label(seq(1, 5))));
    }
}
