use super::*;
use seawall_purge::{Epoch, ScopeId, Strength};
use std::os::unix::fs::MetadataExt;

const EPOCH: Epoch = Epoch(11);

fn purge(n: u64) -> Purge {
    Purge {
        at: PurgeSeq::new(EPOCH, n),
        term: 5,
        appended_ms: 1000 * n,
        strength: Strength::Hard,
        scopes: vec![ScopeId(n)],
        pace: None,
    }
}

/// Appends the purge `n`, and puts it in the table.
fn append(journal: &mut Journal, table: &Table, n: u64) -> Result<(), JournalError> {
    journal.append(&[purge(n)], table)?;
    table.apply(&purge(n)).unwrap();
    Ok(())
}

/// An open file that can be written and cannot be synced, as on a dying disk.
fn unsyncable() -> File {
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap();
    assert!(null.sync_all().is_err());
    null
}

#[test]
fn nothing_is_acknowledged_in_a_log_that_may_have_lost_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _, _) = Journal::open(dir.path(), 1000).unwrap();
    let held = Held {
        at: PurgeSeq::new(EPOCH, 0),
        term: 0,
    };
    journal.start(held).unwrap();
    let table = Table::with_records_max(held.at, 1000);
    append(&mut journal, &table, 1).unwrap();

    let directory = std::mem::replace(&mut journal.directory, unsyncable());
    journal.put(journal.held).unwrap_err();
    append(&mut journal, &table, 2).unwrap_err();
    assert_eq!(journal.held().at.n, 1);

    // it can be synced again: a new log goes on where the table stands
    journal.directory = directory;
    append(&mut journal, &table, 2).unwrap();
    drop(journal);
    let (journal, table, recovered) = Journal::open(dir.path(), 1000).unwrap();
    assert_eq!((recovered, journal.held().at.n), (Recovered::Whole, 2));
    assert_eq!(table.at().n, 2);
}

#[test]
fn what_was_written_and_not_synced_is_not_acknowledged_and_a_new_log_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _, _) = Journal::open(dir.path(), 1000).unwrap();
    let held = Held {
        at: PurgeSeq::new(EPOCH, 0),
        term: 0,
    };
    journal.start(held).unwrap();
    let table = Table::with_records_max(held.at, 1000);
    append(&mut journal, &table, 1).unwrap();

    journal.file = unsyncable();
    append(&mut journal, &table, 2).unwrap_err();
    assert_eq!((journal.held().at.n, table.at().n), (1, 1));
    append(&mut journal, &table, 2).unwrap();
    drop(journal);
    let (journal, table, recovered) = Journal::open(dir.path(), 1000).unwrap();
    assert_eq!((recovered, journal.held().at.n), (Recovered::Whole, 2));
    assert_eq!(table.at().n, 2);
}

#[test]
fn a_log_that_was_read_back_is_not_written_on_but_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(Journal::open(dir.path(), 1000).unwrap());
    let file = || fs::metadata(dir.path().join(LOG)).unwrap().ino();
    let before = file();
    let (_journal, _, recovered) = Journal::open(dir.path(), 1000).unwrap();
    assert_eq!(recovered, Recovered::Whole);
    assert_ne!(file(), before);
}

#[test]
fn a_log_that_could_not_be_replaced_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _, _) = Journal::open(dir.path(), 1000).unwrap();
    let held = Held {
        at: PurgeSeq::new(EPOCH, 0),
        term: 0,
    };
    journal.start(held).unwrap();
    let table = Table::with_records_max(held.at, 1000);
    append(&mut journal, &table, 1).unwrap();
    let obstacle = dir.path().join("purges.log.new");
    fs::create_dir(&obstacle).unwrap();
    journal.put(journal.held).unwrap_err();
    append(&mut journal, &table, 2).unwrap();
    fs::remove_dir(&obstacle).unwrap();
    drop(journal);
    let (journal, _, recovered) = Journal::open(dir.path(), 1000).unwrap();
    assert_eq!((recovered, journal.held().at.n), (Recovered::Whole, 2));
}
