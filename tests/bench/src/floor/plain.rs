//! One thread, one read, one write: it waits for the blank line and writes one prepared answer.

use crate::poller::Poller;
use anyhow::Result;
use memchr::memmem;
use rustix::fd::AsRawFd;
use rustix::net::{SocketFlags, accept_with};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

/// The longest head of which pieces are kept.
const HEAD_MAX: usize = 64 * 1024;

struct Connection {
    stream: TcpStream,
    answer: Rc<[u8]>,
    sent: usize,
    closes: bool,
    blocked: bool,
    /// Of a head that came in pieces.
    begun: Vec<u8>,
}

/// What becomes of a connection.
#[derive(PartialEq)]
enum After {
    Keep,
    Close,
}

/// Serves for ever. `answer` is told each head, and whether the connection closes behind it.
pub(crate) fn serve(
    listener: &TcpListener,
    mut answer: impl FnMut(&[u8], bool) -> Rc<[u8]>,
) -> Result<()> {
    let mut poller = Poller::new()?;
    let door = listener.as_raw_fd() as usize;
    poller.add(listener, door)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    let nothing: Rc<[u8]> = Rc::from([]);
    loop {
        for n in 0..poller.wait(None)? {
            let number = poller.ready(n);
            if number == door {
                while let Ok(stream) = accept_with(listener, SocketFlags::NONBLOCK) {
                    let stream = TcpStream::from(stream);
                    let number = stream.as_raw_fd() as usize;
                    poller.add(&stream, number)?;
                    if connections.len() <= number {
                        connections.resize_with(number + 1, || None);
                    }
                    connections[number] = Some(Connection {
                        stream,
                        answer: nothing.clone(),
                        sent: 0,
                        closes: false,
                        blocked: false,
                        begun: Vec::new(),
                    });
                }
                continue;
            }
            let Some(connection) = connections.get_mut(number).and_then(Option::as_mut) else {
                continue;
            };
            let after = if connection.blocked {
                connection.write(&poller, number)
            } else {
                connection.read(&mut buffer, &mut answer, &poller, number)
            };
            if after == After::Close {
                connections[number] = None;
            }
        }
    }
}

impl Connection {
    fn read(
        &mut self,
        buffer: &mut [u8],
        answer: &mut impl FnMut(&[u8], bool) -> Rc<[u8]>,
        poller: &Poller,
        number: usize,
    ) -> After {
        let got = match self.stream.read(buffer) {
            Ok(0) => return After::Close,
            Ok(n) => &buffer[..n],
            Err(e) if e.kind() == ErrorKind::WouldBlock => return After::Keep,
            Err(_) => return After::Close,
        };
        let pieces;
        let head = if self.begun.is_empty() && got.ends_with(b"\r\n\r\n") {
            got
        } else {
            self.begun.extend_from_slice(got);
            if self.begun.len() > HEAD_MAX {
                return After::Close;
            }
            if !self.begun.ends_with(b"\r\n\r\n") {
                return After::Keep;
            }
            pieces = std::mem::take(&mut self.begun);
            &pieces
        };
        self.closes = memmem::find(head, b"close").is_some();
        self.answer = answer(head, self.closes);
        self.sent = 0;
        self.write(poller, number)
    }

    fn write(&mut self, poller: &Poller, number: usize) -> After {
        while self.sent < self.answer.len() {
            match self.stream.write(&self.answer[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let looks = self.blocked || poller.writable(&self.stream, number, true).is_ok();
                    self.blocked = true;
                    return if looks { After::Keep } else { After::Close };
                }
                Err(_) => return After::Close,
            }
        }
        if self.closes {
            return After::Close;
        }
        if self.blocked {
            self.blocked = false;
            if poller.writable(&self.stream, number, false).is_err() {
                return After::Close;
            }
        }
        After::Keep
    }
}
