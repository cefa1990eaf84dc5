//! Comma lists (RFC 9110 §5.6.1) with quoted strings (§5.6.4) in them.

use std::borrow::Cow;

/// `value` without spaces and tabs around it.
pub(crate) fn trim(value: &[u8]) -> &[u8] {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value
        .iter()
        .position(|b| !is_space(b))
        .unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|b| !is_space(b))
        .map_or(start, |last| last + 1);
    &value[start..end]
}

/// Calls `f` with each element of one line that is not empty, trimmed. Commas inside quoted strings do not separate.
///
/// A quote that is never closed is an ordinary byte, and so are all quotes behind it: what a sender may have meant as
/// several elements is read as several. Takes time linear in the line.
pub(crate) fn for_each_element<'v>(line: &'v [u8], mut f: impl FnMut(&'v [u8])) {
    let mut quotes = true;
    let mut start = 0;
    let mut at = 0;
    while at < line.len() {
        if line[at] == b'"' && quotes {
            match closing_quote(&line[at + 1..]) {
                Some(len) => at += len + 1,
                None => quotes = false,
            }
        } else if line[at] == b',' {
            emit(&line[start..at], &mut f);
            start = at + 1;
        }
        at += 1;
    }
    emit(&line[start..], &mut f);
}

fn emit<'v>(part: &'v [u8], f: &mut impl FnMut(&'v [u8])) {
    let part = trim(part);
    if !part.is_empty() {
        f(part);
    }
}

/// Where the quoted string whose opening quote is just before `rest` is closed.
pub(crate) fn closing_quote(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// The argument of a directive or parameter, as written behind its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Argument<'v> {
    /// No `=`.
    None,
    /// As it stands.
    Token(&'v [u8]),
    /// The inside of a quoted string, its escapes undone.
    Quoted(Cow<'v, [u8]>),
    /// Something else: white space around `=`, nothing behind it, a broken quoted string.
    Malformed,
}

/// Splits `name[=argument]`; the name is trimmed.
pub(crate) fn name_and_argument(element: &[u8]) -> (&[u8], Argument<'_>) {
    let Some(equals) = element.iter().position(|b| *b == b'=') else {
        return (trim(element), Argument::None);
    };
    let (name, value) = (&element[..equals], &element[equals + 1..]);
    let trimmed = trim(name);
    if trimmed.len() != name.len() || value.is_empty() || trim(value).len() != value.len() {
        return (trimmed, Argument::Malformed);
    }
    let argument = match value {
        [b'"', rest @ ..] => match closing_quote(rest) {
            Some(end) if end + 1 == rest.len() => Argument::Quoted(unescape(&rest[..end])),
            _ => Argument::Malformed,
        },
        token if token.iter().all(|b| is_token_byte(*b)) => Argument::Token(token),
        _ => Argument::Malformed,
    };
    (trimmed, argument)
}

/// `quoted` with its escapes undone.
pub(crate) fn unescape(quoted: &[u8]) -> Cow<'_, [u8]> {
    if !quoted.contains(&b'\\') {
        return Cow::Borrowed(quoted);
    }
    let mut out = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'\\' {
            bytes.next()
        } else {
            Some(byte)
        };
        out.extend(byte);
    }
    Cow::Owned(out)
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: &[&str]) {
        let mut got = Vec::new();
        for_each_element(line.as_bytes(), |e| {
            got.push(String::from_utf8_lossy(e).into_owned());
        });
        assert_eq!(got, expect, "{line}");
    }

    #[test]
    fn elements_are_what_stands_between_commas_outside_quotes() {
        check("", &[]);
        check(" , ,\t,", &[]);
        check("a", &["a"]);
        check(" a ,b\t, c", &["a", "b", "c"]);
        check("a,,b", &["a", "b"]);
        check(r#"a="b, c", d"#, &[r#"a="b, c""#, "d"]);
        check(r#"a="b\", c", d"#, &[r#"a="b\", c""#, "d"]);
        check(r#""", a"#, &[r#""""#, "a"]);
        check(r#"a="b, c"#, &[r#"a="b"#, "c"]);
        check(r#"a="b\", c"#, &[r#"a="b\""#, "c"]);
        check(r#"a="b\"#, &[r#"a="b\"#]);
    }

    #[test]
    fn an_unclosed_quote_does_not_cost_quadratic_time() {
        let line = b"\"\\".repeat(1 << 20);
        let mut elements = 0;
        for_each_element(&line, |_| elements += 1);
        assert_eq!(elements, 1);
    }

    fn argument(element: &str) -> (String, Result<Option<String>, ()>) {
        let (name, argument) = name_and_argument(element.as_bytes());
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let argument = match argument {
            Argument::None => Ok(None),
            Argument::Token(value) => Ok(Some(text(value))),
            Argument::Quoted(value) => Ok(Some(text(&value))),
            Argument::Malformed => Err(()),
        };
        (text(name), argument)
    }

    #[test]
    fn an_argument_is_a_token_or_a_quoted_string() {
        for (element, name, expect) in [
            ("a", "a", Ok(None)),
            ("a=1", "a", Ok(Some("1"))),
            (r#"a="1""#, "a", Ok(Some("1"))),
            (r#"a="1\"2\\""#, "a", Ok(Some(r#"1"2\"#))),
            (r#"a="""#, "a", Ok(Some(""))),
            ("a=", "a", Err(())),
            ("a =1", "a", Err(())),
            ("a= 1", "a", Err(())),
            ("a=1 2", "a", Err(())),
            ("a=1=2", "a", Err(())),
            (r#"a="1"#, "a", Err(())),
            (r#"a="1"2"#, "a", Err(())),
            ("=1", "", Ok(Some("1"))),
        ] {
            let expect = expect.map(|o: Option<&str>| o.map(str::to_owned));
            assert_eq!(argument(element), (name.to_owned(), expect), "{element}");
        }
    }
}
