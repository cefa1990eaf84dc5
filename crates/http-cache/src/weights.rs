//! Fields that list ranges with weights (RFC 9110 §12.4.2, §12.5), so that two spellings of one wish compare alike.

use http::HeaderName;

use crate::fields::Fields;
use crate::list::{is_token_byte, trim};

/// A field with more ranges is compared byte by byte.
pub(crate) const RANGES_MAX: usize = 32;

/// So is a longer one, in bytes: a browser's take less than 200.
pub(crate) const TEXT_BYTES_MAX: usize = 512;

/// The largest weight: `q=1`.
pub(crate) const WEIGHT_MAX: u16 = 1000;

/// What the ranges of a field look like.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Weighted {
    /// A token or `*`: Accept-Language, Accept-Encoding, Accept-Charset.
    Token,
    /// `type/subtype`, and parameters that are compared as they stand: Accept.
    Media,
}

impl Weighted {
    /// Whether `name` is such a field.
    pub(crate) fn of(name: &HeaderName) -> Option<Self> {
        match name.as_str() {
            "accept-language" | "accept-encoding" | "accept-charset" => Some(Weighted::Token),
            "accept" => Some(Weighted::Media),
            _ => None,
        }
    }

    /// Calls `f` with each range of the field and its weight in thousandths: lower case, ordered by the range, each once.
    ///
    /// The order in the list does not count, as §12.5.4 says of languages; a weight that is not stated is 1; one of 0
    /// ("not acceptable") is a range like another. False, and nothing was called: there is something that cannot be
    /// read, or one range has two weights, which recipients may read in more than one way.
    pub(crate) fn each(
        self,
        name: &HeaderName,
        request: &dyn Fields,
        mut f: impl FnMut(&[u8], u16),
    ) -> bool {
        // on the stack: plain hits allocate nothing
        let mut text = [b','; TEXT_BYTES_MAX];
        let mut length = 0;
        request.each(name.as_str(), &mut |line| {
            let end = length + line.len();
            if let Some(place) = text.get_mut(length..end) {
                place.copy_from_slice(line);
            }
            // a comma stands behind it
            length = end + 1;
        });
        let Some(text) = text.get_mut(..length) else {
            return false;
        };
        for element in text.split_mut(|b| *b == b',') {
            let range = element.iter().position(|b| *b == b';');
            let range = range.unwrap_or(element.len());
            element[..range].make_ascii_lowercase();
        }
        let mut ranges: [(&[u8], u16); RANGES_MAX] = [(b"", 0); RANGES_MAX];
        let mut count = 0;
        for element in text.split(|b| *b == b',').map(trim) {
            if element.is_empty() {
                continue;
            }
            let Some(range) = self.range(element) else {
                return false;
            };
            if count == RANGES_MAX {
                return false;
            }
            ranges[count] = range;
            count += 1;
        }
        let ranges = &mut ranges[..count];
        ranges.sort_unstable();
        if ranges
            .windows(2)
            .any(|w| w[0].0 == w[1].0 && w[0].1 != w[1].1)
        {
            return false;
        }
        let mut before: Option<&[u8]> = None;
        for (range, weight) in ranges.iter() {
            if before != Some(range) {
                f(range, *weight);
            }
            before = Some(range);
        }
        true
    }

    /// One element: the range with the parameters that belong to it, and its weight.
    fn range(self, element: &[u8]) -> Option<(&[u8], u16)> {
        let mut parts = element.split(|b| *b == b';');
        let first = parts.next()?;
        let range = trim(first);
        let legal = match self {
            Weighted::Token => is_token(range),
            Weighted::Media => {
                let slash = range.iter().position(|b| *b == b'/')?;
                is_token(&range[..slash]) && is_token(&range[slash + 1..])
            }
        };
        if !legal {
            return None;
        }
        // where the range ends with its parameters: a weight comes behind them, and nothing behind it
        let (mut at, mut end, mut weight) = (first.len(), range.len(), None);
        for part in parts {
            at += 1 + part.len();
            let parameter = trim(part);
            if weight.is_some() {
                return None;
            }
            if let [b'q' | b'Q', b'=', value @ ..] = parameter {
                weight = Some(qvalue(value)?);
                continue;
            }
            let equals = parameter.iter().position(|b| *b == b'=')?;
            let (name, value) = (&parameter[..equals], &parameter[equals + 1..]);
            if self == Weighted::Token || !is_token(name) || !is_token(value) {
                return None;
            }
            end = trim(&element[..at]).len();
        }
        Some((&element[..end], weight.unwrap_or(WEIGHT_MAX)))
    }
}

fn is_token(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|b| is_token_byte(*b))
}

