//! Incomplete responses: which part to ask for where nothing is stored, what a 206 gives, what is missing still
//! (RFC 9110 §14, §15.3.7; RFC 9111 §3.3, §3.4).

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::digest::remove_content_digests;
use crate::entity_tag::strong_etag;
use crate::list::trim;
use crate::part::is_multipart;
use crate::ranges::{ByteRange, byte_specs, position};

/// The `Range` to send on where nothing is stored, for the first range that `request` asks for: widened to whole units
/// of `unit` bytes, so that what comes can be stored in units, and cut to `most` bytes, which bounds what one request
/// costs the origin. `None`: it asks for no range, or for one that is to be ignored (§14.2).
///
/// A suffix is widened by a unit, since where it begins is not known; one of more than `most` bytes is asked for by the
/// first unit, whose answer tells the length, and so is one that begins beyond what can be.
pub fn range_to_forward(request: &HeaderMap, unit: u64, most: u64) -> Option<HeaderValue> {
    let mut lines = request.get_all(header::RANGE).iter();
    let value = lines.next().filter(|_| lines.next().is_none())?;
    let specs = byte_specs(value.as_bytes())?;
    let first = specs
        .split(|b| *b == b',')
        .map(trim)
        .find(|s| !s.is_empty())?;
    let dash = first.iter().position(|b| *b == b'-')?;
    let (from, to) = (&first[..dash], &first[dash + 1..]);
    let probe = || format!("bytes=0-{}", unit - 1);
    let range = if from.is_empty() {
        let suffix = position(to).filter(|n| *n > 0)?;
        if suffix.saturating_add(unit) > most {
            probe()
        } else {
            format!("bytes=-{}", suffix + unit - 1)
        }
    } else {
        let from = position(from)?;
        let to = if to.is_empty() {
            u64::MAX
        } else {
            position(to).filter(|to| *to >= from)?
        };
        let start = from - from % unit;
        match start.checked_add(most) {
            Some(end) => {
                let end = (to / unit).saturating_add(1).saturating_mul(unit).min(end);
                format!("bytes={start}-{}", end - 1)
            }
            None => probe(),
        }
    };
    HeaderValue::from_str(&range).ok()
}

/// What a 206 brings of a representation.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Incomplete {
    /// The bytes that follow.
    pub range: ByteRange,
    /// The complete length.
    pub length: u64,
}

impl Incomplete {
    /// Whether it is all of the representation: nothing will have to be combined with it.
    pub fn is_whole(&self) -> bool {
        self.range.len() == self.length
    }
}

/// Why a 206 cannot be stored as an incomplete response.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum NotCombinable {
    /// Several ranges, another unit than bytes, or a `Content-Range` that cannot be read or contradicts the length.
    Range,
    /// The complete length is not stated (`*`).
    Length,
    /// Without a strong validator nothing may be combined with it (§3.4); the complete length is this.
    Validator(u64),
}

/// Judges the head of a 206: may it be stored as an incomplete response of status 200 (RFC 9111 §3.3), to which other
/// parts can come (§3.4)? Whether it may be stored at all is for [`crate::storable`] to say.
pub fn incomplete(answer: &HeaderMap) -> Result<Incomplete, NotCombinable> {
    let mut lines = answer.get_all(header::CONTENT_RANGE).iter();
    let told = lines.next().filter(|_| lines.next().is_none());
    let told = told.filter(|_| !is_multipart(answer));
    let (range, length) = told
        .and_then(|v| content_range(v.as_bytes()))
        .ok_or(NotCombinable::Range)?;
    let announced = answer
        .get(header::CONTENT_LENGTH)
        .map(HeaderValue::as_bytes);
    if announced.is_some_and(|n| number(trim(n)) != Some(range.len())) {
        return Err(NotCombinable::Range);
    }
    let length = length.ok_or(NotCombinable::Length)?;
    let incomplete = Incomplete { range, length };
    if !incomplete.is_whole() && strong_etag(answer).is_none() {
        return Err(NotCombinable::Validator(length));
    }
    Ok(incomplete)
}

/// Makes the fields of a 206 those of the 200 that it is a part of (RFC 9111 §3.3, §3.4). What digests the content of
/// this message says nothing of the whole (RFC 9530 §2; RFC 1864).
pub fn fields_of_the_whole(fields: &mut HeaderMap, length: u64) {
    fields.remove(header::CONTENT_RANGE);
    remove_content_digests(fields);
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}

/// The one range to ask for so that `held` becomes the whole of `length` bytes: what is missing, or all of it where bytes
/// before and behind are.
pub fn missing(held: ByteRange, length: u64) -> ByteRange {
    match (held.start, held.end) {
        (0, end) => ByteRange {
            start: end,
            end: length,
        },
        (start, end) if end == length => ByteRange {
            start: 0,
            end: start,
        },
        _ => ByteRange {
            start: 0,
            end: length,
        },
    }
}

/// The whole of `length` bytes, from what was held and what of [`missing`] came. `None`: they contradict each other, or
/// something is missing still.
pub fn combine(
    (held, bytes): (ByteRange, &[u8]),
    (more, others): (ByteRange, &[u8]),
    length: u64,
) -> Option<Vec<u8>> {
    let fits = |range: ByteRange, bytes: &[u8]| range.len() == bytes.len() as u64;
    if !fits(held, bytes) || !fits(more, others) {
        return None;
    }
    if (more.start, more.end) == (0, length) {
        let (start, end) = (held.start as usize, held.end as usize);
        return (others.get(start..end) == Some(bytes)).then(|| others.to_vec());
    }
    if (held.start, held.end, more.end) == (0, more.start, length) {
        return Some([bytes, others].concat());
    }
    ((more.start, more.end, held.end) == (0, held.start, length)).then(|| [others, bytes].concat())
}

/// Whether a status answers the range that was asked for rather than the resource: it is nobody else's answer.
pub fn is_of_the_range(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
    )
}

/// `bytes first-last/length`, the length `None` for `*`. A range that does not lie in the length is none.
fn content_range(value: &[u8]) -> Option<(ByteRange, Option<u64>)> {
    let value = trim(value);
    let space = value.iter().position(|b| *b == b' ')?;
    if !value[..space].eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let rest = &value[space + 1..];
    let slash = rest.iter().position(|b| *b == b'/')?;
    let (range, length) = (&rest[..slash], &rest[slash + 1..]);
    let dash = range.iter().position(|b| *b == b'-')?;
    let start = number(&range[..dash])?;
    let end = number(&range[dash + 1..])?.checked_add(1)?;
    let length = match length {
        b"*" => None,
        digits => Some(number(digits)?),
    };
    let lies_in = start < end && length.is_none_or(|length| end <= length);
    lies_in.then_some((ByteRange { start, end }, length))
}

/// Digits that are a number here.
fn number(digits: &[u8]) -> Option<u64> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all.then(|| std::str::from_utf8(digits).ok()?.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests;
