//! What is wrong with a file is told with line, path and reason, and all of it at once.

use proptest::prelude::*;
use seawall_config::{Kind, check_files, load_services};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SERVICE: &str = r#"[service]
id = "site"
hosts = ["www.example.com"]
[[service.origins]]
url = "http://127.0.0.1:8000"
"#;

/// A directory with a good service file, and any others.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        dir.put("service.toml", SERVICE);
        dir
    }

    /// `DIR` in the text stands for the directory.
    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text.replace("DIR", self.0.path().to_str().unwrap())).unwrap();
        path
    }

    /// Faults as `file:line: path: message`, without the directory's name.
    fn faults(&self, files: &[PathBuf]) -> Vec<String> {
        let (_, faults) = check_files(files);
        faults.iter().map(|fault| self.bare(fault)).collect()
    }

    fn bare(&self, text: &impl ToString) -> String {
        let dir = format!("{}/", self.0.path().display());
        text.to_string().replace(&dir, "")
    }
}

/// `text` as `f.toml` has exactly these faults.
fn check(text: &str, expect: &[&str]) {
    let dir = Dir::new();
    let file = dir.put("f.toml", text);
    assert_eq!(dir.faults(&[file]), expect, "{text}");
}

const EDGE: &str = r#"role = "edge"
id = "edge-1"
data = "DIR/data/edge-1"
services = ["DIR/service.toml"]
[fleet]
id = "fleet"
secret_file = "DIR/data/secret"
"#;

/// The edge with `more` behind line 7.
fn check_edge(more: &str, expect: &[&str]) {
    check(&format!("{EDGE}{more}"), expect);
}

fn check_shield(more: &str, expect: &[&str]) {
    let shield = EDGE.replace("role = \"edge\"", "role = \"shield\"");
    check(&format!("{shield}{more}"), expect);
}

/// The service with `more` behind line 5.
fn check_service(more: &str, expect: &[&str]) {
    check(&format!("{SERVICE}{more}"), expect);
}

const LISTEN: &str = "[[listen]]\naddress = \"127.0.0.1:8080\"\n";

#[test]
fn client_revalidation_is_allowed_or_denied() {
    let text = SERVICE.replace("hosts =", "client_revalidation = \"never\"\nhosts =");
    check(
        &text,
        &["f.toml:3: service.client_revalidation: client revalidation is \"allow\" or \"deny\""],
    );
}

#[test]
fn a_budget_needs_a_rate_and_both_are_bounded() {
    check_service(
        "[service.origin_budget]\nqueue_wait = \"1s\"\n",
        &[
            "f.toml:6: service.origin_budget.requests_per_second: a budget needs its requests_per_second",
        ],
    );
    check_service(
        "[service.origin_budget]\nrequests_per_second = 0\nqueue_wait = \"11s\"\n",
        &[
            "f.toml:7: service.origin_budget.requests_per_second: 0 is not between 1 and 1000000",
            "f.toml:8: service.origin_budget.queue_wait: 11s is not between 0ns and 10s",
        ],
    );
}

#[test]
fn good_files_have_no_faults() {
    check(SERVICE, &[]);
    check_edge(LISTEN, &[]);
    check_shield(LISTEN, &[]);
}

#[test]
fn a_file_is_recognised_by_what_it_holds() {
    check(
        "",
        &["f.toml:1: this is neither a node file (role = ...) nor a service file ([service])"],
    );
    check(
        "role = \"proxy\"",
        &["f.toml:1: role: a role is \"edge\", \"shield\" or \"control-plane\""],
    );
    let dir = Dir::new();
    let missing = dir.0.path().join("missing.toml");
    let (kinds, faults) = check_files(&[dir.0.path().join("service.toml"), missing]);
    assert_eq!(kinds[0].1, Some(Kind::Service));
    assert_eq!(kinds[1].1, None);
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].message.starts_with("cannot be read"),
        "{}",
        faults[0]
    );
}

#[test]
fn syntax_errors_have_their_line() {
    let dir = Dir::new();
    for (text, line) in [
        ("[service]\nid = \n", 2),
        ("[service\n", 1),
        ("a = 1\n\na = 2\n", 3),
    ] {
        let file = dir.put("f.toml", text);
        let (_, faults) = check_files(&[file]);
        assert_eq!(faults[0].line, Some(line), "{text:?}: {faults:?}");
        assert!(!faults[0].message.contains('\n'));
    }
}