/// RFC 9110 §12.4.2: `0` to `1`, with at most three digits behind the point, in thousandths.
pub(crate) fn qvalue(value: &[u8]) -> Option<u16> {
    let (whole, digits) = match value {
        [whole, b'.', digits @ ..] => (whole, digits),
        [whole] => (whole, &b""[..]),
        _ => return None,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = digits.get(place).map_or(0, |digit| u16::from(digit - b'0'));
        thousandths = thousandths * 10 + digit;
    }
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(WEIGHT_MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, header};

    fn read(name: &HeaderName, lines: &[&str]) -> Option<String> {
        let mut fields = HeaderMap::new();
        for line in lines {
            fields.append(name, HeaderValue::from_str(line).unwrap());
        }
        let mut got = Vec::new();
        let weighted = Weighted::of(name).unwrap();
        let readable = weighted.each(name, &fields, |range, weight| {
            got.push(format!("{} {weight}", String::from_utf8_lossy(range)));
        });
        assert!(readable || got.is_empty());
        readable.then(|| got.join(", "))
    }

    #[test]
    fn ranges_come_in_one_order_in_lower_case_with_their_weights() {
        let (language, accept) = (&header::ACCEPT_LANGUAGE, &header::ACCEPT);
        for (id, name, lines, expect) in [
            (
                "12.5.4-01",
                language,
                &["de, en"][..],
                Some("de 1000, en 1000"),
            ),
            (
                "12.5.4-02 order",
                language,
                &["en,de"],
                Some("de 1000, en 1000"),
            ),
            (
                "12.5.4-03 case",
                language,
                &["DE, eN"],
                Some("de 1000, en 1000"),
            ),
            (
                "12.5.4-04 lines",
                language,
                &["en", " de"],
                Some("de 1000, en 1000"),
            ),
            ("12.5.4-05 empty", language, &[""], Some("")),
            ("12.5.4-06 empty", language, &[", ,"], Some("")),
            (
                "12.5.4-07 twice",
                language,
                &["de, de;q=1"],
                Some("de 1000"),
            ),
            ("12.5.4-08 any", language, &["*;q=0"], Some("* 0")),
            ("12.4.2-01", language, &["de;q=0.5"], Some("de 500")),
            ("12.4.2-02", language, &["de ; Q=0.500"], Some("de 500")),
            ("12.4.2-03", language, &["de;q=1.000"], Some("de 1000")),
            ("12.4.2-04", language, &["de;q=0.001"], Some("de 1")),
            ("12.4.2-05", language, &["de;q=0."], Some("de 0")),
            ("12.4.2-06", language, &["de;q=1.001"], None),
            ("12.4.2-07", language, &["de;q=0.0001"], None),
            ("12.4.2-08", language, &["de;q=.5"], None),
            ("12.4.2-09", language, &["de;q=2"], None),
            ("12.4.2-10", language, &["de;q"], None),
            ("12.4.2-11", language, &["de;q= 1"], None),
            ("12.4.2-12", language, &["de;q=1;q=1"], None),
            ("12.4.2-13 two weights", language, &["de, de;q=0.5"], None),
            ("12.5.4-09 parameter", language, &["de;level=1"], None),
            ("12.5.4-10 no token", language, &["de/en"], None),
            ("12.5.4-11 no token", language, &["\"de, en\""], None),
            ("12.5.4-12 nothing", language, &[";q=1"], None),
            (
                "12.5.1-01",
                accept,
                &["text/HTML, */*;q=0.1"],
                Some("*/* 100, text/html 1000"),
            ),
            (
                "12.5.1-02",
                accept,
                &["text/*;level=1;q=0.3"],
                Some("text/*;level=1 300"),
            ),
            (
                "12.5.1-03",
                accept,
                &["text/html;v=A"],
                Some("text/html;v=A 1000"),
            ),
            ("12.5.1-04", accept, &["text/html;v=\"a,b\""], None),
            ("12.5.1-05", accept, &["text"], None),
            ("12.5.1-06", accept, &["text/html;q=1;ext=2"], None),
            ("12.5.1-07", accept, &["/html"], None),
        ] {
            assert_eq!(read(name, lines).as_deref(), expect, "{id}: {lines:?}");
        }
    }

    #[test]
    fn a_list_that_is_too_long_is_not_read() {
        let list = |n: usize| {
            (0..n)
                .map(|n| format!("x{n}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        let name = &header::ACCEPT_CHARSET;
        assert!(read(name, &[&list(RANGES_MAX)]).is_some());
        assert!(read(name, &[&list(RANGES_MAX + 1)]).is_none());
        let longest = "x".repeat(TEXT_BYTES_MAX - 1);
        assert!(read(name, &[&longest]).is_some());
        assert!(read(name, &[&longest, "x"]).is_none());
        assert!(read(name, &[&"x".repeat(TEXT_BYTES_MAX)]).is_none());
        assert!(read(name, &[&"x".repeat(4 * TEXT_BYTES_MAX), "x"]).is_none());
    }
}
