//! Parts of a representation that is known already, fetched again (RFC 9110 §13.1.5, §14, §15.3.7).

use http::{HeaderMap, StatusCode, header};

use crate::cache_control::CacheControl;
use crate::entity_tag::{is_strong, strong_etag, strong_match};
use crate::list::trim;
use crate::ranges::ByteRange;
use crate::targeted::Targets;

/// The validator under which parts of a stored response may be asked for again: its strong `ETag`. `None`: it has none,
/// or its server does not do ranges (`Accept-Ranges: none`), so that it can only be fetched whole.
///
/// A date is a strong validator in rare cases only (§8.8.2.2), and never alone enough to put bytes together here.
pub fn part_validator(stored: &HeaderMap) -> Option<&[u8]> {
    let mut accepted = stored.get_all(header::ACCEPT_RANGES).iter();
    let none = accepted.any(|v| trim(v.as_bytes()).eq_ignore_ascii_case(b"none"));
    strong_etag(stored).filter(|_| !none)
}

/// Whether a request is for one part of one version and nothing else will do: a single range under a strong tag.
pub fn asks_for_part(request: &HeaderMap) -> bool {
    let one = |name| {
        let mut lines = request.get_all(name).iter();
        lines.next().filter(|_| lines.next().is_none())
    };
    let range = one(header::RANGE).is_some_and(|v| !v.as_bytes().contains(&b','));
    range && one(header::IF_RANGE).is_some_and(|v| is_strong(trim(v.as_bytes())))
}

/// Why an answer is not the part that was asked for.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum NotPart {
    /// Not a 206: the whole of some version, an error, a range that this version does not have.
    Status,
    /// Another range, another complete length, or several ranges.
    Range,
    /// Another `ETag` than the stored one, a weak one or none.
    Validator,
    /// Another content coding than the stored one.
    Coding,
    /// `no-store` or `private` by now: bytes of it may not be kept.
    Forbidden,
}

impl NotPart {
    /// The token for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            NotPart::Status => "status",
            NotPart::Range => "range",
            NotPart::Validator => "validator",
            NotPart::Coding => "coding",
            NotPart::Forbidden => "forbidden",
        }
    }
}

