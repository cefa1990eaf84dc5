//! HEAD to the next server, whose answer is looked at before the client gets it.

use super::question;
use crate::CacheProxy;
use crate::asked::Asked;
use crate::asking::Asking;
use crate::deliver::Delivered;
use crate::message;
use crate::outbound::introduce;
use bytes::Bytes;
use http::HeaderMap;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_core::protocols::l4::socket::SocketAddr;
use seawall_client_conn::{ClientSession, Exchange, Slot, Wire};
use seawall_http_cache::{Forward, Outcome, strip_hop_by_hop};
use std::sync::Arc;

/// Interim answers kept for the client.
const INTERIM_MAX: usize = 16;

/// What the next server said, ready for the client.
pub(crate) struct Probed {
    pub(crate) head: Box<ResponseHeader>,
    /// It is an error answer of our own: there was no other.
    pub(crate) failed: bool,
    interim: Vec<ResponseHeader>,
}

/// Asks. `None`: the client has left meanwhile, or nothing can be told.
pub(crate) async fn probe<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    asked: &Arc<Asked>,
    forward: Forward,
) -> Option<Probed> {
    let asking = Asking::new(asked, false);
    let ask = question(proxy, asked, &asking, forward, None);
    let mut fields = (*asked.fields).clone();
    strip_hop_by_hop(&mut fields);
    introduce(&mut fields, asked, proxy.tier());
    let request = message::request(&asked.method, &asked.target, &fields)?;
    let sink = HeadSink {
        head: None,
        interim: Vec::new(),
        addrs: (
            SocketAddr::Inet(asked.info.peer),
            SocketAddr::Inet(asked.info.local),
        ),
    };
    let slot = Slot::default();
    let session = ClientSession::new(sink, slot.clone(), request, false);
    let stop = x.stop().clone();
    tokio::select! { biased;
        () = proxy.upstream().exchange(session, ask.clone(), &stop) => {}
        _ = x.wire().idle() => return None,
    }
    let sink = slot.lock().take()?;
    Some(Probed {
        head: Box::new(sink.head?),
        failed: ask.failure().is_some(),
        interim: sink.interim,
    })
}

impl Probed {
    /// Sends it to the client.
    pub(crate) async fn deliver<W: Wire>(self, wire: &mut W) -> Delivered {
        let sent = async {
            for interim in &self.interim {
                wire.head(interim, false).await?;
            }
            wire.head(&self.head, true).await?;
            wire.end(None).await?;
            wire.flush().await
        };
        if sent.await.is_err() {
            wire.abort();
        }
        Delivered {
            outcome: if self.failed {
                Outcome::Error
            } else {
                Outcome::Pass
            },
            status: self.head.status.as_u16(),
            bytes: 0,
        }
    }
}

/// The client side of the exchange: it keeps heads, and there is no body.
struct HeadSink {
    head: Option<ResponseHeader>,
    interim: Vec<ResponseHeader>,
    addrs: (SocketAddr, SocketAddr),
}

impl Wire for HeadSink {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn idle(&mut self) -> Result<()> {
        std::future::pending().await
    }

    fn body_done(&mut self) -> bool {
        true
    }

    async fn head(&mut self, response: &ResponseHeader, _end: bool) -> Result<()> {
        if !response.status.is_informational() {
            self.head.get_or_insert_with(|| response.clone());
        } else if self.interim.len() < INTERIM_MAX {
            self.interim.push(response.clone());
        }
        Ok(())
    }

    async fn data(&mut self, _data: Bytes, _end: bool) -> Result<()> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn end(&mut self, _trailers: Option<HeaderMap>) -> Result<()> {
        Ok(())
    }

    fn abort(&mut self) {}

    fn peer(&self) -> &SocketAddr {
        &self.addrs.0
    }

    fn local(&self) -> &SocketAddr {
        &self.addrs.1
    }
}
