//! From a request's path to a path below a directory.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A path that names nothing outside the directory and nothing hidden in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilePath {
    /// Relative; empty for the directory itself.
    pub(super) relative: PathBuf,
    /// Whether the path ended with a slash: it asks for a directory's index.
    pub(super) directory: bool,
}

impl FilePath {
    /// Reads the path of an origin-form target, without its query. `None` for what is never served: an empty segment,
    /// one that starts with a dot (dotfiles, `.` and `..`, encoded or not), a slash or NUL inside a segment, or a
    /// percent sign without two digits.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/').peekable();
        let mut relative = PathBuf::new();
        while let Some(segment) = segments.next() {
            if segment.is_empty() {
                let last = segments.peek().is_none();
                return last.then_some(Self {
                    relative,
                    directory: true,
                });
            }
            let name = percent_decode(segment)?;
            if name.starts_with(b".") || name.iter().any(|b| matches!(b, b'/' | 0)) {
                return None;
            }
            relative.push(OsString::from_vec(name));
        }
        Some(Self {
            relative,
            directory: false,
        })
    }
}

fn percent_decode(segment: &str) -> Option<Vec<u8>> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    Some(decoded)
}

/// Shows a path in a redirect: what RFC 3986 §2.3 leaves unreserved stays, all else but slashes is encoded.
pub(super) fn percent_encode(path: &[u8]) -> String {
    path.iter()
        .fold(String::with_capacity(path.len()), |mut text, &byte| {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                text.push(byte.into());
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expect: Option<(&str, bool)>) {
        let expect = expect.map(|(relative, directory)| FilePath {
            relative: relative.into(),
            directory,
        });
        assert_eq!(FilePath::parse(path), expect, "{path}");
    }

    #[test]
    fn plain_and_encoded_paths_are_read() {
        check("/", Some(("", true)));
        check("/a.html", Some(("a.html", false)));
        check("/a/b/", Some(("a/b", true)));
        check("/a%20b/%C3%A9", Some(("a b/é", false)));
    }

    #[test]
    fn what_leads_out_or_is_hidden_is_refused() {
        for path in [
            "",
            "*",
            "a",
            "//",
            "/a//b",
            "//host/x",
            "/..",
            "/../x",
            "/a/../b",
            "/%2e%2e/x",
            "/%2E./x",
            "/.git/config",
            "/a/.env",
            "/a%2fb",
            "/a%2F..%2Fb",
            "/a%00b",
            "/%",
            "/%2",
            "/%zz",
        ] {
            check(path, None);
        }
    }

    #[test]
    fn a_path_is_encoded_for_a_redirect() {
        assert_eq!(percent_encode("a b/é?".as_bytes()), "a%20b/%C3%A9%3F");
    }
}
