//! The program as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn seawall() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    // the examples' paths are relative to the repository's root
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    // where tokens lie is noted here, not in the home of whoever runs the tests
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    for set in ["SEAWALL_ADMIN", "SEAWALL_TOKEN", "SEAWALL_LOG"] {
        command.env_remove(set);
    }
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    seawall().args(args).output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A running `seawall`, ended when it is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) ready: serde_json::Value,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::of(seawall(), args)
    }

    /// What it logs goes to a file.
    pub(crate) fn start_logging(args: &[&str], log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let mut command = seawall();
        command.stderr(log);
        Self::of(command, args)
    }

    /// The same by `command`, which becomes the program or is it.
    pub(crate) fn of(mut command: Command, args: &[&str]) -> Self {
        let mut child = command
            .args(args)
            .arg("--json")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        Self { child, ready }
    }

    pub(crate) fn address(&self, name: &str) -> String {
        let value = &self.ready[name];
        value.as_str().or(value[0].as_str()).unwrap().to_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Ends it, and waits for that: -TERM or -KILL.
    pub(crate) fn end(mut self, signal: &str) {
        self.signal(signal);
        self.code();
    }

    /// The exit code, once it has ended.
    pub(crate) fn code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// One line on standard error, exit code 1.
pub(crate) fn fails(args: &[&str], with: &str) {
    let output = run(args);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(
        text.starts_with("seawall: ") && text.trim_end().lines().count() == 1,
        "{text:?}"
    );
    assert!(text.contains(with), "{text:?}");
}
