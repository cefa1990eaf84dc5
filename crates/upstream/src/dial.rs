//! Connections that are opened by other means than TCP.

use async_trait::async_trait;
use pingora::{Error, ErrorType, OrErr, Result};
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket;
use pingora_core::protocols::l4::stream::Stream as Stream4;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use seawall_client_conn::Stream;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Opens streams to servers: specs have nodes that meet in memory.
pub trait Dial: fmt::Debug + Send + Sync + 'static {
    /// A stream to `address`, or why there is none: as if the connection had been refused.
    fn dial(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>>;
}

/// What pingora asks for connections.
#[derive(Debug)]
pub(crate) struct Dialler(pub(crate) Arc<dyn Dial>);

#[async_trait]
impl Connect for Dialler {
    async fn connect(&self, address: &socket::SocketAddr) -> Result<Stream4> {
        let Some(&address) = address.as_inet() else {
            return Error::e_explain(ErrorType::ConnectNoRoute, "no IP address");
        };
        let stream = self.0.dial(address).or_err(ErrorType::ConnectRefused, "")?;
        Ok(VirtualSocketStream::new(Box::new(Socket(stream))).into())
    }
}

struct Socket(Box<dyn Stream>);

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl VirtualSocket for Socket {
    /// There is nothing below that had such options.
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
