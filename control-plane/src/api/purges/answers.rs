//! What answers say of purges: while members acknowledge, are away, and where too much is named.

use super::*;
use crate::members::Received;
use crate::store::{MemoryStore, Store};
use seawall_control_protocol::{Ack, Hello};
use seawall_purge::Epoch;
use seawall_purge::lineage::Held;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Turns at least, so that the moments meet.
const TURNS: usize = 3000;
const TURNS_MAX: usize = 100_000;

async fn plane_with_a_node() -> Arc<Plane> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
    let plane = Arc::new(
        Plane::open(store, None, Duration::from_secs(10))
            .await
            .unwrap(),
    );
    let at = PurgeSeq::new(Epoch(1), 0);
    let hello = Hello {
        node_id: "a".into(),
        version: 1,
        held: Held::default(),
        documents: HashMap::new(),
        kind: "edge".into(),
        software: String::new(),
    };
    let received = Received {
        applied: at,
        head: at,
        starts_empty: false,
        owes_empty: false,
    };
    plane.members.join(&hello, received, 1, 0).await.unwrap();
    plane
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_and_its_body_are_of_one_moment_while_a_node_acknowledges() {
    let plane = plane_with_a_node().await;
    let done = Arc::new(AtomicBool::new(false));
    let acknowledging = {
        let (plane, done) = (plane.clone(), done.clone());
        tokio::spawn(async move {
            let mut turn = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let purged = plane.log.head().await.unwrap().at;
                // at another moment each time
                turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                for _ in 0..turn >> 53 {
                    std::hint::spin_loop();
                }
                let documents = Vec::new();
                let ack = Ack { purged, documents };
                plane.members.acknowledge("a", 1, &ack, 0);
                tokio::task::yield_now().await;
            }
        })
    };
    // complete, and not
    let mut seen = [0; 2];
    let mut turns = 0;
    while turns < TURNS || seen.contains(&0) {
        turns += 1;
        assert!(turns < TURNS_MAX, "{seen:?}");
        let asked = br#"{"everything": true, "wait_ms": 0}"#;
        let requested = Requested::parse(asked, &plane).unwrap();
        let done = requested.carry_out(&plane, By::named("ci"), None, true);
        let (status, told) = done.await.unwrap();
        let complete = told["complete"].as_bool().unwrap();
        seen[usize::from(complete)] += 1;
        assert_eq!(status == StatusCode::OK, complete, "{status} {told}");
        let count = |word: &str| {
            let receipts = told["receipts"].as_array().unwrap().iter();
            receipts.filter(|receipt| receipt["state"] == word).count()
        };
        let (applied, pending) = (count("applied"), count("pending"));
        assert_eq!((applied + pending, pending == 0), (1, complete), "{told}");
        assert_eq!(told["pending"], json!(pending), "{told}");
        assert_eq!(told["applied"], json!(applied), "{told}");
    }
    done.store(true, Ordering::Relaxed);
    acknowledging.await.unwrap();
}

#[tokio::test]
async fn a_purge_of_more_records_than_one_can_have_says_which_list_and_appends_nothing() {
    let plane = plane_with_a_node().await;
    // two of them do not fit one record
    let item = |i| Item {
        kind: Kind::Url,
        text: format!("http://a/{i}"),
        scopes: (0..=SCOPES_MAX as u64 / 2).map(ScopeId).collect(),
    };
    let requested = Requested {
        items: (0..=APPEND_RECORDS_MAX).map(item).collect(),
        service: None,
        soft: false,
        pace: None,
        dry_run: false,
        wait: Some(Duration::ZERO),
    };
    let refused = requested
        .carry_out(&plane, By::named("ci"), None, false)
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.body()["field"], "urls");
    assert_eq!(plane.log.head().await.unwrap().at.n, 0);
}

#[tokio::test(start_paused = true)]
async fn a_purge_without_a_wait_of_its_own_does_not_wait_for_who_is_away() {
    let plane = plane_with_a_node().await;
    plane.members.leave("a", 1, 0).await;
    let asked = |wait: &str| {
        let body = format!(r#"{{"everything": true{wait}}}"#);
        Requested::parse(body.as_bytes(), &plane).unwrap()
    };
    for (wait, waited) in [("", 0), (r#", "wait_ms": 700"#, 700)] {
        let begun = tokio::time::Instant::now();
        let done = asked(wait).carry_out(&plane, By::named("ci"), None, false);
        let (status, told) = done.await.unwrap();
        assert_eq!(
            (status, &told["pending"]),
            (StatusCode::ACCEPTED, &json!(1))
        );
        let took = begun.elapsed().as_millis();
        assert!((waited..waited + 10).contains(&took), "{took}");
    }
}

#[tokio::test]
async fn a_pace_is_told_and_one_that_cannot_be_is_refused() {
    let plane = plane_with_a_node().await;
    for asked in [
        r#"{"everything": true, "pace": 0}"#,
        r#"{"everything": true, "pace": 1000001}"#,
        r#"{"everything": true, "pace": 4294967297}"#,
        r#"{"everything": true, "pace": "50"}"#,
        r#"{"everything": true, "pace": 50, "soft": true}"#,
    ] {
        let refused = Requested::parse(asked.as_bytes(), &plane).unwrap_err();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{asked}");
        assert_eq!(refused.body()["field"], "pace", "{asked}");
    }
    for (asked, pace) in [
        (r#"{"everything": true, "wait_ms": 0}"#, json!(null)),
        (
            r#"{"everything": true, "wait_ms": 0, "pace": 50}"#,
            json!(50),
        ),
    ] {
        let requested = Requested::parse(asked.as_bytes(), &plane).unwrap();
        let done = requested.carry_out(&plane, By::named("ci"), None, true);
        let (_, told) = done.await.unwrap();
        assert_eq!(told["pace"], pace);
        let (id, records) = find(&plane, told["id"].as_str().unwrap()).await.unwrap();
        let shown = shown(&plane, id, &Asked::of(&records).unwrap(), true);
        assert_eq!(shown["pace"], pace);
    }
}

#[tokio::test]
async fn a_service_that_is_forgotten_is_purged_first() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
    // deleted, the first one longest ago
    let known = 2 * crate::services::SERVICES_MAX;
    for i in 0..known {
        let key = format!("service/s{i}");
        let pointer = br#"{"version": 1, "deleted": true}"#.as_slice();
        let put = store.put(&key, pointer.into(), crate::store::Expect::Any);
        put.await.unwrap();
    }
    let plane = Plane::open(store, None, Duration::from_secs(10))
        .await
        .unwrap();
    plane.make_room_for_service("s7").await.unwrap();
    assert_eq!(plane.log.head().await.unwrap().at.n, 0, "it has its room");
    plane.make_room_for_service("new").await.unwrap();
    let records = plane
        .log
        .read(PurgeSeq::new(Epoch(1), 0), 10)
        .await
        .unwrap();
    assert_eq!(records.len(), 1);
    let purge = PurgeRecord::decode(&records[0]).unwrap();
    assert_eq!(purge.named.service.as_deref(), Some("s0"));
    assert_eq!(purge.scopes, [Scope::Service { service: "s0" }.id().0]);
    assert!(!purge.soft);
    let in_force = plane.services.in_force();
    assert!(!in_force.knows("s0") && in_force.knows("s1"));
}
