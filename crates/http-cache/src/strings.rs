//! Lists of strings as structured fields write them (RFC 9651 §3.1, §3.3.3): what `Cache-Groups` is (RFC 9875 §2).

use std::borrow::Cow;

use crate::list::{closing_quote, for_each_element, trim, unescape};

/// The strings of one line, escapes undone, parameters left out; members without any quote (tokens, numbers) are no
/// strings. `None`: a quote stands where it cannot be read, so that nobody knows what strings were meant.
pub fn string_list(line: &[u8]) -> Option<Vec<Cow<'_, [u8]>>> {
    let mut strings = Vec::new();
    let mut readable = true;
    for_each_element(line, |element| match string(element) {
        Some(string) => strings.push(string),
        None => readable &= !element.contains(&b'"'),
    });
    readable.then_some(strings)
}

/// One member: a string, and parameters that say nothing here.
fn string(member: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inside = member.strip_prefix(b"\"")?;
    let end = closing_quote(inside)?;
    let (string, rest) = (&inside[..end], trim(&inside[end + 1..]));
    let mut escaped = false;
    for &byte in string {
        let legal = match (escaped, byte) {
            (true, b'"' | b'\\') => true,
            (true, _) => false,
            (false, byte) => matches!(byte, b' '..=b'~'),
        };
        if !legal {
            return None;
        }
        escaped = !escaped && byte == b'\\';
    }
    (rest.is_empty() || rest.starts_with(b";")).then(|| unescape(string))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: Option<&[&str]>) {
        let got = string_list(line.as_bytes());
        let got: Option<Vec<String>> = got.map(|strings| {
            let text = |s: &Cow<'_, [u8]>| String::from_utf8_lossy(s).into_owned();
            strings.iter().map(text).collect()
        });
        let expect = expect.map(|e| e.iter().map(|s| (*s).to_owned()).collect());
        assert_eq!(got, expect, "{line}");
    }

    #[test]
    fn strings_are_read_with_what_separates_inside_their_quotes() {
        // RFC 9651 §4.2.1, §4.2.5
        check("", Some(&[]));
        check(r#""a", "b""#, Some(&["a", "b"]));
        check(r#""x,y""#, Some(&["x,y"]));
        check(r#""x;y";q=1 , "z" ; a="p, q""#, Some(&["x;y", "z"]));
        check(r#""a\"b","c\\d""#, Some(&["a\"b", r"c\d"]));
        check(r#""""#, Some(&[""]));
        check(r#""a", b, 1"#, Some(&["a"]));
    }

    #[test]
    fn a_line_that_is_no_list_of_strings_is_not_read_in_part() {
        for line in [
            r#""a", "b"#,
            r#""a" b"#,
            r#""a\b""#,
            r#""a\"#,
            "(\"a\" \"b\")",
            "\"a\u{e4}\"",
            "\"a\tb\"",
        ] {
            check(line, None);
        }
    }
}