#[test]
fn every_fault_of_every_file_is_told_at_once() {
    let dir = Dir::new();
    dir.put(
        "bad.toml",
        "[service]\nid = \"a b\"\nhosts = [\"www.example.com\", \"a:80\"]\n",
    );
    let edge = EDGE
        .replace("id = \"edge-1\"", "id = 7")
        .replace("service.toml", "bad.toml");
    let file = dir.put("f.toml", &format!("{edge}wrokers = 2\n"));
    assert_eq!(
        dir.faults(&[file]),
        [
            "f.toml:1: listen: this setting is missing: at least one [[listen]]",
            "f.toml:2: id: a text is wanted here, not integer",
            "f.toml:8: fleet.wrokers: unknown field `wrokers`; there are: ca, cert, id, key, secret_file",
            "bad.toml:1: service.origins: this setting is missing: at least one [[service.origins]]",
            "bad.toml:2: service.id: an id is 1 to 64 letters, digits, dots, dashes or underscores",
            "bad.toml:3: service.hosts[1]: \"a:80\" is no host: a host has no scheme, port or path here",
        ]
    );
}

#[test]
fn a_misspelled_field_is_told_its_name() {
    check_edge(
        &format!("{LISTEN}certificate = 1\n[connections]\nhead_timeuot = \"1s\"\n"),
        &[
            "f.toml:10: listen[0].certificate: unknown field `certificate`, did you mean `certificates`?",
            "f.toml:12: connections.head_timeuot: unknown field `head_timeuot`, did you mean `head_timeout`?",
        ],
    );
    check_service(
        "[[service.rules]]\nttl = \"1h\"\n[[service.rules]]\nttls = \"1h\"\n",
        &["f.toml:9: service.rules[1].ttls: unknown field `ttls`, did you mean `ttl`?"],
    );
}

#[test]
fn a_target_is_a_field_with_directives_and_there_are_few() {
    check_service(
        "[service.default]\ntargets = [\"Cache-Control\", \"seawall-x-cache-control\", \"x y\", \"cdn-cache-control\"]\n",
        &[
            "f.toml:7: service.default.targets[2]: invalid HTTP header name",
            "f.toml:7: service.default.targets[0]: a target is a field whose name ends in -cache-control, or surrogate-control",
            "f.toml:7: service.default.targets[1]: a target is a field whose name ends in -cache-control, or surrogate-control",
        ],
    );
    let nine: Vec<_> = (0..9).map(|n| format!("\"a{n}-cache-control\"")).collect();
    check_service(
        &format!("[service.default]\ntargets = [{}]\n", nine.join(", ")),
        &["f.toml:6: service.default: 9 targets; there may be 8"],
    );
}

#[test]
fn values_out_of_bounds_or_of_another_kind_are_refused() {
    check_edge(
        &format!(
            "{LISTEN}[connections]\nmax = 0\nhead_max = \"3GiB\"\nidle_timeout = \"1d\"\nbody_timeout = 30\n"
        ),
        &[
            "f.toml:11: connections.max: 0 is not between 1 and 10000000",
            "f.toml:12: connections.head_max: 3GiB is not between 1KiB and 1MiB",
            "f.toml:13: connections.idle_timeout: 1d is not between 10ms and 3600s",
            "f.toml:14: connections.body_timeout: a text is wanted here, not integer",
        ],
    );
    check_edge(
        &format!("{LISTEN}[access_log]\nto = \"\"\n"),
        &["f.toml:11: access_log.to: an empty text says nothing here"],
    );
    check_service(
        "[service.default]\nttl = \"soon\"\ngzip = \"yes\"\ngzip_min = -1\n",
        &[
            "f.toml:7: service.default.ttl: a duration is a whole number with ms, s, m, h or d, as in 30s",
            "f.toml:8: service.default.gzip: true or false is wanted here, not string",
            "f.toml:9: service.default.gzip_min: -1 is not between 0 and 1073741824",
        ],
    );
    check_service(
        "[service.default]\ncodings = [\"br\", \"deflate\", \"br\"]\ngzip = true\ncompress_types = [\"text/h*\"]\ndecode = 1\naccept_encoding = \"gzip\"\n",
        &[
            "f.toml:6: service.default: `gzip` and `codings` exclude each other",
            "f.toml:7: service.default.codings[1]: a coding is \"br\", \"zstd\" or \"gzip\"",
            "f.toml:7: service.default.codings[2]: this coding is listed already",
            "f.toml:9: service.default.compress_types[0]: a media type is written type/subtype, type/* or type/*+suffix",
            "f.toml:10: service.default.decode: true or false is wanted here, not integer",
            "f.toml:11: service.default.accept_encoding: accept_encoding is \"as-asked\" or \"normalised\"",
        ],
    );
}

