//! Events as they happen (server-sent events).

use super::auth::Reads;
use super::{Api, Refused};
use crate::events::Event;
use crate::plane::Plane;
use crate::serve::ended;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_stream::Stream;

/// Listeners at a time.
pub(super) const LISTENERS_MAX: usize = 128;

struct Listening {
    events: Receiver<Event>,
    revocations: watch::Receiver<u64>,
    ending: watch::Receiver<bool>,
    plane: Arc<Plane>,
    token: String,
    _room: OwnedSemaphorePermit,
}

impl Listening {
    /// The next event. `None`: the token was revoked, or the control plane ends.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            let event = tokio::select! {
                biased;
                () = ended(&mut self.ending) => return None,
                changed = self.revocations.changed() => {
                    changed.ok()?;
                    if !self.plane.tokens.holds(&self.token) {
                        return None;
                    }
                    continue;
                }
                event = self.events.recv() => event,
            };
            return match event {
                Ok(event) => Some(
                    sse::Event::default()
                        .event(event.kind)
                        .data(event.data.to_string()),
                ),
                Err(RecvError::Lagged(count)) => Some(
                    sse::Event::default()
                        .event("missed")
                        .data(count.to_string()),
                ),
                Err(RecvError::Closed) => None,
            };
        }
    }
}

/// One event for each purge, node and service version; `missed` says how many a slow listener did not get.
pub(super) async fn stream(
    Reads(caller): Reads,
    State(api): State<Api>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Refused> {
    let room = api.listeners.clone().try_acquire_owned().map_err(|_| {
        let reason = format!("{LISTENERS_MAX} listen already");
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    })?;
    let plane = api.plane;
    let listening = Listening {
        events: plane.events.listen(),
        revocations: plane.tokens.revocations(),
        ending: plane.ending.subscribe(),
        plane,
        token: caller.token_id,
        _room: room,
    };
    let stream = futures::stream::unfold(listening, |mut listening| async {
        let event = listening.next().await?;
        Some((Ok(event), listening))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
