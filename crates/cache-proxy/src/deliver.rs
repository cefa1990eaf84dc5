//! A copy goes to a client. Stored or still growing, whole, in parts, as a 304 or to HEAD: all by this code.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::copy::CopyHead;
use crate::link;
use crate::message;
use crate::scoped::untold;
use crate::sink::TAG_FIELDS;
use crate::source::{Broken, Held, Source};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use seawall_client_conn::Wire;
use seawall_http_cache::{
    ByteRange, CacheStatus, Forward, Outcome, Precondition, Ranges, Timestamp, evaluate,
    not_modified_fields, ranges,
};
use std::ops::Range;

/// How the exchange came to this copy, for `Cache-Status` and the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Story {
    pub(crate) outcome: Outcome,
    /// Why the next server was asked; `None` where it was not.
    pub(crate) forward: Option<Forward>,
    /// Its answer's status.
    pub(crate) forward_status: Option<u16>,
    pub(crate) collapsed: bool,
    pub(crate) detail: Option<&'static str>,
}

impl Story {
    pub(crate) fn hit(outcome: Outcome) -> Self {
        Self {
            outcome,
            forward: None,
            forward_status: None,
            collapsed: false,
            detail: None,
        }
    }

    /// The same, of a copy of which some was lost and is asked for (RFC 9211 §2.2: `fwd=partial`).
    pub(crate) fn partial(mut self) -> Self {
        if self.outcome == Outcome::Hit {
            self.outcome = Outcome::Partial;
        }
        self.forward = self.forward.or(Some(Forward::Partial));
        self
    }
}

/// What a client got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    pub(crate) outcome: Outcome,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
}

impl Delivered {
    /// The client left before anything was sent.
    pub(crate) fn nothing() -> Self {
        Self {
            outcome: Outcome::Error,
            status: 499,
            bytes: 0,
        }
    }
}

const BOUNDARY_DIGITS: usize = 24;

/// Sends the copy (`head`, `source`) as the answer to `asked`. `None`: nothing was sent, since the copy cannot answer it:
/// some of its body was lost. Never `None` for a growing copy.
pub(crate) async fn deliver<W: Wire>(
    proxy: &CacheProxy,
    wire: &mut W,
    asked: &Asked,
    head: &CopyHead,
    mut source: Source,
    story: Story,
) -> Option<Delivered> {
    let now = seawall_client_conn::now();
    let (status, length, mut fields) = (head.status, head.length, head.fields.clone());
    if let Some(freshness) = &head.freshness {
        let age = freshness.age(now);
        // an answer that was just fetched and has no age says nothing of it
        let fetched = story.forward.is_some_and(|why| why != Forward::Partial);
        if !fetched || age > 0 || story.outcome == Outcome::Revalidated {
            fields.insert(header::AGE, HeaderValue::from(age));
        }
    }
    cache_status(proxy, asked, &mut fields, head, &story, now);
    if asked.is_from_fleet() {
        link::write_answer(
            &mut fields,
            link::Stated {
                label: asked.label_of(head, story.collapsed),
                fetched: head.fetched && !story.collapsed,
                stale: head.stale || matches!(story.outcome, Outcome::Stale | Outcome::StaleError),
                framed: head.framed,
            },
        );
        if let Some(scopes) = &head.scopes {
            let untold = untold(asked, &fields, scopes);
            link::write_scopes(&mut fields, &untold);
        }
    }
    let mut plan = plan(asked, status, fields, length, source.is_stored());
    let mut outcome = story.outcome;
    match source.begin(wire, &plan.wanted(length)).await {
        Ok(Held::All) => {}
        Ok(Held::Partial) => {
            let story = story.partial();
            outcome = story.outcome;
            cache_status(proxy, asked, &mut plan.fields, head, &story, now);
        }
        Err(Broken::Client) => return Some(Delivered::nothing()),
        Err(Broken::Fill | Broken::Gone) => return None,
    }
    let mut sending = Sending { wire, sent: 0 };
    let status = plan.status.as_u16();
    if sending.run(plan, &mut source).await.is_err() {
        sending.wire.abort();
    }
    if source.was_partial() && outcome == Outcome::Hit {
        // it came out only when the head had gone
        outcome = Outcome::Partial;
    }
    Some(Delivered {
        outcome,
        status,
        bytes: sending.sent,
    })
}

fn cache_status(
    proxy: &CacheProxy,
    asked: &Asked,
    fields: &mut HeaderMap,
    head: &CopyHead,
    story: &Story,
    now: Timestamp,
) {
    if !asked.service.response.cache_status && !asked.is_from_fleet() {
        return;
    }
    let name = proxy.tier().kind().cache_name();
    let ttl = head
        .freshness
        .as_ref()
        .filter(|_| head.stored)
        .map(|f| f.ttl(now));
    let member = CacheStatus {
        cache: name,
        hit: story.forward.is_none(),
        forward: story.forward,
        forward_status: story.forward_status,
        ttl,
        stored: head.stored && story.forward.is_some(),
        collapsed: story.collapsed,
        key: None,
        detail: story.detail.or(head.detail),
    };
    let mut value = head.upstream_cache_status.to_vec();
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(member.to_string().as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&value) {
        fields.insert("cache-status", value);
    }
}

/// What will be sent.
struct Plan {
    status: StatusCode,
    fields: HeaderMap,
    body: Send,
}

