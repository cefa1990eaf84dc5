//! What befalls the fleet, in an order that the seed decides.

use crate::fleet::{EDGES, Fleet, NODES};
use crate::patience::Patience;
use crate::random::Random;
use crate::relay::Link;
use crate::run::{Ends, Run};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

const SHIELD: usize = 2;
/// The control plane, where a fault may befall it too.
const PLANE: usize = 3;
/// Answers between two faults, so that the hit ratio is not that of the machine; they take at most so long.
const ANSWERS: u64 = 1000;
const SETTLE: Duration = Duration::from_secs(5);
/// How long it may take until a receipt says that an edge is fenced.
const FENCED: Duration = Duration::from_secs(30);

/// Which of a node's directories: what it knows, its copies, or both.
#[derive(Clone, Copy, Debug)]
enum Dirs {
    Data,
    Disk,
    Both,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(usize),
    Pause(usize),
    Unlink(usize, Link),
    /// The same for longer than its lease: it is fenced, and goes on answering.
    CutOff(usize, Link),
    /// Killed, and starts without its directories.
    Lose(usize, Dirs),
    /// Killed, and starts with those of another node.
    Foreign(usize, Dirs),
    /// The control plane is killed, and starts from the backup of the round.
    Restore,
    /// An operator removes a node that runs.
    Remove(usize),
    OriginErrors,
}

/// One round: every kind alone, and some in pairs.
fn round(random: &mut Random) -> Vec<Vec<Fault>> {
    let edge = random.below(EDGES);
    let other = 1 - edge;
    let mut dirs = [Dirs::Data, Dirs::Disk, Dirs::Both];
    random.shuffle(&mut dirs);
    let link = random.pick(&[Link::Cut, Link::Silent]);
    let mut faults = vec![
        vec![Fault::Kill(edge)],
        vec![Fault::Kill(SHIELD)],
        vec![Fault::Kill(PLANE)],
        vec![Fault::Pause(other)],
        vec![Fault::Pause(random.pick(&[SHIELD, PLANE]))],
        vec![Fault::Unlink(edge, Link::Cut)],
        vec![Fault::Unlink(random.pick(&[other, SHIELD]), Link::Silent)],
        vec![Fault::CutOff(edge, link)],
        vec![Fault::Lose(edge, dirs[0])],
        vec![Fault::Foreign(other, dirs[1])],
        vec![Fault::Foreign(random.pick(&[edge, SHIELD]), dirs[2])],
        vec![Fault::Remove(other)],
        vec![Fault::OriginErrors],
        vec![Fault::Restore],
    ];
    let pairs = [
        vec![Fault::Kill(PLANE), Fault::Kill(edge)],
        vec![Fault::Unlink(other, link), Fault::Kill(PLANE)],
        vec![Fault::Pause(edge), Fault::Restore],
        vec![Fault::Unlink(SHIELD, link), Fault::Kill(edge)],
        vec![Fault::Unlink(edge, link), Fault::Pause(other)],
        vec![Fault::Unlink(edge, link), Fault::Restore],
        vec![Fault::Lose(other, dirs[2]), Fault::Kill(SHIELD)],
        vec![Fault::Kill(other), Fault::OriginErrors],
    ];
    // all of them in four rounds
    let from = random.below(pairs.len());
    faults.extend((0..3).map(|at| pairs[(from + at) % pairs.len()].clone()));
    random.shuffle(&mut faults);
    faults
}

/// Has faults until enough was purged.
pub(crate) fn befall(run: &Run, fleet: &mut Fleet) {
    let _ends = Ends(run);
    let mut random = Random::new(run.seed, 1000);
    while !run.is_enough() && !run.is_over() {
        fleet.back_up();
        for faults in round(&mut random) {
            if run.is_enough() || run.is_over() {
                break;
            }
            for fault in &faults {
                run.fault(fault.kind(), &format!("{fault:?}"));
                begin(*fault, run, fleet);
                hold(&mut random);
            }
            let paused = faults.iter().any(|fault| matches!(fault, Fault::Pause(_)));
            if let (true, Some(lease)) = (paused, fleet.lease) {
                // receipts say that it is fenced, and readers have asked it since
                thread::sleep(lease + Duration::from_secs(3));
            }
            let cut_off = faults
                .iter()
                .any(|fault| matches!(fault, Fault::CutOff(..)));
            if cut_off && fleet.lease.is_some() {
                outlast(run);
            }
            for fault in &faults {
                end(*fault, run, fleet);
            }
            fleet.is_whole_again();
            settle(run);
        }
        run.rounds.fetch_add(1, Ordering::SeqCst);
    }
    fleet.is_whole_again();
}

