//! Answers to POST that later GETs may be answered with (RFC 9110 §9.3.3).

use http::{HeaderMap, StatusCode, header};

use crate::cache_control::CacheControl;
use crate::freshness::explicit_lifetime;
use crate::invalidation::{Site, resolve};
use crate::targeted::Targets;
use crate::time::Timestamp;

/// Whether the answer to a POST to `target` is a representation of that target, which a cache may keep for GET and HEAD:
/// a 200 with explicit freshness (RFC 9111 §4.2.1) whose one `Content-Location` is the target (RFC 9110 §8.7, §9.3.3).
///
/// `sites` are the names of the target's origin, and `now` is when the answer came. What else RFC 9111 §3 asks is for
/// [`crate::storable`] to say, of a GET.
pub fn represents_target(
    sites: &[Site<'_>],
    target: &str,
    status: StatusCode,
    answer: &HeaderMap,
    targets: &Targets,
    now: Timestamp,
) -> bool {
    let mut lines = answer.get_all(header::CONTENT_LOCATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return false;
    };
    let named = line.to_str().ok().filter(|line| !line.contains('#'));
    let cc = CacheControl::of(answer, targets);
    status == StatusCode::OK
        && named
            .and_then(|named| resolve(sites, target, named))
            .as_deref()
            == Some(target)
        && explicit_lifetime(answer, &cc, now, now).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(id: &str, status: u16, lines: &[(&'static str, &str)], expect: bool) {
        let mut answer = HeaderMap::new();
        for (name, value) in lines {
            answer.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let sites = [Site {
            scheme: "https",
            authority: b"www.example",
        }];
        let status = StatusCode::from_u16(status).unwrap();
        let now = Timestamp(1_700_006_400);
        let judged = represents_target(&sites, "/a?b", status, &answer, &Targets::default(), now);
        assert_eq!(judged, expect, "{id}: {lines:?}");
    }

    #[test]
    fn an_answer_to_a_post_is_kept_only_where_it_is_the_target_and_says_for_how_long() {
        const FRESH: (&str, &str) = ("cache-control", "max-age=60");
        const SAME: (&str, &str) = ("content-location", "/a?b");
        check("9.3.3", 200, &[FRESH, SAME], true);
        let expires = ("expires", "Tue, 14 Nov 2034 22:13:20 GMT");
        check("9.3.3 expires", 200, &[expires, SAME], true);
        check(
            "9.3.3 targeted",
            200,
            &[("cdn-cache-control", "max-age=60"), SAME],
            true,
        );
        check("9.3.3 no freshness", 200, &[SAME], false);
        let modified = ("last-modified", "Mon, 01 Jan 2001 00:00:00 GMT");
        check("9.3.3 a guess is none", 200, &[modified, SAME], false);
        check(
            "9.3.3 public alone",
            200,
            &[("cache-control", "public"), SAME],
            false,
        );
        check("9.3.3 nothing named", 200, &[FRESH], false);
        for (same, named) in [
            (true, "https://www.example/a?b"),
            (true, "//www.example/a?b"),
            (true, "a?b"),
            (true, "?b"),
            (true, ""),
            (false, "/a"),
            (false, "/a?c"),
            (false, "/A?b"),
            (false, "/a?b#c"),
            (false, "https://other.example/a?b"),
            (false, "http://www.example/a?b"),
            (false, "a b"),
        ] {
            let named = ("content-location", named);
            check("8.7", 200, &[FRESH, named], same);
        }
        check("8.7 twice", 200, &[FRESH, SAME, SAME], false);
        for status in [201, 203, 204, 206, 303, 404, 500] {
            check("9.3.3 status", status, &[FRESH, SAME], false);
        }
    }
}
