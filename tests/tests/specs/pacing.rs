//! An origin is asked no faster than its budget allows: who cannot wait gets what is stale, or is told when to come back.

use seawall_tests::client::get;
use seawall_tests::cluster::metric;
use seawall_tests::fleet::service;
use seawall_tests::{Client, Fleet, FleetSpec, Origin, Response, eventually};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const FRESH: (&str, &str) = ("cache-control", "max-age=3600");

/// When requests came to an origin.
type Arrivals = Arc<Mutex<Vec<Instant>>>;

/// Answers with `control` and the number of its answers so far.
fn counting(control: &'static str) -> (Origin, Arrivals) {
    let arrivals = Arrivals::default();
    let noted = arrivals.clone();
    let origin = Origin::start(move |_, reply| {
        let mut noted = noted.lock().unwrap();
        noted.push(Instant::now());
        let body = noted.len().to_string();
        drop(noted);
        reply.answer(200, &[("cache-control", control)], body.as_bytes())
    });
    (origin, arrivals)
}

fn fleet(shields: usize, per_second: u32, wait: &str, origin: &Origin) -> Fleet {
    let spec = FleetSpec {
        edges: 1,
        shields,
        service: format!(
            "[service.origin_budget]\nrequests_per_second = {per_second}\nqueue_wait = \"{wait}\""
        ),
        ..FleetSpec::default()
    };
    Fleet::start(spec, origin)
}

/// Asks for all of them at the same time.
fn all_at_once(edge: SocketAddr, targets: &[String]) -> Vec<Response> {
    std::thread::scope(|scope| {
        let ask = |target: &'_ String| {
            let target = target.clone();
            scope.spawn(move || get(edge, &target, &[]))
        };
        let clients: Vec<_> = targets.iter().map(ask).collect();
        let answers = clients.into_iter().map(|client| client.join().unwrap());
        answers.collect()
    })
}

fn paths(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("/{n}")).collect()
}

/// What a token bucket of this rate lets through, whenever one looks: no more than it had saved when the first came, and
/// its rate since.
fn holds(arrivals: &Arrivals, since: Instant, per_second: u32) {
    let saved = f64::from((per_second / 10).max(1));
    let arrivals = arrivals.lock().unwrap();
    let came = arrivals.iter().filter(|at| **at >= since);
    for (count, at) in came.zip(1..).map(|(at, count)| (count, at)) {
        let bound = saved + f64::from(per_second) * (*at - since).as_secs_f64();
        assert!(f64::from(count) <= bound, "{count} > {bound}");
    }
}