enum Send {
    Nothing,
    Whole,
    One(Range<u64>),
    /// Each part with the head that goes before it, and the closing boundary.
    Many(Vec<(Bytes, Range<u64>)>, Bytes),
}

impl Plan {
    /// The parts of the body that it takes; of one without a known length nothing can be said.
    fn wanted(&self, length: Option<u64>) -> Vec<Range<u64>> {
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
/// Several ranges of a copy that is still growing are answered with the whole: a server may ignore Range.
fn plan(
    asked: &Asked,
    status: StatusCode,
    mut fields: HeaderMap,
    length: Option<u64>,
    stored: bool,
) -> Plan {
    let request = &*asked.fields;
    let validator = |name: header::HeaderName, fields: &HeaderMap| {
        fields.get(name).map(|v| v.as_bytes().to_vec())
    };
    let etag = validator(header::ETAG, &fields);
    let modified = validator(header::LAST_MODIFIED, &fields);
    let date = validator(header::DATE, &fields);
    let (etag, modified, date) = (etag.as_deref(), modified.as_deref(), date.as_deref());
    let head_only = asked.method == Method::HEAD;
    if status == StatusCode::OK {
        match evaluate(&asked.method, request, etag, modified, date) {
            Precondition::NotModified => {
                let mut kept = not_modified_fields(&fields);
                let ours = ["age", "cache-status", "via"].map(header::HeaderName::from_static);
                let linked = [
                    link::LABEL,
                    link::FETCHED,
                    link::STALE,
                    link::UNFRAMED,
                    link::SCOPES,
                ];
                // whoever validates a copy of its own learns its label and tags anew; to clients tags were withheld
                for name in ours.iter().chain(&linked).chain(&TAG_FIELDS) {
                    if let Some(value) = fields.get(name) {
                        kept.insert(name.clone(), value.clone());
                    }
                }
                return Plan {
                    status: StatusCode::NOT_MODIFIED,
                    fields: kept,
                    body: Send::Nothing,
                };
            }
            Precondition::Failed => {
                fields.remove(header::CONTENT_TYPE);
                fields.remove(header::CONTENT_ENCODING);
                fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
                return Plan {
                    status: StatusCode::PRECONDITION_FAILED,
                    fields,
                    body: Send::Nothing,
                };
            }
            Precondition::None | Precondition::Proceed => {}
        }
        if let (Some(length), false) = (length, head_only) {
            match ranges(request, etag, modified, date, length) {
                Ranges::Whole => {}
                Ranges::Unsatisfiable => {
                    fields.remove(header::CONTENT_TYPE);
                    fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
                    insert(
                        &mut fields,
                        header::CONTENT_RANGE,
                        &format!("bytes */{length}"),
                    );
                    return Plan {
                        status: StatusCode::RANGE_NOT_SATISFIABLE,
                        fields,
                        body: Send::Nothing,
                    };
                }
                Ranges::Parts(parts) if stored || parts.len() == 1 => {
                    return partial(asked, fields, &parts, length);
                }
                Ranges::Parts(_) => {}
            }
        }
    }
    let body = if head_only {
        Send::Nothing
    } else {
        Send::Whole
    };
    Plan {
        status,
        fields,
        body,
    }
}

fn insert(fields: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        fields.insert(name, value);
    }
}

fn partial(asked: &Asked, mut fields: HeaderMap, parts: &[ByteRange], length: u64) -> Plan {
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

struct Sending<'a, W: Wire> {
    wire: &'a mut W,
    sent: u64,
}

impl<W: Wire> Sending<'_, W> {
    async fn run(&mut self, plan: Plan, source: &mut Source) -> Result<(), Broken> {
        let response = message::response(plan.status, plan.fields);
        let ends = matches!(plan.body, Send::Nothing);
        self.wire
            .head(&response, ends)
            .await
            .map_err(|_| Broken::Client)?;
        match plan.body {
            Send::Nothing => {}
            Send::Whole => {
                while let Some(data) = source.next(self.wire).await? {
                    self.data(data).await?;
                }
            }
            Send::One(range) => self.range(source, range).await?,
            Send::Many(parts, closing) => {
                for (head, range) in parts {
                    self.data(head).await?;
                    match &mut *source {
                        // each part reads the body from its start
                        Source::Ready(whole) => {
                            self.range(&mut Source::Ready(whole.clone()), range).await?;
                        }
                        source => self.range(source, range).await?,
                    }
                }
                self.data(closing).await?;
            }
        }
        self.wire.end(None).await.map_err(|_| Broken::Client)?;
        self.wire.flush().await.map_err(|_| Broken::Client)
    }

    async fn data(&mut self, data: Bytes) -> Result<(), Broken> {
        self.sent += data.len() as u64;
        self.wire
            .data(data, false)
            .await
            .map_err(|_| Broken::Client)
    }

    /// Sends `range` of a body that is read from its start.
    async fn range(&mut self, source: &mut Source, range: Range<u64>) -> Result<(), Broken> {
        let mut at = source.seek(&range);
        while at < range.end {
            let Some(data) = source.next(self.wire).await? else {
                return Err(Broken::Fill);
            };
            let (start, end) = (at, at + data.len() as u64);
            at = end;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                self.data(data.slice((from - start) as usize..(to - start) as usize))
                    .await?;
            }
        }
        Ok(())
    }
}
