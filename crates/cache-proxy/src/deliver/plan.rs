//! What of a copy goes to a client: conditions and ranges judged against it.

use crate::asked::Asked;
use crate::copy::CopyHead;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use seawall_http_cache::{
    ByteRange, Precondition, Ranges, evaluate, fleet_not_modified_fields, has_preconditions,
    not_modified_fields, ranges, refusal_fields, remove_content_digests,
};
use std::ops::Range;

/// All of the 128 bits, so that the length of an answer does not depend on them.
const BOUNDARY_DIGITS: usize = 32;

/// What will be sent.
pub(super) struct Plan {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) body: Send,
}

pub(super) enum Send {
    Nothing,
    Whole,
    One(Range<u64>),
    /// Each part with the head that goes before it, and the closing boundary.
    Many(Vec<(Bytes, Range<u64>)>, Bytes),
}

impl Plan {
    /// The parts of the body that it takes; of one without a known length nothing can be said.
    pub(super) fn wanted(&self, length: Option<u64>) -> Vec<Range<u64>> {
        match &self.body {
            Send::Nothing => Vec::new(),
            Send::Whole => length.map(|n| 0..n).into_iter().collect(),
            Send::One(range) => vec![range.clone()],
            Send::Many(parts, _) => parts.iter().map(|(_, range)| range.clone()).collect(),
        }
    }
}

/// Judges conditions and ranges against the copy (RFC 9110 §13.2.2, §14).
///
/// `fields` are those of `head` with what this delivery adds. Several ranges of a copy that is still growing (not
/// `stored`) are answered with the whole: a server may ignore Range.
pub(super) fn plan(asked: &Asked, head: &CopyHead, fields: HeaderMap, stored: bool) -> Plan {
    let request = &*asked.fields;
    let (status, length) = (head.status, head.length);
    let head_only = asked.method == Method::HEAD;
    let body = if head_only {
        Send::Nothing
    } else {
        Send::Whole
    };
    if !request.contains_key(header::RANGE) && !has_preconditions(request) {
        return Plan {
            status,
            fields,
            body,
        };
    }
    let validator = |name: header::HeaderName, fields: &HeaderMap| {
        fields.get(name).map(|v| v.as_bytes().to_vec())
    };
    let etag = validator(header::ETAG, &fields);
    let modified = validator(header::LAST_MODIFIED, &fields);
    // it stands in for Last-Modified of stored responses alone (RFC 9111 §4.3.2)
    let date = validator(header::DATE, &fields).filter(|_| head.stored);
    let (etag, modified, date) = (etag.as_deref(), modified.as_deref(), date.as_deref());
    let now = asked.received_at;
    // RFC 9110 §13.2.1: conditions are for what would succeed
    if status.is_success() && status != StatusCode::PARTIAL_CONTENT {
        match evaluate(&asked.method, request, etag, modified, date, now) {
            Precondition::NotModified => {
                return Plan {
                    status: StatusCode::NOT_MODIFIED,
                    fields: not_modified(asked, &fields),
                    body: Send::Nothing,
                };
            }
            Precondition::Failed => {
                return refused(StatusCode::PRECONDITION_FAILED, &fields);
            }
            Precondition::None | Precondition::Proceed => {}
        }
    }
    if status == StatusCode::OK
        && !head.whole_only
        && let (Some(length), false) = (length, head_only)
    {
        match ranges(request, etag, modified, date, length, now) {
            Ranges::Whole => {}
            Ranges::Unsatisfiable => {
                let mut plan = refused(StatusCode::RANGE_NOT_SATISFIABLE, &fields);
                let whole = format!("bytes */{length}");
                insert(&mut plan.fields, header::CONTENT_RANGE, &whole);
                return plan;
            }
            Ranges::Parts(parts) if stored || parts.len() == 1 => {
                return partial(asked, fields, &parts, length);
            }
            Ranges::Parts(_) => {}
        }
    }
    Plan {
        status,
        fields,
        body,
    }
}

/// The fields of a 304: short for clients, and for a neighbour all that its copy is to have.
fn not_modified(asked: &Asked, fields: &HeaderMap) -> HeaderMap {
    if asked.is_from_fleet() {
        return fleet_not_modified_fields(fields);
    }
    not_modified_fields(fields)
}

/// A refusal by the copy's validators or length.
fn refused(status: StatusCode, fields: &HeaderMap) -> Plan {
    let mut fields = refusal_fields(fields);
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    Plan {
        status,
        fields,
        body: Send::Nothing,
    }
}

fn insert(fields: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        fields.insert(name, value);
    }
}

fn partial(asked: &Asked, mut fields: HeaderMap, parts: &[ByteRange], length: u64) -> Plan {
    // they digest the content of a message, which is another one now (RFC 9530 §2, RFC 1864)
    remove_content_digests(&mut fields);
    let content_range = |r: &ByteRange| format!("bytes {}-{}/{length}", r.start, r.end - 1);
    if let [one] = parts {
        insert(&mut fields, header::CONTENT_RANGE, &content_range(one));
        fields.insert(
            header::CONTENT_LENGTH,
            HeaderValue::from(one.end - one.start),
        );
        return Plan {
            status: StatusCode::PARTIAL_CONTENT,
            fields,
            body: Send::One(one.start..one.end),
        };
    }
    let boundary = format!(
        "{:0width$x}",
        asked.key.0 ^ u128::from(asked.id),
        width = BOUNDARY_DIGITS
    );
    let kind = fields
        .get(header::CONTENT_TYPE)
        .map(|v| {
            format!(
                "content-type: {}\r\n",
                String::from_utf8_lossy(v.as_bytes())
            )
        })
        .unwrap_or_default();
    let mut total = 0;
    let body: Vec<(Bytes, Range<u64>)> = parts
        .iter()
        .map(|range| {
            let head = format!(
                "\r\n--{boundary}\r\n{kind}content-range: {}\r\n\r\n",
                content_range(range)
            );
            total += head.len() as u64 + (range.end - range.start);
            (Bytes::from(head), range.start..range.end)
        })
        .collect();
    let closing = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    total += closing.len() as u64;
    insert(
        &mut fields,
        header::CONTENT_TYPE,
        &format!("multipart/byteranges; boundary={boundary}"),
    );
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(total));
    Plan {
        status: StatusCode::PARTIAL_CONTENT,
        fields,
        body: Send::Many(body, closing),
    }
}
