use super::*;
use crate::leases::Fence;
use crate::store::MemoryStore;
use seawall_purge::lineage::Held;
use std::collections::HashMap;

/// No member is fenced.
const NOBODY: Judge<'_> = &|_| Fence::Unknown;

fn seq(epoch: u64, n: u64) -> PurgeSeq {
    PurgeSeq::new(Epoch(epoch), n)
}

fn hello(id: &str, at: PurgeSeq) -> Hello {
    Hello {
        node_id: id.into(),
        version: 1,
        held: Held { at, term: 0 },
        documents: HashMap::new(),
        kind: "edge".into(),
        software: String::new(),
    }
}

fn ack(purged: PurgeSeq) -> Ack {
    Ack {
        purged,
        documents: Vec::new(),
    }
}

fn received(at: PurgeSeq) -> Received {
    Received {
        applied: at,
        head: at,
        starts_empty: false,
        owes_empty: false,
    }
}

async fn members(store: &Arc<dyn Store>) -> Members {
    let members = Members::open(store.clone()).await.unwrap();
    for (stream, (id, at)) in [("a", seq(1, 5)), ("b", seq(1, 7))].into_iter().enumerate() {
        let stream = stream as u64;
        let received = received(at);
        members
            .join(&hello(id, PurgeSeq::default()), received, stream, 10)
            .await
            .unwrap();
    }
    members
}

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new(Epoch(1)))
}

fn pending(members: &Members, purge: PurgeSeq) -> Vec<String> {
    let receipts = members.receipts(purge, 0, NOBODY).into_iter();
    receipts
        .filter(|receipt| receipt.state == State::Pending)
        .map(|receipt| receipt.node)
        .collect()
}

#[tokio::test]
async fn a_purge_is_pending_on_nodes_that_are_behind_or_of_another_epoch() {
    let members = members(&store()).await;
    assert_eq!(pending(&members, seq(1, 6)), ["a"]);
    assert_eq!(pending(&members, seq(2, 1)), ["a", "b"]);
    assert!(!members.tally(seq(1, 6), NOBODY).is_complete());
    assert!(members.tally(seq(1, 5), NOBODY).is_complete());
}

#[tokio::test]
async fn acknowledgements_are_cumulative_and_never_go_back() {
    let members = members(&store()).await;
    members.acknowledge("a", 0, &ack(seq(1, 8)), 30);
    members.acknowledge("a", 0, &ack(seq(1, 3)), 40);
    members.acknowledge("a", 0, &ack(seq(2, 100)), 40);
    members.acknowledge("stranger", 0, &ack(seq(1, 100)), 40);
    // of a stream that is no longer b's
    members.acknowledge("b", 9, &ack(seq(1, 100)), 40);
    assert_eq!(pending(&members, seq(1, 8)), ["b"]);
    let receipts = members.receipts(seq(1, 6), 20, NOBODY);
    assert_eq!(receipts[0].took_ms, Some(10));
}

#[tokio::test]
async fn nothing_waits_for_a_node_that_was_removed_and_it_is_told_as_removed() {
    let store = store();
    let members = members(&store).await;
    assert!(members.remove("a", seq(1, 6), 50).await.unwrap());
    assert!(!members.remove("a", seq(1, 6), 50).await.unwrap());
    for members in [&members, &Members::open(store.clone()).await.unwrap()] {
        assert_eq!(
            members.receipts(seq(1, 6), 0, NOBODY)[0].state,
            State::Removed
        );
        assert!(
            members
                .receipts(seq(1, 7), 0, NOBODY)
                .iter()
                .all(|r| r.node != "a")
        );
        assert!(members.must_start_empty("a", seq(1, 5)));
        assert!(!members.must_start_empty("b", seq(1, 7)));
    }
}

