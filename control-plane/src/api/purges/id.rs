//! How a purge is called: by the place of its records in the log.

use crate::store::{APPEND_RECORDS_MAX, Appended};
use seawall_purge::{Epoch, PurgeSeq};

/// A purge, as its id names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PurgeId(pub(super) Appended);

impl std::fmt::Display for PurgeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Appended { first, last } = self.0;
        write!(f, "{:x}-{}", first.epoch.0, first.n)?;
        if last.n > first.n {
            write!(f, "-{}", last.n)?;
        }
        Ok(())
    }
}

impl PurgeId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let epoch = Epoch(u64::from_str_radix(parts.next()?, 16).ok()?);
        let first: u64 = parts.next()?.parse().ok().filter(|n| *n > 0)?;
        let last: u64 = parts.next().map_or(Some(first), |last| last.parse().ok())?;
        let whole = parts.next().is_none() && last >= first;
        let records = last.checked_sub(first)?;
        (whole && records < APPEND_RECORDS_MAX as u64).then(|| {
            Self(Appended {
                first: PurgeSeq::new(epoch, first),
                last: PurgeSeq::new(epoch, last),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_is_written_and_nothing_else_does() {
        let at = |n| PurgeSeq::new(Epoch(0xab), n);
        for (first, last, text) in [(7, 7, "ab-7"), (7, 9, "ab-7-9")] {
            let id = PurgeId(Appended {
                first: at(first),
                last: at(last),
            });
            assert_eq!(id.to_string(), text);
            assert_eq!(PurgeId::parse(text), Some(id));
        }
        for bad in [
            "",
            "7",
            "ab-",
            "ab-0",
            "ab-9-7",
            "ab-1-2-3",
            "xyz-1",
            "ab-1-5000",
            "ab-1-99999999999999999999",
        ] {
            assert_eq!(PurgeId::parse(bad), None, "{bad}");
        }
    }
}
