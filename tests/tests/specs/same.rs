//! One request gets one answer, wherever the copy is: on its way, in memory, on a disk, at the next tier, or nowhere yet.

mod ask;
mod cases;
mod origin;

use ask::ask;
use cases::{Case, Framing, Question, Random, draw};
use origin::Held;
use seawall_tests::{Client, Fleet, FleetSpec, Response};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Seeds that always run. `SEED=n` runs another one alone, `CASES=n` more of it.
const SEEDS: [u64; 3] = [1, 2, 3];
const CASES: usize = 60;
const WORKERS: usize = 6;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_copy_gives_the_same_answer_from_memory_from_disk_and_while_it_is_filled() {
    let seeds = number("SEED").map_or(SEEDS.to_vec(), |seed| vec![seed]);
    let cases = number("CASES").map_or(CASES, |n| n as usize);
    for seed in seeds {
        run(seed, cases);
    }
}

/// Where the copy is when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nowhere yet.
    Cold,
    /// A fill of it is open.
    Filling,
    Memory,
    /// On the node's disk, after a restart.
    Disk,
    /// On the disk of the next tier, which was restarted too.
    Next,
}

#[derive(Default)]
struct Answers {
    /// What is asked for without `Range`, from memory: what stands in for a range that cannot be had yet.
    whole: Option<Response>,
    by_way: Vec<(Way, Response)>,
}

fn run(seed: u64, count: usize) {
    let mut random = Random(seed);
    let cases: Vec<Held> = (0..count).map(|_| Held::new(draw(&mut random))).collect();
    let cases = Arc::new(cases);
    let origin = origin::start(cases.clone());
    let spec = FleetSpec {
        disk: Some(64 << 20),
        service: if seed.is_multiple_of(2) {
            DECODE.into()
        } else {
            String::new()
        },
        ..FleetSpec::default()
    };
    let mut fleet = Fleet::start(spec, &origin);
    let answers: Vec<Mutex<Answers>> = (0..count).map(|_| Mutex::default()).collect();
    let faults = Mutex::new(Vec::new());

    each(count, |index| {
        let held = &cases[index];
        let mut ways = answers[index].lock().expect("no holder panics");
        let mut keep = |way, answer: Result<Response, String>| match answer {
            Ok(answer) => ways.by_way.push((way, answer)),
            Err(error) => fault(&faults, index, &held.case, way, &error),
        };
        let edge = fleet.edge(0);
        keep(Way::Filling, while_filling(edge, held, index));
        if held.late.load(Ordering::Acquire) {
            keep(
                Way::Filling,
                Err("no head before the body was whole".into()),
            );
        }
        let (target, question) = (format!("/fill/{index}"), &held.case.question);
        // first, so that a coding of it is made
        let whole = Question {
            method: "GET",
            ..question.without(&["range", "if-range"])
        };
        let whole = ask(edge, &target, &whole, || {});
        keep(Way::Memory, ask(edge, &target, question, || {}));
        keep(
            Way::Cold,
            ask(edge, &format!("/cold/{index}"), question, || {}),
        );
        ways.whole = whole.ok();
    });
    for stop in [Fleet::stop_edge, Fleet::stop_shield] {
        stop(&mut fleet, 0);
    }
    fleet.start_shield(0);
    fleet.start_edge(0);
    each(count, |index| {
        let (target, case) = (format!("/fill/{index}"), &cases[index].case);
        for (way, edge) in [(Way::Disk, fleet.edge(0)), (Way::Next, fleet.edge(1))] {
            match ask(edge, &target, &case.question, || {}) {
                Ok(answer) => {
                    let mut ways = answers[index].lock().expect("no holder panics");
                    ways.by_way.push((way, answer));
                }
                Err(error) => fault(&faults, index, case, way, &error),
            }
        }
    });

    // what was to be compared was there to compare
    let (mut joined, mut memory, mut disk) = (0, 0, 0);
    for (index, answers) in answers.into_iter().enumerate() {
        let answers = answers.into_inner().expect("no holder panics");
        for (way, answer) in &answers.by_way {
            match way {
                Way::Filling => joined += usize::from(answer.edge_status().contains("; collapsed")),
                Way::Memory => memory += usize::from(answer.is_hit()),
                Way::Disk => disk += usize::from(answer.is_hit()),
                Way::Cold | Way::Next => {}
            }
        }
        compare(index, &cases[index].case, &answers, &faults);
    }
    let faults = faults.into_inner().expect("no holder panics");
    assert!(
        faults.is_empty(),
        "SEED={seed} CASES={count}, {} faults\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(
        joined >= count / 5 && memory >= count / 4 && disk >= count / 4,
        "SEED={seed} CASES={count}: {joined} joined a fill, {memory} hits in memory, {disk} on disk"
    );
}

