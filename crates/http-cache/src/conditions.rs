//! Conditional requests against a stored copy (RFC 9110 §13).

use http::Method;

use crate::entity_tag::{for_each_tag, strong_match, weak_match};
use crate::fields::{Fields, Single};
use crate::list::trim;
use crate::method::is_cacheable_method;
use crate::time::Timestamp;

/// What a request's conditions say about a copy.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Precondition {
    /// The request has none that applies.
    None,
    /// They hold: answer as without them.
    Proceed,
    /// Answer 304.
    NotModified,
    /// Answer 412.
    Failed,
}

/// Judges the conditions in the order of RFC 9110 §13.2.2 against the validators of a copy with a 2xx status.
///
/// Without `last_modified` the copy's `date` stands in for it in `If-Modified-Since` (RFC 9111 §4.3.2). A date that
/// cannot be read, or a field with a date that occurs twice, is as if absent. `now` tells which century a year of two
/// digits is of. `If-Match` and `If-Unmodified-Since` are
/// judged too: where a copy may answer for its origin, it may say that the condition fails. `If-Range` belongs to
/// [`crate::ranges`]. Conditions on a copy with another status are ignored (§13.2.1): do not ask.
pub fn evaluate(
    method: &Method,
    request: &dyn Fields,
    etag: Option<&[u8]>,
    last_modified: Option<&[u8]>,
    date: Option<&[u8]>,
    now: Timestamp,
) -> Precondition {
    let read = |date: &[u8]| Timestamp::parse_http_date(date, now);
    let date_of = |name| read(Single::of(request, name).once()?);
    let modified = last_modified.and_then(read);
    let mut judged = Precondition::None;

    if let Some(matched) = lists(request, "if-match", etag, strong_match) {
        if !matched {
            return Precondition::Failed;
        }
        judged = Precondition::Proceed;
    } else if let (Some(since), Some(modified)) = (date_of("if-unmodified-since"), modified) {
        if modified > since {
            return Precondition::Failed;
        }
        judged = Precondition::Proceed;
    }

    if let Some(matched) = lists(request, "if-none-match", etag, weak_match) {
        return match matched {
            false => Precondition::Proceed,
            true if is_cacheable_method(method) => Precondition::NotModified,
            true => Precondition::Failed,
        };
    }
    if is_cacheable_method(method)
        && let Some(since) = date_of("if-modified-since")
        && let Some(modified) = modified.or_else(|| date.and_then(read))
    {
        return if modified <= since {
            Precondition::NotModified
        } else {
            Precondition::Proceed
        };
    }
    judged
}

/// Whether the field lists the copy's tag, or is `*`; `None` where the field is absent.
fn lists(
    request: &dyn Fields,
    name: &str,
    etag: Option<&[u8]>,
    equal: fn(&[u8], &[u8]) -> bool,
) -> Option<bool> {
    request.first(name)?;
    let etag = etag.map(trim);
    let mut found = false;
    request.each(name, &mut |line| {
        if trim(line) == b"*" {
            found = true;
        } else if let Some(etag) = etag {
            for_each_tag(line, |tag| found |= equal(tag, etag));
        }
    });
    Some(found)
}

#[cfg(test)]
mod tests;
