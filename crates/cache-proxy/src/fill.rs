//! A fill: one exchange of its own with the next server, whose answer becomes a copy.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::{Asking, Hook};
use crate::fills::Fill;
use crate::message;
use crate::outbound::introduce;
use crate::sink::FillSink;
use http::{HeaderMap, Method, header};
use seawall_cache_store::Head;
use seawall_client_conn::{ClientSession, ShutdownWatch, Slot};
use seawall_http_cache::{strip_hop_by_hop, validation_fields};
use seawall_upstream::Ask;
use std::sync::Arc;

/// A stored copy that a fill may validate, or fall back to.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) head: Arc<Head>,
    pub(crate) variant: u64,
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

/// Runs `fill` in the background until its answer is complete, stored where it may be, or has failed. `stored` is
/// validated; `replaced` is what lies under the key, usable or not.
pub(crate) fn spawn(
    proxy: &Arc<CacheProxy>,
    fill: Arc<Fill>,
    asked: Arc<Asked>,
    stored: Option<Stored>,
    replaced: Option<Stored>,
    stop: &ShutdownWatch,
) {
    let (proxy, stop) = (proxy.clone(), stop.clone());
    tokio::spawn(async move {
        let _running = proxy.metrics().fills_in_flight.guard();
        run(&proxy, fill, asked, stored, replaced, &stop).await;
    });
}

async fn run(
    proxy: &Arc<CacheProxy>,
    fill: Arc<Fill>,
    asked: Arc<Asked>,
    stored: Option<Stored>,
    replaced: Option<Stored>,
    stop: &ShutdownWatch,
) {
    let fields = request_fields(proxy, &asked, stored.as_ref());
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
                validates: stored.as_ref().map(|stored| stored.head.clone()),
                answer: None,
            }),
        ));
        let before = Before {
            stored: stored.clone(),
            replaced: replaced.clone(),
        };
        let sink = FillSink::new(
            proxy.clone(),
            fill.clone(),
            asked.clone(),
            asking.clone(),
            ask.clone(),
            before,
        );
        let Some(request) = message::request(&Method::GET, &asked.target, &fields) else {
            // a head that pingora refuses was refused to the client before; the sink ends the fill when it is dropped
            return;
        };
        let slot = Slot::default();
        let session = ClientSession::new(sink, slot.clone(), request, false);
        proxy.upstream().exchange(session, ask, stop).await;
        // and with the slot the sink: what is not complete by now has failed
        drop(slot);
        if !asking.is_covered() {
            return;
        }
    }
}

/// The request of a fill asks for the whole selected representation: the conditions and ranges of the one who asked
/// are answered from the copy.
pub(crate) fn request_fields(
    proxy: &CacheProxy,
    asked: &Asked,
    stored: Option<&Stored>,
) -> HeaderMap {
    let mut fields = (*asked.fields).clone();
    strip_hop_by_hop(&mut fields);
    for name in [
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
        header::EXPECT,
    ] {
        fields.remove(name);
    }
    introduce(&mut fields, asked, proxy.tier());
    if let Some(stored) = stored {
        validation_fields(&stored.head.original_fields().fields, &mut fields);
    }
    fields
}
