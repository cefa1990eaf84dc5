//! Ranges lie inside the representation, apart and ascending, whatever was asked for.

#![no_main]

use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use seawall_fuzz::Input;
use seawall_http_cache::{RANGES_MAX, Ranges, Targets, Timestamp, asks_for_part, is_part, ranges};

const NAMES: [&str; 8] = [
    "range",
    "if-range",
    "etag",
    "last-modified",
    "date",
    "content-range",
    "content-length",
    "content-encoding",
];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (len, now) = (input.seconds(), Timestamp(input.seconds()));
    let (request, response) = (input.fields(&NAMES), input.fields(&NAMES));
    let first = |name: &str| response.get(name).map(http::HeaderValue::as_bytes);
    let (etag, modified, date) = (first("etag"), first("last-modified"), first("date"));
    asks_for_part(&request);
    if let Ranges::Parts(parts) = ranges(&request, etag, modified, date, len, now) {
        assert!(!parts.is_empty() && parts.len() <= RANGES_MAX);
        assert!(
            parts
                .iter()
                .all(|part| part.start < part.end && part.end <= len)
        );
        assert!(parts.windows(2).all(|pair| pair[0].end < pair[1].start));
        let range = parts[0];
        let part = StatusCode::PARTIAL_CONTENT;
        let _ = is_part(&request, part, &response, range, len, &Targets::default());
    }
});
