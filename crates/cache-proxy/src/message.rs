//! pingora's message heads, made from and changed by plain field maps.

use http::{HeaderMap, Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};

/// A request head in origin form. `None` where pingora refuses it.
pub(crate) fn request(method: &Method, target: &str, fields: &HeaderMap) -> Option<RequestHeader> {
    let mut request =
        RequestHeader::build_no_case(method.clone(), target.as_bytes(), Some(fields.len())).ok()?;
    for (name, value) in fields {
        // they come from a map that holds legal ones
        let _ = request.append_header(name, value.clone());
    }
    Some(request)
}

/// A response head.
pub(crate) fn response(status: StatusCode, fields: HeaderMap) -> ResponseHeader {
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = status;
    parts.headers = fields;
    ResponseHeader::from(parts)
}

pub(crate) fn replace_response_fields(response: &mut ResponseHeader, fields: HeaderMap) {
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = response.status;
    parts.version = response.version;
    parts.extensions = response.extensions.clone();
    parts.headers = fields;
    let reason = response.get_reason_phrase().map(str::to_owned);
    *response = ResponseHeader::from(parts);
    // a phrase that was legal before is legal now
    let _ = response.set_reason_phrase(reason.as_deref());
}
