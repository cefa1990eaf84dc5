//! One request and its answer, as it is given to whoever answers.

use crate::ShutdownWatch;
use crate::head::RequestHead;
use crate::info::ConnInfo;
use crate::session::{ClientSession, Slot};
use crate::wire::Wire;
use bytes::{Bytes, BytesMut};
use pingora::http::RequestHeader;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

/// The body of a quick answer.
#[derive(Debug)]
pub enum QuickBody {
    None,
    One(Bytes),
    Many(Vec<Bytes>),
}

/// A longer body is written from where it lies; a shorter one is copied behind its head, so that answers to pipelined
/// requests go out together.
const COPIED_BYTES_MAX: usize = 2048;

impl QuickBody {
    /// The body, if it is short enough to be copied behind its head.
    pub(crate) fn short(self) -> Result<Bytes, Self> {
        match self {
            Self::None => Ok(Bytes::new()),
            Self::One(data) if data.len() <= COPIED_BYTES_MAX => Ok(data),
            long => Err(long),
        }
    }
}

/// What a connection asks of the one that answers.
pub trait Handler: Send + Sync + Sized + 'static {
    /// A look at a plain HTTP/1.1 head, before anything is allocated. Writes status line and fields to `out` (each line
    /// ended by CRLF; no `Connection`, no empty line) and returns the body, or leaves `out` as it was and returns `None`.
    fn quick(
        &self,
        head: &RequestHead<'_>,
        info: &ConnInfo,
        out: &mut BytesMut,
    ) -> Option<QuickBody>;

    /// Answers an exchange.
    fn exchange<W: Wire>(self: Arc<Self>, exchange: Exchange<W>)
    -> impl Future<Output = ()> + Send;

    /// The codec refused a request, and answered it with `status`.
    fn rejected(&self, info: &ConnInfo, status: u16, reason: &'static str);
}

/// A request and the wire that its answer goes to. However this ends, the wire is back with its connection.
pub struct Exchange<W: Wire> {
    /// Origin form, exactly one `Host`, hop-by-hop fields still in it.
    pub request: Box<RequestHeader>,
    pub info: Arc<ConnInfo>,
    /// The client asks for another protocol on this connection.
    pub upgrade: bool,
    /// When the head was complete.
    pub received: Instant,
    stop: ShutdownWatch,
    wire: Option<W>,
    slot: Slot<W>,
}

impl<W: Wire> Exchange<W> {
    pub(crate) fn new(
        request: Box<RequestHeader>,
        info: Arc<ConnInfo>,
        upgrade: bool,
        stop: ShutdownWatch,
        wire: W,
        slot: Slot<W>,
    ) -> Self {
        Self {
            request,
            info,
            upgrade,
            received: Instant::now(),
            stop,
            wire: Some(wire),
            slot,
        }
    }

    pub fn wire(&mut self) -> &mut W {
        self.wire
            .as_mut()
            .expect("the wire is there until the exchange ends")
    }

    pub fn stop(&self) -> &ShutdownWatch {
        &self.stop
    }

    /// For pingora.
    pub fn into_session(mut self) -> ClientSession<W> {
        let wire = self
            .wire
            .take()
            .expect("the wire is there until the exchange ends");
        let request = std::mem::replace(&mut *self.request, empty_request());
        ClientSession::new(wire, self.slot.clone(), request, self.upgrade)
    }
}

fn empty_request() -> RequestHeader {
    RequestHeader::from(http::Request::new(()).into_parts().0)
}

impl<W: Wire> Drop for Exchange<W> {
    fn drop(&mut self) {
        if let Some(wire) = self.wire.take() {
            *self.slot.lock() = Some(wire);
        }
    }
}