const DECODE: &str = "[service.default]\ndecode = true\n";

fn fault(faults: &Mutex<Vec<String>>, index: usize, case: &Case, way: Way, what: &str) {
    let text = format!("case {index}, {way:?}: {what}\n  {case:?}");
    faults.lock().expect("no holder panics").push(text);
}

/// Runs `what` for each index, several at a time.
fn each(count: usize, what: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::AcqRel);
                    if index >= count {
                        return;
                    }
                    what(index);
                }
            });
        }
    });
}

/// Somebody has asked for the copy and has its head; the body is held back until the head of the answer is here.
fn while_filling(edge: SocketAddr, held: &Held, index: usize) -> Result<Response, String> {
    let target = format!("/fill/{index}");
    let leader: Vec<(&str, &str)> = held
        .case
        .leader
        .iter()
        .map(|(n, v)| (*n, v.as_str()))
        .collect();
    let mut client = Client::connect(edge);
    client.request("GET", &target, &leader, b"");
    let head = client.head();
    let answer = ask(edge, &target, &held.case.question, || held.open());
    held.open();
    let (status, fields) = head.map_err(|error| format!("leader: {error}"))?;
    let whole = client.body("GET", status, &fields);
    whole.map_err(|error| format!("leader: {error}"))?;
    answer
}

