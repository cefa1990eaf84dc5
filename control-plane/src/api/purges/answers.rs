//! What an answer says of a purge whose members acknowledge at that very moment.

use super::*;
use crate::members::Received;
use crate::store::{MemoryStore, Store};
use seawall_control_protocol::{Ack, Hello};
use seawall_purge::lineage::Held;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Turns at least, so that the moments meet.
const TURNS: usize = 3000;
const TURNS_MAX: usize = 100_000;

async fn plane_with_a_node() -> Arc<Plane> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
    let plane = Arc::new(Plane::open(store, None).await.unwrap());
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
        let done = requested.carry_out(&plane, "ci", None, true);
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
