//! The admin API's own promises: what it refuses and how, who may do what, conditions, events, and that it is as its
//! document says.

use seawall_control_plane::api::OPENAPI;
use seawall_tests::client::get;
use seawall_tests::fleet::service;
use seawall_tests::{Client, Fleet, FleetSpec, Origin, PATIENCE, eventually};
use serde_json::{Value, json};
use std::time::Instant;

fn origin() -> Origin {
    Origin::start(|_, reply| {
        let fields = [("cache-control", "max-age=3600"), ("surrogate-key", "t")];
        reply.answer(200, &fields, b"body")
    })
}

fn small(origin: &Origin) -> Fleet {
    let spec = FleetSpec {
        edges: 1,
        shields: 0,
        ..FleetSpec::default()
    };
    Fleet::start(spec, origin)
}

fn token(fleet: &Fleet, role: &str) -> (String, String) {
    let body = json!({ "name": role, "role": role }).to_string();
    let (status, told) = fleet.ask("POST", "/v1/tokens", &body, &[]);
    assert_eq!(status, 201, "{told}");
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

fn answer(
    fleet: &Fleet,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> seawall_tests::Response {
    let bearer = format!("Bearer {}", fleet.token());
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend_from_slice(fields);
    let mut client = Client::connect(fleet.admin());
    client.request(method, path, &all, b"");
    client.response(method).unwrap()
}

#[test]
fn every_refusal_is_json_with_one_line() {
    let origin = origin();
    let fleet = small(&origin);
    let large = "x".repeat((5 << 20) + 1);
    let rows = [
        ("GET", "/nothing", "", 404),
        ("GET", "/v1/purges/nothing", "", 404),
        ("GET", "/v1/purges/nothing/receipt", "", 404),
        ("PATCH", "/v1/purges", "", 405),
        ("DELETE", "/v1/nodes/%ff", "", 400),
        ("GET", "/v1/services/%ff", "", 400),
        ("GET", "/v1/purges?limit=x", "", 400),
        ("PUT", "/v1/services/site", large.as_str(), 413),
        ("POST", "/v1/purges", large.as_str(), 413),
        (
            "POST",
            "/v1/tokens",
            r#"{"name": "a", "role": "read", "more": 1}"#,
            400,
        ),
        (
            "POST",
            "/v1/services/site/rollback",
            r#"{"version": 1, "more": 1}"#,
            400,
        ),
    ];
    for (method, path, body, expected) in rows {
        let (status, told) = fleet.ask(method, path, body, &[]);
        assert_eq!(status, expected, "{method} {path} {told}");
        let error = told["error"].as_str().unwrap_or_default();
        assert!(
            !error.is_empty() && !error.contains('\n'),
            "{method} {path} {told}"
        );
    }
    // a parameter without a value is one that was not given
    assert_eq!(fleet.get("/v1/purges?after=&limit=").0, 200);
}

#[test]
fn a_purge_that_names_too_much_says_which_list() {
    let origin = origin();
    let fleet = small(&origin);
    let many = |count: usize| -> Vec<String> { (0..count).map(|i| format!("/{i}")).collect() };
    let rows = [
        (json!({ "urls": many(10_001) }), "urls"),
        (
            json!({ "tags": many(6000), "prefixes": many(6000) }),
            "prefixes",
        ),
        (json!({ "tags": many(1001), "dry_run": true }), "tags"),
    ];
    for (what, field) in rows {
        let (status, told) = fleet.purge(what);
        assert_eq!((status, &told["field"]), (400, &json!(field)), "{told}");
    }
}

#[test]
fn every_route_is_open_to_the_role_that_its_description_tells_and_to_those_above() {
    let origin = origin();
    let fleet = small(&origin);
    let described: Value = serde_json::from_str(OPENAPI).unwrap();
    let roles = ["read", "purge", "admin"];
    let tokens: Vec<String> = roles[..2]
        .iter()
        .map(|role| token(&fleet, role).1)
        .collect();
    let mut seen = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let summary = operation["summary"].as_str().unwrap();
            let Some((_, needs)) = summary.split_once("Role: ") else {
                assert!(!path.starts_with("/v1/"), "{method} {path}");
                continue;
            };
            let needs = roles
                .iter()
                .position(|role| needs.starts_with(role))
                .unwrap();
            let (method, path) = (method.to_uppercase(), path.replace("{id}", "none"));
            if path == "/v1/events" {
                continue;
            }
            seen += 1;
            assert_eq!(
                fleet.ask_as("swt_x", &method, &path, "", &[]).0,
                401,
                "{method} {path}"
            );
            for (role, token) in tokens.iter().enumerate() {
                // malformed or unknown: it got past the guard, and nothing was done
                let (status, told) = fleet.ask_as(token, &method, &path, "", &[]);
                let refused = status == 403;
                assert_eq!(refused, role < needs, "{method} {path} {status} {told}");
            }
        }
    }
    assert!(seen >= 14, "{seen}");
}

