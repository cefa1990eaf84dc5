//! Byte ranges of a copy (RFC 9110 §14), `If-Range` included.

use crate::entity_tag::strong_match;
use crate::fields::{Fields, Single};
use crate::list::trim;
use crate::time::Timestamp;

/// The most ranges that are answered; a request for more gets the whole (RFC 9110 §14.2 allows it, §17.15 asks for it).
pub const RANGES_MAX: usize = 16;

/// Bytes `start..end` of the whole; never empty.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// The byte behind the last.
    pub end: u64,
}

impl ByteRange {
    /// How many bytes; at least 1 in what [`ranges`] gives.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// What a request asks for of a representation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ranges {
    /// All of it (200): no range, one that is not understood, or an `If-Range` that does not hold.
    Whole,
    /// 206: 1 to [`RANGES_MAX`] ranges, ascending, with bytes between one another that were not asked for.
    Parts(Vec<ByteRange>),
    /// 416.
    Unsatisfiable,
}

/// Reads `Range` and `If-Range` of a GET (for other methods `Range` means nothing: do not ask).
///
/// `len` is the complete length; the validators are the copy's. Several ranges come out in ascending order, however they
/// were asked for, so that a copy which is still being filled can be read once from front to back. `now` tells which
/// century a year of two digits in `If-Range` is of.
pub fn ranges(
    request: &dyn Fields,
    etag: Option<&[u8]>,
    last_modified: Option<&[u8]>,
    date: Option<&[u8]>,
    len: u64,
    now: Timestamp,
) -> Ranges {
    let Some(value) = Single::of(request, "range").once() else {
        return Ranges::Whole;
    };
    let Some(specs) = byte_specs(value) else {
        return Ranges::Whole;
    };
    if !if_range_holds(request, etag, last_modified, date, now) {
        return Ranges::Whole;
    }
    let Some((asked, mut parts)) = satisfiable(specs, len) else {
        return Ranges::Whole;
    };
    match (asked, parts.len()) {
        (0, _) => return Ranges::Whole,
        (_, 0) => return Ranges::Unsatisfiable,
        _ => {}
    }
    coalesce(&mut parts);
    Ranges::Parts(parts)
}

/// What follows `bytes=`.
pub(crate) fn byte_specs(value: &[u8]) -> Option<&[u8]> {
    let value = trim(value);
    let equals = value.iter().position(|b| *b == b'=')?;
    value[..equals]
        .eq_ignore_ascii_case(b"bytes")
        .then_some(&value[equals + 1..])
}

/// How many ranges were asked for, and those that lie in the representation; `None` where the set is to be ignored.
fn satisfiable(specs: &[u8], len: u64) -> Option<(usize, Vec<ByteRange>)> {
    let mut asked = 0_usize;
    let mut parts = Vec::new();
    for spec in specs
        .split(|b| *b == b',')
        .map(trim)
        .filter(|spec| !spec.is_empty())
    {
        asked += 1;
        if asked > RANGES_MAX {
            return None;
        }
        let dash = spec.iter().position(|b| *b == b'-')?;
        let (first, last) = (&spec[..dash], &spec[dash + 1..]);
        let range = if first.is_empty() {
            let suffix = position(last)?;
            if suffix > 0 && len == 0 {
                // Satisfiable, but nothing that a Content-Range could name: the whole, which is empty.
                return None;
            }
            ByteRange {
                start: len.saturating_sub(suffix),
                end: len,
            }
        } else {
            let start = position(first)?;
            let end = if last.is_empty() {
                len
            } else {
                let last = position(last)?;
                if last < start {
                    return None;
                }
                last.saturating_add(1).min(len)
            };
            ByteRange { start, end }
        };
        if range.start < range.end {
            parts.push(range);
        }
    }
    Some((asked, parts))
}

/// Digits; a number beyond `u64` lies beyond every representation.
pub(crate) fn position(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let step = |value: u64, digit: &u8| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    };
    Some(digits.iter().fold(0, step))
}

fn coalesce(parts: &mut Vec<ByteRange>) {
    parts.sort_unstable_by_key(|part| part.start);
    parts.dedup_by(|next, kept| {
        let joined = next.start <= kept.end;
        if joined {
            kept.end = kept.end.max(next.end);
        }
        joined
    });
}

/// RFC 9110 §13.1.5: true where there is no `If-Range`.
fn if_range_holds(
    request: &dyn Fields,
    etag: Option<&[u8]>,
    last_modified: Option<&[u8]>,
    date: Option<&[u8]>,
    now: Timestamp,
) -> bool {
    let condition = match Single::of(request, "if-range") {
        Single::Absent => return true,
        Single::Repeated => return false,
        Single::Once(value) => trim(value),
    };
    if condition.starts_with(b"\"") || condition.starts_with(b"W/") {
        return etag.is_some_and(|etag| strong_match(condition, trim(etag)));
    }
    let read = |value: Option<&[u8]>| Timestamp::parse_http_date(value?, now);
    let (Some(asked), Some(modified), Some(date)) =
        (read(Some(condition)), read(last_modified), read(date))
    else {
        return false;
    };
    // §8.8.2.2: a date is a strong validator only where the resource could not have changed again within that second.
    asked == modified && modified < date
}

#[cfg(test)]
mod tests;
