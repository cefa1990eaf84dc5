//! A loop over kept connections, one thread for all of them; every answer is looked at.

use super::Outcome;
use super::one::{Head, connect};
use crate::poller::Poller;
use anyhow::Result;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Says what is asked next.
pub(crate) trait Plan {
    /// Called whenever a connection is free; a request to `host` that is to be sent is appended to `out`.
    fn next(&mut self, elapsed: Duration, host: &str, out: &mut Vec<u8>) -> Next;
}

pub(crate) enum Next {
    /// Its latency counts from `due`, on the clock of `elapsed`.
    Ask {
        due: Duration,
    },
    /// Not yet: asked again at once.
    Later,
    Over,
}

/// What is wanted of a load.
pub(crate) struct Wanted {
    pub(crate) port: u16,
    /// The host that is asked for, where it is not the address.
    pub(crate) host: Option<&'static str>,
    pub(crate) connections: usize,
    /// Another length of a body is an error.
    pub(crate) body: u64,
    /// What has not come until then is an error each.
    pub(crate) at_most: Duration,
}

struct Connection {
    stream: TcpStream,
    due: Option<Duration>,
    begun: Vec<u8>,
    /// Of the answer that is being read: whether it is good so far, what is to come, whether it closes.
    reading: Option<(bool, u64, bool)>,
}

impl Connection {
    fn new(port: u16) -> Result<Self> {
        let stream = connect(port)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            due: None,
            begun: Vec::new(),
            reading: None,
        })
    }
}

/// What a read led to.
enum Came {
    More,
    Whole { good: bool, closes: bool },
    Broken,
}

/// Ends when the plan is over and all answers are there.
pub(crate) fn drive(wanted: &Wanted, plan: &mut dyn Plan) -> Result<Outcome> {
    let mut poller = Poller::new()?;
    let mut connections = Vec::new();
    for number in 0..wanted.connections {
        let connection = Connection::new(wanted.port)?;
        poller.add(&connection.stream, number)?;
        connections.push(connection);
    }
    let mut idle: Vec<usize> = (0..connections.len()).collect();
    let mut outcome = Outcome::default();
    let (mut over, mut request) = (false, Vec::new());
    let mut buffer = vec![0; 256 * 1024];
    let host = super::one::host(wanted.port, wanted.host);
    let began = Instant::now();
    while !over || idle.len() < connections.len() {
        if began.elapsed() > wanted.at_most {
            outcome.errors += (connections.len() - idle.len()).max(1) as u64;
            break;
        }
        let mut wait = Duration::from_millis(100);
        while !over && let Some(number) = idle.last().copied() {
            request.clear();
            match plan.next(began.elapsed(), &host, &mut request) {
                Next::Ask { due } => {
                    idle.pop();
                    let connection = &mut connections[number];
                    connection.due = Some(due);
                    // a short head into an empty socket: it goes whole or the connection is broken, which the read tells
                    let _ = connection.stream.write(&request);
                }
                Next::Later => {
                    wait = Duration::ZERO;
                    break;
                }
                Next::Over => over = true,
            }
        }
        for n in 0..poller.wait(Some(wait))? {
            let number = poller.ready(n);
            let connection = &mut connections[number];
            let (good, closes) = match connection.read(&mut buffer, wanted.body) {
                Came::More => continue,
                Came::Whole { good, closes } => (good, closes),
                Came::Broken => (false, true),
            };
            if let Some(due) = connection.due.take() {
                outcome.requests += 1;
                outcome.errors += u64::from(!good);
                outcome.latencies.note(began.elapsed().saturating_sub(due));
                idle.push(number);
            }
            if closes {
                *connection = Connection::new(wanted.port)?;
                poller.add(&connection.stream, number)?;
            }
        }
    }
    outcome.took = began.elapsed();
    Ok(outcome)
}

