use super::*;
use std::fs;
use std::sync::mpsc::channel;

fn entry(path: &str) -> AccessEntry<'_> {
    AccessEntry {
        time_ms: 1_700_000_000_000,
        request_id: 0xab,
        client: IpAddr::from([192, 0, 2, 1]),
        protocol: "HTTP/1.1",
        method: "GET",
        host: b"www.example.com",
        path,
        status: 200,
        bytes: 12,
        outcome: Outcome::Hit,
        service: Some("shop"),
        key: Some(0xcd),
        total_us: 7,
        user_agent: Some(b"a \"quoted\"\nagent"),
        referer: Some(b"https://example.com/"),
    }
}

fn line_of(entry: &AccessEntry<'_>) -> String {
    let mut line = Vec::new();
    line::put(&mut line, entry);
    String::from_utf8(line).unwrap()
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
    let line = line_of(&entry("/"));
    assert_eq!(line.find('\n'), Some(line.len() - 1));
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
        log.log(&entry(path));
    }
    drop(log);
    assert_eq!(paths(&file), sent);
}

#[test]
fn what_clients_send_can_break_no_line() {
    let ascii: String = (0..=0x7f_u8).map(char::from).collect();
    for sent in [
        "",
        "/a?b=c",
        "\"",
        "\\",
        "\\\"",
        "\u{1f9f1}\u{7f}\u{2028}",
        &ascii,
    ] {
        let entry = AccessEntry {
            host: sent.as_bytes(),
            method: sent,
            service: None,
            key: None,
            user_agent: None,
            client: "2001:db8::1".parse().unwrap(),
            ..entry(sent)
        };
        let line = line_of(&entry);
        let read: serde_json::Value = serde_json::from_str(&line).expect(&line);
        for name in ["method", "host", "path"] {
            assert_eq!(read[name], sent, "{line}");
        }
        assert!(read["service"].is_null() && read.get("key").is_none());
        assert_eq!(read["client"], "2001:db8::1");
        assert!(read.get("user_agent").is_none());
    }
    let entry = AccessEntry {
        host: b"www.\xff.example",
        ..entry("/")
    };
    let read: serde_json::Value = serde_json::from_str(&line_of(&entry)).unwrap();
    assert_eq!(read["host"], "www.\u{fffd}.example");
}

#[test]
fn numbers_stand_as_they_are_from_the_least_to_the_greatest() {
    for (n, client) in [
        (0, [0, 0, 0, 0]),
        (1, [10, 0, 99, 100]),
        (u64::MAX, [255; 4]),
    ] {
        let entry = AccessEntry {
            time_ms: n,
            request_id: n,
            bytes: n,
            total_us: n,
            status: n as u16,
            key: Some(u128::from(n) << 64 | u128::from(n)),
            client: client.into(),
            ..entry("/")
        };
        let read: serde_json::Value = serde_json::from_str(&line_of(&entry)).unwrap();
        for name in ["time_ms", "bytes", "total_us"] {
            assert_eq!(read[name], n);
        }
        assert_eq!(read["status"], n as u16);
        assert_eq!(read["request_id"], format!("{n:016x}"));
        assert_eq!(read["key"], format!("{n:016x}{n:016x}"));
        assert_eq!(read["client"], IpAddr::from(client).to_string());
    }
}

#[test]
fn lines_of_all_threads_are_written_each_threads_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let dropped = counter();
    let log = AccessLog::open(Destination::File(file.clone()), 100_000, dropped.clone()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || (0..5000).for_each(|n| log.log(&entry(&format!("/{thread}/{n}")))));
        }
    });
    drop(log);
    let written = paths(&file);
    for thread in 0..4 {
        let start = format!("/{thread}/");
        let of_it = written.iter().filter_map(|path| path.strip_prefix(&start));
        assert!(of_it.eq((0..5000).map(|n| n.to_string())), "{thread}");
    }
    assert_eq!((written.len(), dropped.get()), (20_000, 0));
}

#[test]
fn a_line_is_written_also_if_no_other_comes() {
    let ((begun, begins), (go, result)) = (channel(), channel());
    let out = Box::new(Slow { begun, result });
    let log = AccessLog::start(out, Destination::Stdout, 8, counter()).unwrap();
    for path in ["/first", "/second"] {
        // the writer has nothing else to do
        while !log.bell.is_idle() {
            std::thread::yield_now();
        }
        log.log(&entry(path));
        let written = begins.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(String::from_utf8(written).unwrap().contains(path));
        go.send(Ok(())).unwrap();
    }
}

#[test]
fn a_file_that_was_rotated_gets_no_line_after_the_log_was_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let (file, rotated) = (dir.path().join("access.log"), dir.path().join("old"));
    let log = AccessLog::open(Destination::File(file.clone()), 8, counter()).unwrap();
    fs::rename(&file, &rotated).unwrap();
    log.reopen();
    log.log(&entry("/after"));
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
    log.log(&entry("/written"));
    begins.recv().unwrap();
    for path in ["/waits", "/waits-too", "/dropped", "/dropped-too"] {
        log.log(&entry(path));
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
    log.log(&entry("/lost"));
    begins.recv().unwrap();
    go.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
    drop(go);
    log.log(&entry("/kept"));
    drop(log);
    assert_eq!(dropped.get(), 1);
    assert_eq!(begins.recv().unwrap(), b"\n");
    assert!(String::from_utf8_lossy(&begins.recv().unwrap()).contains("/kept"));
}
