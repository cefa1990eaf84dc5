//! A fill that asked for a range gets a part: it is stored as an incomplete response (RFC 9111 §3.3), from which those who
//! wait are answered as from any other copy that lacks something.

use super::{Body, FillSink, Keeping};
use crate::fill::Stored;
use crate::growing::{Anew, Answer, Share, StoredAnswer};
use crate::parts::{Fetch, NoPart, PartKey, RUN_BYTES, RUN_CHUNKS};
use crate::shown::Withheld;
use crate::unstorable::in_parts;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::response::Parts;
use pingora::{Error, ErrorType, Result};
use seawall_cache_store::{CHUNK_BYTES, Head, HeadParts, INLINE_MAX, Sums};
use seawall_http_cache::{
    Incomplete, NotCombinable, Outcome, Timestamp, Unstorable, fields_of_the_whole, incomplete,
    part_validator,
};
use std::ops::Range;
use std::sync::Arc;

/// The longest body that is stored in parts (8 GiB): its head has a checksum for each chunk, 256 KiB of them.
pub(super) const IN_PARTS_BYTES_MAX: u64 = 8 << 30;

/// A part that may be stored, if its response may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coming(Incomplete);

impl Coming {
    /// Whether all of the representation comes with it, and is stored.
    pub(super) fn comes_whole(self) -> bool {
        self.0.is_whole() && self.0.length <= RUN_BYTES
    }

    /// The chunks that come whole, up to a run of them. Of a short body none: it lies beside its head.
    fn run(self) -> Range<u32> {
        let Incomplete { range, length } = self.0;
        let first = range.start.div_ceil(CHUNK_BYTES) as u32;
        let end = if range.end == length {
            length.div_ceil(CHUNK_BYTES)
        } else {
            range.end / CHUNK_BYTES
        };
        first..(end as u32).min(first.saturating_add(RUN_CHUNKS))
    }

    fn is_short(self) -> bool {
        self.0.length <= INLINE_MAX
    }
}

/// The body of a part on its way into the store.
pub(super) enum PartBody {
    /// Of a short response: stored when it is there.
    Short {
        coming: Incomplete,
        keeping: Box<Keeping>,
        share: Share,
        withheld: Withheld,
        bytes: BytesMut,
    },
    /// Of a longer one, whose head is stored already: chunk by chunk.
    Chunks {
        head: Arc<Head>,
        variant: u64,
        /// Those who read it follow; `None`: there was no room for that.
        fetch: Option<Fetch>,
        run: Range<u32>,
        /// Bytes before the first whole chunk.
        skip: u64,
        chunk: BytesMut,
    },
}

impl FillSink {
    /// A 206 to the range that was asked for.
    pub(super) fn part(&mut self, mut response: Parts, now: Timestamp) {
        let anew = |length: u64| match length {
            0..=RUN_BYTES => Anew::Whole,
            _ => Anew::Alone,
        };
        let coming = match incomplete(&response.headers) {
            Ok(coming) => Coming(coming),
            Err(NotCombinable::Validator(length)) => return self.unusable(anew(length), now),
            Err(NotCombinable::Range | NotCombinable::Length) => {
                return self.unusable(Anew::Alone, now);
            }
        };
        // its readers could not ask for what they miss (RFC 9110 §13.1.5)
        if !coming.is_short() && part_validator(&response.headers).is_none() {
            return self.unusable(anew(coming.0.length), now);
        }
        // a head of which no chunk came would be asked about again at once
        if !coming.is_short() && coming.run().is_empty() {
            return self.unusable(anew(coming.0.length), now);
        }
        fields_of_the_whole(&mut response.headers, coming.0.length);
        response.status = StatusCode::OK;
        self.part = Some(coming);
        self.own(response, now, false);
    }

    /// Nobody can be answered from it. It says that what was validated is not the version of now, or it would be a 304
    /// (RFC 9110 §13.2.2).
    fn unusable(&mut self, anew: Anew, now: Timestamp) {
        if let Some(Stored { head, variant }) = &self.before.replaced {
            let (store, key) = (self.proxy.store(), self.asked.key.0);
            store.retire(key, *variant, head.generation());
        }
        if anew == Anew::Alone {
            let key = in_parts(self.asked.own_key.0);
            self.proxy.unstorable().remember(key, now);
        }
        self.answer_stored(Answer::Unusable(anew));
    }

    /// The response was judged: `keeping`, if it may be stored; if not, perhaps `why`.
    pub(super) fn begin_part(
        &mut self,
        Coming(coming): Coming,
        keeping: Option<Box<Keeping>>,
        share: Share,
        withheld: Withheld,
        why: Option<Unstorable>,
    ) {
        let Some(keeping) = keeping else {
            if why.is_some_and(Unstorable::is_of_the_request) {
                return self.answer_stored(Answer::Unusable(Anew::Alone));
            }
            return self.unusable(Anew::Alone, seawall_client_conn::now());
        };
        if Coming(coming).is_short() {
            self.body = Body::Part(Box::new(PartBody::Short {
                coming,
                keeping,
                share,
                withheld,
                bytes: BytesMut::with_capacity(coming.range.len() as usize),
            }));
            return;
        }
        let run = Coming(coming).run();
        let count = coming.length.div_ceil(CHUNK_BYTES) as usize;
        let parts = self.head_parts(&keeping, coming.length, Sums::unknown(count));
        let head = Arc::new(Head::new(parts, None));
        let key = PartKey {
            object: self.asked.own_key.0,
            generation: head.generation(),
            index: run.start,
        };
        // before anybody can find the head
        let fetch = self.proxy.parts().lead(key, run.clone());
        let variant = self.insert(&keeping.names, head.clone());
        self.answer_part(&head, variant, share, withheld);
        self.body = Body::Part(Box::new(PartBody::Chunks {
            head,
            variant,
            fetch,
            skip: u64::from(run.start) * CHUNK_BYTES - coming.range.start,
            run,
            chunk: BytesMut::new(),
        }));
    }

