//! A process that is killed in the middle of appends: what it answered is there, once, and nothing is there by half.

use super::*;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Where the child finds the store; without it, the child's part is no test.
const STORE: &str = "SEAWALL_TEST_CRASH_STORE";
const CHILD: &str = "store::sqlite::tests::crash::the_child_appends_until_it_is_killed";
/// What begins a line of the child's, among the test harness's own.
const ANSWERED: &str = "answered";
const WRITERS: u64 = 8;
/// Answers after which the child is killed: each time at another point of its work.
const KILLED_AFTER: [usize; 3] = [1, 50, 333];

fn key(writer: u64, turn: u64) -> IdempotencyKey {
    IdempotencyKey(u128::from(writer) << 64 | u128::from(turn))
}

/// One to three records, all of the same text.
fn bodies(writer: u64, turn: u64) -> Vec<Entry> {
    let text = format!("{writer}.{turn}");
    vec![text.as_bytes().into(); 1 + (turn % 3) as usize]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os(STORE) else {
        return;
    };
    let store = Arc::new(SqliteStore::open(Path::new(&path)).unwrap());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for turn in 0.. {
                    let (key, bodies) = (key(writer, turn), bodies(writer, turn));
                    let appended = store.append(Term(1), 0, bodies, key).await.unwrap();
                    let (first, last) = (appended.first.n, appended.last.n);
                    // past the harness, which would keep what a test prints until its end
                    let line = format!("\n{ANSWERED} {writer} {turn} {first} {last}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Runs the child until it has told of `count` answers, and gives all that it told before its end.
fn answers_of_killed_child(path: &Path, count: usize) -> Vec<[u64; 4]> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        // a line that was cut off by the end is not an answer that was received
        if let Some(numbers) = line
            .strip_suffix('\n')
            .and_then(|l| l.strip_prefix(ANSWERED))
        {
            let numbers = numbers.split_whitespace().map(|n| n.parse().unwrap());
            answers.push(numbers.collect::<Vec<u64>>().try_into().unwrap());
            if answers.len() == count {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(answers.len() >= count, "the child ended by itself");
    answers
}

#[tokio::test]
async fn what_a_killed_process_answered_is_there_once_and_nothing_by_half() {
    for count in KILLED_AFTER {
        let (dir, store) = begin();
        drop(store);
        let answers = answers_of_killed_child(&file_in(dir.path()), count);

        let store = reopen(&dir).unwrap();
        let records = all_records(&store).await;
        assert!(records.iter().zip(1..).all(|(r, n)| r.at.n == n), "dense");
        let mut places: HashMap<&[u8], Vec<u64>> = HashMap::new();
        for record in &records {
            places.entry(&record.body).or_default().push(record.at.n);
        }
        for (text, places) in &places {
            let text = std::str::from_utf8(text).unwrap();
            let turn: u64 = text.split('.').nth(1).unwrap().parse().unwrap();
            let whole = places.len() == bodies(0, turn).len();
            let together = places.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            assert!(whole && together, "{text} is at {places:?}");
        }
        for [writer, turn, first, last] in answers {
            let bodies = bodies(writer, turn);
            let told: Vec<u64> = (first..=last).collect();
            assert_eq!(places.get(&*bodies[0].body), Some(&told));
            let again = store.append(Term(2), 0, bodies, key(writer, turn)).await;
            let again = again.unwrap();
            assert_eq!((again.first.n, again.last.n), (first, last));
        }
        assert_eq!(store.head().await.unwrap().at.n, records.len() as u64);
    }
}
