//! What a restart of `up` keeps, and what it does not touch.

use crate::cdn::{Cdn, data, eventually, parse, run_at, up};
use crate::running::{Running, fails, get};
use std::fs;

/// What a file system must have for the disk of one node, told or taken by default.
const DISK: [&str; 2] = ["--disk", "64MiB"];

fn metric(up: &Running, name: &str) -> f64 {
    let metrics = get(&up.address("admin"), "/metrics");
    let values = metrics.lines().filter(|line| line.starts_with(name));
    values
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

#[test]
fn what_is_cached_is_there_after_a_restart_however_it_ended() {
    let cdn = Cdn::with(&DISK);
    let Cdn {
        up: mut running,
        origin,
        dir,
    } = cdn;
    for (count, signal) in ["-KILL", "-TERM", "-KILL"].into_iter().enumerate() {
        let path = format!("/{count}");
        let written = || metric(&running, "seawall_disk_records_written_total");
        let before = written();
        let first = get(&running.address("edges"), &path);
        let body = first.rsplit_once("\r\n\r\n").unwrap().1.to_owned();
        // a killed process loses what waits to be written, here one record at the edge and one at the shield
        eventually("the copy is on disk", || written() >= before + 2.0);
        running.end(signal);
        running = up(&dir, &[&["--origin", &origin.url()], &DISK[..]].concat());
        let asked = origin.asked();
        let again = get(&running.address("edges"), &path);
        assert!(
            again.contains("seawall-edge; hit") && again.ends_with(&body),
            "{signal}: {again}"
        );
        assert_eq!(origin.asked(), asked, "{signal}");
    }
}

#[test]
fn copies_are_kept_on_disk_without_being_asked_where_there_is_room() {
    let cdn = Cdn::with(&[]);
    let ready = &cdn.up.ready;
    let disk = cdn.dir.path().join("data/edge-1/disk");
    match ready["disk_bytes"].as_u64() {
        Some(bytes) => {
            assert!(disk.is_dir() && bytes >= 64 << 20, "{ready}");
            let told = ready["notes"].as_array().unwrap();
            assert_eq!(told.is_empty(), bytes == 4 << 30, "{ready}");
        }
        // little is free here, or all is in memory
        None => {
            assert!(!disk.exists());
            assert!(
                ready["notes"].to_string().contains("memory alone"),
                "{ready}"
            );
        }
    }
}

#[test]
fn up_takes_another_origin_and_leaves_what_an_operator_changed_or_deleted() {
    let cdn = Cdn::with(&["--disk", "0", "--shields", "0"]);
    let Cdn {
        up: running,
        origin,
        dir,
    } = cdn;
    let restart = |running: Running, url: &str| {
        running.end("-TERM");
        up(&dir, &["--origin", url, "--disk", "0", "--shields", "0"])
    };
    let tell = |running: &Running, args: &[&str]| {
        let output = run_at(&running.address("admin"), &[args, &["--json"]].concat());
        let code = output.status.code();
        assert_eq!(
            code,
            Some(0),
            "{args:?} {}",
            crate::running::stderr(&output)
        );
        parse(&crate::running::stdout(&output))
    };
    let shown = |running: &Running| tell(running, &["service", "show", "site"]);
    let elsewhere = "http://127.0.0.1:9";

    // its own version follows the command line, and the same command line makes no version
    let running = restart(running, elsewhere);
    assert_eq!(shown(&running)["version"], 2);
    let running = restart(running, elsewhere);
    assert_eq!(shown(&running)["version"], 2);

    // an operator's stays, whatever the token is called
    let made = tell(
        &running,
        &["token", "create", "--name", "up", "--role", "admin"],
    );
    let (token, file) = (dir.path().join("t"), dir.path().join("site.toml"));
    fs::write(&token, made["token"].as_str().unwrap()).unwrap();
    let text = format!(
        "[service]\nid = \"site\"\nhosts = [\"*\"]\nshield = false\n[[service.origins]]\nurl = \"{}\"\n",
        origin.url()
    );
    fs::write(&file, &text).unwrap();
    let put = [
        "service",
        "put",
        file.to_str().unwrap(),
        "--token-file",
        token.to_str().unwrap(),
    ];
    tell(&running, &put);
    let running = restart(running, elsewhere);
    assert_eq!(shown(&running)["toml"], text);
    let notes = running.ready["notes"].to_string();
    assert!(
        notes.contains("site stays as up put it (version 3)"),
        "{notes}"
    );

    // so does an earlier version that an operator wants again
    tell(&running, &["service", "rollback", "site", "--to", "1"]);
    let running = restart(running, elsewhere);
    assert_eq!(shown(&running)["version"], 4);

    // and a deleted one stays deleted, though there is no other
    tell(&running, &["service", "delete", "site"]);
    let running = restart(running, elsewhere);
    assert_eq!(
        tell(&running, &["service", "list"])["services"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    let notes = running.ready["notes"].to_string();
    assert!(
        notes.contains("was deleted by operator") && notes.contains("rollback site --to 4"),
        "{notes}"
    );
    tell(&running, &["service", "rollback", "site", "--to", "4"]);
    assert_eq!(shown(&running)["version"], 6);
}

#[test]
fn up_waits_for_no_node_that_it_does_not_run_any_more() {
    let cdn = Cdn::start();
    assert!(
        cdn.tell(&["purge", "--everything"], 0)
            .contains("on all 3 nodes")
    );
    let Cdn {
        up: running,
        origin,
        dir,
    } = cdn;
    running.end("-TERM");
    let usual = ["--origin", &origin.url(), "--edges", "1", "--disk", "0"];
    let running = up(&dir, &usual);
    let tell = |args: &[&str]| crate::cdn::tell_at(&running.address("admin"), args, 0);
    let told = tell(&["purge", "--everything"]);
    assert!(
        told.contains("on all 2 nodes") && !told.contains("edge-2"),
        "{told}"
    );
    let listed = tell(&["node", "list"]);
    assert!(
        listed.contains("edge-1") && !listed.contains("edge-2"),
        "{listed}"
    );
}

#[test]
fn a_damaged_store_is_refused_with_the_way_back_or_served_without() {
    let cdn = Cdn::with(&DISK);
    cdn.warm("/");
    let Cdn {
        up: running,
        origin,
        dir,
    } = cdn;
    running.end("-TERM");
    let (data, store) = (data(&dir), dir.path().join("data/control-plane.db"));
    let mut bytes = fs::read(&store).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0x5a);
    bytes[..16].fill(0x5a);
    fs::write(&store, bytes).unwrap();

    let url = origin.url();
    let usual = ["--origin", &url, DISK[0], DISK[1]];
    let alone = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--data",
        &data,
    ];
    let args = [&alone[..], &usual].concat();
    fails(
        &args,
        &format!("seawall control-plane restore --data {data}"),
    );
    fails(&args, "--serve-last-good");

    let running = up(&dir, &[&usual[..], &["--serve-last-good"]].concat());
    assert!(running.ready["notes"].to_string().contains("damaged"));
    let asked = origin.asked();
    assert!(get(&running.address("edges"), "/").contains("seawall-edge; hit"));
    assert!(get(&running.address("edges"), "/new").starts_with("HTTP/1.1 200"));
    assert_eq!(origin.asked(), asked + 1);
    let admin = running.address("admin");
    assert!(get(&admin, "/v1/nodes").starts_with("HTTP/1.1 503"));
    assert!(get(&admin, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(&admin, "/nothing").starts_with("HTTP/1.1 404"));
    let told = crate::cdn::tell_at(&admin, &["purge", "--everything"], 1);
    assert!(told.contains("store is damaged"), "{told}");
}

#[test]
fn another_directory_is_served_at_once_and_the_same_one_from_what_is_cached() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("index.html"), name).unwrap();
    }
    let start = |name: &str| {
        up(
            &dir,
            &[
                "--dir",
                dir.path().join(name).to_str().unwrap(),
                DISK[0],
                DISK[1],
            ],
        )
    };
    let ask = |running: &Running| get(&running.address("edges"), "/");
    let on_disk = |running: &Running| {
        let written = || metric(running, "seawall_disk_records_written_total");
        eventually("the copy is on disk", || written() >= 2.0);
    };
    let running = start("one");
    assert!(ask(&running).ends_with("one"));
    on_disk(&running);
    running.end("-TERM");
    let running = start("one");
    assert!(ask(&running).contains("seawall-edge; hit"));
    running.end("-TERM");
    let running = start("two");
    assert!(ask(&running).ends_with("two"));
    on_disk(&running);

    // an operator's version names the origin that is built in
    let tell =
        |running: &Running, args: &[&str]| crate::cdn::tell_at(&running.address("admin"), args, 0);
    let file = dir.path().join("site.toml");
    let text = tell(&running, &["service", "show", "site"]);
    fs::write(
        &file,
        text + "\n[[service.rules]]\npath = \"/x\"\nttl = \"1s\"\n",
    )
    .unwrap();
    tell(&running, &["service", "put", file.to_str().unwrap()]);
    running.end("-TERM");
    let running = start("one");
    assert!(
        running.ready["notes"]
            .to_string()
            .contains("site stays as operator put it")
    );
    assert!(ask(&running).ends_with("one"));
}
