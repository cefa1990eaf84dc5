//! What the kernel, and a TLS or HTTP/2 library, charge for an answer: servers that know their answers beforehand.

mod plain;
mod secure;
mod streams;

pub(crate) use plain::serve as serve_prepared;
#[cfg(test)]
pub(crate) use secure::serve as serve_secure;

use crate::bodies::{self, BODIES};
use crate::peers::Certificate;
use anyhow::Result;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;

/// Of the floor's process.
#[derive(clap::Args)]
pub(crate) struct FloorArgs {
    #[arg(long)]
    plain: u16,
    #[arg(long)]
    https: Option<u16>,
    #[arg(long)]
    h2: Option<u16>,
    #[arg(long)]
    h2c: Option<u16>,
    /// Directory of the certificate.
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Threads of the plain one.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// A file that holds the one answer to everything.
    #[arg(long)]
    answer: Option<PathBuf>,
}

/// Serves until the process is ended.
pub(crate) fn run(args: &FloorArgs) -> Result<()> {
    let prepare = |extra: &str| -> Vec<Vec<u8>> {
        let bodies = BODIES.iter();
        bodies.map(|b| bodies::answer(b.bytes, extra)).collect()
    };
    let answers = match &args.answer {
        Some(file) => vec![std::fs::read(file)?],
        None => prepare("Age: 12\r\nServer: floor\r\n"),
    };
    if let Some(dir) = &args.certificate {
        let certificate = Certificate::read(dir);
        if let Some(port) = args.https {
            let (tls, listener) = (certificate.server(&[b"http/1.1"])?, listen(port)?);
            let answers = answers.clone();
            std::thread::spawn(move || secure::serve(&listener, &tls, &answers));
        }
        let h2 = args.h2.map(listen).transpose()?;
        let h2c = args.h2c.map(listen).transpose()?;
        let tls = certificate.server(&[b"h2"])?;
        std::thread::spawn(move || streams::serve(h2, h2c, tls));
    }
    // clients that ask for it want to be told that the connection closes
    let closing = match args.answer {
        Some(_) => answers.clone(),
        None => prepare("Age: 12\r\nConnection: close\r\n"),
    };
    let port = args.plain;
    let serve = move || {
        let shared = |answers: &[Vec<u8>]| -> Vec<Rc<[u8]>> {
            let answers = answers.iter();
            answers.map(|answer| Rc::from(&answer[..])).collect()
        };
        let (answers, closing) = (shared(&answers), shared(&closing));
        let last = answers.len() - 1;
        plain::serve(&listen(port)?, |head, closes| {
            let answers = if closes { &closing } else { &answers };
            answers[bodies::asked(head).min(last)].clone()
        })
    };
    for _ in 1..args.workers {
        std::thread::spawn(serve.clone());
    }
    serve()
}

/// Not blocking, with room for a burst of connections. Several threads may listen on one port, each on a socket of its own.
pub(crate) fn listen(port: u16) -> Result<TcpListener> {
    use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], port)))?;
    net::listen(&socket, 4096)?;
    Ok(socket.into())
}