#[tokio::test]
async fn a_node_that_is_removed_while_it_says_hello_is_not_received_as_if_it_were_a_member() {
    let store = store();
    let members = members(&store).await;
    members.leave("a", 0, 20).await;
    let at = seq(1, 5);
    assert!(!members.must_start_empty("a", at));
    members.remove("a", seq(1, 7), 30).await.unwrap();
    let late = members.join(&hello("a", at), received(at), 3, 31).await;
    assert!(matches!(late, Err(JoinError::Removed)), "{late:?}");
    // what was told of it stays so
    assert_eq!(
        members.receipts(seq(1, 6), 0, NOBODY)[0].state,
        State::Removed
    );
    assert!(members.must_start_empty("a", at));
    // and one that was forgotten since, too
    let stranger = members.join(&hello("c", at), received(at), 4, 32).await;
    assert!(matches!(stranger, Err(JoinError::Removed)), "{stranger:?}");
    assert!(
        members
            .receipts(seq(1, 6), 0, NOBODY)
            .iter()
            .all(|r| r.node != "c")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_among_acknowledgements_leavings_and_returns_ends_in_one_of_the_legal_states() {
    let store = store();
    let members = Arc::new(Members::open(store.clone()).await.unwrap());
    let head = seq(1, 9);
    for turn in 1..300 {
        let stream = 2 * turn;
        let emptied = move |owes_empty| Received {
            applied: if owes_empty { seq(1, 0) } else { seq(1, 5) },
            head,
            starts_empty: owes_empty,
            owes_empty,
        };
        // it is a member at position 5, whatever it was before
        let owes = members.must_start_empty("a", seq(1, 5));
        let comes = hello("a", seq(1, 5));
        members
            .join(&comes, emptied(owes), stream, turn)
            .await
            .unwrap();
        members.acknowledge("a", stream, &ack(seq(1, 5)), turn);
        let removing = {
            let members = members.clone();
            tokio::spawn(async move { members.remove("a", head, turn).await.unwrap() })
        };
        let node = {
            let members = members.clone();
            tokio::spawn(async move {
                members.acknowledge("a", stream, &ack(seq(1, 8)), turn);
                members.leave("a", stream, turn).await;
                let owes = members.must_start_empty("a", seq(1, 8));
                let back = hello("a", seq(1, 8));
                let received = Received {
                    applied: if owes { seq(1, 0) } else { seq(1, 8) },
                    ..emptied(owes)
                };
                (owes, members.join(&back, received, stream + 1, turn).await)
            })
        };
        assert!(removing.await.unwrap());
        let (owed, joined) = node.await.unwrap();
        let again = Members::open(store.clone()).await.unwrap();
        let removed = !members.list(head).iter().any(|view| view.id == "a");
        match joined {
            // before its removal, or after it and told so
            Ok(()) => assert!(owed || removed, "{turn}"),
            // in the midst of it
            Err(error) => assert!(matches!(error, JoinError::Removed) && !owed && removed),
        }
        // in memory and in the store
        for members in [&*members, &again] {
            assert!(members.must_start_empty("a", seq(1, 8)), "{turn}");
            let of = |n| {
                members
                    .receipts(seq(1, n), 0, NOBODY)
                    .first()
                    .map(|r| r.state)
            };
            if removed {
                assert_eq!(of(9), Some(State::Removed), "{turn}");
                assert_ne!(of(8), Some(State::Pending), "{turn}");
                assert_eq!(of(10), None, "{turn}");
            } else {
                assert_eq!((of(5), of(9)), (Some(State::Pending), Some(State::Pending)));
            }
        }
        if !removed {
            assert!(members.acknowledge("a", stream + 1, &ack(head), turn));
            assert_eq!(pending(&members, head), Vec::<String>::new());
            assert!(!members.must_start_empty("a", head));
        }
    }
}

#[tokio::test]
async fn a_node_that_is_away_while_the_control_plane_restarts_stays_pending() {
    let store = store();
    let first = members(&store).await;
    first.acknowledge("a", 0, &ack(seq(1, 9)), 30);
    let again = Members::open(store).await.unwrap();
    // its last acknowledgement was not kept: that makes receipts wait, never claim
    assert_eq!(pending(&again, seq(1, 9)), ["a", "b"]);
    assert_eq!(pending(&again, seq(1, 5)), Vec::<String>::new());
}

#[tokio::test]
async fn the_stream_that_came_last_is_the_nodes_own() {
    let store = store();
    let members = members(&store).await;
    let at = seq(1, 6);
    members
        .join(&hello("a", at), received(at), 7, 60)
        .await
        .unwrap();
    assert!(
        !members.leave("a", 0, 61).await,
        "the old stream ended late"
    );
    assert!(members.is_current("a", 7));
    assert!(members.leave("a", 7, 62).await);
}

#[tokio::test]
async fn a_removed_node_starts_empty_until_it_has_said_that_it_has() {
    let store = store();
    let members = members(&store).await;
    members.remove("a", seq(1, 7), 20).await.unwrap();
    let emptied = Received {
        applied: seq(1, 0),
        head: seq(1, 7),
        starts_empty: true,
        owes_empty: true,
    };
    let at = seq(1, 5);
    members.join(&hello("a", at), emptied, 3, 30).await.unwrap();
    // the stream was cut before its first word: it may hold its copies still
    members.leave("a", 3, 31).await;
    for members in [&members, &Members::open(store.clone()).await.unwrap()] {
        assert!(members.must_start_empty("a", at));
    }
    members.join(&hello("a", at), emptied, 4, 32).await.unwrap();
    assert!(members.acknowledge("a", 4, &ack(seq(1, 7)), 40));
    members.keep_positions().await.unwrap();
    for members in [&members, &Members::open(store).await.unwrap()] {
        assert!(!members.must_start_empty("a", seq(1, 7)));
    }
    // what it never applied by itself took no time that anybody knows
    assert_eq!(members.receipts(seq(1, 6), 20, NOBODY)[0].took_ms, None);
}

#[tokio::test]
async fn a_node_that_starts_empty_by_its_position_owes_nothing_whenever_the_control_plane_is_killed()
 {
    let store = store();
    let members = members(&store).await;
    let emptied = Received {
        applied: seq(1, 0),
        head: seq(1, 7),
        starts_empty: true,
        owes_empty: false,
    };
    let new = hello("new", PurgeSeq::default());
    members.join(&new, emptied, 3, 30).await.unwrap();
    assert!(!members.acknowledge("new", 3, &ack(seq(1, 7)), 31));
    // nothing was kept since it joined
    let again = Members::open(store).await.unwrap();
    assert!(!again.must_start_empty("new", seq(1, 7)));
}

#[tokio::test]
async fn a_receipt_tells_no_time_of_what_was_applied_before_the_node_joined() {
    let store = store();
    let members = members(&store).await;
    members.acknowledge("a", 0, &ack(seq(1, 8)), 7_200_000);
    let took = |n, appended_ms| members.receipts(seq(1, n), appended_ms, NOBODY)[0].took_ms;
    assert_eq!(took(5, 10), None);
    assert_eq!(took(6, 7_199_990), Some(10));
}

#[tokio::test]
async fn a_node_that_leaves_is_known_by_its_last_position_after_a_restart() {
    let store = store();
    let first = members(&store).await;
    first.acknowledge("a", 0, &ack(seq(1, 9)), 30);
    assert!(first.leave("a", 0, 31).await);
    let again = Members::open(store).await.unwrap();
    assert_eq!(pending(&again, seq(1, 9)), ["b"]);
}

#[tokio::test]
async fn positions_that_were_kept_are_known_after_a_restart() {
    let store = store();
    let first = members(&store).await;
    first.acknowledge("a", 0, &ack(seq(1, 9)), 30);
    first.keep_positions().await.unwrap();
    let again = Members::open(store).await.unwrap();
    assert_eq!(pending(&again, seq(1, 9)), ["b"]);
}

#[tokio::test]
async fn a_member_that_was_removed_longest_ago_makes_room_and_stays_a_stranger() {
    let store = store();
    let members = Members::open(store.clone()).await.unwrap();
    let at = seq(1, 1);
    for i in 0..MEMBERS_MAX {
        let (id, now) = (format!("n{i}"), i as u64);
        let hello = hello(&id, PurgeSeq::default());
        let joined = members.join(&hello, received(at), now, now).await;
        joined.unwrap();
    }
    let more = hello("more", PurgeSeq::default());
    let full = members.join(&more, received(at), 9_000, 9_000).await;
    assert!(matches!(full, Err(JoinError::Full)));
    members.remove("n7", at, 9_001).await.unwrap();
    members.remove("n3", at, 9_002).await.unwrap();
    members
        .join(&more, received(at), 9_003, 9_003)
        .await
        .unwrap();
    assert_eq!(members.by_id.lock().len(), MEMBERS_MAX);
    assert!(store.get("nodes/n7").await.unwrap().is_none());
    assert!(store.get("nodes/n3").await.unwrap().is_some());
    assert!(members.must_start_empty("n7", at));
    assert!(!members.must_start_empty("n7", PurgeSeq::default()));
}

#[tokio::test(start_paused = true)]
async fn members_that_were_not_heard_of_since_a_start_are_worth_waiting_for_a_while() {
    let store = store();
    let first = members(&store).await;
    first.leave("a", 0, 11).await;
    assert!(
        !first.waits_for_the_away_alone(seq(1, 9), NOBODY),
        "b is here"
    );
    first.leave("b", 1, 12).await;
    assert!(first.waits_for_the_away_alone(seq(1, 9), NOBODY));
    let again = Members::open(store).await.unwrap();
    assert!(!again.waits_for_the_away_alone(seq(1, 9), NOBODY));
    tokio::time::advance(RETURN_MAX).await;
    assert!(again.waits_for_the_away_alone(seq(1, 9), NOBODY));
}

#[tokio::test]
async fn a_member_that_has_not_applied_a_purge_is_fenced_where_it_is_judged_so() {
    let members = members(&store()).await;
    members.has_services("a", 0, 4);
    assert!(members.renew("a", 0, Duration::from_secs(7)));
    assert!(
        !members.renew("a", 9, Duration::from_secs(8)),
        "not its stream"
    );
    let judge = |member: Unapplied| {
        let expected = Unapplied {
            services: Some(4),
            answered: Some(Duration::from_secs(7)),
        };
        assert_eq!(member, expected, "and nobody else is asked about");
        Fence::Since(Duration::from_secs(20))
    };
    let receipts = members.receipts(seq(1, 7), 0, &judge);
    assert_eq!(receipts[0].state, State::Fenced);
    assert_eq!(receipts[0].fenced_since, Some(Duration::from_secs(20)));
    assert_eq!(receipts[1].state, State::Applied);
    assert!(members.tally(seq(1, 7), &judge).is_complete());
    // it is not known what a member of another epoch has in force
    let receipts = members.receipts(seq(2, 1), 0, &judge);
    assert!(receipts.iter().all(|r| r.state == State::Pending));
    let not_yet = |_| Fence::From(Duration::from_secs(20));
    let receipts = members.receipts(seq(1, 7), 0, &not_yet);
    assert_eq!(receipts[0].state, State::Pending);
}

#[tokio::test]
async fn which_services_a_member_has_acknowledged_is_kept_and_is_forgotten_where_it_starts_empty() {
    let store = store();
    let of = |members: &Members, id: &str| {
        let seen = std::cell::Cell::new(None);
        let judge = |member: Unapplied| {
            seen.set(member.services);
            Fence::Unknown
        };
        let purge = seq(1, 100);
        let receipts = members.receipts(purge, 0, &judge);
        assert!(receipts.iter().any(|receipt| receipt.node == id));
        seen.get()
    };
    let first = Members::open(store.clone()).await.unwrap();
    let at = seq(1, 5);
    let greeting = hello("a", PurgeSeq::default());
    first
        .join(&greeting, received(seq(1, 0)), 1, 1)
        .await
        .unwrap();
    assert_eq!(of(&first, "a"), None);
    first.has_services("a", 1, 6);
    first.has_services("a", 1, 4);
    first.has_services("a", 9, 8);
    assert_eq!(of(&first, "a"), Some(6));
    first.leave("a", 1, 2).await;
    let again = Members::open(store.clone()).await.unwrap();
    assert_eq!(of(&again, "a"), Some(6));
    again.join(&greeting, received(at), 2, 3).await.unwrap();
    assert_eq!(of(&again, "a"), Some(6));
    let empty = Received {
        starts_empty: true,
        ..received(at)
    };
    again.join(&greeting, empty, 3, 4).await.unwrap();
    assert_eq!(of(&again, "a"), None);
    let later = Members::open(store).await.unwrap();
    assert_eq!(of(&later, "a"), None);
}
