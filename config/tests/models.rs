//! What a good file becomes: each setting lands where it belongs, and what is left out has its default.

use http::HeaderMap;
use seawall_config::{ByteCount, ConnModel, LogTo, load_edge, load_services};
use seawall_http_cache::{CompressTypes, ContentCoding};
use seawall_service_model::{
    AcceptedCodings, CacheMode, ClientRevalidation, Invalidate, OnLeaseLoss, QueryRule, ServiceSet,
};
use std::fs;
use std::time::Duration;

fn services(text: &str) -> ServiceSet {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("service.toml");
    fs::write(&file, text).unwrap();
    load_services(&[file]).unwrap()
}

#[test]
fn a_rule_says_what_differs_from_the_default() {
    let set = services(
        r#"
[service]
id = "site"
hosts = ["*"]
[[service.origins]]
url = "https://origin.example"
[service.default]
default_ttl = "1m"
stale_if_error = "1500ms"
key.sort = true
no_vary_search = false
[[service.rules]]
path = ["/a/*", "**.css"]
no_vary_search = true
methods = "GET"
headers = { accept = "present", cookie = "absent", x-kind = "=b" }
action = "bypass"
ttl = "1h"
gzip_min = 2048
key.only = ["v"]
response_headers = { set = { X-Rule = "one" }, remove = ["server"] }
"#,
    );
    let service = &set.services()[0];
    let policy = |path: &str, fields: &[(&'static str, &'static str)]| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, value.parse().unwrap());
        }
        service.policy("GET", path, &map).1
    };
    let all = [("accept", "*/*"), ("x-kind", "b")];
    assert_eq!(policy("/a/b", &all), Some(0));
    assert_eq!(policy("/deep/er.css", &all), Some(0));
    assert_eq!(policy("/b", &all), None);
    assert_eq!(policy("/a/b", &all[..1]), None);
    assert_eq!(policy("/a/b", &[all[0], all[1], ("cookie", "a=1")]), None);

    let (default, rule) = (&service.default, &service.rules[0].policy);
    assert_eq!(default.cache, CacheMode::Cache);
    assert_eq!(default.storage.ttl_default, Some(60));
    assert_eq!(default.storage.stale_if_error, Some(2), "rounded up");
    assert_eq!(rule.cache, CacheMode::Bypass);
    assert_eq!(rule.storage.ttl_override, Some(3600));
    assert_eq!(rule.storage.ttl_default, Some(60));
    assert_eq!((default.gzip_min, rule.gzip_min), (1024, 2048));
    assert_eq!(rule.key.query, QueryRule::Only(vec!["v".into()]));
    assert!(rule.key.sort_query && default.key.sort_query);
    assert!(rule.no_vary_search && !default.no_vary_search);
    assert_eq!(rule.response_headers.set[0].0, "x-rule");
    assert_eq!(rule.response_headers.remove[0], "server");
}

#[test]
fn a_policy_says_which_fields_go_before_cache_control_and_how_long_a_guess_may_be() {
    let set = services(
        r#"
[service]
id = "site"
hosts = ["*"]
response.keep_targeted = false
[[service.origins]]
url = "https://origin.example"
[service.default]
heuristic_max = "1h"
[[service.rules]]
path = "/a"
targets = ["Example-Cache-Control", "surrogate-control"]
heuristic_max = "2h"
[[service.rules]]
path = "/b"
targets = []
"#,
    );
    let service = &set.services()[0];
    let storage = |path: &str| &service.policy("GET", path, &HeaderMap::new()).0.storage;
    let names = |path: &str| {
        let names = storage(path).targets.names().iter();
        names.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names("/"), ["seawall-cache-control", "cdn-cache-control"]);
    assert_eq!(names("/a"), ["example-cache-control", "surrogate-control"]);
    assert!(names("/b").is_empty());
    assert_eq!(storage("/").heuristic_max, 3600);
    assert_eq!(storage("/a").heuristic_max, 7200);
    assert_eq!(storage("/b").heuristic_max, 3600);
    assert!(!service.response.keep_targeted);

    let plain = services(
        "[service]\nid = \"s\"\nhosts = [\"*\"]\n[[service.origins]]\nurl = \"http://a.example\"\n",
    );
    assert!(plain.services()[0].response.keep_targeted);
    assert!(plain.services()[0].default.no_vary_search);
    assert_eq!(plain.services()[0].default.storage.heuristic_max, 86_400);
}

