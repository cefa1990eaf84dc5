//! One read, one write: a server that waits for the blank line and writes a prepared answer.

use crate::load::cpu_of;
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A running floor; its threads end with this process.
pub(crate) struct Floor {
    address: SocketAddr,
    threads: std::sync::Arc<std::sync::Mutex<Vec<u32>>>,
}

/// Answers every request with `answer`. A thread for each connection: blocking reads are the cheapest there are.
pub(crate) fn start(answer: Vec<u8>) -> Result<Floor> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let threads = std::sync::Arc::default();
    let floor = Floor {
        address,
        threads: std::sync::Arc::clone(&threads),
    };
    let answer: std::sync::Arc<[u8]> = answer.into();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, threads) = (answer.clone(), threads.clone());
            std::thread::spawn(move || serve(stream, &answer, &threads));
        }
    });
    Ok(floor)
}

fn serve(mut stream: TcpStream, answer: &[u8], threads: &std::sync::Mutex<Vec<u32>>) {
    if let (Some(id), Ok(mut threads)) = (thread_id(), threads.lock()) {
        threads.push(id);
    }
    let _ = stream.set_nodelay(true);
    let mut buffer = [0; 4096];
    while let Ok(n) = stream.read(&mut buffer) {
        if n == 0 || (buffer[..n].ends_with(b"\r\n\r\n") && stream.write_all(answer).is_err()) {
            return;
        }
    }
}

/// This thread's id, as /proc knows it.
fn thread_id() -> Option<u32> {
    let link = std::fs::read_link("/proc/thread-self").ok()?;
    link.file_name()?.to_str()?.parse().ok()
}

impl Floor {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Processor time of its threads so far; those of connections that ended are gone.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let threads = self.threads.lock().ok().context("a thread panicked")?;
        let spent = threads.iter().filter_map(|id| cpu_of(*id).ok());
        Ok(spent.sum())
    }
}
