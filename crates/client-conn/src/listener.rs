//! Listening sockets: one for each worker, on one address.

use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

/// Connections that wait to be accepted, for each socket.
const BACKLOG: i32 = 4096;

/// The sockets of one address. They can be handed over: [`Bound::into_listeners`] and [`Bound::from_listeners`].
#[derive(Debug)]
pub struct Bound {
    address: SocketAddr,
    listeners: Vec<TcpListener>,
}

/// Binds `address` once for each worker; the kernel spreads connections over them (`SO_REUSEPORT`). Port 0: one that
/// the kernel picks, the same for all.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Bound> {
    // without SO_REUSEPORT first: another process that listens here is found out, instead of sharing with it
    if address.port() != 0 {
        drop(socket(address, false)?);
    }
    let first = socket(address, true)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..workers.max(1) {
        listeners.push(socket(address, true)?);
    }
    Ok(Bound { address, listeners })
}

fn socket(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    if reuse_port {
        // the connections have it from here
        socket.set_tcp_nodelay(true)?;
        await_first_bytes(&socket)?;
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// A connection is there to be accepted when its first bytes are, or after a second without them: clients speak first here,
/// over TLS too. One that asks once and closes is then looked at once, and woken for once (`TCP_DEFER_ACCEPT`, tcp(7)).
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "no crate that is used here sets this option of a socket"
)]
fn await_first_bytes(listener: &impl AsRawFd) -> io::Result<()> {
    let seconds: libc::c_int = 1;
    // SAFETY: the descriptor is open as long as `listener` is borrowed, and the option is an integer of this size.
    let set = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            std::ptr::from_ref(&seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(not(target_os = "linux"))]
fn await_first_bytes(_listener: &impl AsRawFd) -> io::Result<()> {
    Ok(())
}

impl Bound {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes over sockets that listen already, all on one address.
    pub fn from_listeners(listeners: Vec<TcpListener>) -> io::Result<Self> {
        let first = listeners.first().ok_or(io::ErrorKind::InvalidInput)?;
        let address = first.local_addr()?;
        for listener in &listeners {
            listener.set_nonblocking(true)?;
            SockRef::from(listener).set_tcp_nodelay(true)?;
            await_first_bytes(listener)?;
            if listener.local_addr()? != address {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "sockets of several addresses",
                ));
            }
        }
        Ok(Self { address, listeners })
    }

    pub fn into_listeners(self) -> Vec<TcpListener> {
        self.listeners
    }
}
