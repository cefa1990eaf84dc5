//! What a change makes outdated beside what it was sent to (RFC 9111 §4.4).

use http::{HeaderMap, StatusCode};

/// Longer references are not followed: no request target is that long.
const REFERENCE_BYTES_MAX: usize = 16 * 1024;
/// Lines of each field that are read; there should be one.
const LINES_MAX: usize = 4;

/// One name that the resource changed is known by: a scheme and an authority, as in a URI.
#[derive(Clone, Copy, Debug)]
pub struct Site<'s> {
    /// `http` or `https`.
    pub scheme: &'s str,
    /// A host and maybe a port.
    pub authority: &'s [u8],
}

/// The targets, in origin form, that an answer to an unsafe request names in `Location` and `Content-Location` as
/// changed with `target`. That one is not among them, and none is twice.
///
/// A reference counts where it stays in the origin of `target`, which is any of `sites`: what the client called it, and
/// what its server was asked for. Answers other than 2xx and 3xx change nothing.
pub fn also_invalidated(
    sites: &[Site<'_>],
    target: &str,
    status: StatusCode,
    answer: &HeaderMap,
) -> Vec<String> {
    let mut targets = Vec::new();
    if !status.is_success() && !status.is_redirection() {
        return targets;
    }
    for name in ["location", "content-location"] {
        for reference in answer.get_all(name).iter().take(LINES_MAX) {
            let found = reference
                .to_str()
                .ok()
                .and_then(|reference| resolve(sites, target, reference));
            if let Some(found) = found.filter(|f| f != target && !targets.contains(f)) {
                targets.push(found);
            }
        }
    }
    targets
}

/// Resolves a reference (RFC 3986 §5.2.2) to a target in origin form. `None`: it is malformed, or of another origin.
pub(crate) fn resolve(sites: &[Site<'_>], base: &str, reference: &str) -> Option<String> {
    let reference = reference.trim_matches([' ', '\t']);
    if reference.len() > REFERENCE_BYTES_MAX || !reference.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    // the fragment is the client's own matter
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, rest) = scheme(reference);
    if let Some(rest) = rest.strip_prefix("//") {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let named = |site: &Site<'_>| {
            scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case(site.scheme))
                && same_authority(site, authority.as_bytes())
        };
        if !sites.iter().any(named) {
            return None;
        }
        let (path, query) = split(rest);
        return Some(join(&without_dots(path), query));
    }
    if scheme.is_some() {
        // "http:path" has no authority, and another scheme is another origin
        return None;
    }
    let (base_path, base_query) = split(base);
    if !base_path.starts_with('/') {
        return None;
    }
    let (path, query) = split(rest);
    if path.is_empty() {
        return Some(join(base_path, query.or(base_query)));
    }
    if path.starts_with('/') {
        return Some(join(&without_dots(path), query));
    }
    let directory = base_path
        .rfind('/')
        .map_or("/", |slash| &base_path[..=slash]);
    Some(join(&without_dots(&format!("{directory}{path}")), query))
}