/// What is compared.
#[derive(Clone, PartialEq, Eq)]
struct Told {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Told {
    /// `Age` and `Cache-Status` tell the way that an answer came, and framing is the connection's. `Date` is this
    /// machine's where the origin sent none. The boundary of parts is another one each time.
    fn of(case: &Case, answer: &Response) -> Self {
        let mut fields = answer.fields.clone();
        fields.retain(|(name, _)| {
            !["age", "cache-status", "connection", "transfer-encoding"].contains(&name.as_str())
        });
        if case.resource.dateless {
            fields.retain(|(name, _)| name != "date");
        }
        let mut body = answer.body.clone();
        for (name, value) in &mut fields {
            let boundary = value.strip_prefix("multipart/byteranges; boundary=");
            if let ("content-type", Some(boundary)) = (name.as_str(), boundary) {
                let text = String::from_utf8_lossy(&body).replace(boundary, "BOUNDARY");
                body = text.into_bytes();
                *value = PARTS.into();
            }
        }
        fields.sort();
        Self {
            status: answer.status,
            fields,
            body,
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    fn without(mut self, names: &[&str]) -> Self {
        self.fields
            .retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    /// Without what a coding made here changes.
    fn plain(mut self) -> Self {
        let body = std::mem::take(&mut self.body);
        self.body = match self.field("content-encoding") {
            Some(coding) if self.status != 206 => decoded(coding, &body),
            _ => body,
        };
        for (name, value) in &mut self.fields {
            if name == "etag" {
                *value = value.trim_start_matches("W/").to_owned();
            }
        }
        self.without(&["content-encoding", "content-length"])
    }

    /// Without the word that others of this URL are coded.
    fn without_coding_in_vary(mut self) -> Self {
        let coding = |name: &str, value: &str| {
            name == "vary" && value.eq_ignore_ascii_case("accept-encoding")
        };
        self.fields.retain(|(name, value)| !coding(name, value));
        self
    }

    fn only(mut self, names: &[&str]) -> Self {
        self.fields
            .retain(|(name, _)| names.contains(&name.as_str()));
        self
    }
}

const PARTS: &str = "multipart/byteranges";

fn decoded(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        "br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
        "zstd" => zstd::stream::copy_decode(body, &mut plain).map(|()| 0),
        other => panic!("no coding: {other}"),
    };
    // an answer to HEAD has nothing to decode
    if read.is_err() { Vec::new() } else { plain }
}

/// Whether it came from the next tier without being kept on the way: passed on, or as the answer of this client alone.
fn is_passed(answer: &Response) -> bool {
    let status = answer.edge_status();
    status.contains("; fwd=") && !status.contains("; ttl=")
}

fn compare(index: usize, case: &Case, answers: &Answers, faults: &Mutex<Vec<String>>) {
    let memory = answers.by_way.iter().find(|(way, _)| *way == Way::Memory);
    let (Some((_, memory)), Some(whole)) = (memory, &answers.whole) else {
        return;
    };
    for (way, answer) in &answers.by_way {
        let (expect, got) = expected(case, *way, memory, whole, answer);
        if expect == got {
            continue;
        }
        let mut told = format!(
            "{} instead of {} {}",
            got.status,
            expect.status,
            answer.edge_status()
        );
        for field in expect
            .fields
            .iter()
            .filter(|field| !got.fields.contains(field))
        {
            told += &format!("\n  lacks {}: {}", field.0, field.1);
        }
        for field in got
            .fields
            .iter()
            .filter(|field| !expect.fields.contains(field))
        {
            told += &format!("\n  has {}: {}", field.0, field.1);
        }
        if expect.body != got.body {
            told += &format!(
                "\n  body {} instead of {}",
                got.body.len(),
                expect.body.len()
            );
        }
        fault(faults, index, case, *way, &told);
    }
}

/// What is to come `way`, by what came from memory, and what came. Every exception is one of these.
fn expected(
    case: &Case,
    way: Way,
    memory: &Response,
    whole: &Response,
    answer: &Response,
) -> (Told, Told) {
    let (question, resource) = (&case.question, &case.resource);
    let (mut expect, mut got) = (Told::of(case, memory), Told::of(case, answer));
    let fetched = answer.edge_status().contains("; fwd=");
    let passed = is_passed(answer) || is_passed(memory);

    // RFC 9111 §5.2.1.7: what is not stored yet is not in the cache
    if question.field("cache-control") == Some("only-if-cached") {
        let stored = matches!(way, Way::Memory | Way::Disk) || answer.is_hit();
        expect.status = if stored { expect.status } else { 504 };
        if expect.status == 504 {
            let told = Told {
                status: got.status,
                ..expect.clone()
            };
            return (expect, told);
        }
    }
    // RFC 9111 §4.3.2: the date of a stored response stands in for a Last-Modified that the origin has not
    if passed
        && (expect.status, got.status) == (304, 200)
        && question.field("if-modified-since").is_some()
        && resource.field("last-modified").is_none()
    {
        return (got.clone(), got);
    }
    // a coding made here has a weak tag, and what passes or is held in parts is not coded: a condition that wants a strong
    // tag holds for the one and not for the other (RFC 9110 §13.1.1, §13.1.5)
    let weakened = |told: &Told| {
        let is_weak = |tag: Option<&str>| tag.is_some_and(|tag| tag.starts_with("W/"));
        is_weak(told.field("etag")) && !is_weak(resource.field("etag"))
    };
    let apart = passed || matches!(way, Way::Cold | Way::Next);
    let differs = apart && weakened(&expect) != weakened(&got);
    let wants_strong = ["if-match", "if-range"].map(|name| question.field(name).is_some());
    if differs && expect.status != got.status && wants_strong.contains(&true) {
        return (got.clone(), got);
    }
    // a range of what has no known length yet, and several of what is still to come, are answered by the whole
    let coded = answer.field("content-encoding") != resource.field("content-encoding");
    let unknown = resource.framing != Framing::Length || coded;
    let several = expect.field("content-type") == Some(PARTS);
    if fetched && got.status == 200 && matches!(expect.status, 206 | 416) && (unknown || several) {
        expect = Told::of(case, whole);
    }
    // content that is only passed on is not coded. What is too short to be coded is so where its length was not known.
    // Each edge makes its own codings
    let short = resource.framing != Framing::Length && resource.length < CODED_MIN;
    let elsewhere = coded && matches!(way, Way::Cold | Way::Next);
    if passed || short || elsewhere || differs {
        (expect, got) = (expect.plain(), got.plain());
    }
    // of a status alone it cannot be told what the whole would be, and what is held in parts is not coded
    let in_parts = fetched && got.status == 206;
    if short || differs || in_parts || (passed && got.status != 200) {
        (expect, got) = (
            expect.without_coding_in_vary(),
            got.without_coding_in_vary(),
        );
    }
    // a refusal by the origin has the fields that the origin gives it, and tells the length of what is not coded
    if passed && matches!(got.status, 412 | 416) {
        let coded = whole.field("content-encoding") != resource.field("content-encoding");
        let told: &[&str] = if coded { &[] } else { &["content-range"] };
        (expect, got) = (expect.only(told), got.only(told));
    }
    // what is on its way, or coded at this moment, may have no length yet
    let growing = |told: &Told| unknown && told.field("content-length").is_none();
    if (growing(&got) && (fetched || coded)) || (growing(&expect) && coded) {
        let length = &["content-length"];
        (expect, got) = (expect.without(length), got.without(length));
    }
    // RFC 9111 §5.2.2.4, §5.2.2.7: what is not stored goes to the one whose question it answers, and to nobody else
    let control = resource.field("cache-control").unwrap_or_default();
    if control.contains("=\"x-own\"") && resource.field("cdn-cache-control").is_none() {
        expect = expect.without(&["x-own"]);
        if fetched && !answer.edge_status().contains("; collapsed") {
            got = got.without(&["x-own"]);
        }
    }
    (expect, got)
}

/// Shorter text is not coded (the default of `gzip_min`).
const CODED_MIN: usize = 1024;