#[test]
fn conditions_are_judged_by_the_version_which_is_the_etag() {
    let origin = origin();
    let fleet = small(&origin);
    let path = "/v1/services/site";
    let shown = answer(&fleet, "GET", path, &[]);
    assert_eq!(shown.field("etag"), Some("\"1\""));
    let stale = answer(&fleet, "DELETE", path, &[("if-match", "\"7\"")]);
    assert_eq!((stale.status, stale.field("etag")), (412, Some("\"1\"")));
    let text = service("site", "*", &origin, "# again\n");
    assert_eq!(
        fleet.put_service("site", &text, &[("if-match", "*")]).0,
        200
    );
    assert_eq!(fleet.put_service("new", &text, &[("if-match", "*")]).0, 412);
    assert_eq!(
        fleet
            .put_service("site", &text, &[("if-none-match", "*")])
            .0,
        412
    );
    assert_eq!(
        answer(&fleet, "DELETE", path, &[("if-match", "\"2\"")]).status,
        204
    );
    assert_eq!(answer(&fleet, "GET", path, &[]).status, 404);
}

#[test]
fn a_revoked_token_is_nothing_at_once_and_its_streams_of_events_end() {
    let origin = origin();
    let fleet = small(&origin);
    let (id, text) = token(&fleet, "read");
    let mut listening = Client::connect(fleet.admin());
    let bearer = format!("Bearer {text}");
    listening.request("GET", "/v1/events", &[("authorization", &bearer)], b"");
    assert_eq!(listening.head().unwrap().0, 200);
    let path = format!("/v1/tokens/{id}");
    assert_eq!(fleet.ask("DELETE", &path, "", &[]).0, 204);
    assert_eq!(fleet.ask("DELETE", &path, "", &[]).0, 404);
    assert_eq!(fleet.ask_as(&text, "GET", "/v1/nodes", "", &[]).0, 401);
    let until = Instant::now() + PATIENCE;
    while listening.bytes(1).is_ok() {
        // signs of life would come for ever
        assert!(Instant::now() < until, "it goes on");
    }
    // the operator's own is the last of its role
    let (_, told) = fleet.get("/v1/tokens");
    let own = told["tokens"][0]["id"].as_str().unwrap().to_owned();
    let (status, told) = fleet.ask("DELETE", &format!("/v1/tokens/{own}"), "", &[]);
    assert_eq!(status, 409, "{told}");
}

