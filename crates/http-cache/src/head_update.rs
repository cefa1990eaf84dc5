//! What the answer to a HEAD says of a stored response (RFC 9111 §4.3.5).

use http::{HeaderMap, StatusCode, header};

use crate::entity_tag::weak_match;
use crate::list::trim;

/// What becomes of the stored response that the HEAD could have been answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadUpdate {
    /// It is the same version, by a validator: its fields are updated as by a 304.
    Freshen,
    /// Nothing says that it is another one, and no validator that it is the same: its fields are updated, and that is no
    /// validation of what is stored.
    Describe,
    /// It is another one, or gone: the stored response is stale.
    Stale,
    /// The answer says nothing about it.
    Nothing,
}

/// Judges a HEAD's answer against a stored response with `stored_status`, the fields `stored` and a body of `length`
/// bytes.
///
/// Each validator that the answer has must be the stored one's, and its `Content-Length`, if it has one, the stored
/// length. A `Last-Modified` or `ETag` that both have makes it a validation. Only a 200 updates; a 404 or 410 is what GET would get too, so the stored response is stale. All else
/// (redirections, refusals of the method, errors) says nothing.
pub fn head_update(
    stored_status: StatusCode,
    stored: &HeaderMap,
    length: u64,
    status: StatusCode,
    answer: &HeaderMap,
) -> HeadUpdate {
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE if status != stored_status => {
            return HeadUpdate::Stale;
        }
        _ => return HeadUpdate::Nothing,
    }
    let same_tag = match (answer.get(header::ETAG), stored.get(header::ETAG)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(new), Some(old)) => weak_match(trim(new.as_bytes()), trim(old.as_bytes())),
    };
    let trimmed = |fields: &HeaderMap, name| {
        let value = fields.get(name)?;
        Some(trim(value.as_bytes()).to_vec())
    };
    let modified = trimmed(answer, header::LAST_MODIFIED);
    let same_date = modified.is_none() || modified == trimmed(stored, header::LAST_MODIFIED);
    let same_length = trimmed(answer, header::CONTENT_LENGTH)
        .is_none_or(|announced| announced == length.to_string().as_bytes());
    if !(stored_status == StatusCode::OK && same_tag && same_date && same_length) {
        HeadUpdate::Stale
    } else if answer.contains_key(header::ETAG) || modified.is_some() {
        HeadUpdate::Freshen
    } else {
        HeadUpdate::Describe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn a_head_answer_updates_the_version_that_it_speaks_of_and_ends_another() {
        use HeadUpdate::{Describe, Freshen, Nothing, Stale};
        let tag = ("etag", "\"1\"");
        let date = ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT");
        let later = ("last-modified", "Tue, 02 Jan 2024 00:00:00 GMT");
        let length = ("content-length", "5");
        let both = &[tag, date][..];
        for (id, stored, status, answer, expect) in [
            ("4.3.5-01 nothing stated", both, 200, &[][..], Describe),
            ("4.3.5-02 same tag", both, 200, &[tag], Freshen),
            (
                "4.3.5-03 all the same",
                both,
                200,
                &[tag, date, length],
                Freshen,
            ),
            (
                "4.3.5-04 weakened",
                both,
                200,
                &[("etag", "W/\"1\"")],
                Freshen,
            ),
            ("4.3.5-05 other tag", both, 200, &[("etag", "\"2\"")], Stale),
            ("4.3.5-06 no such tag", &[date], 200, &[tag, date], Stale),
            ("4.3.5-07 other date", both, 200, &[tag, later], Stale),
            ("4.3.5-08 no such date", &[tag], 200, &[tag, date], Stale),
            (
                "4.3.5-09 other length",
                both,
                200,
                &[("content-length", "6")],
                Stale,
            ),
            (
                "4.3.5-10 no length",
                both,
                200,
                &[("content-length", "x")],
                Stale,
            ),
            ("4.3.5-11 no validators", &[], 200, &[length], Describe),
            ("4.3.5-12 gone", both, 410, &[], Stale),
            ("4.3.5-13 not found", both, 404, &[], Stale),
            ("4.3.5-14 refused", both, 405, &[], Nothing),
            ("4.3.5-15 error", both, 503, &[tag], Nothing),
            ("4.3.5-16 redirected", both, 302, &[], Nothing),
            ("4.3.5-17 not modified", both, 304, &[tag], Nothing),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let (stored, answer) = (fields(stored), fields(answer));
            let judged = head_update(StatusCode::OK, &stored, 5, status, &answer);
            assert_eq!(judged, expect, "{id}");
        }
    }

    #[test]
    fn a_stored_error_is_no_version_of_a_success() {
        let none = HeaderMap::new();
        for (id, stored, status, expect) in [
            ("4.3.5-20", 404, 200, HeadUpdate::Stale),
            ("4.3.5-21", 404, 404, HeadUpdate::Nothing),
            ("4.3.5-22", 404, 410, HeadUpdate::Stale),
        ] {
            let [stored, status] = [stored, status].map(|code| StatusCode::from_u16(code).unwrap());
            let judged = head_update(stored, &none, 5, status, &none);
            assert_eq!(judged, expect, "{id}");
        }
    }
}
