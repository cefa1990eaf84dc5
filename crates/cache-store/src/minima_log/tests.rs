use super::*;
use std::time::Duration;

const KEY: u128 = 7 << 64 | 9;

fn version(boot: u32, counter: u64) -> Version {
    Version::from(Generation {
        boot: BootId(boot),
        counter,
    })
}

fn fact(key: u128, version: Version) -> Fact {
    Fact {
        table: Table::Keys,
        floor: false,
        key,
        version,
    }
}

/// Opens the log as `boot`; returns it with the tables it was read into.
fn open(directory: &Path, boot: u32) -> (MinimaLog, Arc<Tables>) {
    let tables = Arc::new(Tables::default());
    let lock = File::create(directory.join(LOCK)).unwrap();
    let read = read(directory, BootId(boot), &tables).unwrap();
    let boot = BootId(boot);
    let log = MinimaLog::begin(directory, lock, boot, tables.clone(), read.id).unwrap();
    (log, tables)
}

#[test]
fn what_was_appended_is_in_force_after_the_next_two_openings() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), 1);
    let id = log.id();
    log.append(fact(KEY, version(1, 50)), Urgency::Sync);
    drop(log);
    for boot in 2..4 {
        let (log, tables) = open(dir.path(), boot);
        assert_eq!(log.id(), id);
        assert!(!tables.keys.alive(KEY, version(1, 49)));
        assert!(tables.keys.alive(KEY, version(1, 50)));
        assert!(tables.slots.alive(KEY, version(1, 49)), "the other table");
    }
}

#[test]
fn groups_have_a_table_of_their_own_which_is_kept_too() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), 1);
    for (floor, key) in [(false, KEY), (true, 9 << 64)] {
        let of_group = Fact {
            table: Table::Groups,
            floor,
            ..fact(key, version(1, 50))
        };
        log.append(of_group, Urgency::Sync);
    }
    drop(log);
    for boot in 2..4 {
        let (_, tables) = open(dir.path(), boot);
        for key in [KEY, 9 << 64 | 3] {
            assert!(!tables.groups.alive(key, version(1, 49)));
            assert!(tables.groups.alive(key, version(1, 50)));
            assert!(tables.keys.alive(key, version(1, 49)), "another table");
            assert!(tables.slots.alive(key, version(1, 49)), "another table");
        }
    }
}

#[test]
fn a_torn_end_is_cut_and_the_rest_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), 1);
    for key in 0..10 {
        log.append(fact(key << 64, version(1, 50)), Urgency::Lazy);
    }
    drop(log);
    let path = dir.path().join(FILE);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let (_, tables) = open(dir.path(), 2);
    assert!(!tables.keys.alive(8 << 64, version(1, 49)));
    assert!(tables.keys.alive(9 << 64, version(1, 49)), "it was torn");
    assert!(tables.keys.alive(11 << 64, version(1, 49)));
}

#[test]
fn damage_in_the_middle_kills_all_heads_of_earlier_boots_and_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), 1);
    for key in 0..10 {
        log.append(fact(key << 64, version(1, 50)), Urgency::Lazy);
    }
    drop(log);
    let path = dir.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[HEADER_BYTES + 3 * RECORD_BYTES + 2] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for boot in 2..4 {
        let (_, tables) = open(dir.path(), boot);
        assert!(!tables.keys.alive(99 << 64, version(1, u64::MAX)));
        assert!(tables.keys.alive(99 << 64, version(2, 0)));
    }
}

#[test]
fn a_log_of_this_or_a_later_boot_or_with_a_bad_header_begins_anew_under_another_identity() {
    let dir = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for boot in [5, 5, 4] {
        let (log, _) = open(dir.path(), boot);
        ids.push(log.id());
    }
    let path = dir.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    ids.push(open(dir.path(), 9).0.id());
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn arbitrary_bytes_in_the_place_of_the_log_do_no_harm() {
    use proptest::prelude::*;
    proptest!(|(bytes: Vec<u8>, flip: usize)| {
        let tables = Tables::default();
        let _ = replay(&bytes, BootId(9), &tables);
        let mut log = encode_header(7, BootId(1));
        log.extend(encode(fact(KEY, version(1, 5)), 7));
        log.extend(&bytes);
        let at = flip % log.len();
        log[at] ^= 1;
        let _ = replay(&log, BootId(9), &tables);
    });
}

#[test]
fn a_log_that_grew_is_written_anew_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (log, tables) = open(dir.path(), 1);
    let rounds = COMPACT_BYTES_MIN / RECORD_BYTES as u64 + 1000;
    for counter in 0..rounds {
        let fact = fact(u128::from(counter % 64) << 64, version(1, counter));
        apply(fact, &tables);
        log.append(fact, Urgency::Lazy);
    }
    drop(log);
    let (_, tables) = open(dir.path(), 2);
    for key in 0..64 {
        assert!(!tables.keys.alive(key << 64, version(1, rounds - 65)));
    }
}

#[test]
fn a_log_that_cannot_be_written_anew_goes_on_in_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let (log, tables) = open(dir.path(), 1);
    let (tell, told) = std::sync::mpsc::channel();
    log.on_failure(Box::new(move |reason| {
        tell.send(reason.to_owned()).unwrap();
    }));
    let obstacle = dir.path().join(FILE_NEW);
    std::fs::create_dir(&obstacle).unwrap();
    tables.keys.raise(KEY, version(1, 50));
    log.append(fact(KEY, version(1, 50)), Urgency::Sync);
    log.shared.compact();
    log.append(fact(9 << 64, version(1, 60)), Urgency::Sync);
    log.sync();
    let id = log.id();
    drop(log);
    assert_eq!(told.try_iter().next(), None);
    std::fs::remove_dir(&obstacle).unwrap();
    let (log, tables) = open(dir.path(), 2);
    assert_eq!(log.id(), id);
    assert!(!tables.keys.alive(KEY, version(1, 49)));
    assert!(!tables.keys.alive(9 << 64, version(1, 59)));
}

