//! `CDN-Loop` (RFC 8586): has this request been here before.

use crate::fields::Fields;
use crate::list::{for_each_element, trim};

/// How often `id` stands in `CDN-Loop`, parameters aside, in any case of letters (a cdn-id may be a host name).
pub fn cdn_loop_count(fields: &dyn Fields, id: &str) -> usize {
    let mut count = 0;
    fields.each("cdn-loop", &mut |line| {
        for_each_element(line, |info| {
            let cdn_id = trim(info.split(|b| *b == b';').next().unwrap_or_default());
            count += usize::from(cdn_id.eq_ignore_ascii_case(id.as_bytes()));
        });
    });
    count
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn check(lines: &[&str], expect: usize) {
        let mut fields = HeaderMap::new();
        for line in lines {
            fields.append("cdn-loop", HeaderValue::from_str(line).unwrap());
        }
        assert_eq!(cdn_loop_count(&fields, "seawall-1"), expect, "{lines:?}");
    }

    #[test]
    fn an_id_is_counted_in_every_line_whatever_its_parameters() {
        check(&[], 0);
        check(
            &["foo123.foocdn.example, barcdn.example; trace=\"abcdef\""],
            0,
        );
        check(&["seawall-1"], 1);
        check(&["SeaWall-1 ; a=b"], 1);
        check(&["seawall-1, other, seawall-1;a=\"x, seawall-1\""], 2);
        check(&["seawall-1", "other", "seawall-1"], 2);
        check(&["seawall-10, xseawall-1, a=seawall-1"], 0);
        check(&["a;b=\"unclosed, seawall-1"], 1);
    }
}
