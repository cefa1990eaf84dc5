//! Servers as processes of their own: on a core, looked at through /proc, ended by their ids.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Until it has ended by itself, after SIGTERM.
const END_WAIT: Duration = Duration::from_secs(3);

/// Roots of what runs, for an end by Ctrl-C.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
/// Directories of theirs.
static DIRS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A process and those that it started; ended when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// What it prints goes to `log`. It stays on `cores`, and what it starts too; on those of this thread if there are none.
    pub(crate) fn spawn(mut command: Command, cores: &[usize], log: &Path) -> Result<Self> {
        let out = fs::File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null());
        command.stdout(out.try_clone()?).stderr(out);
        // Ctrl-C is for this program, which ends the others
        command.process_group(0);
        let name = command.get_program().to_string_lossy().into_owned();
        let child = on_cores(cores, || command.spawn())?
            .with_context(|| format!("{name} does not start"))?;
        if let Ok(mut running) = RUNNING.lock() {
            running.insert(child.id());
        }
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    pub(crate) fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended, once it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The last of what it printed.
    pub(crate) fn last_words(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let lines: Vec<&str> = said.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn tree(&self) -> Vec<u32> {
        tree(self.child.id())
    }

    /// User and system time of all its processes so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.tree().into_iter().filter_map(cpu_of).sum()
    }

    /// Bytes in memory of all its processes; what several share counts in parts.
    pub(crate) fn resident(&self) -> u64 {
        self.tree().into_iter().filter_map(resident_of).sum()
    }

    /// Ends all its processes, by SIGTERM, and by SIGKILL where that does not do.
    pub(crate) fn end(&mut self) {
        let ids = self.tree();
        send(self.child.id(), Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < END_WAIT {
            if !self.alive() && ids.iter().all(|id| !runs(*id)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill_all(&ids);
    }

    /// Ends all its processes by SIGKILL.
    pub(crate) fn kill(&mut self) {
        let ids = self.tree();
        self.kill_all(&ids);
    }

    fn kill_all(&mut self, ids: &[u32]) {
        for id in ids.iter().filter(|id| runs(**id)) {
            send(*id, Signal::KILL);
        }
        let _ = self.child.wait();
        let began = Instant::now();
        while ids.iter().any(|id| runs(*id)) && began.elapsed() < END_WAIT {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Ok(mut running) = RUNNING.lock() {
            running.remove(&self.child.id());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            if let Ok(mut running) = RUNNING.lock() {
                running.remove(&self.child.id());
            }
            return;
        }
        self.end();
    }
}

/// From now on these directories go with [`end_all`].
pub(crate) fn remove_with(dirs: &[&Path]) {
    if let Ok(mut all) = DIRS.lock() {
        all.extend(dirs.iter().map(|dir| dir.to_path_buf()));
    }
}

/// Segments of shared memory that a killed server leaves behind, named after its directory in `dir`.
pub(crate) fn remove_segments(dir: &Path) {
    let Some(name) = dir.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && entry.file_name().to_string_lossy().contains(name) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Ends all that still runs, at once.
pub(crate) fn end_all() {
    let roots = RUNNING.lock().map(|r| r.clone()).unwrap_or_default();
    for id in roots.into_iter().flat_map(tree) {
        send(id, Signal::KILL);
    }
    for dir in DIRS.lock().map(|d| d.clone()).unwrap_or_default() {
        remove_segments(&dir);
        let _ = fs::remove_dir_all(dir);
    }
}

/// Runs `f` with this thread on `cores`, so that a process it starts is there from its beginning.
pub(crate) fn on_cores<T>(cores: &[usize], f: impl FnOnce() -> T) -> Result<T> {
    use rustix::thread::{sched_getaffinity, sched_setaffinity};
    if cores.is_empty() {
        return Ok(f());
    }
    let before = sched_getaffinity(None)?;
    stay_on(cores)?;
    let result = f();
    sched_setaffinity(None, &before)?;
    Ok(result)
}

/// This thread stays on these cores from now on.
pub(crate) fn stay_on(cores: &[usize]) -> Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    for core in cores {
        anyhow::ensure!(*core < CpuSet::MAX_CPU, "there is no core {core}");
        set.set(*core);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cores {cores:?} cannot be used"))
}

/// Cores that this thread may run on.
pub(crate) fn cores() -> Result<Vec<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|c| set.is_set(*c)).collect())
}

fn send(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// A process and all below it.
fn tree(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for id in entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok()) {
        if let Some(stat) = Stat::of(id) {
            children.entry(stat.parent).or_default().push(id);
        }
    }
    let (mut found, mut next) = (Vec::new(), vec![root]);
    while let Some(id) = next.pop() {
        found.push(id);
        next.extend(children.get(&id).into_iter().flatten());
    }
    found
}

fn runs(id: u32) -> bool {
    Stat::of(id).is_some_and(|stat| stat.state != 'Z')
}

/// User and system time of a process so far; none when it is gone.
pub(crate) fn cpu_of(id: u32) -> Option<Duration> {
    Stat::of(id).map(|stat| stat.cpu)
}

/// The same of this process, and of those that it started and that have ended.
pub(crate) fn own_cpu() -> Duration {
    Stat::of(std::process::id()).map_or(Duration::ZERO, |stat| stat.cpu + stat.ended)
}

fn resident_of(id: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|l| l.strip_prefix("Pss:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Of /proc/PID/stat (proc(5)).
struct Stat {
    state: char,
    parent: u32,
    cpu: Duration,
    /// Of children that were waited for.
    ended: Duration,
}

impl Stat {
    fn of(id: u32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    /// Times are in hundredths of a second; the name is in parentheses and may hold spaces.
    fn read(text: &str) -> Option<Self> {
        let behind = text.rsplit_once(')')?.1;
        let fields: Vec<&str> = behind.split_ascii_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let time = |ticks: u64| Duration::from_millis(ticks * 10);
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            cpu: time(ticks(11)? + ticks(12)?),
            ended: time(ticks(13)? + ticks(14)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_with_spaces_and_parentheses() {
        let text = "7 (a (b) c) S 3 7 7 0 -1 4194304 100 0 0 0 25 17 4 6 20 0 9 0 100 0 0";
        let stat = Stat::read(text).unwrap();
        assert_eq!((stat.state, stat.parent), ('S', 3));
        assert_eq!(stat.cpu, Duration::from_millis(420));
        assert_eq!(stat.ended, Duration::from_millis(100));
        assert!(Stat::read("7 (short) S 3").is_none());
    }

    #[test]
    fn a_process_is_ended_with_those_that_it_started() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' TERM; sleep 600 & wait; sleep 600"]);
        let mut process = Process::spawn(shell, &[], log.path()).unwrap();
        let began = Instant::now();
        while process.tree().len() < 2 && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let ids = process.tree();
        assert!(ids.len() >= 2, "{ids:?}");
        process.kill();
        assert!(ids.iter().all(|id| !runs(*id)));
    }
}