#[test]
fn an_empty_list_where_items_are_needed_is_refused() {
    check(
        "[service]\nid = \"s\"\nhosts = []\norigins = []\n[[service.rules]]\npath = []\nmethods = []\nkey.only = []\n",
        &[
            "f.toml:3: service.hosts: an empty list says nothing here",
            "f.toml:4: service.origins: an empty list says nothing here",
            "f.toml:6: service.rules[0].path: an empty list says nothing here",
            "f.toml:7: service.rules[0].methods: an empty list says nothing here",
            "f.toml:8: service.rules[0].key.only: an empty list says nothing here",
        ],
    );
}

#[test]
fn origins_are_checked() {
    let origin = |line: &str| {
        format!("[service]\nid = \"s\"\nhosts = [\"*\"]\n[[service.origins]]\n{line}\n")
    };
    let url = |url: &str| origin(&format!("url = \"{url}\""));
    const WRONG: &str = "f.toml:5: service.origins[0].url: an origin is a URL such as http://127.0.0.1:8000 or https://www.example.com";
    for good in [
        "http://a",
        "https://a:1/",
        "http://[::1]:80",
        "http://a.b.",
        "http://10.0.0.1:65535",
    ] {
        check(&url(good), &[]);
    }
    for bad in ["a", "ftp://a", "http://", "http://*", "/x", "http://a b"] {
        check(&url(bad), &[WRONG]);
    }
    for bad in ["http://a:0", "http://a:65536", "http://a:99999"] {
        check(
            &url(bad),
            &[
                "f.toml:5: service.origins[0].url: the port of an origin's URL is between 1 and 65535",
            ],
        );
    }
    check(
        &url("http://a/b"),
        &["f.toml:5: service.origins[0].url: an origin's URL has no path: requests keep theirs"],
    );
    check(
        &url("http://u@a"),
        &["f.toml:5: service.origins[0].url: an origin's URL has no user"],
    );
    check(
        &origin("url = \"http://a\"\nverify = false"),
        &["f.toml:5: service.origins[0].url: `sni`, `verify` and `ca` need an https origin"],
    );
    check(
        &origin("url = \"https://a\"\nca = \"DIR/none.pem\""),
        &[
            "f.toml:6: service.origins[0].ca: none.pem cannot be read: No such file or directory (os error 2)",
        ],
    );
}

#[test]
fn rules_are_checked() {
    check_service(
        "[[service.rules]]\npath = \"img/**\"\nmethods = [\"get\"]\naction = \"store\"\nheaders = { \"x y\" = \"present\", x = \"there\" }\n",
        &[
            "f.toml:7: service.rules[0].path: a path pattern begins with / or *, as in /static/**",
            "f.toml:8: service.rules[0].methods[0]: a method is written in upper case, as in GET",
            "f.toml:9: service.rules[0].action: an action is \"cache\" or \"bypass\"",
            "f.toml:10: service.rules[0].headers.x: a condition is \"present\", \"absent\" or \"=value\"",
            "f.toml:10: service.rules[0].headers.x y: this is no field name",
        ],
    );
    check_service(
        "[service.default.key]\nquery = \"drop\"\nonly = [\"a\"]\n",
        &["f.toml:6: service.default.key: `query`, `only` and `except` exclude each other"],
    );
    check(
        &SERVICE.replacen("hosts", "invalidate = \"all\"\nhosts", 1),
        &["f.toml:3: service.invalidate: what a change ends is \"local\" or \"fleet\""],
    );
    check(
        &SERVICE.replacen("hosts", "on_lease_loss = \"stop\"\nhosts", 1),
        &[
            "f.toml:3: service.on_lease_loss: without a lease a node does \"serve\" or \"revalidate\"",
        ],
    );
    const OURS: &str = "this field frames messages or belongs to the fleet: it cannot be changed";
    check_service(
        "[service.default.request_headers]\nremove = [\"Host\"]\nset = { seawall-secret = \"x\" }\n",
        &[
            &format!("f.toml:7: service.default.request_headers.remove[0]: {OURS}"),
            &format!("f.toml:8: service.default.request_headers.set.seawall-secret: {OURS}"),
        ],
    );
    check_service(
        "[service.default.request_headers]\nremove = [\"CDN-Loop\"]\nset = { via = \"x\" }\n",
        &[
            &format!("f.toml:7: service.default.request_headers.remove[0]: {OURS}"),
            &format!("f.toml:8: service.default.request_headers.set.via: {OURS}"),
        ],
    );
}

