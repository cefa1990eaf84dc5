//! `Max-Forwards` (RFC 9110 §7.6.2): how far a request goes.

use http::Method;

use crate::fields::{Fields, Single};

/// How often a request may be forwarded: at 0 the recipient answers it, else what is sent on says one less. `None`: it
/// does not say, or its method does not count.
///
/// OPTIONS and TRACE count. A value that is no number, or stands there twice, is ignored. A number beyond `u32` is as
/// good as its largest.
pub fn forwards_left(method: &Method, fields: &dyn Fields) -> Option<u32> {
    if !matches!(*method, Method::OPTIONS | Method::TRACE) {
        return None;
    }
    let value = Single::of(fields, "max-forwards").once()?;
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = value.iter().fold(0_u32, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add((digit - b'0').into())
    });
    Some(number)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn options_and_trace_count_and_what_is_no_number_does_not() {
        // id, method, lines, expectation (RFC 9110 §7.6.2)
        for (id, method, lines, expect) in [
            ("9110-7.6.2-01", "OPTIONS", &["0"][..], Some(0)),
            ("9110-7.6.2-02", "TRACE", &["7"], Some(7)),
            ("9110-7.6.2-03", "OPTIONS", &["007"], Some(7)),
            ("9110-7.6.2-04", "OPTIONS", &["4294967295"], Some(u32::MAX)),
            ("9110-7.6.2-05", "OPTIONS", &["4294967296"], Some(u32::MAX)),
            (
                "9110-7.6.2-06",
                "OPTIONS",
                &["99999999999999999999"],
                Some(u32::MAX),
            ),
            ("9110-7.6.2-07", "OPTIONS", &[], None),
            ("9110-7.6.2-08", "OPTIONS", &[""], None),
            ("9110-7.6.2-09", "OPTIONS", &["-1"], None),
            ("9110-7.6.2-10", "OPTIONS", &["1, 2"], None),
            ("9110-7.6.2-11", "OPTIONS", &["1", "1"], None),
            ("9110-7.6.2-12", "OPTIONS", &["x"], None),
            ("9110-7.6.2-13", "GET", &["0"], None),
            ("9110-7.6.2-14", "POST", &["0"], None),
        ] {
            let mut fields = HeaderMap::new();
            for line in lines {
                fields.append("max-forwards", HeaderValue::from_static(line));
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(forwards_left(&method, &fields), expect, "{id}");
        }
    }
}
