//! Seconds since the Unix epoch, and the three spellings of an HTTP date.

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
    /// Strict: any zone but `GMT`, a date before 1970 or anything around the date is `None`.
    pub fn parse_http_date(value: &[u8]) -> Option<Timestamp> {
        let text = std::str::from_utf8(trim(value)).ok()?;
        let at = httpdate::parse_http_date(text).ok()?;
        Some(Timestamp(at.duration_since(UNIX_EPOCH).ok()?.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, value: &str, expect: Option<u64>) {
        let got = Timestamp::parse_http_date(value.as_bytes()).map(|t| t.0);
        assert_eq!(got, expect, "{id}: {value}");
    }

    #[test]
    fn an_http_date_has_three_spellings_and_no_others() {
        // RFC 9110 §5.6.7
        let t = Some(784_111_777);
        check("imf-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", t);
        check("rfc850", "Sunday, 06-Nov-94 08:49:37 GMT", t);
        check("asctime", "Sun Nov  6 08:49:37 1994", t);
        check("white space around", " Sun, 06 Nov 1994 08:49:37 GMT\t", t);
        check("epoch", "Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        for (id, value) in [
            ("zero", "0"),
            ("minus one", "-1"),
            ("empty", ""),
            ("utc", "Sun, 06 Nov 1994 08:49:37 UTC"),
            ("offset", "Sun, 06 Nov 1994 08:49:37 +0000"),
            ("no zone", "Sun, 06 Nov 1994 08:49:37"),
            ("iso", "1994-11-06T08:49:37Z"),
            ("month out of range", "Sun, 06 Nox 1994 08:49:37 GMT"),
            ("day out of range", "Sun, 36 Nov 1994 08:49:37 GMT"),
            ("hour out of range", "Sun, 06 Nov 1994 24:49:37 GMT"),
            ("second date behind", "Sun, 06 Nov 1994 08:49:37 GMT, x"),
            ("not text", "Sun, 06 Nov 1994 08:49:37 GMT\u{fe}"),
        ] {
            check(id, value, None);
        }
    }

    #[test]
    fn a_written_date_reads_back() {
        for secs in [0, 784_111_777, 4_102_444_800, HTTP_DATE_MAX] {
            let text = Timestamp(secs).to_http_date();
            assert_eq!(
                Timestamp::parse_http_date(text.as_bytes()),
                Some(Timestamp(secs)),
                "{text}"
            );
        }
        assert_eq!(
            Timestamp(u64::MAX).to_http_date(),
            Timestamp(HTTP_DATE_MAX).to_http_date()
        );
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp(5).saturating_since(Timestamp(9)), 0);
        assert_eq!(Timestamp(9).saturating_since(Timestamp(5)), 4);
        assert_eq!(Timestamp(u64::MAX).plus(1), Timestamp(u64::MAX));
    }
}