#[test]
fn an_origin_is_asked_no_faster_than_its_budget_and_who_cannot_wait_is_told_to_come_back() {
    for shields in [0, 1] {
        let (origin, arrivals) = counting(FRESH.1);
        let fleet = fleet(shields, 20, "500ms", &origin);
        let began = Instant::now();
        let answers = all_at_once(fleet.edge(0), &paths(60));
        holds(&arrivals, began, 20);
        let (good, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
        assert!(!refused.is_empty() && good.len() >= 12, "{}", good.len());
        for answer in &refused {
            assert_eq!(answer.status, 503, "{answer:?}");
            let after = answer.field("retry-after").unwrap();
            assert!(after.parse::<u32>().unwrap() >= 1, "{after}");
            let told = answer.field("cache-status").unwrap();
            assert!(told.contains("origin-budget"), "{told}");
        }
        assert_eq!(good.len(), origin.seen().len(), "{shields}");
        // it is the shield's, and no other server is tried for it
        let metrics = fleet.metrics(0);
        assert_eq!(metric(&metrics, "seawall_upstream_retries_total", &[]), 0);
        if shields == 0 {
            let count = |result: &str| {
                let result = format!("result=\"{result}\"");
                metric(&metrics, "seawall_origin_budget_total", &[&result]) as usize
            };
            assert_eq!(count("at_once") + count("queued"), good.len());
            assert_eq!(count("refused"), refused.len());
        }
        // nor is it stored
        for target in paths(60) {
            eventually("its turn comes", || {
                get(fleet.edge(0), &target, &[]).status == 200
            });
        }
        holds(&arrivals, began, 20);
    }
}

#[test]
fn what_passes_takes_its_turn_too() {
    for shields in [0, 1] {
        let (origin, arrivals) = counting(FRESH.1);
        let fleet = fleet(shields, 20, "0s", &origin);
        let began = Instant::now();
        let mut good = 0;
        for target in paths(60) {
            let mut client = Client::connect(fleet.edge(0));
            client.request("HEAD", &target, &[], b"");
            let answer = client.response("HEAD").unwrap();
            assert!(matches!(answer.status, 200 | 503), "{answer:?}");
            good += usize::from(answer.status == 200);
        }
        holds(&arrivals, began, 20);
        assert_eq!(good, origin.seen().len(), "{shields}");
    }
}

#[test]
fn what_a_copy_lacks_takes_its_turn_too() {
    const CHUNK: usize = 256 << 10;
    const CHUNKS: usize = 60;
    let arrivals = Arrivals::default();
    let noted = arrivals.clone();
    let origin = Origin::start(move |request, reply| {
        noted.lock().unwrap().push(Instant::now());
        let range = request
            .field("range")
            .and_then(|r| r.strip_prefix("bytes="));
        let (first, last) = range.and_then(|r| r.split_once('-')).unwrap();
        let told = format!("bytes {first}-{last}/{}", CHUNKS * CHUNK);
        let [first, last] = [first, last].map(|at| at.parse::<usize>().unwrap());
        let fields = [FRESH, ("etag", "\"1\""), ("content-range", &told)];
        reply.answer(206, &fields, &vec![b'x'; last + 1 - first])
    });
    let fleet = fleet(0, 20, "0s", &origin);
    let began = Instant::now();
    let ranges = (0..CHUNKS).map(|n| format!("bytes={}-{}", n * CHUNK, n * CHUNK + 9));
    let answers = ranges.map(|range| get(fleet.edge(0), "/", &[("range", &range)]));
    let answers: Vec<Response> = answers.collect();
    holds(&arrivals, began, 20);
    let good = answers.iter().filter(|a| a.status == 206).count();
    assert_eq!(good, origin.seen().len());
    assert!(answers.iter().all(|a| matches!(a.status, 206 | 503)));
}

#[test]
fn a_service_without_a_budget_waits_for_nobody_and_a_change_waits_for_nothing() {
    let (origin, _) = counting(FRESH.1);
    let fleet = fleet(0, 1, "0s", &origin);
    let text = service("free", "free.example", &origin, "");
    assert_eq!(fleet.put_service("free", &text, &[]).0, 201);
    let free = [("host", "free.example")];
    eventually("it is served", || {
        get(fleet.edge(0), "/first", &free);
        origin
            .seen()
            .last()
            .and_then(|r| r.field("host").map(str::to_owned))
            == Some("free.example".into())
    });
    for target in paths(20) {
        assert_eq!(get(fleet.edge(0), &target, &free).status, 200);
    }
    let answers = all_at_once(fleet.edge(0), &paths(20));
    assert!(answers.iter().any(|answer| answer.status == 503));
    for _ in 0..20 {
        let mut client = Client::connect(fleet.edge(0));
        client.request("POST", "/change", &[], b"x");
        assert_eq!(client.response("POST").unwrap().status, 200);
    }
}

#[test]
fn what_may_be_used_for_an_error_answers_where_the_wait_would_be_too_long() {
    for shields in [0, 1] {
        let (origin, _) = counting("max-age=3600, stale-if-error=600");
        let fleet = fleet(shields, 1, "0s", &origin);
        eventually("it is stored", || {
            get(fleet.edge(0), "/kept", &[]).status == 200
        });
        let (mut n, mut before) = (0, String::new());
        eventually("a stale one answers", || {
            fleet.purge_everywhere(json!({ "everything": true, "soft": true }));
            n += 1;
            // takes the turn, if there is one
            get(fleet.edge(0), &format!("/other/{n}"), &[]);
            let answer = get(fleet.edge(0), "/kept", &[]);
            assert_eq!(answer.status, 200, "{answer:?}");
            let same = answer.text() == before;
            before = answer.text();
            same
        });
        if shields == 0 {
            let stale = "outcome=\"stale_error\"";
            let metrics = fleet.metrics(0);
            assert!(metric(&metrics, "seawall_requests_total", &[stale]) > 0);
        }
    }
}

#[test]
fn a_soft_purge_of_everything_serves_stale_while_the_origin_is_asked_within_its_budget() {
    for shields in [0, 1] {
        let (origin, arrivals) = counting("max-age=3600, stale-while-revalidate=600");
        let fleet = fleet(shields, 5, "10s", &origin);
        let paths = paths(12);
        let stored = all_at_once(fleet.edge(0), &paths);
        let first: Vec<String> = stored.iter().map(Response::text).collect();
        assert!(stored.iter().all(|answer| answer.status == 200));
        let asks = || match shields {
            0 => fleet.metrics(0),
            _ => fleet.shield_metrics(0),
        };
        let queued = || {
            let result = "result=\"queued\"";
            metric(&asks(), "seawall_origin_budget_total", &[result])
        };
        let before = queued();
        fleet.purge_everywhere(json!({ "everything": true, "soft": true }));
        let purged = Instant::now();
        let meanwhile = all_at_once(fleet.edge(0), &paths);
        // nobody waits for the turn of a refreshment
        for (answer, before) in meanwhile.iter().zip(&first) {
            assert_eq!((answer.status, &answer.text()), (200, before));
        }
        eventually("all are refreshed", || {
            let now = all_at_once(fleet.edge(0), &paths);
            assert!(now.iter().all(|answer| answer.status == 200));
            now.iter()
                .zip(&first)
                .all(|(now, before)| &now.text() != before)
        });
        holds(&arrivals, purged, 5);
        assert_eq!(origin.seen().len(), 24, "each once");
        assert_eq!(queued(), before, "they take no turn that a client may want");
    }
}

#[test]
fn a_request_that_waits_for_its_turn_is_answered_by_what_the_last_purge_allows() {
    let value = Arc::new(AtomicUsize::new(1));
    let now = value.clone();
    let origin = Origin::start(move |_, reply| {
        let body = now.load(Ordering::Acquire).to_string();
        reply.answer(200, &[FRESH], body.as_bytes())
    });
    let fleet = fleet(0, 1, "10s", &origin);
    get(fleet.edge(0), "/", &[]);
    let queued = || {
        let metrics = fleet.metrics(0);
        metric(
            &metrics,
            "seawall_origin_budget_total",
            &["result=\"queued\""],
        )
    };
    std::thread::scope(|scope| {
        for target in ["/1", "/2", "/3"] {
            scope.spawn(|| get(fleet.edge(0), target, &[]));
        }
        eventually("they wait", || queued() >= 2);
        fleet.purge_everywhere(json!({ "urls": ["http://www.example/"] }));
        let early = scope.spawn(|| get(fleet.edge(0), "/", &[]));
        eventually("it waits", || queued() >= 3);
        value.store(2, Ordering::Release);
        fleet.purge_everywhere(json!({ "urls": ["http://www.example/"] }));
        assert_eq!(get(fleet.edge(0), "/", &[]).text(), "2");
        assert_eq!(early.join().unwrap().status, 200);
    });
    // what was asked for after the last purge has its label, however long it waited
    let after = get(fleet.edge(0), "/", &[]);
    assert!(after.is_hit() && after.text() == "2", "{after:?}");
}

/// Turns that were taken on the node that asks the origin.
fn turns_taken(fleet: &Fleet, shields: usize) -> u64 {
    let metrics = if shields == 0 {
        fleet.metrics(0)
    } else {
        fleet.shield_metrics(0)
    };
    let of = |result: &str| metric(&metrics, "seawall_origin_budget_total", &[result]);
    of("result=\"at_once\"") + of("result=\"queued\"")
}

#[test]
fn what_a_purge_with_a_pace_took_is_fetched_no_faster() {
    for shields in [0, 1] {
        let arrivals = Arrivals::default();
        let (noted, count) = (arrivals.clone(), AtomicUsize::new(0));
        let origin = Origin::start(move |request, reply| {
            if request.target != "/other" {
                noted.lock().unwrap().push(Instant::now());
            }
            let count = count.fetch_add(1, Ordering::AcqRel) + 1;
            let fields = [FRESH, ("surrogate-key", "all")];
            reply.answer(200, &fields, count.to_string().as_bytes())
        });
        let spec = FleetSpec {
            edges: 1,
            shields,
            ..FleetSpec::default()
        };
        let fleet = Fleet::start(spec, &origin);
        let paths = paths(50);
        let first = all_at_once(fleet.edge(0), &paths);
        assert!(first.iter().all(|answer| answer.status == 200));
        let last = first.iter().map(|answer| answer.text().parse().unwrap());
        let last: usize = last.max().unwrap();
        let is_new = |answer: &Response| answer.text().parse::<usize>().unwrap() > last;

        let told = fleet.purge_everywhere(json!({ "tags": ["all"], "pace": 10 }));
        let shown = fleet.get(&format!("/v1/purges/{}", told["id"].as_str().unwrap()));
        assert_eq!(shown.1["pace"], 10);
        let purged = Instant::now();
        let answers = all_at_once(fleet.edge(0), &paths);
        let (good, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
        assert!(!refused.is_empty() && good.len() >= 10, "{}", good.len());
        assert!(good.into_iter().all(is_new));
        for answer in refused {
            assert_eq!(answer.status, 503, "{answer:?}");
            let after = answer.field("retry-after").unwrap();
            assert!(after.parse::<u32>().unwrap() >= 1, "{after}");
        }
        // what was never stored is not paced
        let taken = turns_taken(&fleet, shields);
        assert_eq!(get(fleet.edge(0), "/other", &[]).status, 200);
        assert_eq!(turns_taken(&fleet, shields), taken);
        for target in &paths {
            eventually("its turn comes", || {
                let answer = get(fleet.edge(0), target, &[]);
                assert!(answer.status == 503 || is_new(&answer), "{answer:?}");
                answer.status == 200
            });
        }
        holds(&arrivals, purged, 10);

        // a purge without one is as fast as ever
        fleet.purge_everywhere(json!({ "tags": ["all"] }));
        let answers = all_at_once(fleet.edge(0), &paths);
        assert!(answers.iter().all(|answer| answer.status == 200));
    }
}

#[test]
fn a_pace_ends_with_the_first_answer_whether_it_may_be_stored_or_not() {
    const CLOSED: (&str, &str) = ("cache-control", "no-store");
    let closed = Arc::new(AtomicBool::new(false));
    let now = closed.clone();
    let origin = Origin::start(move |_, reply| {
        let control = if now.load(Ordering::Acquire) {
            CLOSED
        } else {
            FRESH
        };
        reply.answer(200, &[control], b"x")
    });
    let fleet = Fleet::start(
        FleetSpec {
            edges: 1,
            shields: 0,
            ..FleetSpec::default()
        },
        &origin,
    );
    let authorization = [("authorization", "Basic YTpi")];
    // id, whether answers of now are for nobody, what is sent with each request
    let rows = [
        ("no-store", true, &[][..]),
        ("credentials", false, &authorization[..]),
    ];
    for (id, no_store, fields) in rows {
        closed.store(false, Ordering::Release);
        let target = format!("/{id}");
        assert_eq!(get(fleet.edge(0), &target, &[]).status, 200, "{id}");
        closed.store(no_store, Ordering::Release);
        fleet.purge_everywhere(json!({ "everything": true, "pace": 1 }));
        let (taken, seen) = (turns_taken(&fleet, 0), origin.seen().len());
        for _ in 0..6 {
            let answer = get(fleet.edge(0), &target, fields);
            assert_eq!(answer.status, 200, "{id}: {answer:?}");
        }
        assert_eq!(origin.seen().len(), seen + 6, "{id}: none is stored");
        assert_eq!(
            turns_taken(&fleet, 0),
            taken + 1,
            "{id}: the first alone waits"
        );
    }
}

#[test]
fn a_dry_run_tells_how_often_the_origin_would_be_asked() {
    for shields in [0, 1] {
        let (origin, _) = counting(FRESH.1);
        let fleet = fleet(shields, 3000, "10s", &origin);
        let mut client = Client::connect(fleet.edge(0));
        let mut ask = |half: u32| {
            for i in 0..1500 {
                client.get(&format!("/{half}/{i}"), &[]);
            }
        };
        let dry = |half: u32, pace: Option<u32>| {
            let prefix = format!("www.example/{half}");
            let mut asked = json!({ "prefixes": [prefix], "dry_run": true });
            if let Some(pace) = pace {
                asked["pace"] = json!(pace);
            }
            let (status, told) = fleet.purge(asked);
            assert_eq!(status, 200, "{told}");
            let requests = told["origin_requests"].clone();
            move |name: &str| requests[name].as_u64().unwrap()
        };
        ask(0);
        let told = dry(0, None);
        let (minute, error) = (told("first_minute"), told("first_minute_error"));
        assert!(minute.abs_diff(1500) <= 2 * error, "{minute} +- {error}");
        assert!(0 < error && error < 1000, "{error}");
        assert!(told("first_second") <= minute);
        eventually("nobody asks any more", || dry(0, None)("first_second") == 0);
        assert_eq!(dry(0, None)("first_minute"), minute);
        assert_eq!(dry(1, None)("first_minute"), 0);
        // hits count like what is fetched
        for half in [0, 1, 1] {
            eventually("they ask", || {
                ask(half);
                let told = dry(half, None);
                assert_eq!(
                    told("per_second_max"),
                    3000,
                    "the budget of the node that asks"
                );
                assert_eq!(told("per_second"), told("first_second").min(3000));
                told("first_second") > 0
            });
        }
        eventually("they ask", || {
            ask(1);
            let told = dry(1, Some(3));
            assert_eq!(told("per_second_max"), 3);
            assert_eq!(told("per_second"), told("first_second").min(3));
            told("first_second") > 3
        });
    }
}
