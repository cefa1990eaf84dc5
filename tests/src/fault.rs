//! Errors of the operating system, put upon a process while it runs.
//!
//! `strace` answers chosen system calls about chosen files with an error, as the kernel would; nothing in the process
//! has to know of it. Where that cannot be done (no `strace`, no leave to trace), a spec says on standard error that it
//! was not run.

use crate::eventually;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// System calls that read from, write to, or sync an open file.
pub const READS: &[&str] = &["read", "pread64"];
pub const WRITES: &[&str] = &["write", "pwrite64"];
pub const SYNCS: &[&str] = &["fsync", "fdatasync"];

/// A fault that is in force until it is ended or dropped, or its process ends.
pub struct Fault {
    strace: Child,
    dir: TempDir,
}

impl Fault {
    /// From now on `calls` about any of `files` fail in process `id` with `error` (`EIO`). A file's path is the one that
    /// it has by the time; a path that nothing lies under yet counts too. `None`: it cannot be done here, and was said.
    pub fn begin(id: u32, calls: &[&str], error: &str, files: &[PathBuf]) -> Option<Self> {
        Self::inject(id, calls, &format!("error={error}"), files)
    }

    /// The same, but that they do what they do, and take longer by `by`.
    pub fn slow(id: u32, calls: &[&str], by: Duration, files: &[PathBuf]) -> Option<Self> {
        Self::inject(id, calls, &format!("delay_enter={}", by.as_micros()), files)
    }

    fn inject(id: u32, calls: &[&str], what: &str, files: &[PathBuf]) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let stderr = File::create(told(&dir)).expect("a temporary file");
        let calls = calls.join(",");
        let mut command = Command::new("strace");
        command
            .args(["-f", "-p", &id.to_string(), "-o"])
            .arg(trace(&dir))
            .args(["-e", &format!("trace={calls}")])
            .args(["-e", &format!("inject={calls}:{what}")])
            .stdout(Stdio::null())
            .stderr(stderr);
        for file in files {
            command.arg("-P").arg(file);
        }
        let mut strace = match command.spawn() {
            Ok(strace) => strace,
            Err(error) => {
                not_run(&format!("strace cannot be started: {error}"));
                return None;
            }
        };
        let mut ended = None;
        eventually("strace holds the process", || {
            ended = strace.try_wait().expect("it is a child");
            ended.is_some() || read(&told(&dir)).contains("attached")
        });
        if ended.is_some() {
            not_run(read(&told(&dir)).trim());
            return None;
        }
        Some(Self { strace, dir })
    }

    /// How many calls have failed so far.
    pub fn count(&self) -> usize {
        read(&trace(&self.dir)).matches("(INJECTED)").count()
    }

    /// From now on calls do again what they do.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.strace);
        // asked to end it lets go of the process; killed it would leave stopped threads behind
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.strace.wait();
    }
}

/// Where only ancestors may trace a process (Yama), lets others trace this one.
pub fn may_befall_this_process() {
    // an error says that there is no such rule
    let _ = rustix::process::set_ptracer(rustix::process::PTracer::Any);
}

/// Says that the spec that runs cannot do what it is for, where it is seen also if the spec passes.
pub fn not_run(why: &str) {
    let thread = std::thread::current();
    let spec = thread.name().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "NOT RUN: {spec}: {why}");
}

fn told(dir: &TempDir) -> PathBuf {
    dir.path().join("told")
}

fn trace(dir: &TempDir) -> PathBuf {
    dir.path().join("trace")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
