//! Starting, judging and ending: what holds for every command.

use crate::running::{Running, fails, get, run, stderr, stdout, write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[test]
fn help_tells_every_command_and_a_wrong_flag_is_a_usage_error() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let parts = [
        ("up", &[][..]),
        ("edge", &[]),
        ("shield", &[]),
        ("control-plane", &["backup", "restore"]),
        ("purge", &["show", "list"]),
        (
            "service",
            &["list", "show", "put", "history", "rollback", "delete"],
        ),
        ("node", &["list", "remove"]),
        ("token", &["create", "list", "revoke"]),
        ("check", &[]),
        ("completions", &[]),
    ];
    for (command, below) in parts {
        assert!(
            stdout(&help).contains(&format!("\n  {command} ")),
            "{command}"
        );
        let help = stdout(&run(&[command, "--help"]));
        assert!(help.contains("Example"), "{command}: {help}");
        for part in below {
            assert!(help.contains(&format!("\n  {part} ")), "{command} {part}");
            let help = run(&[command, part, "--help"]);
            assert_eq!(help.status.code(), Some(0), "{command} {part}");
            assert!(stdout(&help).contains("--json"), "{command} {part}");
        }
    }
    for wrong in [
        &["up", "--no-such-flag"][..],
        &["nothing"],
        &[],
        &["up", "--edges", "0"],
        &["up", "--memory", "1MB"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert!(stdout(&run(&["completions", "bash"])).contains("seawall"));
}

#[test]
fn the_examples_are_good_and_a_bad_file_is_told_with_every_fault() {
    let good = run(&[
        "check",
        "config/examples/service.toml",
        "config/examples/shield.toml",
        "config/examples/edge.toml",
    ]);
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.toml");
    write(
        &file,
        "[service]\nid = \"a b\"\nhosts = [\"*\"]\ncolour = 1\n\n[[service.origins]]\nurl = \"ftp://x\"\n",
    );
    let bad = run(&["check", file.to_str().unwrap()]);
    assert_eq!(bad.status.code(), Some(1));
    let faults = stderr(&bad);
    for (line, path) in [
        (2, "service.id"),
        (4, "service.colour"),
        (7, "service.origins[0].url"),
    ] {
        assert!(
            faults.contains(&format!("bad.toml:{line}: {path}: ")),
            "{faults}"
        );
    }
    let json = run(&["check", "--json", file.to_str().unwrap()]);
    let told: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(told["faults"].as_array().unwrap().len(), 3);
    assert_eq!(run(&["check", "no/such/file.toml"]).status.code(), Some(1));
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = ["--admin", "127.0.0.1:0", "--data", data, "--disk", "0"];
    fails(&[&["up", "--listen", &taken][..], &free].concat(), &taken);
    fails(
        &[
            "up",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            &taken,
            "--data",
            data,
        ],
        &taken,
    );
    fails(
        &[
            &["up", "--listen", "127.0.0.1:0", "--dir", "/no/such/dir"][..],
            &free,
        ]
        .concat(),
        "/no/such/dir",
    );
    let file = dir.path().join("file");
    write(&file, "");
    fails(
        &[
            "up",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--data",
            file.to_str().unwrap(),
        ],
        "cannot be written",
    );
    fails(&["edge", "--config", "/no/such.toml"], "/no/such.toml");
}

#[test]
fn up_serves_a_directory_through_shield_and_edges_and_ends_with_zero() {
    let dir = tempfile::tempdir().unwrap();
    let (site, data) = (dir.path().join("site"), dir.path().join("data"));
    std::fs::create_dir(&site).unwrap();
    write(&site.join("index.html"), "<p>hello</p>");
    let (site, data) = (site.to_str().unwrap(), data.to_str().unwrap());
    let args = [
        "up",
        "--dir",
        site,
        "--data",
        data,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--edges",
        "2",
        "--disk",
        "0",
    ];
    let mut up = Running::start(&args);
    let edge = up.address("edges");

    assert!(get(&edge, "/").contains("seawall-edge; fwd=uri-miss"));
    let hit = get(&edge, "/");
    assert!(
        hit.contains("seawall-edge; hit") && hit.ends_with("<p>hello</p>"),
        "{hit}"
    );
    let other = up.ready["edges"][1].as_str().unwrap().to_owned();
    assert!(get(&other, "/").contains("seawall-shield; hit"));
    let metrics = get(&up.address("admin"), "/metrics");
    assert!(
        metrics.contains("node=\"edge-2\"") && metrics.contains("node=\"shield-1\""),
        "{metrics}"
    );
    assert_eq!(metrics.matches("# TYPE seawall_requests_total").count(), 1);
    // the directory belongs to the one that runs
    fails(&args, "in use");

    up.signal("-TERM");
    assert_eq!(up.code(), Some(0));
}

#[test]
fn up_without_an_origin_serves_the_demo() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let up = Running::start(&[
        "up",
        "--data",
        data,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--shields",
        "0",
        "--disk",
        "0",
    ]);
    assert!(get(&up.address("edges"), "/").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_node_takes_its_files_anew_on_hangup_and_a_bad_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = |host: &str| {
        format!(
            "[service]\nid = \"s\"\nhosts = [\"{host}\"]\nshield = false\n[[service.origins]]\nurl = \"http://{}\"\n",
            origin.local_addr().unwrap()
        )
    };
    write(&path("service.toml"), &service("one.example"));
    write(
        &path("edge.toml"),
        &format!(
            "role = \"edge\"\nid = \"e\"\ndata = \"{}\"\nservices = [\"{}\"]\n[fleet]\nid = \"f\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n",
            text("data"),
            text("service.toml")
        ),
    );
    let mut edge = Running::start(&["edge", "--config", &text("edge.toml")]);
    let (address, admin) = (edge.address("listen"), edge.address("admin"));
    let reloads = |result: &str, n: u32| {
        let deadline = Instant::now() + Duration::from_secs(20);
        let wanted = |line: &str| {
            line.starts_with("seawall_reloads_total{")
                && line.contains(result)
                && line.ends_with(&format!(" {n}"))
        };
        while !get(&admin, "/metrics").lines().any(wanted) {
            assert!(Instant::now() < deadline, "no reload: {result}");
        }
    };

    write(&path("service.toml"), "[service]\nbroken");
    edge.signal("-HUP");
    // the bad file is told and refused; what was in force still answers
    reloads("refused", 1);
    assert!(get(&address, "/").starts_with("HTTP/1.1 421"));

    write(&path("service.toml"), &service("a"));
    edge.signal("-HUP");
    reloads("ok", 1);
    drop(origin);
    // the new host is known now: its origin is asked, and is not there
    assert!(get(&address, "/").starts_with("HTTP/1.1 502"));
    edge.signal("-INT");
    assert_eq!(edge.code(), Some(0));
}
