//! What the limits of a process make of a node.

use crate::cdn::{self, Origin, eventually};
use crate::running::{Running, get, seawall};
use std::fs;
use std::process::Command;

/// `up` before `origin` under a limit, as `ulimit` sets it.
fn up(limit: &str, origin: &Origin, dir: &tempfile::TempDir, disk: &str) -> Running {
    let program = seawall();
    let mut command = Command::new("sh");
    // a write beyond a limit fails, rather than to end the process
    let script = format!("trap '' XFSZ; ulimit {limit} && exec \"$0\" \"$@\"");
    command.arg("-c").arg(script).arg(program.get_program());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let (url, data) = (origin.url(), dir.path().join("data"));
    let args = [
        "up",
        "--origin",
        &url,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
        "--disk",
        disk,
    ];
    Running::of(command, &args)
}

/// How many disks the nodes use.
fn disks_up(up: &Running) -> usize {
    let metrics = get(&up.address("admin"), "/metrics");
    let disks = metrics
        .lines()
        .filter(|line| line.starts_with("seawall_disk_up{"));
    let disks: Vec<&str> = disks.collect();
    assert!(!disks.is_empty(), "{metrics}");
    disks.iter().filter(|line| line.ends_with(" 1")).count()
}

#[test]
fn a_node_takes_as_many_open_files_as_it_may_have() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    let up = up("-S -n 256", &origin, &dir, "0");
    let limits = fs::read_to_string(format!("/proc/{}/limits", up.id())).unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    let (soft, hard) = (words[3], words[4]);
    assert_eq!(soft, hard, "{limits}");
    assert_ne!(soft, "256");
}

#[test]
fn a_node_that_may_not_have_its_disks_files_open_serves_without_the_disk() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    // 28 blocks, and a hundred to spare
    let up = up("-n 127", &origin, &dir, "64MiB");
    assert_eq!(disks_up(&up), 0);
    assert!(get(&up.address("edges"), "/").ends_with("answer 1"));
    assert!(get(&up.address("edges"), "/").contains("seawall-edge; hit"));
}

#[test]
fn a_disk_that_does_not_take_what_is_written_is_turned_off_and_the_node_serves_on() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    let usual = ["--origin", &origin.url(), "--disk", "64MiB"];
    let first = cdn::up(&dir, &usual);
    assert_eq!(disks_up(&first), 2);
    first.end("-TERM");
    // its files are there, and no byte behind the first 700 KiB of one can be written
    let up = up("-f 1400", &origin, &dir, "64MiB");
    assert_eq!(disks_up(&up), 2);
    let mut asked = 0;
    eventually("both are off", || {
        asked += 1;
        let answer = get(&up.address("edges"), &format!("/{asked}"));
        assert!(answer.contains("answer"), "{answer}");
        disks_up(&up) == 0
    });
    let again = get(&up.address("edges"), &format!("/{asked}"));
    assert!(again.contains("seawall-edge; hit"), "{again}");
}
