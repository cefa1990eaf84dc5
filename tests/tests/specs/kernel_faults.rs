//! The operating system says EIO and ENOSPC to a node that runs: what is served is right, and what is lost is said.

mod harness;
mod logs;

use harness::*;
use rustix::fs::FallocateFlags;
use seawall_tests::cluster::metric;
use seawall_tests::fault::{READS, SYNCS, WRITES, not_run};
use seawall_tests::process::{EdgeProcess, serve};
use seawall_tests::{Fault, eventually};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the operating system says, and how it reads.
const ERRORS: [(&str, &str); 2] = [
    ("EIO", "Input/output error"),
    ("ENOSPC", "No space left on device"),
];

#[test]
#[ignore = "run by other specs, as a process of its own"]
fn an_edge_of_its_own() {
    serve();
}

#[test]
fn a_disk_whose_writes_fail_is_turned_off_and_the_node_serves_from_memory() {
    for (error, words) in ERRORS {
        let site = Site::start();
        let mut edge = site.edge();
        let targets = targets(40);
        site.fill(&edge, &targets, 40);
        let Some(fault) = Fault::begin(edge.id(), WRITES, error, &all_of(&site.disk())) else {
            return;
        };
        site.work(&edge, "it is off", || up(&edge) == 0);
        assert!(fault.count() > 0);
        says_why(&edge, &site.disk(), "were not written");
        eventually("so are the system's words", || {
            let lines = logged(&edge, "takes no write");
            lines.iter().any(|line| line.contains(words))
        });
        assert_eq!(site.hits(&edge, &targets, 1), 40);
        let large = "/large-3000000".to_owned();
        for hit in [false, true] {
            assert_eq!(site.ask(&edge, &large), (1, hit));
        }

        let version = site.change();
        site.purge_everywhere(&targets[0]);
        post(&edge, &targets[1]);
        assert_eq!(site.hits(&edge, &targets[..2], version), 0);
        assert_eq!(site.hits(&edge, &targets[..2], version), 2);
        assert_eq!(site.hits(&edge, &targets[2..], 1), 38);
        edge.kill();
        drop(fault);

        // what lay there is void: nobody wrote down what it missed
        let edge = site.edge();
        assert_eq!(up(&edge), 1);
        assert_eq!(site.hits(&edge, &targets, version), 0);
        assert_eq!(site.hits(&edge, &targets, version), 40);
    }
}

#[test]
fn a_disk_that_cannot_keep_what_it_took_is_turned_off_at_the_next_look() {
    let site = Site::start();
    let edge = site.edge();
    let targets = targets(10);
    let Some(fault) = Fault::begin(edge.id(), SYNCS, "EIO", &all_of(&site.disk())) else {
        return;
    };
    site.fill(&edge, &targets, 10);
    eventually("it is off", || up(&edge) == 0);
    assert!(fault.count() > 0);
    says_why(&edge, &site.disk(), "Input/output error");
    assert_eq!(site.hits(&edge, &targets, 1), 10);
}

#[test]
fn what_a_dead_disk_keeps_of_old_copies_is_not_answered_with_when_it_comes_back() {
    let site = Site::start();
    let mut edge = site.edge();
    let targets = targets(40);
    site.fill(&edge, &targets, 40);
    edge.kill();

    // only the disk has them
    let mut edge = site.edge();
    let calls = [READS, WRITES, SYNCS, &["openat", "unlinkat", "statx"]].concat();
    let Some(fault) = Fault::begin(edge.id(), &calls, "EIO", &all_of(&site.disk())) else {
        return;
    };
    site.work(&edge, "it is off", || up(&edge) == 0);
    eventually("it is not void", || {
        !logged(&edge, "the stamp of the disk cache could not be deleted").is_empty()
    });
    let version = site.change();
    for target in &targets[..10] {
        site.purge_everywhere(target);
    }
    for target in &targets[10..20] {
        post(&edge, target);
    }
    edge.kill();
    drop(fault);

    let edge = site.edge();
    assert_eq!(up(&edge), 1);
    assert_eq!(site.hits(&edge, &targets[..20], version), 0);
    assert_eq!(site.hits(&edge, &targets[20..], 1), 20);
}

#[test]
fn a_disk_whose_reads_fail_is_turned_off_and_all_is_fetched_again() {
    let site = Site::start();
    let mut edge = site.edge();
    let mut targets = targets(40);
    targets.push("/b-1000000".into());
    site.fill(&edge, &targets, 41 + 4);
    edge.kill();

    // memory is empty, the disk is warm
    let edge = site.edge();
    let Some(fault) = Fault::begin(edge.id(), READS, "EIO", &all_of(&site.disk())) else {
        return;
    };
    let before = site.origin.seen().len();
    assert_eq!(site.hits(&edge, &targets, 1), 0);
    assert!(fault.count() > 0);
    assert_eq!(site.origin.seen().len() - before, targets.len());
    assert_eq!(up(&edge), 0);
    says_why(&edge, &site.disk(), "read");
    assert_eq!(site.hits(&edge, &targets, 1), targets.len());
}

