//! The program as processes: `SEAWALL_BIN`, or this binary, which is the program too.

use crate::patience::Patience;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The command line of a process that is this binary, one argument a line.
const ARGS: &str = "SEAWALL_CHAOS_ARGS";
const PARENT: &str = "SEAWALL_CHAOS_PARENT";
/// How long a start may take.
const START: Duration = Duration::from_secs(60);
/// Starts that are tried where a port is taken for the moment.
const STARTS_MAX: usize = 5;

#[test]
#[ignore = "the processes of the spec"]
fn a_program_of_its_own() -> ExitCode {
    let Ok(args) = std::env::var(ARGS) else {
        return ExitCode::SUCCESS;
    };
    let parent = std::env::var(PARENT).ok();
    std::thread::spawn(move || {
        // it ends with who started it, however that ended
        while parent == Some(std::os::unix::process::parent_id().to_string()) {
            std::thread::sleep(Duration::from_millis(200));
        }
        std::process::exit(1);
    });
    let args = std::iter::once("seawall").chain(args.lines());
    seawall::run::run(<seawall::cli::Cli as clap::Parser>::parse_from(args))
}

fn command(args: &[&str]) -> Command {
    let mut command = match std::env::var_os("SEAWALL_BIN") {
        Some(program) => {
            let mut command = Command::new(program);
            command.args(args);
            command
        }
        None => {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args([
                    "program::a_program_of_its_own",
                    "--exact",
                    "--ignored",
                    "--nocapture",
                ])
                .env(ARGS, args.join("\n"))
                .env(PARENT, std::process::id().to_string());
            command
        }
    };
    for set in ["SEAWALL_ADMIN", "SEAWALL_TOKEN", "SEAWALL_LOG"] {
        command.env_remove(set);
    }
    // where tokens lie is noted here, not in the home of whoever runs this
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.stdin(Stdio::null());
    command
}

/// Whether a command ends well, and what it printed.
pub(crate) fn runs(args: &[&str]) -> (bool, String) {
    let output = command(args).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&told).into_owned(),
    )
}

/// A running process; killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) ready: Value,
    name: String,
}

impl Program {
    /// Starts it, and waits until it says that it is ready. What it logs goes to the end of `log`.
    pub(crate) fn start(name: &str, args: &[&str], log: &Path) -> Self {
        for _ in 0..STARTS_MAX {
            let before = read(log).len();
            match Self::try_start(name, args, log) {
                Ok(program) => return program,
                Err(mut child) => {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
            let told = read(log);
            let told = told.get(before..).unwrap_or_default();
            assert!(told.contains("in use"), "{name} does not start: {told}");
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("{name} finds its port taken");
    }

    fn try_start(name: &str, args: &[&str], log: &Path) -> Result<Self, Child> {
        let log: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let mut child = command(&[args, &["--json"]].concat())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // the harness of tests begins a line of its own before it
                let line = line.find('{').map_or("", |at| &line[at..]);
                let ready = serde_json::from_str::<Value>(line);
                // what comes later is read so that the pipe does not fill
                let _ = ready.map(|ready| tell.send(ready));
            }
        });
        let mut patience = Patience::of(START);
        let ready = loop {
            let ready = told.recv_timeout(Duration::from_secs(1));
            let waits = ready == Err(mpsc::RecvTimeoutError::Timeout);
            if !waits || !patience.lasts() {
                break ready;
            }
        };
        match ready {
            Ok(ready) if ready.is_object() => Ok(Self {
                child,
                ready,
                name: name.to_owned(),
            }),
            _ => Err(child),
        }
    }

    pub(crate) fn address(&self, name: &str) -> std::net::SocketAddr {
        let value = &self.ready[name];
        value
            .as_str()
            .or(value[0].as_str())
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Ends it as `kill -9` does; it must have run until then.
    pub(crate) fn kill(&mut self) {
        self.lives();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it, or has it go on.
    pub(crate) fn pause(&self, on: bool) {
        let signal = if on { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn lives(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "{} ended by itself: {ended:?}", self.name);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn read(log: &Path) -> String {
    let bytes = std::fs::read(PathBuf::from(log)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