    /// What the head of the incomplete response is made from.
    fn head_parts<'k>(&self, keeping: &'k Keeping, length: u64, sums: Sums) -> HeadParts<'k> {
        let head = &keeping.head;
        HeadParts {
            generation: head.generation,
            revision: 0,
            label: head.label,
            status: head.status,
            fields: &head.fields,
            hidden: keeping.hidden.clone(),
            upstream_cache_status: &head.upstream_cache_status,
            freshness: keeping.freshness.clone(),
            length,
            scopes: &keeping.scopes,
            coding: head.coding,
            object: self.asked.own_key.0,
            sums,
        }
    }

    /// Who waits, and who comes from now on, reads the stored response.
    fn answer_part(&self, head: &Arc<Head>, variant: u64, share: Share, withheld: Withheld) {
        let answer = Answer::Stored(StoredAnswer {
            head: head.clone(),
            variant,
            outcome: Outcome::Miss,
            share,
            withheld,
            status: Some(StatusCode::PARTIAL_CONTENT.as_u16()),
            stale: self.asking.learned().stale(),
            fetched: self.asking.learned().fetched(),
        });
        // what is under way is stored, also when its readers have left
        self.fill.growing.set_answer(answer, true);
        self.proxy.fills().leave(&self.fill);
    }

    /// More of the part. An error: no more of it is needed.
    pub(super) fn part_data(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        let Body::Part(part) = &mut self.body else {
            return Ok(());
        };
        match &mut **part {
            PartBody::Short { coming, bytes, .. } => {
                if bytes.len() + data.len() > coming.range.len() as usize {
                    return Error::e_explain(ErrorType::InvalidHTTPHeader, "more than a part");
                }
                bytes.extend_from_slice(&data);
            }
            PartBody::Chunks {
                head,
                fetch,
                run,
                skip,
                chunk,
                ..
            } => {
                let skipped = data.len().min(usize::try_from(*skip).unwrap_or(usize::MAX));
                *skip -= skipped as u64;
                let _ = data.split_to(skipped);
                while !data.is_empty() {
                    if Range::is_empty(run) {
                        self.finish(true);
                        return Error::e_explain(ErrorType::ConnectionClosed, "no more is needed");
                    }
                    let start = u64::from(run.start) * CHUNK_BYTES;
                    let length = CHUNK_BYTES.min(head.length - start) as usize;
                    if chunk.capacity() == 0 {
                        chunk.reserve(length);
                    }
                    chunk.extend_from_slice(&data.split_to(data.len().min(length - chunk.len())));
                    if chunk.len() < length {
                        break;
                    }
                    let bytes = std::mem::take(chunk).freeze();
                    if !self
                        .proxy
                        .store()
                        .restore_chunk(head, run.start, bytes.clone())
                    {
                        // others have had other bytes under this tag
                        self.finish(false);
                        return Error::e_explain(ErrorType::ConnectionClosed, "not its bytes");
                    }
                    if let Some(fetch) = fetch {
                        fetch.bring(bytes);
                    }
                    run.start += 1;
                }
                if Range::is_empty(run) {
                    self.finish(true);
                    return Ok(());
                }
            }
        }
        if end {
            self.finish(true);
        }
        Ok(())
    }

    /// The part is over; `complete`: as far as its framing says.
    pub(super) fn finish_part(&mut self, complete: bool) {
        let body = std::mem::replace(&mut self.body, Body::Discard);
        let Body::Part(part) = body else { return };
        let stored = match *part {
            PartBody::Short {
                coming,
                keeping,
                share,
                withheld,
                bytes,
            } => {
                let all = complete && bytes.len() as u64 == coming.range.len();
                if all {
                    let parts = self.head_parts(&keeping, coming.length, Sums::default());
                    let head = Arc::new(if coming.is_whole() {
                        Head::new(parts, Some(&[&bytes[..]]))
                    } else {
                        Head::incomplete(parts, coming.range.start, &bytes)
                    });
                    let variant = self.insert(&keeping.names, head.clone());
                    self.answer_part(&head, variant, share, withheld);
                }
                all
            }
            PartBody::Chunks {
                head,
                variant,
                fetch,
                run,
                ..
            } => {
                if let Some(fetch) = fetch.as_ref().filter(|_| !run.is_empty()) {
                    fetch.fail(NoPart::Unavailable);
                }
                let key = self.asked.own_key.0;
                self.proxy.store().note_progress(key, variant, &head);
                run.is_empty()
            }
        };
        let fills = &self.proxy.metrics().fills;
        let counter = if stored { &fills.stored } else { &fills.failed };
        counter.inc();
        self.proxy.fills().leave(&self.fill);
        self.fill.growing.finish(stored);
    }
}
