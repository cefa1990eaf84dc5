use super::*;
use crate::store::MemoryStore;
use seawall_purge::Epoch;

fn text(id: &str, host: &str) -> String {
    format!(
        "[service]\nid = \"{id}\"\nhosts = [\"{host}\"]\n[[service.origins]]\nurl = \"http://127.0.0.1:1\"\n"
    )
}

async fn services() -> (Arc<dyn Store>, Services) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
    let services = Services::open(store.clone()).await.unwrap();
    (store, services)
}

async fn put(services: &Services, text: String, condition: Condition) -> Result<u64, ChangeError> {
    let put = services.put("a", text, condition, "ci", 1, None).await;
    put.map(|version| version.version)
}

#[tokio::test]
async fn a_service_is_changed_only_from_the_version_that_the_caller_saw() {
    let (store, services) = services().await;
    assert_eq!(
        put(&services, text("a", "h1"), Condition::Absent)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        put(&services, text("a", "h2"), Condition::Version(1))
            .await
            .unwrap(),
        2
    );
    let stale = put(&services, text("a", "h3"), Condition::Version(1)).await;
    assert!(matches!(
        stale,
        Err(ChangeError::Precondition { current: Some(2) })
    ));
    // the same again is the same version
    assert_eq!(
        put(&services, text("a", "h2"), Condition::None)
            .await
            .unwrap(),
        2
    );
    let again = Services::open(store).await.unwrap();
    assert_eq!(again.in_force().services["a"].version.version, 2);
    assert!(again.in_force().set.find(b"h2").is_some());
}

#[tokio::test]
async fn a_faulty_service_or_one_that_takes_anothers_host_changes_nothing() {
    let (_, services) = services().await;
    put(&services, text("a", "h1"), Condition::None)
        .await
        .unwrap();
    for bad in ["", "[service]\nid = \"a\"\n", &text("b", "h9")] {
        assert!(put(&services, bad.into(), Condition::None).await.is_err());
    }
    let taken = services
        .put("b", text("b", "h1"), Condition::None, "ci", 1, None)
        .await;
    assert!(matches!(taken, Err(ChangeError::Faults(faults)) if faults.len() == 1));
    assert_eq!(services.in_force().services.len(), 1);
}

#[tokio::test]
async fn a_rollback_is_a_new_version_and_a_deleted_service_keeps_its_history() {
    let (_, services) = services().await;
    put(&services, text("a", "h1"), Condition::None)
        .await
        .unwrap();
    put(&services, text("a", "h2"), Condition::None)
        .await
        .unwrap();
    let back = services
        .rollback("a", 1, Condition::None, "ci", 5)
        .await
        .unwrap();
    assert_eq!((back.version, back.text), (3, text("a", "h1")));
    services
        .delete("a", Condition::None, "ci", 6)
        .await
        .unwrap();
    assert!(services.in_force().services.is_empty());
    let history = services.history("a").await.unwrap();
    assert_eq!(history.len(), 4);
    assert_eq!(history[0].note.as_deref(), Some("deleted"));
    assert_eq!(
        put(&services, text("a", "h4"), Condition::Absent)
            .await
            .unwrap(),
        5
    );
    assert!(matches!(
        services.history("b").await,
        Err(ChangeError::Unknown(_))
    ));
}

#[tokio::test]
async fn a_node_is_told_what_it_lacks_and_what_to_let_go() {
    let (_, services) = services().await;
    put(&services, text("a", "h1"), Condition::None)
        .await
        .unwrap();
    let first = services.in_force();
    let held = first.generations();
    assert_eq!(first.documents_for(&BTreeMap::new()).len(), 1);
    assert!(first.documents_for(&held).is_empty());
    services
        .delete("a", Condition::None, "ci", 2)
        .await
        .unwrap();
    let gone = services.in_force().documents_for(&held);
    assert!(gone.len() == 1 && gone[0].body.is_none());
}

#[tokio::test]
async fn a_purged_url_is_read_by_the_key_rules_of_earlier_versions_too() {
    let (_, services) = services().await;
    let with =
        |query: &str| text("a", "h1") + &format!("[service.default.key]\nonly = [\"{query}\"]\n");
    put(&services, with("x"), Condition::None).await.unwrap();
    put(&services, with("y"), Condition::None).await.unwrap();
    assert_eq!(services.in_force().rules_of("h1").len(), 2);
    assert!(services.in_force().rules_of("h2").is_empty());
}

#[tokio::test]
async fn a_purged_url_is_read_by_the_rules_of_services_that_had_the_host_and_were_deleted() {
    let (store, services) = services().await;
    let with = |id: &str, host: &str, query: &str| {
        text(id, host) + &format!("[service.default.key]\nonly = [\"{query}\"]\n")
    };
    let put = async |id: &'static str, text| {
        let put = services.put(id, text, Condition::None, "ci", 1, None);
        put.await.unwrap();
    };
    put("a", with("a", "h1", "x")).await;
    put("b", with("b", "*.example", "y")).await;
    services
        .delete("a", Condition::None, "ci", 2)
        .await
        .unwrap();
    // the host moves on, and the service to another host
    put("c", with("c", "h1", "z")).await;
    put("b", with("b", "other", "y")).await;
    let again = Services::open(store.clone()).await.unwrap();
    for services in [&services, &again] {
        let in_force = services.in_force();
        assert_eq!(in_force.rules_of("h1").len(), 2);
        assert_eq!(in_force.rules_of("h1:8080").len(), 2);
        assert_eq!(in_force.rules_of("www.example").len(), 1);
        assert_eq!(in_force.rules_of("other").len(), 1);
        assert!(in_force.rules_of("h2").is_empty());
        assert!(in_force.knows("a") && !in_force.knows("d"));
    }
    // what is not kept any more is not read, and cannot be rolled back to
    for i in 0..HISTORY_MAX {
        put("b", with("b", "other", &format!("q{i}"))).await;
    }
    let again = Services::open(store.clone()).await.unwrap();
    for services in [&services, &again] {
        assert!(services.in_force().rules_of("www.example").is_empty());
        assert_eq!(services.in_force().rules_of("other").len(), HISTORY_MAX);
    }
    assert_eq!(services.history("b").await.unwrap().len(), HISTORY_MAX);
    let kept = store.list(&format!("{VERSION}b/")).await.unwrap();
    assert_eq!(kept.documents.len(), HISTORY_MAX);
    let back = services.rollback("b", 2, Condition::None, "ci", 3).await;
    assert!(matches!(back, Err(ChangeError::NoVersion { .. })));
}
