//! Listening sockets: one for each worker, on one address.

use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

/// Connections that wait to be accepted, for each socket.
const BACKLOG: i32 = 4096;

/// What the kernel takes of an answer that it cannot send yet (1 MiB; `TCP_NOTSENT_LOWAT`). A client that does not read
/// would make it hold as much as a connection may have, usually 4 MiB.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 1024 * 1024;

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
        prepare(&socket)?;
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// What connections have from the socket that they are accepted on.
fn prepare(listener: &Socket) -> io::Result<()> {
    listener.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    listener.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    await_first_bytes(listener)
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
            prepare(&SockRef::from(listener))?;
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Write as _};
    use std::net::TcpStream;

    #[test]
    fn the_kernel_holds_little_for_a_client_that_does_not_read() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let client = TcpStream::connect(bound.address()).unwrap();
        (&client).write_all(b"it speaks first").unwrap();
        let listener = &bound.listeners[0];
        listener.set_nonblocking(false).unwrap();
        let (mut answer, _) = listener.accept().unwrap();
        // what a receiver that does not read takes is its own kernel's affair: it is kept small here
        SockRef::from(&client)
            .set_recv_buffer_size(64 * 1024)
            .unwrap();
        answer.set_nonblocking(true).unwrap();
        let (mut taken, piece) = (0, vec![0; 64 * 1024]);
        let mut stalled = 0;
        while stalled < 20 {
            match answer.write(&piece) {
                Ok(written) => (taken, stalled) = (taken + written, 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    stalled += 1;
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(taken < 2 << 20, "{taken} bytes");
    }
}
