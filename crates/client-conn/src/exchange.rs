//! One request and its answer, as it is given to whoever answers.

use crate::ShutdownWatch;
use crate::head::RequestHead;
use crate::info::ConnInfo;
use crate::session::{ClientSession, Slot};
use crate::wire::Wire;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// The body of a quick answer.
pub enum QuickBody {
    None,
    /// So much of what somebody holds; it lies there.
    Held(Arc<dyn AsRef<[u8]> + Send + Sync>, Range<usize>),
    Many(Vec<Bytes>),
}

/// A longer body is written from where it lies; a shorter one is copied behind its head, so that answers to pipelined
/// requests go out together.
const COPIED_BYTES_MAX: usize = 2048;

impl QuickBody {
    /// The body, if it is short enough to be copied behind its head.
    pub(crate) fn short(&self) -> Option<&[u8]> {
        match self {
            Self::None => Some(&[]),
            Self::Held(holder, bytes) if bytes.len() <= COPIED_BYTES_MAX => {
                Some(held(&**holder, bytes))
            }
            Self::Held(..) | Self::Many(_) => None,
        }
    }

    /// The body in pieces that hold their memory themselves.
    pub(crate) fn into_parts(self) -> Vec<Bytes> {
        match self {
            Self::None => Vec::new(),
            Self::Held(holder, bytes) => vec![Bytes::from_owner(Holder(holder, bytes))],
            Self::Many(parts) => parts,
        }
    }
}

/// These bytes of what `holder` holds.
pub(crate) fn held<'h>(
    holder: &'h (dyn AsRef<[u8]> + Send + Sync),
    bytes: &Range<usize>,
) -> &'h [u8] {
    holder.as_ref().get(bytes.clone()).unwrap_or_default()
}

struct Holder(Arc<dyn AsRef<[u8]> + Send + Sync>, Range<usize>);

impl AsRef<[u8]> for Holder {
    fn as_ref(&self) -> &[u8] {
        held(&*self.0, &self.1)
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
    pub request: Box<Parts>,
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
        request: Box<Parts>,
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
        let request = std::mem::replace(&mut *self.request, no_request());
        ClientSession::new(wire, self.slot.clone(), request.into(), self.upgrade)
    }
}

/// A head with nothing in it.
pub(crate) fn no_request() -> Parts {
    http::Request::new(()).into_parts().0
}

impl<W: Wire> Drop for Exchange<W> {
    fn drop(&mut self) {
        if let Some(wire) = self.wire.take() {
            *self.slot.lock() = Some(wire);
        }
    }
}
