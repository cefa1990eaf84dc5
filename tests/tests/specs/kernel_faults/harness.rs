//! A site whose objects say their version, an edge in a process of its own, and what becomes of its disks.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::process::EdgeProcess;
use seawall_tests::{Client, Fleet, FleetSpec, Origin, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const DISK: u64 = 64 << 20;
/// The spec that is run as a process of its own.
pub(super) const EDGE: &str = "kernel_faults::an_edge_of_its_own";

/// A site whose every object says its version, and one edge in a process of its own that caches it.
pub(super) struct Site {
    pub(super) origin: Origin,
    version: Arc<AtomicU64>,
    pub(super) fleet: Fleet,
}

/// The body under a target that ends in its length.
fn body(target: &str, version: u64) -> Vec<u8> {
    let length = target.rsplit('-').next().and_then(|n| n.parse().ok());
    let word = format!("{version:08}{target} ");
    word.bytes().cycle().take(length.unwrap_or(10)).collect()
}

/// `/a3-1000` has the tag `a3`.
fn tag(target: &str) -> &str {
    target[1..].split('-').next().unwrap_or_default()
}

/// First and last byte of `Range: bytes=a-b`.
fn range_of(range: &str) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

impl Site {
    pub(super) fn start() -> Self {
        let version = Arc::new(AtomicU64::new(1));
        let current = version.clone();
        let origin = Origin::start(move |request, reply| {
            let version = current.load(Ordering::SeqCst);
            let body = body(&request.target, version);
            let etag = format!("\"v{version}\"");
            let mut fields = vec![
                ("cache-control", "max-age=3600"),
                ("content-type", "image/png"),
                ("surrogate-key", tag(&request.target)),
                ("etag", &etag),
            ];
            let part = request.field("range").and_then(range_of);
            match part.filter(|_| request.field("if-range").is_none_or(|tag| tag == etag)) {
                Some((first, last)) => {
                    let last = last.min(body.len() - 1);
                    let content_range = format!("bytes {first}-{last}/{}", body.len());
                    fields.push(("content-range", &content_range));
                    reply.answer(206, &fields, &body[first..=last])
                }
                None => reply.answer(200, &fields, &body),
            }
        });
        let spec = FleetSpec {
            edges: 0,
            shields: 0,
            disk: Some(DISK),
            ..FleetSpec::default()
        };
        let mut fleet = Fleet::start(spec, &origin);
        fleet.another_edge();
        Self {
            origin,
            version,
            fleet,
        }
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.fleet.disk("edge-0")
    }

    /// A file in the node's own directory.
    pub(super) fn data(&self, path: &str) -> PathBuf {
        self.fleet.dir("edge-0").join(path)
    }

    /// The files of the log of purges.
    pub(super) fn purges(&self) -> Vec<PathBuf> {
        let names = ["log", "log.new", "table", "table.new"];
        let file = |name| self.data(&format!("purges/purges.{name}"));
        names.into_iter().map(file).collect()
    }

    /// The files of the log of minima.
    pub(super) fn minima(&self) -> Vec<PathBuf> {
        ["minima/minima.log", "minima/minima.log.new"]
            .map(|name| self.data(name))
            .into()
    }

    /// Starts the edge where it was.
    pub(super) fn edge(&self) -> EdgeProcess {
        let edge = EdgeProcess::spawn(&self.fleet.edge_model(0), EDGE);
        eventually("it follows", || self.fleet.is_up_to_date("edge-0"));
        edge
    }

    /// From now on the origin has another version of everything.
    pub(super) fn change(&self) -> u64 {
        self.version.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Asks; the body is that of one version, from the first to the last byte. The version, and whether it was a hit.
    pub(super) fn ask(&self, edge: &EdgeProcess, target: &str) -> (u64, bool) {
        let answer = get(edge.address(), target, &[]);
        assert_eq!(answer.status, 200, "{target}");
        let version = String::from_utf8_lossy(&answer.body[..8]).parse();
        let version: u64 = version.expect("a version");
        assert!(version <= self.version.load(Ordering::SeqCst));
        assert!(answer.body == body(target, version), "{target}");
        (version, answer.is_hit())
    }

    /// Asks for all of `targets`, which are of `version`; how many were hits.
    pub(super) fn hits(&self, edge: &EdgeProcess, targets: &[String], version: u64) -> usize {
        let hit = |target: &&String| {
            let (answered, hit) = self.ask(edge, target);
            assert_eq!(answered, version, "{target}");
            hit
        };
        targets.iter().filter(hit).count()
    }

    /// Asks for new objects until `holds`; how many.
    pub(super) fn work(
        &self,
        edge: &EdgeProcess,
        what: &str,
        mut holds: impl FnMut() -> bool,
    ) -> u64 {
        let mut asked = 0;
        eventually(what, || {
            let current = self.version.load(Ordering::SeqCst);
            assert_eq!(self.ask(edge, &format!("/n{asked}-1000")), (current, false));
            asked += 1;
            holds()
        });
        asked
    }

    /// Asks for all of `targets` until they are on the disk.
    pub(super) fn fill(&self, edge: &EdgeProcess, targets: &[String], records: u64) {
        self.hits(edge, targets, self.version.load(Ordering::SeqCst));
        eventually("it is written", || written(edge) >= records);
    }

    /// Purges the tag of `target`, and it is in force.
    pub(super) fn purge_everywhere(&self, target: &str) {
        self.fleet
            .purge_everywhere(json!({ "tags": [tag(target)] }));
    }

    /// Purges the tag of `target`, without waiting for it; the receipt.
    pub(super) fn purge(&self, target: &str) -> Value {
        let what = json!({ "tags": [tag(target)], "wait_ms": 0 });
        self.fleet.purge(what).1
    }

    pub(super) fn receipt(&self, purge: &Value) -> Value {
        let id = purge["id"].as_str().expect("an id");
        self.fleet.get(&format!("/v1/purges/{id}")).1
    }
}

/// Records that were written or lost, on any disk.
pub(super) fn settled(edge: &EdgeProcess) -> u64 {
    let lost = metric(&edge.metrics(), "seawall_disk_records_dropped_total", &[]);
    lost + written(edge)
}

pub(super) fn written(edge: &EdgeProcess) -> u64 {
    metric(&edge.metrics(), "seawall_disk_records_written_total", &[])
}

/// Disks in use.
pub(super) fn up(edge: &EdgeProcess) -> u64 {
    metric(&edge.metrics(), "seawall_disk_up", &[])
}

pub(super) fn targets(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("/a{i}-1000")).collect()
}

pub(super) fn post(edge: &EdgeProcess, target: &str) {
    let mut client = Client::connect(edge.address());
    client.request("POST", target, &[("content-length", "0")], b"");
    assert_eq!(client.response("POST").unwrap().status, 200);
}

/// The files of a disk's blocks: of `heads`, of `chunks`.
pub(super) fn blocks(disk: &Path, shelf: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(disk.join(shelf)).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// All that lies on a disk.
pub(super) fn all_of(disk: &Path) -> Vec<PathBuf> {
    let own = ["stamp", "stamp.new", "lock", "heads", "chunks"];
    let mut files = vec![disk.to_owned()];
    files.extend(own.map(|name| disk.join(name)));
    files.extend(blocks(disk, "heads"));
    files.extend(blocks(disk, "chunks"));
    files
}

/// The lines of the edge's log that hold `words`.
pub(super) fn logged(edge: &EdgeProcess, words: &str) -> Vec<String> {
    let log = edge.log();
    let lines = log.lines().filter(|line| line.contains(words));
    lines.map(str::to_owned).collect()
}

const OFF: &str = "the disk cache is turned off";

/// It says once which disk is off and why.
pub(super) fn says_why(edge: &EdgeProcess, disk: &Path, why: &str) {
    eventually("it is said", || !logged(edge, OFF).is_empty());
    let lines = logged(edge, OFF);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(&disk.display().to_string()), "{lines:?}");
    assert!(lines[0].contains(why), "{lines:?}");
}