impl Connection {
    fn read(&mut self, buffer: &mut [u8], body: u64) -> Came {
        let n = match self.stream.read(buffer) {
            Ok(0) => return Came::Broken,
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Came::More,
            Err(_) => return Came::Broken,
        };
        let mut got = n as u64;
        if self.reading.is_none() {
            // most heads come whole
            let text = if self.begun.is_empty() {
                &buffer[..n]
            } else {
                self.begun.extend_from_slice(&buffer[..n]);
                &self.begun[..]
            };
            match Head::read(text) {
                None if text.len() > 64 * 1024 => return Came::Broken,
                None => {
                    if self.begun.is_empty() {
                        self.begun.extend_from_slice(&buffer[..n]);
                    }
                    return Came::More;
                }
                Some(head) => {
                    let Some(length) = head.length else {
                        return Came::Broken;
                    };
                    let good = head.status == 200 && length == body;
                    got = (text.len() - head.bytes) as u64;
                    self.reading = Some((good, length, head.closes));
                }
            }
            self.begun.clear();
        }
        let Some((good, left, closes)) = &mut self.reading else {
            return Came::More;
        };
        if got < *left {
            *left -= got;
            return Came::More;
        }
        // more than was announced: nobody asked for it
        let (good, closes) = (*good && got == *left, *closes);
        self.reading = None;
        Came::Whole { good, closes }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plans::{Each, Rate, Times};
    use super::*;
    use crate::floor::{listen, serve_prepared};

    /// Answers by the number of the request; an empty answer is none.
    fn server(answer: impl Fn(u64) -> String + Send + 'static) -> u16 {
        let listener = listen(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut requests = 0;
            serve_prepared(&listener, |_, _| {
                requests += 1;
                answer(requests).into_bytes().into()
            })
        });
        port
    }

    fn ok(body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    fn wanted(port: u16) -> Wanted {
        Wanted {
            port,
            host: None,
            connections: 4,
            body: 4,
            at_most: Duration::from_secs(20),
        }
    }

    fn load(port: u16) -> (u64, u64) {
        let mut plan = Each::new("/obj/", 100);
        let outcome = drive(&wanted(port), &mut plan).unwrap();
        (outcome.requests, outcome.errors)
    }

    #[test]
    fn each_object_is_asked_for_once() {
        assert_eq!(load(server(|_| ok("body"))), (100, 0));
    }

    #[test]
    fn other_statuses_and_lengths_are_errors() {
        let every_tenth = |n: u64, other: String| {
            if n.is_multiple_of(10) {
                other
            } else {
                ok("body")
            }
        };
        let failing = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
        let port = server(move |n| every_tenth(n, failing.to_owned()));
        assert_eq!(load(port), (100, 10));
        assert_eq!(
            load(server(move |n| every_tenth(n, ok("longer")))),
            (100, 10)
        );
    }

    #[test]
    fn more_than_was_asked_for_is_an_error() {
        let port = server(|n| {
            if n == 7 {
                ok("body") + "more"
            } else {
                ok("body")
            }
        });
        assert_eq!(load(port).1, 1);
    }

    #[test]
    fn a_server_that_is_silent_is_an_error_and_not_an_endless_wait() {
        let port = server(|_| String::new());
        let mut plan = Times { path: "/", left: 4 };
        let wanted = Wanted {
            at_most: Duration::from_millis(300),
            ..wanted(port)
        };
        assert_eq!(drive(&wanted, &mut plan).unwrap().errors, 4);
    }

    #[test]
    fn an_open_loop_counts_from_when_a_request_was_due() {
        // the first answer comes late: what was due meanwhile waited for it
        let port = server(|n| {
            if n == 1 {
                std::thread::sleep(Duration::from_millis(200));
            }
            ok("body")
        });
        let mut plan = Rate {
            path: "/",
            per_second: 1000,
            total: 100,
            asked: 0,
        };
        let mut outcome = drive(&wanted(port), &mut plan).unwrap();
        assert_eq!((outcome.requests, outcome.errors), (100, 0));
        let half = outcome.latencies.quantile(500).unwrap();
        assert!(half > 80_000.0, "half of them waited for a stall: {half}");
    }
}
