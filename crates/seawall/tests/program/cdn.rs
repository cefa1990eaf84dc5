//! A CDN of `up` before an origin of the test, and the commands of its operator.

use crate::running::{Running, get, seawall, stderr, stdout};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Answers everything with how often it was asked, fresh for an hour, under the surrogate key `t`.
pub(crate) struct Origin {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
}

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        // it ends with the process
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let count = count.clone();
                std::thread::spawn(move || answer(&stream.unwrap(), &count));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: &TcpStream, count: &AtomicU64) {
    let head = BufReader::new(stream).lines();
    // a request without a body ends with an empty line
    if !head.map_while(Result::ok).any(|line| line.is_empty()) {
        return;
    }
    let body = format!("answer {}", count.fetch_add(1, Ordering::SeqCst) + 1);
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncache-control: max-age=3600\r\nsurrogate-key: t\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}

/// What runs, its directory, and its operator.
pub(crate) struct Cdn {
    pub(crate) up: Running,
    pub(crate) origin: Origin,
    pub(crate) dir: tempfile::TempDir,
}

impl Cdn {
    /// One shield, two edges, no disks.
    pub(crate) fn start() -> Self {
        Self::with(&["--edges", "2", "--disk", "0"])
    }

    pub(crate) fn with(more: &[&str]) -> Self {
        let origin = Origin::start();
        let dir = tempfile::tempdir().unwrap();
        let up = up(&dir, &[&["--origin", &origin.url()], more].concat());
        Self { up, origin, dir }
    }

    pub(crate) fn data(&self) -> String {
        data(&self.dir)
    }

    /// A file of the test's own.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> String {
        get(&self.up.address("edges"), path)
    }

    pub(crate) fn is_hit(&self, path: &str) -> bool {
        self.get(path).contains("seawall-edge; hit")
    }

    /// Until a copy lies at the edge.
    pub(crate) fn warm(&self, path: &str) {
        eventually(&format!("{path} is cached"), || self.is_hit(path));
    }

    /// A command of the operator, told where the control plane is: its exit code must be `code`; returns what it prints.
    pub(crate) fn tell(&self, args: &[&str], code: i32) -> String {
        tell_at(&self.up.address("admin"), args, code)
    }

    /// The same as JSON, which must end well.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        parse(&self.tell(&[args, &["--json"]].concat(), 0))
    }
}

pub(crate) fn data(dir: &tempfile::TempDir) -> String {
    dir.path().join("data").to_str().unwrap().to_owned()
}

/// `up` on free ports, its data in `dir`.
pub(crate) fn up(dir: &tempfile::TempDir, more: &[&str]) -> Running {
    let data = data(dir);
    let usual = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--data",
        &data,
    ];
    Running::start(&[&usual, more].concat())
}

pub(crate) fn run_at(admin: &str, args: &[&str]) -> Output {
    seawall()
        .args(args)
        .args(["--admin", admin])
        .output()
        .unwrap()
}

/// What a command prints: to standard output where it ends with 0 or 3, to standard error where it fails.
pub(crate) fn tell_at(admin: &str, args: &[&str], code: i32) -> String {
    let output = run_at(admin, args);
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
    if code == 0 || code == 3 { out } else { err }
}

pub(crate) fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
