//! A request's target, as keys and scopes have it.

use std::borrow::Cow;

/// Path and query of an origin-form target. A question mark alone is an empty query, which differs from none.
pub(crate) fn split_target(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// The target with the digits of its percent-encodings in upper case: `%2f` and `%2F` are one by the syntax of URIs, so
/// that no server may tell them apart (RFC 3986 §6.2.2.1). Nothing else is normalised: `%41` and `A`, dots between
/// slashes, an empty query are equivalent only to those who say so, and an origin may say otherwise. The request itself
/// goes on as it came. Borrowed where nothing changes.
pub fn canonical_target(target: &str) -> Cow<'_, str> {
    let bytes = target.as_bytes();
    // of most targets this is all that happens
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(target);
    }
    let is_lower = |at: usize| match bytes[at..] {
        [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            high.is_ascii_lowercase() || low.is_ascii_lowercase()
        }
        _ => false,
    };
    let Some(first) = (0..bytes.len()).find(|&at| is_lower(at)) else {
        return Cow::Borrowed(target);
    };
    let mut upper = String::with_capacity(target.len());
    let (mut rest, mut at) = (0, first);
    while at < bytes.len() {
        if is_lower(at) {
            upper.push_str(&target[rest..at]);
            upper.push_str(&target[at..at + 3].to_ascii_uppercase());
            at += 3;
            rest = at;
        } else {
            at += 1;
        }
    }
    upper.push_str(&target[rest..]);
    Cow::Owned(upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percent_encodings_are_in_upper_case_and_nothing_else_changes() {
        for (target, expected) in [
            ("/", "/"),
            ("/a%2fb?c=%c3%A4", "/a%2Fb?c=%C3%A4"),
            ("/a%2Fb", "/a%2Fb"),
            ("/%2f%2f%2f", "/%2F%2F%2F"),
            // what is no encoding stays
            ("/%", "/%"),
            ("/%2", "/%2"),
            ("/%g1%2x%%2f", "/%g1%2x%%2F"),
            ("/%%2f", "/%%2F"),
            // and so does what is equivalent by other rules alone
            ("/%41/../A/./?", "/%41/../A/./?"),
            ("/Ab?xY=z", "/Ab?xY=z"),
            ("/ä%c3", "/ä%C3"),
        ] {
            assert_eq!(canonical_target(target), expected, "{target}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_same_text_but_for_case_and_its_own_canonical_form(target in "/[%a-fA-F0-9?/é]{0,40}") {
            let once = canonical_target(&target);
            prop_assert!(once.eq_ignore_ascii_case(&target));
            prop_assert_eq!(&canonical_target(&once), &once);
        }
    }
}
