//! Events as they happen (server-sent events).

use super::Api;
use super::auth::Reads;
use crate::events::Event;
use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use std::convert::Infallible;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_stream::Stream;

/// One event for each purge, node and service version; `missed` says how many a slow listener did not get.
pub(super) async fn stream(
    _: Reads,
    State(api): State<Api>,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let listening = api.plane.events.listen();
    let stream = futures::stream::unfold(listening, |mut listening: Receiver<Event>| async {
        let event = match listening.recv().await {
            Ok(event) => sse::Event::default()
                .event(event.kind)
                .data(event.data.to_string()),
            Err(RecvError::Lagged(count)) => sse::Event::default()
                .event("missed")
                .data(count.to_string()),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event), listening))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}
