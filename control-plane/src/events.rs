//! What happens in the fleet, as it happens. Nobody's correctness depends on it: who listens too slowly misses some.

use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;

/// Events that a slow listener may be behind before it misses some.
const QUEUE: usize = 1024;

/// One event.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// `purge`, `node`, `service`.
    pub kind: &'static str,
    pub data: Value,
}

/// The stream of events.
#[derive(Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(QUEUE))
    }
}

impl Events {
    /// Tells whoever listens.
    pub fn tell(&self, kind: &'static str, data: Value) {
        // nobody may be listening
        let _ = self.0.send(Event { kind, data });
    }

    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
