//! Any bytes are a dictionary (RFC 9651) or none; one field in two lines is the lines joined.

#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use seawall_http_cache::sf::Dictionary;
use seawall_http_cache::{CacheControl, Targets};

fuzz_target!(|data: &[u8]| {
    let whole = Dictionary::parse(data);
    let Some(middle) = data.windows(2).position(|pair| pair == b", ") else {
        return;
    };
    let (one, two) = (&data[..middle], &data[middle + 2..]);
    let (Ok(one), Ok(two)) = (HeaderValue::from_bytes(one), HeaderValue::from_bytes(two)) else {
        return;
    };
    let mut fields = HeaderMap::new();
    fields.append("cdn-cache-control", one);
    fields.append("cdn-cache-control", two);
    assert_eq!(Dictionary::of_field(&fields, "cdn-cache-control"), whole);
    let control = CacheControl::of(&fields, &Targets::default());
    let governs = whole.is_some_and(|dictionary| !dictionary.is_empty());
    assert_eq!(control.target.is_some(), governs);
});