/// Waits until receipts say that an edge is fenced, and readers have asked it since.
fn outlast(run: &Run) {
    let (before, mut patience) = (run.fenced(), Patience::of(FENCED));
    while run.fenced() == before && patience.lasts() && !run.is_enough() && !run.is_over() {
        thread::sleep(Duration::from_millis(5));
    }
    settle(run);
}

/// Readers are answered for a while, on a slow machine too.
fn settle(run: &Run) {
    let (before, deadline) = (run.answers.load(Ordering::Relaxed), Instant::now() + SETTLE);
    let answered = || run.answers.load(Ordering::Relaxed) - before;
    while answered() < ANSWERS && Instant::now() < deadline && !run.is_over() {
        thread::sleep(Duration::from_millis(5));
    }
}

fn hold(random: &mut Random) {
    thread::sleep(Duration::from_millis(200 + random.below(600) as u64));
}

impl Fault {
    fn kind(self) -> &'static str {
        match self {
            Self::Kill(PLANE) => "kill control plane",
            Self::Kill(SHIELD) => "kill shield",
            Self::Kill(_) => "kill edge",
            Self::Pause(PLANE) => "pause control plane",
            Self::Pause(SHIELD) => "pause shield",
            Self::Pause(_) => "pause edge",
            Self::CutOff(..) => "cut off beyond the lease",
            Self::Unlink(_, Link::Silent) => "link silent",
            Self::Unlink(..) => "link cut",
            Self::Lose(..) => "directory lost",
            Self::Foreign(..) => "directory foreign",
            Self::Restore => "restore",
            Self::Remove(_) => "node removed",
            Self::OriginErrors => "origin errs",
        }
    }
}

fn begin(fault: Fault, run: &Run, fleet: &mut Fleet) {
    match fault {
        Fault::Kill(PLANE) => fleet.kill_plane(),
        Fault::Kill(node) => fleet.kill(node),
        Fault::Pause(PLANE) => fleet.pause_plane(true),
        Fault::Pause(node) => fleet.pause(node, true),
        Fault::Unlink(node, link) | Fault::CutOff(node, link) => fleet.link(node, link),
        Fault::Lose(node, which) => {
            fleet.kill(node);
            for dir in dirs(fleet, node, which) {
                fs::remove_dir_all(dir).unwrap();
            }
        }
        Fault::Foreign(node, which) => {
            fleet.kill(node);
            let from = (node + 1) % NODES.len();
            for (from, to) in dirs(fleet, from, which)
                .iter()
                .zip(dirs(fleet, node, which))
            {
                fs::remove_dir_all(&to).unwrap();
                copy(from, &to).unwrap();
            }
        }
        Fault::Restore => {
            fleet.kill_plane();
            // what was asked for before may be lost with its log
            run.restores
                .lock()
                .unwrap()
                .push(Instant::now() + Duration::from_secs(60));
            fleet.restore();
        }
        Fault::Remove(node) => {
            let path = format!("/v1/nodes/{}", NODES[node]);
            let told = run.admin.ask("DELETE", &path, "", "").unwrap();
            assert_eq!(told.0, 204, "{told:?}");
        }
        Fault::OriginErrors => run.site.errs.store(true, Ordering::SeqCst),
    }
}

fn end(fault: Fault, run: &Run, fleet: &mut Fleet) {
    match fault {
        Fault::Kill(PLANE) => fleet.start_plane(),
        Fault::Restore => {
            fleet.start_plane();
            // from here on nothing is lost
            if let Some(restored) = run.restores.lock().unwrap().last_mut() {
                *restored = Instant::now();
            }
        }
        Fault::Kill(node) | Fault::Lose(node, _) | Fault::Foreign(node, _) => {
            fleet.start_node(node);
        }
        Fault::Pause(PLANE) => fleet.pause_plane(false),
        Fault::Pause(node) => fleet.pause(node, false),
        Fault::Unlink(node, _) | Fault::CutOff(node, _) => fleet.link(node, Link::Passes),
        Fault::Remove(_) => {}
        Fault::OriginErrors => run.site.errs.store(false, Ordering::SeqCst),
    }
}

fn dirs(fleet: &Fleet, node: usize, which: Dirs) -> Vec<std::path::PathBuf> {
    let [data, disk] = fleet.directories(node);
    match which {
        Dirs::Data => vec![data],
        Dirs::Disk => vec![disk],
        Dirs::Both => vec![data, disk],
    }
}

/// Copies a directory whose owner runs: what goes meanwhile is left out.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            copy(&entry.path(), &to)?;
        } else if let Err(error) = fs::copy(entry.path(), &to)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
    }
    Ok(())
}
