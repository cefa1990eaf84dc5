//! Soft purges: stale since then, and used so only where that is granted.

use seawall_tests::client::get;
use seawall_tests::{Client, Fleet, FleetSpec, Gate, Origin, eventually};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const URL: &str = "http://www.example/";
const CLIENTS: usize = 50;

/// Answers "good" with these windows; from when it is broken on, 503 once the gate is open.
fn breaking(control: &'static str) -> (Origin, Arc<AtomicBool>, Gate) {
    let (broken, gate) = (Arc::new(AtomicBool::new(false)), Gate::default());
    let (breaks, waits) = (broken.clone(), gate.clone());
    let origin = Origin::start(move |_, reply| {
        if breaks.load(Ordering::Acquire) {
            waits.pass();
            return reply.answer(503, &[], b"down");
        }
        reply.answer(200, &[("cache-control", control)], b"good")
    });
    (origin, broken, gate)
}

#[test]
fn a_softly_purged_copy_answers_on_error_for_all_who_wait() {
    for shields in [0, 1] {
        let (origin, broken, gate) = breaking("max-age=3600, stale-if-error=600");
        let spec = FleetSpec {
            shields,
            ..FleetSpec::default()
        };
        let fleet = Fleet::start(spec, &origin);
        get(fleet.edge(0), "/", &[]);
        broken.store(true, Ordering::Release);
        fleet.purge_everywhere(json!({ "urls": [URL], "soft": true }));
        // the second edge holds nothing: what the shield gives it is stale there too
        for edge in 0..=shields {
            let answers: Vec<(u16, String)> = std::thread::scope(|scope| {
                let ask = || get(fleet.edge(edge), "/", &[]);
                let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
                eventually("the origin is asked", || origin.count("/") > 1);
                gate.open();
                let answers = clients.into_iter().map(|client| client.join().unwrap());
                answers.map(|a| (a.status, a.text())).collect()
            });
            let good = answers.iter().filter(|a| a.1 == "good").count();
            assert_eq!(good, CLIENTS, "{shields} {edge}");
        }
    }
}

#[test]
fn a_second_soft_purge_opens_no_second_window() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_, reply| {
        let n = count.fetch_add(1, Ordering::AcqRel);
        let control = "max-age=3600, stale-while-revalidate=1";
        reply.answer(200, &[("cache-control", control)], n.to_string().as_bytes())
    });
    let fleet = Fleet::of(&origin);
    let soft = || fleet.purge_everywhere(json!({ "urls": [URL], "soft": true }));
    assert_eq!(get(fleet.edge(0), "/", &[]).text(), "0");
    let first = Instant::now();
    soft();
    // nobody asks for it until its window is over; the last purge is a moment old
    eventually("the window is over", || {
        soft();
        first.elapsed() > Duration::from_secs(2)
    });
    assert_eq!(get(fleet.edge(0), "/", &[]).text(), "1");
}

#[test]
fn a_softly_purged_copy_is_not_used_on_error_without_a_grant() {
    for control in ["max-age=3600", "max-age=3600, stale-if-error=0"] {
        let (origin, broken, gate) = breaking(control);
        let fleet = Fleet::of(&origin);
        get(fleet.edge(0), "/", &[]);
        broken.store(true, Ordering::Release);
        gate.open();
        // also within the second of the purge
        fleet.purge_everywhere(json!({ "urls": [URL], "soft": true }));
        assert_eq!(get(fleet.edge(0), "/", &[]).status, 503, "{control}");
    }
}

#[test]
fn a_hard_purge_while_the_origin_is_asked_takes_what_would_have_answered_for_its_error() {
    for shields in [0, 1] {
        let (origin, broken, gate) = breaking("max-age=3600, stale-if-error=600");
        let spec = FleetSpec {
            shields,
            ..FleetSpec::default()
        };
        let fleet = Fleet::start(spec, &origin);
        get(fleet.edge(0), "/", &[]);
        broken.store(true, Ordering::Release);
        fleet.purge_everywhere(json!({ "urls": [URL], "soft": true }));
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| get(fleet.edge(0), "/", &[]));
            eventually("the origin is asked", || origin.count("/") > 1);
            fleet.purge_everywhere(json!({ "urls": [URL] }));
            gate.open();
            assert_eq!(asked.join().unwrap().status, 503, "{shields}");
        });
    }
}

#[test]
fn a_head_that_validates_nothing_leaves_a_softly_purged_copy_stale() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |request, reply| {
        let n = match &request.method[..] {
            "HEAD" => 9,
            _ => count.fetch_add(1, Ordering::AcqRel),
        };
        // one byte, whatever it is
        reply.answer(
            200,
            &[("cache-control", "max-age=3600")],
            n.to_string().as_bytes(),
        )
    });
    for shields in [0, 1] {
        let fleet = Fleet::start(
            FleetSpec {
                shields,
                ..FleetSpec::default()
            },
            &origin,
        );
        let old = get(fleet.edge(0), "/", &[]).text();
        fleet.purge_everywhere(json!({ "urls": [URL], "soft": true }));
        let mut client = Client::connect(fleet.edge(0));
        client.request("HEAD", "/", &[], b"");
        assert_eq!(client.response("HEAD").unwrap().status, 200);
        assert_ne!(get(fleet.edge(0), "/", &[]).text(), old);
    }
}
