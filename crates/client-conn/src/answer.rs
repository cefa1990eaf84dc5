//! Error answers of our own: one line of text that says why.

use bytes::Bytes;
use http::StatusCode;
use pingora::http::ResponseHeader;

/// The methods that go through here, as far as they have a name (RFC 9110 §10.2.1): an origin may know fewer.
pub const ALLOW: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Head and body of an error answer. `reason`: one line, lower case; control characters are replaced.
pub fn error_head(status: u16, reason: &str) -> (ResponseHeader, Bytes) {
    let reason: String = reason
        .chars()
        .take(300)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let body = Bytes::from(format!("seawall: {reason}\n"));
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields = &mut parts.headers;
    fields.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    fields.insert(
        http::header::CONTENT_LENGTH,
        http::HeaderValue::from(body.len()),
    );
    fields.insert(
        http::header::CACHE_CONTROL,
        http::HeaderValue::from_static("no-store"),
    );
    if status == 405 {
        fields.insert(http::header::ALLOW, http::HeaderValue::from_static(ALLOW));
    }
    (ResponseHeader::from(parts), body)
}
