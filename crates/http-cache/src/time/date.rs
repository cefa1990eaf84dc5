//! The three spellings of an HTTP date (RFC 9110 §5.6.7), and the calendar that they count in.

use super::{HTTP_DATE_MAX, Timestamp};

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// A year of two digits may lie this far ahead.
const AHEAD_YEARS_MAX: u64 = 50;

/// A second in the calendar; ordered by time.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Civil {
    year: u64,
    /// 1 to 12
    month: u64,
    /// 1 to 31
    day: u64,
    /// Of the day.
    second: u64,
}

pub(super) fn parse(text: &[u8], now: Timestamp) -> Option<Timestamp> {
    let civil = match text.iter().position(|b| *b == b',') {
        Some(3) => imf_fixdate(text),
        Some(_) => rfc850(text, now),
        None => asctime(text),
    }?;
    civil.timestamp()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<Civil> {
    let (day_name, text) = text.split_first_chunk::<3>()?;
    let (day, text) = strip(text, b", ")?.split_first_chunk::<2>()?;
    let (month, text) = strip(text, b" ")?.split_first_chunk::<3>()?;
    let (year, text) = strip(text, b" ")?.split_first_chunk::<4>()?;
    let (time, zone) = strip(text, b" ")?.split_first_chunk::<8>()?;
    let legal = is_short_day(day_name) && is_gmt(zone);
    legal.then_some(())?;
    Civil::new(number(year)?, month, number(day)?, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8], now: Timestamp) -> Option<Civil> {
    let comma = text.iter().position(|b| *b == b',')?;
    let (day_name, text) = text.split_at(comma);
    let (day, text) = strip(text, b", ")?.split_first_chunk::<2>()?;
    let (month, text) = strip(text, b"-")?.split_first_chunk::<3>()?;
    let (year, text) = strip(text, b"-")?.split_first_chunk::<2>()?;
    let (time, zone) = strip(text, b" ")?.split_first_chunk::<8>()?;
    let is_it = |day: &str| day.as_bytes().eq_ignore_ascii_case(day_name);
    let legal = DAYS.iter().any(|day| is_it(day)) && is_gmt(zone);
    legal.then_some(())?;
    // the last digits of the latest year that is not more than 50 years ahead
    let now = Civil::of(now);
    let mut civil = Civil {
        year: now.year / 100 * 100 + 100 + number(year)?,
        ..Civil::new(2000, month, number(day)?, time)?
    };
    let is_too_far = |civil: Civil| {
        let earlier = Civil {
            year: civil.year - AHEAD_YEARS_MAX,
            ..civil
        };
        earlier > now
    };
    while is_too_far(civil) {
        civil.year -= 100;
    }
    Some(civil)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<Civil> {
    let (day_name, text) = text.split_first_chunk::<3>()?;
    let (month, text) = strip(text, b" ")?.split_first_chunk::<3>()?;
    let (day, text) = strip(text, b" ")?.split_first_chunk::<2>()?;
    let (time, text) = strip(text, b" ")?.split_first_chunk::<8>()?;
    let year: &[u8; 4] = strip(text, b" ")?.try_into().ok()?;
    is_short_day(day_name).then_some(())?;
    let day = match day {
        [b' ', digit] => number(&[*digit])?,
        digits => number(digits)?,
    };
    Civil::new(number(year)?, month, day, time)
}

fn strip<'t>(text: &'t [u8], prefix: &'static [u8]) -> Option<&'t [u8]> {
    text.strip_prefix(prefix)
}

fn is_short_day(name: &[u8; 3]) -> bool {
    let mut days = DAYS.iter();
    days.any(|day| day.as_bytes()[..3].eq_ignore_ascii_case(name))
}

fn is_gmt(zone: &[u8]) -> bool {
    zone.eq_ignore_ascii_case(b" GMT")
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value: u64, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(value * 10 + digit)
    })
}

/// `08:49:37` as seconds of the day.
fn second_of_day(time: &[u8; 8]) -> Option<u64> {
    let mut parts = time.split(|b| *b == b':');
    let mut next = || number(parts.next().filter(|part| part.len() == 2)?);
    // three of two digits and two colons are the eight bytes
    let (hour, minute, second) = (next()?, next()?, next()?);
    (hour < 24 && minute < 60 && second <= 60).then(|| (hour * 60 + minute) * 60 + second.min(59))
}

impl Civil {
    fn new(year: u64, month: &[u8; 3], day: u64, time: &[u8; 8]) -> Option<Self> {
        let named = MONTHS
            .iter()
            .position(|name| name.eq_ignore_ascii_case(month))?;
        Some(Civil {
            year,
            month: named as u64 + 1,
            day,
            second: second_of_day(time)?,
        })
    }

    /// The calendar's word for a second, at most the last one of the year 9999.
    fn of(at: Timestamp) -> Self {
        let at = at.0.min(HTTP_DATE_MAX);
        let (mut days, second) = (at / DAY_SECONDS, at % DAY_SECONDS);
        // too late by the leap days at most: corrected by one step back for each year passed over
        let mut year = 1970 + days / 365;
        while days_before(year) > days {
            year -= 1;
        }
        days -= days_before(year);
        let mut month = 1;
        while days >= days_in(year, month) {
            days -= days_in(year, month);
            month += 1;
        }
        Civil {
            year,
            month,
            day: days + 1,
            second,
        }
    }

    fn timestamp(self) -> Option<Timestamp> {
        let exists = self.year >= 1970 && (1..=days_in(self.year, self.month)).contains(&self.day);
        exists.then_some(())?;
        let months = (1..self.month).map(|month| days_in(self.year, month));
        let days = days_before(self.year) + months.sum::<u64>() + self.day - 1;
        Some(Timestamp(days * DAY_SECONDS + self.second))
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first of a year's, which is 1970 at the earliest.
fn days_before(year: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
}