#[test]
fn addresses_that_collide_or_lead_outside_are_refused() {
    check_edge(
        &format!("{LISTEN}{LISTEN}[admin]\naddress = \"127.0.0.1:8080\"\n"),
        &[
            "f.toml:11: listen[1].address: 127.0.0.1:8080 is listened on twice",
            "f.toml:13: admin.address: clients are listened for on 127.0.0.1:8080",
        ],
    );
    check_edge(
        &format!("{LISTEN}[admin]\naddress = \"0.0.0.0:8081\"\n"),
        &[
            "f.toml:11: admin.address: an admin address that is not loopback needs TLS, which it does not speak yet",
        ],
    );
    check_edge(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n",
        &[],
    );
    check_edge(
        "[[listen]]\naddress = \"localhost\"\n",
        &["f.toml:9: listen[0].address: invalid socket address syntax"],
    );
}

#[test]
fn links_without_tls_stay_on_loopback() {
    check_shield(
        "[[listen]]\naddress = \"0.0.0.0:8090\"\n",
        &[
            "f.toml:9: listen[0].address: a shield listens beyond loopback only with `fleet_tls = true`",
        ],
    );
    check_shield(
        "[[listen]]\naddress = \"0.0.0.0:8090\"\nfleet_tls = true\n",
        &["f.toml:9: listen[0].address: `fleet_tls` needs `cert`, `key` and `ca` in [fleet]"],
    );
    check_edge(
        &format!("{LISTEN}[[shields]]\nid = \"s\"\naddress = \"10.0.0.1:8090\"\n"),
        &["f.toml:12: shields[0].address: a shield beyond loopback needs `tls = true`"],
    );
    check_edge(
        &format!(
            "{LISTEN}[[shields]]\nid = \"s\"\naddress = \"s.example:1\"\ntls = true\n[[shields]]\nid = \"s\"\naddress = \"[::1]:1\"\n"
        ),
        &[
            "f.toml:11: shields[0].id: `tls` needs `cert`, `key` and `ca` in [fleet]",
            "f.toml:15: shields[1].id: shields[0] has the id s too",
        ],
    );
    let no_proof = EDGE.replace("secret_file = \"DIR/data/secret\"\n", "");
    check(
        &format!("{no_proof}{LISTEN}[[shields]]\nid = \"s\"\naddress = \"127.0.0.1:1\"\n"),
        &["f.toml:10: shields[0].id: a shield without `tls` needs `secret_file` in [fleet]"],
    );
}

#[test]
fn certificates_must_be_there_and_have_names_but_the_first() {
    let dir = Dir::new();
    dir.put("a.pem", "");
    let certificate = "[[listen.certificates]]\ncert = \"DIR/a.pem\"\nkey = \"DIR/b.pem\"\n";
    let file = dir.put(
        "f.toml",
        &format!("{EDGE}{LISTEN}{certificate}{certificate}"),
    );
    assert_eq!(
        dir.faults(&[file]),
        [
            "f.toml:12: listen[0].certificates[0].key: b.pem cannot be read: No such file or directory (os error 2)",
            "f.toml:13: listen[0].certificates[1].names: without names it is never shown: only the first is the default",
            "f.toml:15: listen[0].certificates[1].key: b.pem cannot be read: No such file or directory (os error 2)",
        ]
    );
}

