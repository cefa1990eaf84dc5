//! How much disk `up` takes for cached copies where it is not told: as much as the command line promises, and less where
//! that is more than a fair part of what is free.

use rustix::fs::{StatFs, statfs};
use seawall_config::ByteCount;
use seawall_config::node::DISK_BYTES_MIN;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// For each node, where there is room.
const USUAL: ByteCount = ByteCount(4 << 30);
/// All nodes together take one part in so many of what is free.
const PARTS: u64 = 4;
/// What was taken before is taken again, for a cache of another size starts empty.
const TAKEN_FILE: &str = "disk-size";
/// File systems in memory (magic numbers of tmpfs and ramfs): what lies there does not outlast the machine, and takes what
/// the memory tier could have.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// What each node gets, and what an operator should know of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) size: Option<ByteCount>,
    pub(super) note: Option<String>,
}

/// `given`: what the command line says, 0 for none. Otherwise by what is free for the disks of `nodes` below `data`.
pub(super) fn choose(given: Option<ByteCount>, data: &Path, nodes: &[String]) -> Chosen {
    let found = statfs(data);
    let held: u64 = nodes
        .iter()
        .map(|id| allocated(&data.join(id).join("disk")))
        .sum();
    if let Some(size) = given {
        let room = found.map_or(u64::MAX, |found| free(&found).saturating_add(held));
        return Chosen {
            size: Some(size).filter(|size| size.0 > 0),
            note: too_large(size, nodes.len() as u64, room, data),
        };
    }
    let Ok(found) = found else {
        return memory_alone(&format!("the room at {} cannot be told", data.display()));
    };
    if IN_MEMORY.contains(&(found.f_type as u64 & 0xffff_ffff)) {
        return memory_alone(&format!("{} is in memory itself", data.display()));
    }
    let free = free(&found);
    let taken_before = fs::read_to_string(data.join(TAKEN_FILE));
    let taken_before = taken_before.ok().and_then(|text| text.trim().parse().ok());
    let chosen = size(free, held, taken_before, nodes.len() as u64);
    match chosen {
        Some(size) => {
            let little = || {
                format!(
                    "{} are free at {}: each node takes {size} for cached copies, not {USUAL} (--disk says otherwise)",
                    rounded(free + held),
                    data.display()
                )
            };
            Chosen {
                size: Some(size),
                note: (size < USUAL).then(little),
            }
        }
        None => memory_alone(&format!(
            "only {} are free at {}",
            rounded(free + held),
            data.display()
        )),
    }
}

/// Notes what was chosen by free room, once the directory is this process's. Without the note the next start may choose
/// another size, and begin with an empty cache.
pub(super) fn remember(given: Option<ByteCount>, chosen: Option<ByteCount>, data: &Path) {
    if let (None, Some(size)) = (given, chosen)
        && let Err(error) = fs::write(data.join(TAKEN_FILE), format!("{size}\n"))
    {
        tracing::warn!(%error, "the size of the disk caches could not be noted");
    }
}

/// What the command line says is taken as it is; nodes for whose disks there is no room leave them out.
fn too_large(size: ByteCount, nodes: u64, room: u64, data: &Path) -> Option<String> {
    (size.0.saturating_mul(nodes) > room).then(|| {
        format!(
            "{} are free at {}, not {size} for each of {nodes} nodes: where the room does not suffice, copies are cached \
             in memory alone, and gone after a restart",
            rounded(room),
            data.display()
        )
    })
}

/// What is cached does not outlast the process.
fn memory_alone(why: &str) -> Chosen {
    let note = format!(
        "{why}: copies are cached in memory alone, and gone after a restart (--disk says otherwise)"
    );
    Chosen {
        size: None,
        note: Some(note),
    }
}

/// The usual size, or the largest half of a half of it that fits.
fn size(free: u64, held: u64, taken_before: Option<ByteCount>, nodes: u64) -> Option<ByteCount> {
    let room = free.saturating_add(held);
    let all = |size: ByteCount| size.0.saturating_mul(nodes);
    if let Some(size) = taken_before.filter(|size| (DISK_BYTES_MIN..=USUAL.0).contains(&size.0))
        && all(size) <= room
    {
        return Some(size);
    }
    let halves = (0..).map(|shift| ByteCount(USUAL.0 >> shift));
    let large_enough = halves.take_while(|size| size.0 >= DISK_BYTES_MIN);
    let mut fits = large_enough.filter(|size| all(*size) <= room / PARTS);
    fits.next()
}

fn free(found: &StatFs) -> u64 {
    let block = u64::try_from(found.f_bsize).unwrap_or_default();
    found.f_bavail.saturating_mul(block)
}

/// What the files of a disk take already.
fn allocated(disk: &Path) -> u64 {
    let shelves = ["heads", "chunks"].map(|shelf| fs::read_dir(disk.join(shelf)));
    let files = shelves.into_iter().flatten().flatten().flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.blocks() * 512)
        .sum()
}

/// Whole MiB or GiB, as people read it.
fn rounded(bytes: u64) -> ByteCount {
    let unit = if bytes >= 10 << 30 { 30 } else { 20 };
    ByteCount(bytes >> unit << unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_usual_size_is_taken_where_a_quarter_of_what_is_free_holds_it() {
        let rows = [
            (64 * GIB, 0, None, 2, Some(4 * GIB)),
            (31 * GIB, 0, None, 2, Some(2 * GIB)),
            (9 * GIB, 0, None, 2, Some(GIB)),
            (GIB, 0, None, 2, Some(GIB / 8)),
            (GIB / 4, 0, None, 2, None),
            (0, 0, None, 1, None),
            // what was taken before is there already
            (24 * GIB, 8 * GIB, Some(4 * GIB), 2, Some(4 * GIB)),
            (GIB, 8 * GIB, Some(4 * GIB), 2, Some(4 * GIB)),
            (200 * GIB, 2 * GIB, Some(GIB), 2, Some(GIB)),
            // more nodes than last time, and no room for them
            (GIB, 8 * GIB, Some(4 * GIB), 3, Some(GIB / 2)),
            (64 * GIB, 0, Some(7), 2, Some(4 * GIB)),
        ];
        for (free, held, before, nodes, expected) in rows {
            let found = size(free, held, before.map(ByteCount), nodes);
            assert_eq!(found, expected.map(ByteCount), "{free} {held} {before:?}");
        }
    }

    #[test]
    fn what_the_command_line_says_is_taken_as_it_is() {
        let nowhere = Path::new("/no/such/directory");
        let size = |given: u64| choose(Some(ByteCount(given)), nowhere, &[]).size;
        assert_eq!((size(0), size(1 << 40)), (None, Some(ByteCount(1 << 40))));
        assert!(choose(None, nowhere, &[]).note.is_some());
    }

    #[test]
    fn it_is_said_where_the_command_line_asks_for_more_than_there_is() {
        let note = |size, nodes| too_large(ByteCount(size), nodes, 10 * GIB, Path::new("/d"));
        assert_eq!((note(5 * GIB, 2), note(0, 9)), (None, None));
        assert_eq!(
            note(6 * GIB, 2).unwrap(),
            "10GiB are free at /d, not 6GiB for each of 2 nodes: where the room does not suffice, copies are cached in \
             memory alone, and gone after a restart"
        );
        assert!(note(u64::MAX, 3).is_some());
    }
}
