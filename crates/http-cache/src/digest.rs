//! Fields that digest what a message carries, and what they are true of.

use http::HeaderMap;

/// Digests of a message's content: of a part they are the part's, and say nothing of the whole. `Content-MD5` is that of
/// RFC 1864 (RFC 2616 §14.15; RFC 7231 has it no more), `Content-Digest` that of RFC 9530 §2.
pub(crate) const OF_CONTENT: [&str; 2] = ["content-digest", "content-md5"];

/// Digests of the representation, its codings included: the same with a part and with the whole, another in each coding.
/// `Repr-Digest` is that of RFC 9530 §3, `Digest` what it replaced (RFC 3230 §4.3.2).
pub(crate) const OF_REPRESENTATION: [&str; 2] = ["digest", "repr-digest"];

/// Whether any of them is there.
pub(crate) fn has_digests(fields: &HeaderMap) -> bool {
    let mut names = OF_CONTENT.iter().chain(&OF_REPRESENTATION);
    names.any(|name| fields.contains_key(*name))
}

/// Takes away what digests the content of a message, from fields that are to go with other content of the same
/// representation: a part of it, or the whole.
pub fn remove_content_digests(fields: &mut HeaderMap) {
    for name in OF_CONTENT {
        fields.remove(name);
    }
}

/// Takes away all digests, from fields that are to go with the same content in another coding.
pub fn remove_digests(fields: &mut HeaderMap) {
    remove_content_digests(fields);
    for name in OF_REPRESENTATION {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_digest_goes_where_what_it_digests_is_another() {
        // (field, goes with a part, goes with another coding)
        for (id, name, of_part, of_coding) in [
            ("RFC 1864", "content-md5", true, true),
            ("RFC 9530 §2", "content-digest", true, true),
            ("RFC 9530 §3", "repr-digest", false, true),
            ("RFC 3230 §4.3.2", "digest", false, true),
            ("RFC 9110 §8.8.3", "etag", false, false),
            ("RFC 9530 §4", "want-repr-digest", false, false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(name, HeaderValue::from_static("x"));
            assert_eq!(has_digests(&fields), of_coding, "{id}");
            remove_content_digests(&mut fields);
            assert_eq!(fields.is_empty(), of_part, "{id}");
            remove_digests(&mut fields);
            assert_eq!(fields.is_empty(), of_coding, "{id}");
        }
    }
}