#[test]
fn a_change_whose_client_hangs_up_is_done_or_not_and_never_half() {
    let origin = origin();
    let fleet = small(&origin);
    let bearer = format!("Bearer {}", fleet.token());
    let fields = [("authorization", bearer.as_str())];
    let tokens: Vec<(String, String)> = (0..40).map(|_| token(&fleet, "read")).collect();
    for (id, _) in &tokens {
        let mut client = Client::connect(fleet.admin());
        client.request("DELETE", &format!("/v1/tokens/{id}"), &fields, b"");
    }
    for (id, text) in &tokens {
        let (status, told) = fleet.ask("DELETE", &format!("/v1/tokens/{id}"), "", &[]);
        assert!(status == 204 || status == 404, "{status} {told}");
        assert_eq!(fleet.ask_as(text, "GET", "/v1/nodes", "", &[]).0, 401);
    }
    // what is in force is what the store holds
    for turn in 0..20 {
        let text = service("site", "*", &origin, &format!("# {turn}\n"));
        let mut client = Client::connect(fleet.admin());
        client.request("PUT", "/v1/services/site", &fields, text.as_bytes());
    }
    eventually("it is still", || {
        let current = fleet.get("/v1/services/site").1["version"].clone();
        let (_, told) = fleet.get("/v1/services/site/versions");
        told["versions"][0]["version"] == current
    });
}

#[test]
fn events_tell_each_change_once_and_retries_not_at_all() {
    let origin = origin();
    let mut fleet = small(&origin);
    let mut listening = Client::connect(fleet.admin());
    let bearer = format!("Bearer {}", fleet.token());
    listening.request("GET", "/v1/events", &[("authorization", &bearer)], b"");
    assert_eq!(listening.head().unwrap().0, 200);
    let purging = json!({ "tags": ["t"] }).to_string();
    for _ in 0..2 {
        let key = [("idempotency-key", "once")];
        assert_eq!(fleet.ask("POST", "/v1/purges", &purging, &key).0, 200);
    }
    let text = service("site", "*", &origin, "# next\n");
    for _ in 0..2 {
        assert_eq!(fleet.put_service("site", &text, &[]).0, 200);
    }
    fleet.stop_edge(0);
    eventually("it is gone", || !fleet.is_up_to_date("edge-0"));
    assert_eq!(fleet.ask("DELETE", "/v1/nodes/edge-0", "", &[]).0, 204);
    fleet.start_edge(0);
    let mut told = String::new();
    let until = Instant::now() + PATIENCE;
    while !told.contains("\"state\":\"connected\"") {
        assert!(Instant::now() < until, "{told}");
        told += &String::from_utf8_lossy(&listening.bytes(1).unwrap());
    }
    let count = |what: &str| told.matches(what).count();
    assert_eq!(
        (count("event: purge"), count("event: service")),
        (1, 1),
        "{told}"
    );
    assert_eq!((count("\"away\""), count("\"removed\"")), (1, 1), "{told}");
    let metrics = get(fleet.admin(), "/metrics", &[]).text();
    let hard =
        seawall_tests::cluster::metric(&metrics, "seawall_purges_total", &["strength=\"hard\""]);
    assert_eq!(hard, 1);
}

#[test]
fn a_list_of_purges_tells_the_first_names_and_how_many_there_are() {
    let origin = origin();
    let fleet = small(&origin);
    let many: Vec<String> = (0..500).map(|i| format!("tag-{i}")).collect();
    let told = fleet.purge_everywhere(json!({ "tags": many }));
    let (_, list) = fleet.get("/v1/purges");
    let named = &list["purges"][0]["named"];
    assert_eq!(
        (named["tags"].as_array().unwrap().len(), &named["count"]),
        (10, &json!(500))
    );
    let (_, shown) = fleet.get(&format!("/v1/purges/{}", told["id"].as_str().unwrap()));
    assert_eq!(shown["named"]["tags"].as_array().unwrap().len(), 500);
}

