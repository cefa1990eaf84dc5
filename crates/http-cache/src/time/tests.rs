use super::*;

/// 2026-11-25 19:00:00.
const NOW: Timestamp = Timestamp(1_795_633_200);

fn check(id: &str, value: &str, expect: Option<u64>) {
    let got = Timestamp::parse_http_date(value.as_bytes(), NOW).map(|t| t.0);
    assert_eq!(got, expect, "{id}: {value}");
}

#[test]
fn an_http_date_has_three_spellings_and_no_others() {
    // RFC 9110 §5.6.7
    let t = Some(784_111_777);
    check("imf-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", t);
    check("rfc850", "Sunday, 06-Nov-94 08:49:37 GMT", t);
    check("asctime", "Sun Nov  6 08:49:37 1994", t);
    check("white space around", " Sun, 06 Nov 1994 08:49:37 GMT\t", t);
    check("epoch", "Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
    for (id, value) in [
        ("zero", "0"),
        ("minus one", "-1"),
        ("empty", ""),
        ("utc", "Sun, 06 Nov 1994 08:49:37 UTC"),
        ("offset", "Sun, 06 Nov 1994 08:49:37 +0000"),
        ("no zone", "Sun, 06 Nov 1994 08:49:37"),
        ("iso", "1994-11-06T08:49:37Z"),
        ("month out of range", "Sun, 06 Nox 1994 08:49:37 GMT"),
        ("day out of range", "Sun, 36 Nov 1994 08:49:37 GMT"),
        ("hour out of range", "Sun, 06 Nov 1994 24:49:37 GMT"),
        ("second date behind", "Sun, 06 Nov 1994 08:49:37 GMT, x"),
        ("not text", "Sun, 06 Nov 1994 08:49:37 GMT\u{fe}"),
    ] {
        check(id, value, None);
    }
}

#[test]
fn letters_count_in_either_case_and_the_name_of_the_day_must_only_be_one() {
    let t = Some(784_111_777);
    // RFC 9111 §4.2
    check("9111-4.2-case-1", "sun, 06 NOV 1994 08:49:37 gmt", t);
    check("9111-4.2-case-2", "SUNDAY, 06-nov-94 08:49:37 Gmt", t);
    check("9111-4.2-case-3", "sUn nOV  6 08:49:37 1994", t);
    // RFC 9110 §5.6.7
    check("9110-5.6.7-day-1", "Mon, 06 Nov 1994 08:49:37 GMT", t);
    check("9110-5.6.7-day-2", "Monday, 06-Nov-94 08:49:37 GMT", t);
    check("9110-5.6.7-day-3", "Mon Nov  6 08:49:37 1994", t);
    for (id, value) in [
        ("9110-5.6.7-day-4", "Sonntag, 06-Nov-94 08:49:37 GMT"),
        ("9110-5.6.7-day-5", "Xxx, 06 Nov 1994 08:49:37 GMT"),
        ("9110-5.6.7-day-6", "Sun, 06-Nov-94 08:49:37 GMT"),
        ("9110-5.6.7-day-7", "Sunday, 06 Nov 1994 08:49:37 GMT"),
        ("9110-5.6.7-day-8", "Sun,06 Nov 1994 08:49:37 GMT"),
        ("9110-5.6.7-day-9", ", 06-Nov-94 08:49:37 GMT"),
        ("9110-5.6.7-width-1", "Sun, 6 Nov 1994 08:49:37 GMT"),
        ("9110-5.6.7-width-2", "Sun, 06 Nov 94 08:49:37 GMT"),
        ("9110-5.6.7-width-3", "Sun, 06 Nov 1994 8:49:37 GMT"),
        ("9110-5.6.7-width-4", "Sun, 06 Nov 1994 08:49 GMT"),
        ("9110-5.6.7-width-5", "Sun, 06  Nov 1994 08:49:37 GMT"),
        ("9110-5.6.7-width-6", "Sun Nov 6 08:49:37 1994"),
        ("9110-5.6.7-width-7", "Sun Nov  6 08:49:37 94"),
        ("9110-5.6.7-width-8", "Sunday, 06-Nov-1994 08:49:37 GMT"),
        ("9110-5.6.7-zone-1", "Sun, 06 Nov 1994 08:49:37 EST"),
        ("9110-5.6.7-zone-2", "Sunday, 06-Nov-94 08:49:37 UTC"),
        ("9110-5.6.7-zone-3", "Sun Nov  6 08:49:37 1994 GMT"),
        ("9110-5.6.7-zone-4", "Sun, 06 Nov 1994 08:49:37  GMT"),
        ("9110-5.6.7-dots", "Sun, 06 Nov 1994 08.49.37 GMT"),
        ("9110-5.6.7-minute", "Sun, 06 Nov 1994 08:60:37 GMT"),
        ("9110-5.6.7-second", "Sun, 06 Nov 1994 08:49:61 GMT"),
        ("9110-5.6.7-sign", "Sun, +6 Nov 1994 08:49:37 GMT"),
        ("9110-5.6.7-month-1", "Wed, 30 Feb 1994 08:49:37 GMT"),
        ("9110-5.6.7-month-2", "Mon, 29 Feb 2100 08:49:37 GMT"),
        ("9110-5.6.7-month-3", "Thu, 31 Nov 1994 08:49:37 GMT"),
        ("9110-5.6.7-month-4", "Sun, 00 Nov 1994 08:49:37 GMT"),
        ("9110-5.6.7-before", "Wed, 31 Dec 1969 23:59:59 GMT"),
        ("9110-5.6.7-year-0", "Sat, 01 Jan 0000 00:00:00 GMT"),
    ] {
        check(id, value, None);
    }
    let leap = Some(951_825_600);
    check("9110-5.6.7-leap", "Tue, 29 Feb 2000 12:00:00 GMT", leap);
    // 23:59:60 of 2016, read as the second before it
    let leap = Some(1_483_228_799);
    check("9111-4.2-leap", "Sat, 31 Dec 2016 23:59:60 GMT", leap);
    let last = Some(HTTP_DATE_MAX);
    check("9110-5.6.7-last", "Fri, 31 Dec 9999 23:59:59 GMT", last);
}

#[test]
fn a_year_of_two_digits_lies_at_most_50_years_ahead() {
    // RFC 9110 §5.6.7; rows are read at NOW, in 2026
    for (id, value, same) in [
        (
            "9110-5.6.7-yy-1 B21",
            "Monday, 06-Jan-75 00:00:00 GMT",
            "Sun, 06 Jan 2075 00:00:00 GMT",
        ),
        (
            "9110-5.6.7-yy-2",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT",
        ),
        (
            "9110-5.6.7-yy-3",
            "Friday, 01-Jan-27 00:00:00 GMT",
            "Fri, 01 Jan 2027 00:00:00 GMT",
        ),
        (
            "9110-5.6.7-yy-4 last year",
            "Friday, 01-Jan-25 00:00:00 GMT",
            "Wed, 01 Jan 2025 00:00:00 GMT",
        ),
        (
            "9110-5.6.7-yy-5 50 years to the second",
            "Wednesday, 25-Nov-76 19:00:00 GMT",
            "Wed, 25 Nov 2076 19:00:00 GMT",
        ),
        (
            "9110-5.6.7-yy-6 a second more",
            "Thursday, 25-Nov-76 19:00:01 GMT",
            "Thu, 25 Nov 1976 19:00:01 GMT",
        ),
        (
            "9110-5.6.7-yy-7",
            "Friday, 31-Dec-99 23:59:59 GMT",
            "Fri, 31 Dec 1999 23:59:59 GMT",
        ),
        (
            "9110-5.6.7-yy-8",
            "Saturday, 01-Jan-00 00:00:00 GMT",
            "Sat, 01 Jan 2000 00:00:00 GMT",
        ),
        (
            "9110-5.6.7-yy-9 of a leap year",
            "Tuesday, 29-Feb-00 00:00:00 GMT",
            "Tue, 29 Feb 2000 00:00:00 GMT",
        ),
    ] {
        let expect = Timestamp::parse_http_date(same.as_bytes(), NOW).map(|t| t.0);
        assert!(expect.is_some(), "{same}");
        check(id, value, expect);
    }
    check(
        "9110-5.6.7-yy-10 no leap year",
        "Tuesday, 29-Feb-26 00:00:00 GMT",
        None,
    );
    let read = |now: u64, year: u64| {
        let text = format!("Sunday, 06-Jan-{year:02} 00:00:00 GMT");
        Timestamp::parse_http_date(text.as_bytes(), Timestamp(now))
    };
    let in_full = |year: u64| {
        let text = format!("Sun, 06 Jan {year} 00:00:00 GMT");
        Timestamp::parse_http_date(text.as_bytes(), NOW)
    };
    // at the epoch, in 2099, and where years end
    assert_eq!(read(0, 94), in_full(1994));
    assert_eq!(read(0, 70), in_full(1970));
    assert_eq!(
        read(0, 21),
        None,
        "1921 cannot be said in seconds since 1970"
    );
    assert_eq!(read(4_080_000_000, 20), in_full(2120));
    assert_eq!(read(4_080_000_000, 99), in_full(2099));
    assert_eq!(read(u64::MAX, 99), in_full(9999));
}

#[test]
fn a_written_date_reads_back() {
    // httpdate writes, with a calendar of its own: a day in each month of 400 years
    let days = (0..400 * 12).map(|month| month * 2_629_746 + 12_345);
    for secs in [0, 784_111_777, 4_102_444_800, HTTP_DATE_MAX]
        .into_iter()
        .chain(days)
    {
        let text = Timestamp(secs).to_http_date();
        assert_eq!(
            Timestamp::parse_http_date(text.as_bytes(), NOW),
            Some(Timestamp(secs)),
            "{text}"
        );
    }
    assert_eq!(
        Timestamp(u64::MAX).to_http_date(),
        Timestamp(HTTP_DATE_MAX).to_http_date()
    );
}

#[test]
fn arithmetic_saturates() {
    assert_eq!(Timestamp(5).saturating_since(Timestamp(9)), 0);
    assert_eq!(Timestamp(9).saturating_since(Timestamp(5)), 4);
    assert_eq!(Timestamp(u64::MAX).plus(1), Timestamp(u64::MAX));
}