#[test]
fn a_few_chunks_that_cannot_be_read_are_fetched_again_and_the_disk_stays() {
    let site = Site::start();
    let mut edge = site.edge();
    let target = "/b-1000000";
    site.fill(&edge, &[target.into()], 1 + 4);
    edge.kill();
    // where these chunks lie: what is written next comes elsewhere
    let mut bad = blocks(&site.disk(), "chunks");
    bad.retain(|file| fs::read(file).unwrap()[..4096] != [0; 4096]);

    let edge = site.edge();
    let Some(fault) = Fault::begin(edge.id(), READS, "EIO", &bad) else {
        return;
    };
    site.origin.forget();
    assert_eq!(site.ask(&edge, target).0, 1);
    assert!(fault.count() > 0);
    let seen = site.origin.seen();
    assert!(!seen.is_empty() && seen.iter().all(|request| request.field("range").is_some()));
    fault.end();
    assert_eq!(up(&edge), 1);
    assert_eq!(site.ask(&edge, target), (1, true));
    assert_eq!(site.ask(&edge, "/b-1000001"), (1, false));
}

/// Punches the blocks of a disk full of holes, and takes the room away.
fn take_the_room_of(disk: &Path) {
    let files = blocks(disk, "heads")
        .into_iter()
        .chain(blocks(disk, "chunks"));
    for file in files {
        let file = fs::File::options().write(true).open(file).unwrap();
        let length = file.metadata().unwrap().len();
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&file, flags, 0, length).unwrap();
    }
    let mut filler = fs::File::create(disk.with_file_name("filler")).unwrap();
    let full = std::io::copy(&mut std::io::repeat(1), &mut filler).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn a_disk_whose_room_is_taken_by_others_is_turned_off_and_the_node_serves_from_memory() {
    let site = Site::start();
    let mut model = site.fleet.edge_model(0);
    let mount = site.data("mount");
    fs::create_dir_all(&mount).unwrap();
    model.node.disks[0].path = mount.join("disk");
    // a file system of its own that nobody else sees
    let mounted = |flags: &str, program: &Path| {
        let script = "mount -t tmpfs -o size=72m none \"$0\" && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args([flags, "sh", "-c", script]);
        command.arg(&mount).arg(program);
        command
    };
    let can_be_had = |flags: &&str| {
        let tried = mounted(flags, Path::new("true")).output();
        tried.is_ok_and(|output| output.status.success())
    };
    // as anybody where that is allowed, else as root
    let Some(flags) = ["-Urm", "-m"].into_iter().find(can_be_had) else {
        return not_run("no file system can be mounted in a namespace (unshare -Urm, unshare -m)");
    };
    let command = mounted(flags, &std::env::current_exe().unwrap());
    let edge = EdgeProcess::spawn_by(command, &model, EDGE);
    eventually("it follows", || site.fleet.is_up_to_date("edge-0"));
    assert_eq!(up(&edge), 1);
    let targets = targets(40);
    site.fill(&edge, &targets, 40);
    let seen = format!("/proc/{}/root{}", edge.id(), mount.join("disk").display());
    take_the_room_of(Path::new(&seen));
    site.work(&edge, "it is off", || up(&edge) == 0);
    says_why(&edge, &mount.join("disk"), "were not written");
    assert_eq!(site.hits(&edge, &targets, 1), 40);
    let version = site.change();
    site.purge_everywhere(&targets[0]);
    assert_eq!(site.ask(&edge, &targets[0]), (version, false));
}

#[test]
fn of_two_disks_the_one_that_works_goes_on() {
    let site = Site::start();
    let other = site.data("other");
    let start = || {
        let mut model = site.fleet.edge_model(0);
        let mut disk = model.node.disks[0].clone();
        disk.path.clone_from(&other);
        model.node.disks.push(disk);
        let edge = EdgeProcess::spawn(&model, EDGE);
        eventually("it follows", || site.fleet.is_up_to_date("edge-0"));
        edge
    };
    let of = |edge: &EdgeProcess, disk: &Path, name: &str| {
        metric(
            &edge.metrics(),
            name,
            &[&format!("disk=\"{}\"", disk.display())],
        )
    };
    let mut edge = start();
    let targets = targets(60);
    site.fill(&edge, &targets, 60);
    let written = |edge: &EdgeProcess| of(edge, &other, "seawall_disk_records_written_total");
    let kept = written(&edge);
    assert!(kept > 10 && kept < 50, "{kept}");
    let Some(fault) = Fault::begin(edge.id(), WRITES, "EIO", &all_of(&site.disk())) else {
        return;
    };
    let asked = site.work(&edge, "one is off", || {
        of(&edge, &site.disk(), "seawall_disk_up") == 0
    });
    says_why(&edge, &site.disk(), "were not written");
    eventually("its copies are void", || {
        !site.disk().join("stamp").exists()
    });
    let later: Vec<String> = (0..60).map(|i| format!("/later{i}-1000")).collect();
    assert_eq!(site.hits(&edge, &later, 1), 0);
    assert_eq!(up(&edge), 1);
    assert_eq!(site.hits(&edge, &targets, 1), 60);
    let version = site.change();
    for target in &targets[..10] {
        post(&edge, target);
    }
    eventually("it is written", || settled(&edge) >= 60 + asked + 60);
    edge.kill();
    drop(fault);

    let edge = start();
    assert_eq!(up(&edge), 2);
    assert_eq!(site.hits(&edge, &targets[..10], version), 0);
    let warm = |targets: &[String]| {
        let found = targets.iter().map(|target| site.ask(&edge, target));
        found.filter(|&found| found == (1, true)).count() as u64
    };
    let (before, after) = (warm(&targets[10..]), warm(&later));
    assert!(before > 0 && before <= kept, "{before} of {kept}");
    // that came while the other was off
    assert!(after > 10 && after < 50, "{after}");
}