#[test]
fn answers_are_as_the_document_describes_them() {
    let origin = origin();
    let fleet = Fleet::of(&origin);
    let api: Value = serde_json::from_str(OPENAPI).unwrap();
    let all = json!({ "tags": ["t"] }).to_string();
    let dry = json!({ "everything": true, "dry_run": true }).to_string();
    let text = service("site", "*", &origin, "# next\n");
    let back = json!({ "version": 1 }).to_string();
    let token = json!({ "name": "ci", "role": "read" }).to_string();
    let rows = [
        ("POST", "/v1/purges", "/v1/purges", all.as_str()),
        (
            "POST",
            "/v1/purges?receipts=all",
            "/v1/purges",
            all.as_str(),
        ),
        ("POST", "/v1/purges", "/v1/purges", dry.as_str()),
        ("POST", "/v1/purges", "/v1/purges", "{}"),
        ("GET", "/v1/purges", "/v1/purges", ""),
        ("GET", "/v1/purges?tag=t", "/v1/purges", ""),
        ("GET", "/v1/purges?url=x", "/v1/purges", ""),
        ("GET", "/v1/purges/x", "/v1/purges/{id}", ""),
        ("GET", "/v1/nodes", "/v1/nodes", ""),
        (
            "PUT",
            "/v1/services/site",
            "/v1/services/{id}",
            text.as_str(),
        ),
        ("PUT", "/v1/services/site", "/v1/services/{id}", "nonsense"),
        (
            "POST",
            "/v1/services/site/rollback",
            "/v1/services/{id}/rollback",
            back.as_str(),
        ),
        ("GET", "/v1/services", "/v1/services", ""),
        ("GET", "/v1/services/site", "/v1/services/{id}", ""),
        (
            "GET",
            "/v1/services/site/versions",
            "/v1/services/{id}/versions",
            "",
        ),
        ("GET", "/v1/keys", "/v1/keys", ""),
        ("POST", "/v1/keys", "/v1/keys", ""),
        ("POST", "/v1/tokens", "/v1/tokens", token.as_str()),
        ("GET", "/v1/tokens", "/v1/tokens", ""),
        ("DELETE", "/v1/nodes/none", "/v1/nodes/{id}", ""),
        ("GET", "/v1/audit", "/v1/audit", ""),
        ("GET", "/v1/audit?limit=1", "/v1/audit", ""),
        ("GET", "/v1/audit?kind=x", "/v1/audit", ""),
    ];
    for (method, path, route, body) in rows {
        let (status, told) = fleet.ask(method, path, body, &[]);
        let operation = &api["paths"][route][method.to_lowercase()];
        let described = &operation["responses"][status.to_string()];
        let schema = &described["content"]["application/json"]["schema"];
        assert!(
            schema.is_object(),
            "{method} {path} {status} is not described"
        );
        if let Err(why) = fits(&api, schema, &told) {
            panic!("{method} {path} {status}: {why} in {told}");
        }
    }
}

/// Whether a value is as a schema says; of the language, what the document uses. Members that it does not name are
/// faults, but for refusals, which may say more.
fn fits(api: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return fits(api, &api["components"]["schemas"][name], value)
            .map_err(|e| format!("{name}: {e}"));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let faults: Vec<_> = choices
            .iter()
            .filter_map(|one| fits(api, one, value).err())
            .collect();
        return if faults.len() + 1 == choices.len() {
            Ok(())
        } else {
            Err(faults.join("; "))
        };
    }
    if let Some(words) = schema["enum"].as_array() {
        return if words.contains(value) {
            Ok(())
        } else {
            Err(format!("{value} is none of {words:?}"))
        };
    }
    let right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("boolean") => value.is_boolean(),
        _ => schema["const"] == *value,
    };
    if !right {
        return Err(format!("{value} is not as {schema}"));
    }
    for item in value.as_array().into_iter().flatten() {
        fits(api, &schema["items"], item)?;
    }
    let Some(members) = value.as_object() else {
        return Ok(());
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !members.contains_key(name.as_str().unwrap()) {
            return Err(format!("{name} is missing"));
        }
    }
    let Some(properties) = schema["properties"].as_object() else {
        return Ok(());
    };
    for (name, member) in members {
        match properties.get(name) {
            Some(schema) => fits(api, schema, member).map_err(|e| format!("{name}: {e}"))?,
            None if properties.contains_key("error") && members.contains_key("error") => {}
            None => return Err(format!("{name} is not described")),
        }
    }
    Ok(())
}
