//! What a method means to a cache.

use http::Method;

/// Whether a copy may answer this method: GET and HEAD (RFC 9110 §9.2.3). POST changes something, so that none answers it
/// (§9.3.3).
pub fn is_cacheable_method(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether the method may change what it is sent to (RFC 9110 §9.2.1). An unknown method is taken for unsafe
/// (RFC 9111 §4.4).
pub fn is_unsafe_method(method: &Method) -> bool {
    !matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    ) && !matches!(method.as_str(), "PROPFIND" | "REPORT" | "SEARCH" | "QUERY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_get_and_head_are_answered_by_a_copy_and_the_unknown_is_unsafe() {
        for (name, cacheable, is_unsafe) in [
            ("GET", true, false),
            ("HEAD", true, false),
            ("OPTIONS", false, false),
            ("TRACE", false, false),
            ("PROPFIND", false, false),
            ("QUERY", false, false),
            ("POST", false, true),
            ("PUT", false, true),
            ("PATCH", false, true),
            ("DELETE", false, true),
            ("get", false, true),
            ("FOO", false, true),
        ] {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(is_cacheable_method(&method), cacheable, "{name}");
            assert_eq!(is_unsafe_method(&method), is_unsafe, "{name}");
        }
    }
}