/// Judges the head of an answer to `Range: bytes=..` with `If-Range`: nothing but exactly the bytes `range` of the very
/// representation whose head is `stored` and whose complete length is `length` will do.
pub fn is_part(
    stored: &HeaderMap,
    status: StatusCode,
    answer: &HeaderMap,
    range: ByteRange,
    length: u64,
    targets: &Targets,
) -> Result<(), NotPart> {
    if status != StatusCode::PARTIAL_CONTENT {
        return Err(NotPart::Status);
    }
    let named = format!("bytes {}-{}/{length}", range.start, range.end - 1);
    let mut ranges = answer.get_all(header::CONTENT_RANGE).iter();
    let same = ranges
        .next()
        .is_some_and(|v| trim(v.as_bytes()).eq_ignore_ascii_case(named.as_bytes()));
    if !same || ranges.next().is_some() || is_multipart(answer) {
        return Err(NotPart::Range);
    }
    let announced = answer
        .get(header::CONTENT_LENGTH)
        .map(http::HeaderValue::as_bytes);
    if announced.is_some_and(|n| n != range.len().to_string().as_bytes()) {
        return Err(NotPart::Range);
    }
    let tags = (strong_etag(stored), strong_etag(answer));
    if !matches!(tags, (Some(stored), Some(answer)) if strong_match(stored, answer)) {
        return Err(NotPart::Validator);
    }
    // §15.3.7: an answer to If-Range need not repeat it
    let coding = |fields: &HeaderMap| {
        let lines = fields.get_all(header::CONTENT_ENCODING).iter();
        lines
            .map(|v| trim(v.as_bytes()).to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    let coded = coding(answer);
    if !coded.is_empty() && coded != coding(stored) {
        return Err(NotPart::Coding);
    }
    let cc = CacheControl::of(answer, targets);
    if (cc.no_store && !cc.must_understand) || cc.private {
        return Err(NotPart::Forbidden);
    }
    Ok(())
}

/// Whether the body is several parts (§15.3.7.2).
pub(crate) fn is_multipart(answer: &HeaderMap) -> bool {
    answer.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().to_ascii_lowercase();
        trim(&kind).starts_with(b"multipart/byteranges")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        map
    }

    #[test]
    fn parts_are_asked_for_under_a_strong_validator_alone() {
        for (pairs, expect) in [
            (&[("etag", "\"v1\"")][..], Some(&b"\"v1\""[..])),
            (
                &[("etag", "\"v1\""), ("accept-ranges", "bytes")],
                Some(b"\"v1\""),
            ),
            (&[("etag", "\"v1\""), ("accept-ranges", "None")], None),
            (&[("etag", "W/\"v1\"")], None),
            (&[("etag", "v1")], None),
            (&[("etag", "\"v1\""), ("etag", "\"v1\"")], None),
            (&[("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")], None),
            (&[], None),
        ] {
            assert_eq!(part_validator(&fields(pairs)), expect, "{pairs:?}");
        }
    }

    #[test]
    fn a_request_for_a_part_has_one_range_and_a_strong_tag() {
        for (pairs, expect) in [
            (&[("range", "bytes=0-9"), ("if-range", "\"v1\"")][..], true),
            (
                &[("range", "bytes=0-9, 20-"), ("if-range", "\"v1\"")],
                false,
            ),
            (&[("range", "bytes=0-9"), ("if-range", "W/\"v1\"")], false),
            (
                &[
                    ("range", "bytes=0-9"),
                    ("if-range", "Mon, 01 Jan 2024 00:00:00 GMT"),
                ],
                false,
            ),
            (&[("range", "bytes=0-9")], false),
            (&[("if-range", "\"v1\"")], false),
        ] {
            assert_eq!(asks_for_part(&fields(pairs)), expect, "{pairs:?}");
        }
    }

    /// Bytes 10 to 19 of 100, of a gzipped representation with the tag "v1".
    fn check(status: u16, answer: &[(&str, &str)], expect: Result<(), NotPart>) {
        let stored = fields(&[("etag", "\"v1\""), ("content-encoding", "gzip")]);
        let range = ByteRange { start: 10, end: 20 };
        let status = StatusCode::from_u16(status).unwrap();
        let targets = Targets::default();
        let judged = is_part(&stored, status, &fields(answer), range, 100, &targets);
        assert_eq!(judged, expect, "{status} {answer:?}");
    }

    #[test]
    fn nothing_but_the_very_part_of_the_very_version_will_do() {
        const TAG: (&str, &str) = ("etag", "\"v1\"");
        const RANGE: (&str, &str) = ("content-range", "bytes 10-19/100");
        check(206, &[TAG, RANGE], Ok(()));
        check(206, &[TAG, RANGE, ("content-length", "10")], Ok(()));
        check(206, &[TAG, ("content-range", "Bytes 10-19/100")], Ok(()));
        check(206, &[TAG, RANGE, ("content-encoding", "GZIP")], Ok(()));
        check(206, &[TAG, RANGE, ("cache-control", "max-age=1")], Ok(()));

        for status in [200, 304, 404, 412, 416, 500, 503] {
            check(status, &[TAG, RANGE], Err(NotPart::Status));
        }
        for range in [
            "bytes 10-18/100",
            "bytes 0-9/100",
            "bytes 10-19/101",
            "bytes 10-19/*",
            "bytes */100",
            "items 10-19/100",
            "10-19/100",
        ] {
            check(206, &[TAG, ("content-range", range)], Err(NotPart::Range));
        }
        check(206, &[TAG], Err(NotPart::Range));
        check(206, &[TAG, RANGE, RANGE], Err(NotPart::Range));
        let several = ("content-type", "multipart/byteranges; boundary=x");
        check(206, &[TAG, RANGE, several], Err(NotPart::Range));
        check(
            206,
            &[TAG, RANGE, ("content-length", "9")],
            Err(NotPart::Range),
        );

        for tag in ["\"v2\"", "W/\"v1\"", "v1"] {
            check(206, &[RANGE, ("etag", tag)], Err(NotPart::Validator));
        }
        check(206, &[RANGE], Err(NotPart::Validator));
        check(206, &[TAG, TAG, RANGE], Err(NotPart::Validator));
        let other = ("content-encoding", "br");
        check(206, &[TAG, RANGE, other], Err(NotPart::Coding));
        for control in ["no-store", "private"] {
            let control = ("cache-control", control);
            check(206, &[TAG, RANGE, control], Err(NotPart::Forbidden));
            let targeted = ("cdn-cache-control", "max-age=1");
            check(206, &[TAG, RANGE, control, targeted], Ok(()));
        }
        let targeted = ("cdn-cache-control", "no-store");
        check(206, &[TAG, RANGE, targeted], Err(NotPart::Forbidden));
    }
}