#[test]
fn a_policy_says_which_codings_there_are_what_is_coded_and_what_is_decoded() {
    let policies = |default: &str, rule: &str| {
        let set = services(&format!(
            "[service]\nid = \"s\"\nhosts = [\"*\"]\n[[service.origins]]\nurl = \"https://o.example\"\n\
             [service.default]\n{default}\n[[service.rules]]\npath = \"/a\"\n{rule}\n"
        ));
        let service = &set.services()[0];
        [service.default.clone(), service.rules[0].policy.clone()]
    };
    use AcceptedCodings::{AsAsked, Normalised};
    use ContentCoding::{Brotli, Gzip, Zstd};
    const NORMALISED: &str = "accept_encoding = \"normalised\"";
    for (default, rule, expect) in [
        ("", "", [&[Brotli, Zstd, Gzip][..]; 2]),
        // as before there were others
        ("gzip = true", "", [&[Gzip]; 2]),
        ("gzip = false", "gzip = true", [&[], &[Gzip]]),
        (
            "codings = [\"gzip\", \"zstd\"]",
            "codings = []",
            [&[Gzip, Zstd], &[]],
        ),
        ("codings = [\"br\"]", "gzip = false", [&[Brotli], &[]]),
    ] {
        let codings = policies(default, rule).map(|policy| policy.codings);
        assert_eq!(codings, expect, "{default}; {rule}");
    }
    let [default, rule] = policies(
        "compress_types = [\"text/*\", \"application/*+json\"]\ndecode = true",
        "compress_types = []\ndecode = false",
    );
    assert!(default.compress_types.contain(Some(b"application/ld+json")));
    assert!(!default.compress_types.contain(Some(b"application/json")));
    assert_eq!(rule.compress_types, CompressTypes::Listed(Vec::new()));
    assert_eq!((default.decode, rule.decode), (true, false));
    for (default, rule, expect) in [
        ("", "", [AsAsked; 2]),
        (NORMALISED, "", [Normalised; 2]),
        (
            NORMALISED,
            "accept_encoding = \"as-asked\"",
            [Normalised, AsAsked],
        ),
    ] {
        let up = policies(default, rule).map(|policy| policy.accept_encoding);
        assert_eq!(up, expect, "{default}; {rule}");
    }
    let [default, _] = policies("", "");
    assert_eq!(default.compress_types, CompressTypes::Known);
    assert!(!default.decode);
}

#[test]
fn a_service_says_whether_clients_may_have_fresh_copies_validated() {
    for (text, allowed, interval_secs) in [
        ("", true, 0),
        ("client_revalidation = \"allow\"", true, 0),
        ("client_revalidation = \"deny\"", false, 0),
        ("client_revalidation_interval = \"1500ms\"", true, 2),
        ("client_revalidation_interval = \"1m\"", true, 60),
    ] {
        let set = services(&format!(
            "[service]\nid = \"s\"\nhosts = [\"*\"]\n{text}\n[[service.origins]]\nurl = \"http://a.example\"\n"
        ));
        let expect = ClientRevalidation {
            allowed,
            interval_secs,
        };
        assert_eq!(set.services()[0].client_revalidation, expect, "{text}");
    }
}

#[test]
fn what_a_node_does_without_a_lease_is_a_setting_of_a_service() {
    for (more, expect) in [
        ("", OnLeaseLoss::Serve),
        ("on_lease_loss = \"serve\"", OnLeaseLoss::Serve),
        ("on_lease_loss = \"revalidate\"", OnLeaseLoss::Revalidate),
    ] {
        let text = format!(
            "[service]\nid = \"s\"\nhosts = [\"*\"]\n{more}\n[[service.origins]]\nurl = \"http://a\"\n"
        );
        assert_eq!(
            services(&text).services()[0].on_lease_loss,
            expect,
            "{more}"
        );
    }
}