/// Splits off a scheme (RFC 3986 §3.1).
fn scheme(reference: &str) -> (Option<&str>, &str) {
    let Some((scheme, rest)) = reference.split_once(':') else {
        return (None, reference);
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    if scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(legal) {
        (Some(scheme), rest)
    } else {
        (None, reference)
    }
}

/// Path and query. A question mark alone is an empty query, which differs from none.
fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

fn join(path: &str, query: Option<&str>) -> String {
    let path = if path.is_empty() { "/" } else { path };
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// RFC 3986 §5.2.4, for a path that is empty or begins with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            // "/a/." and "/a/b/.." are "/a/"
            kept.push("");
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in kept {
        out.push('/');
        out.push_str(segment);
    }
    out
}

/// Whether `authority` is the site's: letters' case and the scheme's default port make no difference (RFC 9110 §4.2.3).
fn same_authority(site: &Site<'_>, authority: &[u8]) -> bool {
    let default: &[u8] = if site.scheme.eq_ignore_ascii_case("https") {
        b":443"
    } else {
        b":80"
    };
    let bare = |host: &'_ [u8]| -> Vec<u8> {
        let host = host.strip_suffix(default).unwrap_or(host);
        host.strip_suffix(b":").unwrap_or(host).to_ascii_lowercase()
    };
    !authority.is_empty() && bare(site.authority) == bare(authority)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SITES: [Site<'_>; 2] = [
        Site {
            scheme: "http",
            authority: b"www.Example",
        },
        Site {
            scheme: "https",
            authority: b"inside.example:8443",
        },
    ];

    /// What a change of `/a/b?c` ends beside it by `Location`.
    fn check(id: &str, reference: &str, expect: Option<&str>) {
        let mut fields = HeaderMap::new();
        fields.insert(
            "location",
            HeaderValue::from_bytes(reference.as_bytes()).unwrap(),
        );
        let got = also_invalidated(&SITES, "/a/b?c", StatusCode::OK, &fields);
        let expect: Vec<&str> = expect.into_iter().collect();
        assert_eq!(got, expect, "{id}: {reference}");
    }

    #[test]
    fn references_are_resolved_against_the_target() {
        // RFC 3986 §5.2, with the examples of §5.4 as far as they stay in the origin
        check("3986-5.2-01", "/x", Some("/x"));
        check("3986-5.2-02", "/x?y", Some("/x?y"));
        check("3986-5.2-03", "/x?", Some("/x?"));
        check("3986-5.2-04", "x", Some("/a/x"));
        check("3986-5.2-05", "?y", Some("/a/b?y"));
        check("3986-5.2-06", "x?y/../z", Some("/a/x?y/../z"));
        check("3986-5.2-07", "/x#s", Some("/x"));
        check("3986-5.2-08", "./x", Some("/a/x"));
        check("3986-5.2-09", "x/", Some("/a/x/"));
        check("3986-5.2-10", ".", Some("/a/"));
        check("3986-5.2-11", "./", Some("/a/"));
        check("3986-5.2-12", "..", Some("/"));
        check("3986-5.2-13", "../", Some("/"));
        check("3986-5.2-14", "../x", Some("/x"));
        check("3986-5.2-15", "../../../x", Some("/x"));
        check("3986-5.2-16", "/./x", Some("/x"));
        check("3986-5.2-17", "/../x", Some("/x"));
        check("3986-5.2-18", "x.", Some("/a/x."));
        check("3986-5.2-19", "..x", Some("/a/..x"));
        check("3986-5.2-20", "x/./y/../z", Some("/a/x/z"));
        check("3986-5.2-21", "/x//y", Some("/x//y"));
        check("3986-5.2-22", "./x:y", Some("/a/x:y"));
        check("3986-5.2-23", "1x:y", Some("/a/1x:y"));
        check("3986-5.2-24", "/x%2Fy", Some("/x%2Fy"));
    }

    #[test]
    fn the_target_itself_is_not_told_again() {
        check("3986-5.2-30", "", None);
        check("3986-5.2-31", "#s", None);
        check("3986-5.2-32", "/a/b?c", None);
        check("3986-5.2-33", "http://www.example/a/b?c", None);
    }

    #[test]
    fn only_references_into_the_origin_count() {
        // RFC 9111 §4.4, RFC 9110 §4.3.1
        check("9111-4.4-01", "http://www.example/x", Some("/x"));
        check("9111-4.4-02", "HTTP://WWW.EXAMPLE:80/x", Some("/x"));
        check("9111-4.4-03", "http://www.example:/x", Some("/x"));
        check("9111-4.4-04", "http://www.example", Some("/"));
        check("9111-4.4-05", "http://www.example?y", Some("/?y"));
        check("9111-4.4-06", "//www.example/x", Some("/x"));
        check("9111-4.4-07", "https://inside.example:8443/x", Some("/x"));
        check("9111-4.4-08", "https://www.example/x", None);
        check("9111-4.4-09", "http://inside.example:8443/x", None);
        check("9111-4.4-10", "https://inside.example/x", None);
        check("9111-4.4-11", "http://www.example:81/x", None);
        check("9111-4.4-12", "http://example/x", None);
        check("9111-4.4-13", "http://user@www.example/x", None);
        check("9111-4.4-14", "http://www.example.evil/x", None);
        check("9111-4.4-15", "ftp://www.example/x", None);
        check("9111-4.4-16", "http:x", None);
        check("9111-4.4-17", "http:///x", None);
        check("9111-4.4-18", "mailto:a@www.example", None);
        check("9111-4.4-19", "//", None);
    }

    #[test]
    fn what_is_no_reference_changes_nothing() {
        check("9111-4.4-30", "/x y", None);
        check("9111-4.4-31", "/\u{e9}", None);
        check(
            "9111-4.4-32",
            &format!("/{}", "x".repeat(REFERENCE_BYTES_MAX)),
            None,
        );
        let mut fields = HeaderMap::new();
        fields.insert("location", HeaderValue::from_static("x"));
        let star = also_invalidated(&SITES, "*", StatusCode::OK, &fields);
        assert_eq!(star, [""; 0]);
    }

    #[test]
    fn both_fields_count_of_answers_that_are_no_errors() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("location", "/one"),
            ("location", "/two"),
            ("content-location", "/two"),
            ("content-location", "/three"),
            ("link", "</four>"),
        ] {
            fields.append(name, HeaderValue::from_static(value));
        }
        for (id, status, expect) in [
            ("9111-4.4-40", 200, true),
            ("9111-4.4-41", 201, true),
            ("9111-4.4-42", 204, true),
            ("9111-4.4-43", 303, true),
            ("9111-4.4-44", 304, true),
            ("9111-4.4-45", 400, false),
            ("9111-4.4-46", 404, false),
            ("9111-4.4-47", 503, false),
            ("9111-4.4-48", 101, false),
            ("9111-4.4-49", 999, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let got = also_invalidated(&SITES, "/", status, &fields);
            let all: &[&str] = &["/one", "/two", "/three"];
            assert_eq!(got, if expect { all } else { &[] }, "{id}");
        }
    }
}
