//! Good clients beside a thousand bad ones: what these do costs the others next to nothing, is bounded, and is counted.

mod bad;

use bad::{ALL, Random};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seawall_tests::cluster::metric;
use seawall_tests::process::{EdgeProcess, serve};
use seawall_tests::{Client, Fleet, Origin, eventually};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SEED: u64 = 0xbad_c11e57;
const BAD: usize = 1000;
const GOOD: usize = 16;
/// How often each good client asks: seldom enough that one late answer does not make the next one late.
const PACE: Duration = Duration::from_millis(100);
/// Of the good ones alone, and at least beside the bad ones.
const LASTING: Duration = Duration::from_secs(1);
/// A byte a second is cut by this: sooner than by default, so that the spec ends.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// Other specs have the same cores meanwhile; a client that has to wait for the bad ones waits for much longer.
const P99_MAX: Duration = Duration::from_secs(1);
const HIT: usize = 1000;
const LARGE: usize = 1 << 20;
/// What 1,000 bad clients may cost in memory: 64 KiB each, on the average.
const GROWTH_BYTES_MAX: u64 = (BAD as u64) * (64 << 10);

#[test]
#[ignore = "the process that the spec below besieges"]
fn an_edge_of_its_own() {
    serve();
}

/// Raises this process's limit of open files, which the edge inherits.
fn open_files(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    let may = limit.maximum.unwrap_or(u64::MAX);
    assert!(may >= wanted, "the hard limit of open files is {may}");
    let raised = limit.current.unwrap_or(u64::MAX).max(wanted);
    let limit = Rlimit {
        current: Some(raised),
        ..limit
    };
    setrlimit(Resource::Nofile, limit).expect("below the hard limit");
}

/// Good clients ask for hits until `over`: how long each answer took, from when it was due to be asked for.
fn hits(edge: SocketAddr, over: &AtomicBool) -> Vec<Duration> {
    let one = || {
        let (mut client, mut took) = (Client::connect(edge), Vec::new());
        let mut due = Instant::now();
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let answer = client.get("/hit", &[]);
            took.push(due.elapsed());
            assert!(answer.is_hit() && answer.body.len() == HIT, "{answer:?}");
            due += PACE;
        }
        took
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..GOOD).map(|_| scope.spawn(one)).collect();
        let took = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        took.collect()
    })
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// The p99 of good clients, while `meanwhile` runs.
fn p99_while(edge: SocketAddr, meanwhile: impl FnOnce()) -> Duration {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let good = scope.spawn(|| hits(edge, &over));
        // a spec that fails here does not wait for the good ones
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let end = End(&over);
        meanwhile();
        drop(end);
        p99(good.join().unwrap())
    })
}

#[test]
fn a_thousand_bad_clients_are_counted_take_little_memory_and_slow_no_good_one() {
    println!("seed {SEED:#x}");
    open_files(8192);
    let origin = Origin::start(|request, reply| match &request.target[..] {
        "/large" => reply.fresh(&vec![b'x'; LARGE]),
        _ => reply.fresh(&[b'x'; HIT]),
    });
    let (fleet, mut model) = Fleet::for_own_edge(&origin);
    model.node.conn.head_timeout = HEAD_TIMEOUT;
    model.node.conn.write_timeout = WRITE_TIMEOUT;
    let edge = EdgeProcess::spawn(&model, "besieged::an_edge_of_its_own");
    eventually("it follows", || fleet.is_up_to_date("edge-0"));
    let address = edge.address();
    for target in ["/hit", "/large"] {
        assert_eq!(Client::connect(address).get(target, &[]).status, 200);
    }

    let alone = p99_while(address, || std::thread::sleep(LASTING));
    let before = edge.resident_bytes();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let counted = |name: &str, label: &str| metric(&edge.metrics(), name, &[label]);
    let mut most = 0;
    let beside = p99_while(address, || {
        let began = Instant::now();
        let mut random = Random::seeded(SEED);
        for bad in ALL.into_iter().cycle().take(BAD) {
            let random = Random::seeded(random.below(u64::MAX) | 1);
            runtime.spawn(bad.go_on(address, random));
        }
        // as many of each as there are clients that do it, on the average
        let each = (BAD / ALL.len()) as u64;
        for (name, label, count) in [
            ("seawall_rejected_requests_total", "status=\"408\"", each),
            ("seawall_rejected_requests_total", "status=\"431\"", each),
            ("seawall_connections_cut_total", "reason=\"unread\"", each),
            ("seawall_connections_cut_total", "reason=\"reset\"", each),
            ("seawall_pipelined_requests_total", "node=", each * 100),
        ] {
            eventually(&format!("{name} {label} counts {count}"), || {
                std::thread::sleep(Duration::from_millis(20));
                most = most.max(edge.resident_bytes());
                counted(name, label) >= count
            });
        }
        std::thread::sleep(LASTING.saturating_sub(began.elapsed()));
    });
    drop(runtime);

    let grown = most.saturating_sub(before);
    println!(
        "p99 alone {alone:?}, beside {BAD} bad ones {beside:?}; {} KiB more at most",
        grown >> 10
    );
    assert!(
        beside <= (alone * 10).max(P99_MAX),
        "p99 was {alone:?} and is {beside:?}"
    );
    assert!(grown <= GROWTH_BYTES_MAX, "it grew by {grown} bytes");
    // and afterwards all of it is given back, but for the good ones' own
    eventually("bad connections are gone", || {
        counted("seawall_connections_open", "node=") <= GOOD as u64
    });
}
