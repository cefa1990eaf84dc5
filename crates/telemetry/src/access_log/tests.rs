use super::*;
use std::fs;
use std::sync::mpsc::channel;

fn entry(path: &str) -> AccessEntry {
    AccessEntry {
        time_ms: 1_700_000_000_000,
        request_id: 0xab,
        client: IpAddr::from([192, 0, 2, 1]),
        protocol: "HTTP/1.1",
        method: "GET".into(),
        host: "www.example.com".into(),
        path: path.into(),
        status: 200,
        bytes: 12,
        outcome: Outcome::Hit,
        service: Some("shop".into()),
        key: Some(0xcd),
        total_us: 7,
        user_agent: Some("a \"quoted\"\nagent".into()),
        referer: Some("https://example.com/".into()),
    }
}

fn counter() -> IntCounter {
    IntCounter::new("dropped", "dropped").unwrap()
}

/// The paths of the lines of a file, each of which must be one JSON object.
fn paths(file: &std::path::Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_line_has_the_declared_fields_in_their_order_and_no_other() {
    let line = serde_json::to_string(&entry("/")).unwrap();
    let at: Vec<_> = FIELDS
        .iter()
        .map(|(name, _)| line.find(&format!("\"{name}\":")).expect(name))
        .collect();
    assert!(at.is_sorted(), "{line}");
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read.as_object().unwrap().len(), FIELDS.len());
    assert_eq!(read["request_id"], "00000000000000ab");
    assert_eq!(read["key"], "000000000000000000000000000000cd");
}

#[test]
fn lines_that_wait_are_written_before_the_log_ends() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let log = AccessLog::open(Destination::File(file.clone()), 1000, counter()).unwrap();
    let sent: Vec<String> = (0..1000).map(|i| format!("/{i}")).collect();
    for path in &sent {
        log.log(entry(path));
    }
    drop(log);
    assert_eq!(paths(&file), sent);
}

#[test]
fn a_file_that_was_rotated_gets_no_line_after_the_log_was_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let (file, rotated) = (dir.path().join("access.log"), dir.path().join("old"));
    let log = AccessLog::open(Destination::File(file.clone()), 8, counter()).unwrap();
    fs::rename(&file, &rotated).unwrap();
    log.reopen();
    log.log(entry("/after"));
    drop(log);
    assert_eq!(paths(&file), ["/after"]);
    assert!(paths(&rotated).is_empty());
}

/// Says when a write has begun, and ends it when it is told how.
struct Slow {
    begun: std::sync::mpsc::Sender<Vec<u8>>,
    result: Receiver<io::Result<()>>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.begun.send(bytes.to_vec());
        self.result.recv().unwrap_or(Ok(()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_queue_drops_lines_and_counts_them() {
    let ((begun, begins), (go, result)) = (channel(), channel());
    let dropped = counter();
    let out = Box::new(Slow { begun, result });
    let log = AccessLog::start(out, Destination::Stdout, 2, dropped.clone()).unwrap();
    log.log(entry("/written"));
    begins.recv().unwrap();
    for path in ["/waits", "/waits-too", "/dropped", "/dropped-too"] {
        log.log(entry(path));
    }
    assert_eq!(dropped.get(), 2);
    drop(go);
    drop(log);
    let rest = String::from_utf8(begins.recv().unwrap()).unwrap();
    assert!(rest.contains("/waits-too") && !rest.contains("/dropped"));
}

#[test]
fn lines_that_could_not_be_written_are_counted_and_spoil_no_later_one() {
    let ((begun, begins), (go, result)) = (channel(), channel());
    let dropped = counter();
    let out = Box::new(Slow { begun, result });
    let log = AccessLog::start(out, Destination::Stdout, 8, dropped.clone()).unwrap();
    log.log(entry("/lost"));
    begins.recv().unwrap();
    go.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
    drop(go);
    log.log(entry("/kept"));
    drop(log);
    assert_eq!(dropped.get(), 1);
    assert_eq!(begins.recv().unwrap(), b"\n");
    assert!(String::from_utf8_lossy(&begins.recv().unwrap()).contains("/kept"));
}
