//! A copy goes to a client. Stored or still growing, whole, in parts, as a 304 or to HEAD: all by this code.

mod plan;
mod status;

use self::plan::{Plan, Send, plan};
use self::status::{cache_status, is_stored_now};
use crate::CacheProxy;
use crate::asked::Asked;
use crate::copy::CopyHead;
use crate::held::Held;
use crate::link;
use crate::message;
use crate::scoped::untold;
use crate::source::{Broken, Source};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use seawall_client_conn::Wire;
use seawall_http_cache::{Forward, Outcome};
use std::borrow::Cow;
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

/// Sends the copy (`head`, `source`) as the answer to `asked`. `None`: nothing was sent, since the copy cannot answer it:
/// some of its body was lost. Never `None` for a growing copy. `withheld` are fields for this client that the copy has not.
pub(crate) async fn deliver<W: Wire>(
    proxy: &CacheProxy,
    wire: &mut W,
    asked: &Asked,
    head: &CopyHead,
    mut source: Source,
    mut story: Story,
    withheld: Option<&HeaderMap>,
) -> Option<Delivered> {
    let now = seawall_client_conn::now();
    let (length, mut fields) = (head.length, head.fields.clone());
    for name in withheld.iter().flat_map(|own| own.keys()) {
        fields.remove(name);
    }
    for (name, value) in withheld.into_iter().flatten() {
        fields.append(name, value.clone());
    }
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
    let mut plan = plan(asked, head, fields, source.is_stored());
    match source.begin(wire, &plan.wanted(length)).await {
        Ok(Held::All) => {}
        Ok(Held::Partial) => {
            story = story.partial();
            cache_status(proxy, asked, &mut plan.fields, head, &story, now);
        }
        Err(Broken::Client) => return Some(Delivered::nothing()),
        Err(Broken::Fill | Broken::Gone) => return None,
    }
    let mut sending = Sending { wire, sent: 0 };
    let status = plan.status.as_u16();
    // before it is sent: who has the answer can ask for its reason
    let detail = story.detail.or(head.detail).map(Cow::Borrowed);
    proxy.decided(asked, &story, status, is_stored_now(head, &story), detail);
    if sending.run(plan, &mut source).await.is_err() {
        sending.wire.abort();
    }
    if source.was_partial() && story.outcome == Outcome::Hit {
        // it came out only when the head had gone
        story = story.partial();
    }
    Some(Delivered {
        outcome: story.outcome,
        status,
        bytes: sending.sent,
    })
}

/// Whether the copy answers `asked` with any of its body; not so where it is HEAD, or where a condition is answered by 304
/// or 412. Of what [`deliver`] sends without `withheld`.
pub(crate) fn takes_body(asked: &Asked, head: &CopyHead) -> bool {
    let plan = plan(asked, head, head.fields.clone(), false);
    !matches!(plan.body, Send::Nothing)
}

/// What a delivery of the copy would send: the status, and the parts of the body that it takes. `stored`: any part of it
/// can be read.
pub(crate) fn would_send(
    asked: &Asked,
    head: &CopyHead,
    stored: bool,
) -> (StatusCode, Vec<Range<u64>>) {
    let plan = plan(asked, head, head.fields.clone(), stored);
    (plan.status, plan.wanted(head.length))
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
                        Source::Ready(whole, at) => {
                            let mut whole = Source::Ready(whole.clone(), *at);
                            self.range(&mut whole, range).await?;
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
