//! A closed loop of keep-alive connections, one thread for all of them.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What one turn came to.
pub(crate) struct Turn {
    requests: u64,
    took: Duration,
    cpu: Duration,
}

impl Turn {
    pub(crate) fn micros_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

/// One answer, whole, of the second of two requests: the first one fills the cache.
pub(crate) fn once(address: SocketAddr, request: &str) -> Result<Vec<u8>> {
    let mut stream = connect(address)?;
    let mut answer = Vec::new();
    for _ in 0..2 {
        stream.write_all(request.as_bytes())?;
        answer = read_answer(&mut stream)?;
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        bail!("the URL is not answered with 200");
    }
    Ok(answer)
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn read_answer(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut part = vec![0; 256 * 1024];
    loop {
        let n = stream.read(&mut part)?;
        if n == 0 {
            bail!("the connection was closed");
        }
        answer.extend_from_slice(&part[..n]);
        if let Some(length) = whole_length(&answer)?
            && answer.len() >= length
        {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

/// Length of head and body together, once the head is there.
fn whole_length(answer: &[u8]) -> Result<Option<usize>> {
    let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "));
    let length: usize = length
        .context("the answer has no Content-Length")?
        .trim()
        .parse()?;
    Ok(Some(end + 4 + length))
}

/// Sends on all connections, then reads from all: as many requests are in flight as there are connections.
pub(crate) fn drive(
    address: SocketAddr,
    request: &str,
    connections: usize,
    turn: Duration,
    cpu: impl Fn() -> Result<Duration>,
) -> Result<Turn> {
    let mut streams = (0..connections.clamp(1, 10_000))
        .map(|_| connect(address))
        .collect::<Result<Vec<_>>>()?;
    let mut part = vec![0; 256 * 1024];
    let (began, before) = (Instant::now(), cpu()?);
    let mut requests = 0;
    while began.elapsed() < turn {
        for stream in &mut streams {
            stream.write_all(request.as_bytes())?;
        }
        for stream in &mut streams {
            let mut n = stream.read(&mut part)?;
            // Age and ttl change: each answer's own length counts
            let Some(length) = whole_length(&part[..n])? else {
                bail!("a head in pieces")
            };
            while n < length {
                let room = part.len().min(length - n);
                n += match stream.read(&mut part[..room])? {
                    0 => bail!("the connection was closed"),
                    more => more,
                };
            }
            requests += 1;
        }
    }
    Ok(Turn {
        requests,
        took: began.elapsed(),
        cpu: cpu()?.saturating_sub(before),
    })
}

/// User and system time of a process so far.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat)
}

/// The 14th and 15th field, in hundredths of a second (proc(5)); the second one is in parentheses and may hold spaces.
pub(crate) fn ticks(stat: &str) -> Result<Duration> {
    let behind = stat.rsplit_once(')').context("malformed stat")?.1;
    let fields: Vec<&str> = behind.split_ascii_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}
