//! `Age` as received (RFC 9111 §5.1).

use crate::cache_control::delta_seconds;
use crate::fields::Fields;
use crate::list::trim;

/// The seconds that `Age` states: the first member of the first line, as the RFC asks; 0 where it is not a number.
pub fn age_value(fields: &dyn Fields) -> u64 {
    let Some(line) = fields.first("age") else {
        return 0;
    };
    let member = line.split(|b| *b == b',').next().unwrap_or_default();
    delta_seconds(trim(member)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn check(id: &str, lines: &[&str], expect: u64) {
        let mut fields = HeaderMap::new();
        for line in lines {
            fields.append("age", HeaderValue::from_str(line).unwrap());
        }
        assert_eq!(age_value(&fields), expect, "{id}");
    }

    #[test]
    fn age_is_its_first_member_or_nothing() {
        check("absent", &[], 0);
        check("number", &["7200"], 7200);
        check("zero", &["0"], 0);
        check("leading zeros", &["007"], 7);
        check("list", &["10, 20"], 10);
        check("two lines", &["10", "20"], 10);
        check("negative", &["-10"], 0);
        check("fraction", &["10.5"], 0);
        check("word", &["abc"], 0);
        check("word behind", &["10a"], 0);
        check("parameter", &["10;a=b"], 0);
        check("quoted", &["\"10\""], 0);
        check("empty", &[""], 0);
        check("white space", &[" 10\t"], 10);
        check("plus", &["+10"], 0);
        check("space within", &["1 0"], 0);
        check("hex", &["0x10"], 0);
        check("first unreadable", &["x", "10"], 0);
        check("first member empty", &[", 10"], 0);
        check(
            "overflow",
            &["99999999999999999999999"],
            crate::DELTA_SECONDS_MAX,
        );
    }
}