#[test]
fn a_service_has_a_budget_for_its_origin_only_where_it_says_so() {
    let of = |more: &str| {
        let set = services(&format!(
            "[service]\nid = \"s\"\nhosts = [\"*\"]\n[[service.origins]]\nurl = \"http://a.example\"\n{more}"
        ));
        let budget = set.services()[0].origin_budget;
        budget.map(|b| (b.requests_per_second.get(), b.queue_wait))
    };
    assert_eq!(of(""), None);
    let table = "[service.origin_budget]\nrequests_per_second = 50\n";
    assert_eq!(of(table), Some((50, Duration::from_secs(2))));
    let wait = format!("{table}queue_wait = \"500ms\"");
    assert_eq!(of(&wait), Some((50, Duration::from_millis(500))));
}

#[test]
fn what_a_change_ends_and_what_is_told_of_keys_are_settings_of_a_service() {
    let text = |more: &str, response: &str| {
        format!(
            "[service]\nid = \"s\"\nhosts = [\"*\"]\n{more}\n[[service.origins]]\nurl = \"http://a\"\n{response}\n"
        )
    };
    for (more, expect) in [
        ("", Invalidate::Local),
        ("invalidate = \"local\"", Invalidate::Local),
        ("invalidate = \"fleet\"", Invalidate::Fleet),
    ] {
        assert_eq!(services(&text(more, "")).services()[0].invalidate, expect);
    }
    for (response, expect) in [
        ("", false),
        ("[service.response]\ncache_status_key = true", true),
    ] {
        let told = services(&text("", response)).services()[0].response;
        assert_eq!(told.cache_status_key, expect);
    }
}

#[test]
fn an_origin_has_its_own_name_where_the_clients_is_not_passed() {
    let check = |pass: bool, url: &str, host: Option<&str>, sni: Option<&str>| {
        let set = services(&format!(
            "[service]\nid = \"s\"\nhosts = [\"*\"]\npass_host = {pass}\n[[service.origins]]\nurl = \"{url}\"\n"
        ));
        let origin = &set.services()[0].origins[0];
        assert_eq!(origin.host_header.as_deref(), host, "{url}");
        assert_eq!(origin.tls.as_ref().map(|t| &*t.sni), sni, "{url}");
    };
    check(true, "http://a.example:8000", None, None);
    check(false, "http://a.example:8000", Some("a.example:8000"), None);
    check(
        false,
        "https://a.example",
        Some("a.example"),
        Some("a.example"),
    );
    check(false, "https://[::1]:8443", Some("[::1]:8443"), Some("::1"));
}

#[test]
fn what_a_node_file_leaves_out_has_its_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edge.toml");
    let text = r#"
role = "edge"
id = "e"
data = "DIR/data"
services = ["DIR/service.toml"]
memory = 1048576
trusted_proxies = "10.0.0.0/8"
[fleet]
id = "f"
[[listen]]
address = "[::1]:0"
[connections]
head_timeout = "250ms"
[access_log]
to = "stdout"
"#;
    fs::write(&file, text.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    let model = load_edge(&file).unwrap();
    let node = &model.node;
    assert_eq!(node.memory, ByteCount(1 << 20));
    assert!(node.trusted_proxies[0].contains("10.1.2.3".parse().unwrap()));
    assert_eq!(node.admin, None);
    assert!(node.workers >= 1);
    assert_eq!(node.drain, Duration::from_secs(30));
    assert_eq!(
        node.conn,
        ConnModel {
            head_timeout: Duration::from_millis(250),
            ..ConnModel::default()
        }
    );
    let log = node.access_log.as_ref().unwrap();
    assert_eq!((&log.to, log.queue), (&LogTo::Stdout, 65_536));
    assert!(model.shields.is_empty());
}