#[test]
fn a_log_that_broke_is_told_once_and_gone_before_a_sync_returns() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), 1);
    let (tell, told) = std::sync::mpsc::channel();
    log.on_failure(Box::new(move |reason| {
        tell.send(reason.to_owned()).unwrap();
    }));
    let id = log.id();
    log.take_no_more();
    log.append(fact(KEY, version(1, 50)), Urgency::Lazy);
    log.append(fact(KEY, version(1, 51)), Urgency::Lazy);
    log.sync();
    assert!(told.try_recv().unwrap().contains("cannot be written"));
    drop(log);
    assert_eq!(told.try_iter().next(), None);
    // another identity even where no stamp could be deleted
    assert_ne!(open(dir.path(), 2).0.id(), id);
}

#[test]
fn a_log_that_cannot_be_synced_is_given_up_before_a_sync_returns() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), 1);
    let (tell, told) = std::sync::mpsc::channel();
    log.on_failure(Box::new(move |_| tell.send(()).unwrap()));
    // it takes what is written
    let null = File::options().write(true).open("/dev/null").unwrap();
    assert!(null.sync_data().is_err());
    log.shared.file.lock().file = Arc::new(null);
    log.append(fact(KEY, version(1, 50)), Urgency::Lazy);
    log.sync();
    assert_eq!(told.try_recv(), Ok(()));
}

#[test]
fn what_is_appended_while_the_log_is_written_anew_is_in_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let (log, tables) = open(dir.path(), 1);
    let key = |n: u64| u128::from(n % 64) << 64 | u128::from(n);
    let appended = std::thread::scope(|scope| {
        let compacting = scope.spawn(|| (0..20).for_each(|_| log.shared.compact()));
        // until the last one is over, so that nothing but itself can have brought its tail
        let mut n = 0;
        while !compacting.is_finished() && n < 500_000 {
            n += 1;
            let fact = fact(key(n), version(1, n));
            apply(fact, &tables);
            log.append(fact, Urgency::Lazy);
        }
        n
    });
    drop(log);
    let (_, tables) = open(dir.path(), 2);
    for n in 1..=appended {
        assert!(!tables.keys.alive(key(n), version(1, n - 1)), "{n}");
    }
}

/// Waits as a node does, though not as long.
fn reached(durability: Durability, wait: Duration) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(durability.reached(wait))
}

const SOON: Duration = Duration::from_secs(60);
const AT_ONCE: Duration = Duration::from_millis(20);

#[test]
fn a_record_is_durable_once_it_was_synced_and_no_sooner() {
    let dir = tempfile::tempdir().unwrap();
    let (log, tables) = open(dir.path(), 1);
    // nobody asks for these to be synced
    let lazy = |key: u128| log.append(fact(key << 64, version(1, 50)), Urgency::Lazy);
    assert!(!reached(lazy(1), AT_ONCE));
    let first = lazy(2);
    log.sync();
    assert!(reached(first, AT_ONCE));
    assert!(!reached(lazy(3), AT_ONCE), "it came after the sync");

    tables.keys.raise(4 << 64, version(1, 50));
    let anew = lazy(4);
    log.shared.compact();
    assert!(
        reached(anew, AT_ONCE),
        "it is in the new file, on the device"
    );

    let (before, urgent) = (
        lazy(5),
        log.append(fact(KEY, version(1, 50)), Urgency::Sync),
    );
    assert!(reached(urgent, SOON));
    assert!(reached(before, AT_ONCE));
}

#[test]
fn nobody_waits_for_a_log_that_broke_and_whoever_waits_goes_on_when_the_disks_are_void() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), 1);
    let (tell, told) = std::sync::mpsc::channel();
    log.on_failure(Box::new(move |_| tell.send(()).unwrap()));
    log.shared.file.lock().file = Arc::new(File::open(dir.path().join(FILE)).unwrap());
    let lost = log.append(fact(KEY, version(1, 50)), Urgency::Sync);
    assert!(reached(lost, SOON));
    told.try_recv().expect("the disks are void by then");
    let later = log.append(fact(KEY, version(1, 51)), Urgency::Sync);
    assert!(reached(later, AT_ONCE));
}

#[test]
fn an_orderly_end_syncs_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let (log, _) = open(dir.path(), 1);
        let last = log.append(fact(KEY, version(1, 50)), Urgency::Sync);
        drop(log);
        assert!(reached(last, AT_ONCE));
    }
}

#[test]
fn what_nothing_is_left_of_is_not_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let (log, tables) = open(dir.path(), 1);
    let minima = crate::minima::Minima::logged(tables, log);
    let length = || std::fs::metadata(dir.path().join(FILE)).unwrap().len();
    for primary in 0..100 {
        let slot = crate::key::HeadKey {
            primary,
            variant: 0,
        };
        minima.supersede(slot, version(1, 50));
    }
    assert_eq!(length(), (HEADER_BYTES + 100 * RECORD_BYTES) as u64);
    minima.turn();
    minima.turn();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while length() > HEADER_BYTES as u64 {
        assert!(std::time::Instant::now() < deadline, "it keeps them");
        std::thread::yield_now();
    }
}
