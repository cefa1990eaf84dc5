//! A fill: one exchange of its own with the next server, whose answer becomes a copy.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::{Asking, Hook};
use crate::fills::Fill;
use crate::outbound::introduce;
use crate::parts::RUN_BYTES;
use crate::running::Running;
use crate::sink::FillSink;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use seawall_cache_store::{CHUNK_BYTES, Head};
use seawall_http_cache::{range_to_forward, validation_fields};
use seawall_upstream::Ask;
use std::sync::Arc;

/// A stored copy that a fill may validate, or fall back to.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) head: Arc<Head>,
    pub(crate) variant: u64,
}

impl Stored {
    pub(crate) fn new(head: &Arc<Head>, variant: u64) -> Self {
        let head = head.clone();
        Self { head, variant }
    }
}

/// What lies under the key when a fill begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Before {
    /// A copy that may be validated, or fallen back to.
    pub(crate) stored: Option<Stored>,
    /// The copy that an answer takes the place of, usable or not: an error answer inherits what it can be purged by.
    pub(crate) replaced: Option<Stored>,
}

/// Attempts over all addresses and next servers of one exchange.
pub(crate) const ATTEMPTS_MAX: usize = 4;

/// Runs `fill` until its answer is complete, stored where it may be, or has failed. `stored` is validated; `replaced` is
/// what lies under the key, usable or not; `range` is asked for rather than the whole.
pub(crate) fn begin(
    proxy: &Arc<CacheProxy>,
    fill: Arc<Fill>,
    asked: Arc<Asked>,
    before: Before,
    range: Option<HeaderValue>,
) -> Running {
    let proxy = proxy.clone();
    Running::new(async move {
        let _running = proxy.metrics().fills_in_flight.guard();
        run(&proxy, fill, asked, before, range).await;
    })
}

async fn run(
    proxy: &Arc<CacheProxy>,
    fill: Arc<Fill>,
    asked: Arc<Asked>,
    before: Before,
    range: Option<HeaderValue>,
) {
    let ranged = range.is_some();
    let fields = || {
        let mut fields = request_fields(proxy, &asked, before.stored.as_ref());
        if let Some(range) = &range {
            fields.insert(header::RANGE, range.clone());
        }
        fields
    };
    // a neighbour's answer that a purge covers is asked for once more, and then nothing from before that purge will do
    for insists in [false, true] {
        let asking = Asking::new(&asked, insists);
        let ask = Arc::new(Ask::new(
            proxy.tier().hops(&asked.service, asked.key.hash64()),
            asked.service.timeouts,
            ATTEMPTS_MAX,
            Box::new(Hook {
                asked: asked.clone(),
                asking: asking.clone(),
                proxy: proxy.clone(),
                validates: before.stored.as_ref().map(|stored| stored.head.clone()),
                replaces: before.replaced.as_ref().map(|stored| stored.head.clone()),
                answer: None,
            }),
        ));
        let mut sink = FillSink::new(
            proxy.clone(),
            fill.clone(),
            asked.clone(),
            asking.clone(),
            ask.clone(),
            before.clone(),
            ranged,
        );
        let upstream = proxy.upstream();
        upstream.fetch(&mut sink, &asked.target, fields, &ask).await;
        // what is not complete by now has failed
        drop(sink);
        if !asking.is_covered() {
            return;
        }
    }
}

/// Whether a copy is longer than what is fetched whole for the sake of a range.
pub(crate) fn is_long(stored: &Stored) -> bool {
    stored.head.length > RUN_BYTES
}

/// The range that a fill for `asked` asks for rather than the whole: the client's own, in whole chunks, of what is not
/// stored, or is and is either incomplete or long. Of a shorter copy that is validated the whole is asked for.
pub(crate) fn range_to_ask(asked: &Asked, stored: Option<&Stored>) -> Option<HeaderValue> {
    let in_parts = asked.method == Method::GET
        && stored.is_none_or(|stored| {
            let head = &stored.head;
            head.status == StatusCode::OK && (is_long(stored) || head.is_incomplete())
        });
    in_parts
        .then(|| range_to_forward(&asked.fields, CHUNK_BYTES, RUN_BYTES))
        .flatten()
}

/// Room for the fields that a question has beside the request's own: who asks, a validator, what tiers tell each other.
const ADDED: usize = 12;

/// The request of a fill asks for the whole selected representation unless it is told otherwise: the conditions and ranges of the one who asked
/// are answered from the copy.
pub(crate) fn request_fields(
    proxy: &CacheProxy,
    asked: &Asked,
    stored: Option<&Stored>,
) -> HeaderMap {
    let is_of_client = |name: &HeaderName| {
        matches!(
            *name,
            header::RANGE
                | header::IF_RANGE
                | header::IF_MATCH
                | header::IF_NONE_MATCH
                | header::IF_MODIFIED_SINCE
                | header::IF_UNMODIFIED_SINCE
                | header::EXPECT
        )
    };
    let mut fields = HeaderMap::with_capacity(asked.fields.len() + ADDED);
    // what belongs to the client's connection was taken off when the request was placed
    for (name, value) in &*asked.fields {
        if !is_of_client(name) {
            fields.append(name, value.clone());
        }
    }
    introduce(&mut fields, asked, proxy.tier());
    if let Some(stored) = stored {
        validation_fields(&stored.head.original_fields().fields, &mut fields);
    }
    fields
}
