//! Seconds since the Unix epoch, and the three spellings of an HTTP date.

mod date;

use std::time::{Duration, UNIX_EPOCH};

use crate::list::trim;

/// The last second that an HTTP date can spell: 9999-12-31 23:59:59 GMT.
const HTTP_DATE_MAX: u64 = 253_402_300_799;

/// Seconds since the Unix epoch (UTC). Whole seconds are what HTTP's dates and ages count in.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Seconds from `earlier` to here; 0 where `earlier` is later.
    #[inline]
    pub fn saturating_since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `secs` seconds later, at most the end of `u64`.
    #[inline]
    pub fn plus(self, secs: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(secs))
    }

    /// The IMF-fixdate of RFC 9110 §5.6.7, the only spelling that may be sent. Beyond the year 9999 its last second.
    pub fn to_http_date(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.0.min(HTTP_DATE_MAX)))
    }

    /// Reads an HTTP date in any of its three formats (RFC 9110 §5.6.7): IMF-fixdate, RFC 850, asctime.
    ///
    /// A year of two digits is the one that lies at most 50 years behind `now`, as §5.6.7 asks. Letters are matched in
    /// either case (RFC 9111 §4.2). The name of the day must be one, and is not held against the date: the date alone
    /// says which second is meant, and senders that compute the name wrong are known. Strict in all else: any zone but
    /// `GMT`, a day that its month does not have, a date before 1970 or anything around the date is `None`. The second
    /// 60 of a leap second is read as 59 (RFC 9111 §4.2: equal or earlier).
    pub fn parse_http_date(value: &[u8], now: Timestamp) -> Option<Timestamp> {
        date::parse(trim(value), now)
    }
}

#[cfg(test)]
mod tests;
