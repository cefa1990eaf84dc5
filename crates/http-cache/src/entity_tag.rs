//! Entity tags and their two comparisons (RFC 9110 §8.8.3).

use http::HeaderMap;

use crate::list::trim;

/// The response's `ETag` where it is a strong one, well formed and the only one; quotes included.
pub fn strong_etag(fields: &HeaderMap) -> Option<&[u8]> {
    let mut lines = fields.get_all("etag").iter();
    let tag = trim(lines.next()?.as_bytes());
    (lines.next().is_none() && is_strong(tag)).then_some(tag)
}

/// Whether this is `"..."` with nothing but etagc between the quotes.
pub(crate) fn is_strong(tag: &[u8]) -> bool {
    matches!(tag, [b'"', inside @ .., b'"'] if inside.iter().all(|b| is_etagc(*b)))
}

fn is_etagc(byte: u8) -> bool {
    byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80
}

/// §8.8.3.2: equal, and both strong.
pub(crate) fn strong_match(a: &[u8], b: &[u8]) -> bool {
    a == b && is_strong(a)
}

/// §8.8.3.2: equal but for `W/`. A tag without quotes, which some origins send, matches what echoes it.
pub(crate) fn weak_match(a: &[u8], b: &[u8]) -> bool {
    let opaque = |tag: &'_ [u8]| tag.strip_prefix(b"W/").map_or(tag.len(), <[u8]>::len);
    let (a, b) = (&a[a.len() - opaque(a)..], &b[b.len() - opaque(b)..]);
    !a.is_empty() && a == b
}

/// Calls `f` with each tag of a line of `If-Match` or `If-None-Match`. Commas inside a tag do not separate, and a
/// backslash in it escapes nothing, unlike in a quoted string.
pub(crate) fn for_each_tag<'v>(line: &'v [u8], mut f: impl FnMut(&'v [u8])) {
    let mut rest = line;
    loop {
        rest = trim(rest);
        let Some(first) = rest.first() else { return };
        if *first == b',' {
            rest = &rest[1..];
            continue;
        }
        let opening = usize::from(rest.starts_with(b"W/")) * 2;
        let quoted = rest
            .get(opening + 1..)
            .filter(|_| rest[opening] == b'"')
            .and_then(|inside| inside.iter().position(|b| *b == b'"'))
            .map(|inside| opening + inside + 2);
        let end = match quoted {
            Some(end) => end,
            None => rest.iter().position(|b| *b == b',').unwrap_or(rest.len()),
        };
        f(trim(&rest[..end]));
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_strong_tag_is_quoted_and_has_no_mark() {
        for (tag, strong) in [
            (r#""a""#, true),
            (r#""""#, true),
            (r#""a,b;c\d""#, true),
            (r#"W/"a""#, false),
            ("a", false),
            (r#"""#, false),
            (r#""a"b""#, false),
            (r#""a b""#, false),
            ("", false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert("etag", HeaderValue::from_str(tag).unwrap());
            assert_eq!(
                strong_etag(&fields),
                strong.then_some(tag.as_bytes()),
                "{tag}"
            );
        }
        let mut two = HeaderMap::new();
        two.append("etag", HeaderValue::from_static("\"a\""));
        two.append("etag", HeaderValue::from_static("\"b\""));
        assert_eq!(strong_etag(&two), None);
        assert_eq!(strong_etag(&HeaderMap::new()), None);
    }

    #[test]
    fn tags_compare_as_in_the_table_of_the_rfc() {
        // RFC 9110 §8.8.3.2, table 3, and tags without quotes.
        for (a, b, strong, weak) in [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
            (r#""1""#, r#""2""#, false, false),
            ("1", "1", false, true),
            ("1", r#""1""#, false, false),
            ("W/", "W/", false, false),
            ("", "", false, false),
        ] {
            assert_eq!(
                strong_match(a.as_bytes(), b.as_bytes()),
                strong,
                "strong {a} {b}"
            );
            assert_eq!(weak_match(a.as_bytes(), b.as_bytes()), weak, "weak {a} {b}");
        }
    }

    #[test]
    fn a_list_of_tags_is_split_outside_the_tags() {
        for (line, expect) in [
            (r#""a""#, vec![r#""a""#]),
            (r#""a", W/"b""#, vec![r#""a""#, r#"W/"b""#]),
            (r#" ,"a" ,,"b","#, vec![r#""a""#, r#""b""#]),
            (r#""a,b","c\","d""#, vec![r#""a,b""#, r#""c\""#, r#""d""#]),
            ("a, b", vec!["a", "b"]),
            (r#""a, b"#, vec![r#""a"#, "b"]),
            ("W/, x", vec!["W/", "x"]),
            ("W/", vec!["W/"]),
            ("*", vec!["*"]),
            ("", vec![]),
        ] {
            let mut got = Vec::new();
            for_each_tag(line.as_bytes(), |t| {
                got.push(std::str::from_utf8(t).unwrap());
            });
            assert_eq!(got, expect, "{line}");
        }
    }
}
