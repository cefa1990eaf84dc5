//! The same behind TLS: rustls without a runtime.

use crate::bodies;
use crate::poller::Poller;
use anyhow::Result;
use rustix::fd::AsRawFd;
use rustix::net::{SocketFlags, accept_with};
use rustls::{ServerConfig, ServerConnection};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

struct Connection {
    stream: TcpStream,
    tls: ServerConnection,
    begun: Vec<u8>,
    blocked: bool,
}

/// Serves for ever.
pub(crate) fn serve(
    listener: &TcpListener,
    tls: &Arc<ServerConfig>,
    answers: &[Vec<u8>],
) -> Result<()> {
    let mut poller = Poller::new()?;
    let door = listener.as_raw_fd() as usize;
    poller.add(listener, door)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
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
                    let mut tls = ServerConnection::new(tls.clone())?;
                    // the whole answer, so that it is not written twice
                    tls.set_buffer_limit(None);
                    connections[number] = Some(Connection {
                        stream,
                        tls,
                        begun: Vec::new(),
                        blocked: false,
                    });
                }
                continue;
            }
            let Some(connection) = connections.get_mut(number).and_then(Option::as_mut) else {
                continue;
            };
            let went = connection
                .turn(answers)
                .and_then(|()| connection.watch(&poller, number));
            if went.is_err() {
                connections[number] = None;
            }
        }
    }
}

impl Connection {
    /// An error ends the connection.
    fn turn(&mut self, answers: &[Vec<u8>]) -> Result<()> {
        match self.tls.read_tls(&mut self.stream) {
            Ok(0) => anyhow::bail!("closed"),
            Ok(_) => {
                self.tls.process_new_packets()?;
                let mut part = [0; 4096];
                while let Ok(n @ 1..) = self.tls.reader().read(&mut part) {
                    self.begun.extend_from_slice(&part[..n]);
                }
                anyhow::ensure!(self.begun.len() < 64 * 1024, "a head that never ends");
                if self.begun.ends_with(b"\r\n\r\n") {
                    let answer = &answers[bodies::asked(&self.begun).min(answers.len() - 1)];
                    self.begun.clear();
                    self.tls.writer().write_all(answer)?;
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.into()),
        }
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn watch(&mut self, poller: &Poller, number: usize) -> Result<()> {
        let blocked = self.tls.wants_write();
        if blocked != self.blocked {
            poller.writable(&self.stream, number, blocked)?;
            self.blocked = blocked;
        }
        Ok(())
    }
}