#[test]
fn a_secret_is_made_by_the_node_or_fit_to_be_used() {
    let dir = Dir::new();
    let file = dir.put("f.toml", &format!("{EDGE}{LISTEN}"));
    let check = |expect: &[&str]| {
        let expect: Vec<String> = expect
            .iter()
            .map(|e| format!("f.toml:7: fleet.secret_file: data/secret {e}"))
            .collect();
        assert_eq!(dir.faults(std::slice::from_ref(&file)), expect);
    };
    check(&[]);
    fs::create_dir_all(dir.0.path().join("data")).unwrap();
    let secret = |text: &str, mode: u32| {
        let path = dir.put("data/secret", text);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    secret("0123456789abcdef0123456789abcdef\n", 0o600);
    check(&[]);
    secret("0123456789abcdef0123456789abcdef\n", 0o644);
    check(&["can be read by others (mode 644): chmod 600 it"]);
    secret("\n", 0o600);
    check(&["is empty: remove it, and the node makes a new one"]);
    secret("short", 0o600);
    check(&["must hold 16 to 512 printable ASCII characters"]);
    fs::remove_dir_all(dir.0.path().join("data")).unwrap();
    dir.put("data", "");
    let faults = dir.faults(std::slice::from_ref(&file));
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn services_of_one_node_have_their_own_ids_and_hosts() {
    let dir = Dir::new();
    let more = SERVICE.replace("[\"www", "[\"a.example\", \"A.example\", \"www");
    let files = [
        dir.0.path().join("service.toml"),
        dir.put("more.toml", &more),
    ];
    let faults = load_services(&files).unwrap_err();
    assert_eq!(
        dir.bare(&faults).lines().collect::<Vec<_>>(),
        [
            "more.toml:2: service.id: service site is there already, in service.toml:2",
            "more.toml:3: service.hosts[1]: host a.example belongs to service site already, by more.toml:3",
            "more.toml:3: service.hosts[2]: host www.example.com belongs to service site already, by service.toml:3",
        ]
    );
}

fn never_panics(dir: &Path, bytes: &[u8]) {
    let file = dir.join("f.toml");
    fs::write(&file, bytes).unwrap();
    let (kinds, faults) = check_files(std::slice::from_ref(&file));
    assert!(kinds[0].1.is_some() || !faults.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        never_panics(tempfile::tempdir().unwrap().path(), &bytes);
    }

    #[test]
    fn good_files_with_a_piece_replaced_never_panic(
        which in 0..3_usize,
        at in any::<prop::sample::Index>(),
        length in 0..20_usize,
        piece in "[\\PC\n\"\\[\\]{}=.]{0,12}",
    ) {
        let shield = EDGE.replace("\"edge\"", "\"shield\"");
        let base = [format!("{EDGE}{LISTEN}"), format!("{shield}{LISTEN}"), SERVICE.to_owned()];
        let mut bytes = base[which].clone().into_bytes();
        let begin = at.index(bytes.len());
        let end = (begin + length).min(bytes.len());
        bytes.splice(begin..end, piece.bytes());
        never_panics(tempfile::tempdir().unwrap().path(), &bytes);
    }
}

/// The edge that follows a control plane, with `more` behind line 8.
fn check_follower(more: &str, expect: &[&str]) {
    let edge = EDGE.replace("services = [\"DIR/service.toml\"]\n", "");
    check(&format!("{edge}{LISTEN}{more}"), expect);
}

#[test]
fn a_node_follows_a_control_plane_or_has_services_of_its_own() {
    check_follower("[control_plane]\naddress = \"127.0.0.1:8092\"\n", &[]);
    check_follower(
        "[control_plane]\naddress = \"10.0.0.1:8092\"\n",
        &["f.toml:10: control_plane.address: a control plane beyond loopback needs `tls = true`"],
    );
    check_edge(
        "[control_plane]\naddress = \"127.0.0.1:8092\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n",
        &["f.toml:1: `services` come from the control plane where there is [control_plane]"],
    );
}

#[test]
fn disks_say_where_and_how_much() {
    check_follower(
        "[control_plane]\naddress = \"127.0.0.1:8092\"\n[[disks]]\npath = \"DIR/a\"\nsize = \"1MiB\"\n",
        &["f.toml:13: disks[0].size: 1MiB is not between 64MiB and 1024TiB"],
    );
}

const CONTROL_PLANE: &str = r#"role = "control-plane"
data = "DIR/cp"
[fleet]
id = "fleet"
secret_file = "DIR/data/secret"
"#;

#[test]
fn a_control_planes_file_is_checked() {
    let check = |more: &str, expect: &[&str]| check(&format!("{CONTROL_PLANE}{more}"), expect);
    let sync = "[sync]\naddress = \"127.0.0.1:0\"\n";
    let admin = "[admin]\naddress = \"127.0.0.1:0\"\n";
    check(&format!("{sync}{admin}"), &[]);
    check(sync, &["f.toml:1: table [admin] is missing"]);
    for (lease, fault) in [
        ("1s", None),
        ("10m", None),
        ("999ms", Some("999ms is not between 1s and 600s")),
        ("601s", Some("601s is not between 1s and 600s")),
    ] {
        let fault = fault.map(|fault| format!("f.toml:8: sync.lease: {fault}"));
        let fault: Vec<&str> = fault.iter().map(String::as_str).collect();
        check(&format!("{sync}lease = \"{lease}\"\n{admin}"), &fault);
    }
    check(
        &format!("[sync]\naddress = \"0.0.0.0:1\"\n{admin}"),
        &[
            "f.toml:7: sync.address: nodes are met beyond loopback only with `cert`, `key` and `ca` in [fleet]",
        ],
    );
}
