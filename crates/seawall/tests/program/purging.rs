//! `seawall purge`: what it names, what it prints, how it ends.

use crate::cdn::{Cdn, parse};
use crate::running::{run, seawall, stderr};
use std::net::TcpListener;

#[test]
fn a_purge_of_every_scope_is_told_as_a_table_and_the_copy_is_gone() {
    let cdn = Cdn::start();
    let rows = [
        &["purge", "http://a/x", "https://a/y"][..],
        &["purge", "--tag", "t", "other"],
        &["purge", "--prefix", "a/x"],
        &["purge", "--host", "a"],
        &["purge", "--service", "site"],
        &["purge", "--everything", "--wait", "30s"],
    ];
    for args in rows {
        cdn.warm("/x");
        let asked = cdn.origin.asked();
        let told = cdn.tell(args, 0);
        assert!(
            told.contains("complete: in force on all 3 nodes, after "),
            "{told}"
        );
        for node in ["edge-1", "edge-2", "shield-1"] {
            let line = told
                .lines()
                .find(|line| line.trim_start().starts_with(node));
            let line = line.unwrap_or_else(|| panic!("{node} is missing: {told}"));
            assert!(line.contains("applied") && line.ends_with(" ms"), "{told}");
        }
        assert!(!cdn.is_hit("/x"), "{args:?}");
        assert_eq!(cdn.origin.asked(), asked + 1, "{args:?}");
    }
}

#[test]
fn a_soft_purge_makes_stale_and_a_dry_run_changes_nothing() {
    let cdn = Cdn::start();
    cdn.warm("/");
    let table = cdn.tell(&["purge", "--everything", "--dry-run"], 0);
    assert!(
        table.contains("nothing is purged") && table.contains("edge-1"),
        "{table}"
    );
    let told = cdn.json(&["purge", "--tag", "t", "--dry-run"]);
    assert_eq!(told["dry_run"], true);
    assert_eq!(told["nodes"].as_array().unwrap().len(), 3, "{told}");
    assert!(cdn.is_hit("/"));
    cdn.tell(&["purge", "http://a/", "--soft"], 0);
    assert!(cdn.get("/").contains("seawall-edge; fwd=stale"));
}

#[test]
fn purges_are_listed_and_shown_wherever_json_and_admin_stand() {
    let cdn = Cdn::start();
    let admin = cdn.up.address("admin");
    let purged = cdn.json(&["purge", "http://a/", "--soft"]);
    let id = purged["id"].as_str().unwrap();
    let rows = [
        &["--json", "purge", "list", "--admin", &admin][..],
        &["purge", "--json", "list", "--admin", &admin],
        &["purge", "--admin", &admin, "list", "--json"],
        &["purge", "--admin", &admin, "--json", "list"],
        &["purge", "list", "--json", "--admin", &admin],
        &["purge", "list", "--limit", "1", "--json", "--admin", &admin],
    ];
    for args in rows {
        let output = run(args);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{args:?} {}",
            stderr(&output)
        );
        let list = parse(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(list["purges"].as_array().unwrap().len(), 1, "{args:?}");
        assert_eq!(list["purges"][0]["id"], id);
    }
    let shown = run(&["purge", "--json", "--admin", &admin, "show", id]);
    let shown = parse(&String::from_utf8(shown.stdout).unwrap());
    assert_eq!(
        (&shown["soft"], &shown["named"]["urls"][0]),
        (&true.into(), &"http://a/".into())
    );
    let told = cdn.tell(&["purge", "show", id], 0);
    assert!(
        told.contains("soft, at 2") && told.contains("urls: http://a/"),
        "{told}"
    );
    let table = cdn.tell(&["purge", "list"], 0);
    assert!(
        table.contains(id) && table.contains("3/3") && table.contains("soft"),
        "{table}"
    );
    assert!(
        cdn.tell(&["purge", "show", "no-such-id"], 1)
            .contains("no purge no-such-id")
    );
    // a tag may have a command's name
    assert!(
        cdn.tell(&["purge", "--tag", "list"], 0)
            .contains("complete")
    );
}

#[test]
fn a_purge_that_is_refused_says_which_item_and_purges_nothing() {
    let cdn = Cdn::start();
    cdn.warm("/");
    let told = cdn.tell(&["purge", "http://a/", "nonsense"], 1);
    assert!(told.starts_with("seawall: urls[1]: "), "{told}");
    let told = cdn.tell(&["purge", "--service", "no-such"], 1);
    assert!(told.contains("there is no service no-such"), "{told}");
    assert!(cdn.is_hit("/"));
}

#[test]
fn a_wrong_command_line_ends_with_two_before_anything_is_asked() {
    // no token is to be found, and nobody listens
    let nobody = "127.0.0.1:1";
    let rows = [
        (&["purge"][..], "nothing is named"),
        (&["purge", "--soft"], "nothing is named"),
        (&["purge", "--admin", nobody, "--json"], "nothing is named"),
        (&["purge", "--soft", "list"], "--soft cannot be used with"),
        (
            &["purge", "--wait=1s", "show", "x"],
            "--wait cannot be used with",
        ),
        (
            &["purge", "--service", "s", "list"],
            "--service cannot be used with",
        ),
        (&["purge", "--everything", "http://a/"], "--everything"),
        (&["purge", "--everything", "--wait", "2m"], "at most 60s"),
        (&["purge", "show"], "<ID>"),
        (&["purge", "list", "--limit", "0"], "--limit"),
        (
            &["purge", "--everything", "--admin", "no-port"],
            "HOST:PORT",
        ),
        (&["node", "list", "--admin", "https://h:1"], "TLS"),
        (&["node"], "Usage"),
        (&["service", "put"], "<FILE>"),
        (&["service", "rollback", "site"], "--to"),
        (
            &["token", "create", "--name", "x", "--role", "root"],
            "a role is",
        ),
        (&["control-plane"], "--config"),
        (
            &[
                "control-plane",
                "--config",
                "f",
                "backup",
                "--data",
                "d",
                "--to",
                "t",
            ],
            "--config cannot be used with",
        ),
        (
            &["control-plane", "--json", "backup", "--data", "d"],
            "--to",
        ),
        (&["up", "--disk", "1MiB"], "at least 64MiB"),
        (&["up", "--origin", "nonsense"], "--origin nonsense"),
        (&["up", "--listen", "0.0.0.0:8081"], "are the same"),
        (
            &["up", "--listen", "127.0.0.1:65535", "--edges", "2"],
            "no ports",
        ),
        (&["up", "--admin", "0.0.0.0:8081"], "not loopback"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (args, with) in rows {
        let output = seawall().current_dir(&dir).args(args).output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?} {told}");
        assert!(told.contains(with), "{args:?} {told}");
    }
    let left = std::fs::read_dir(&dir).unwrap().count();
    assert_eq!(left, 0, "nothing was started");
}

#[test]
fn a_token_on_this_machine_is_found_by_any_name_of_it_and_sent_nowhere_else() {
    let cdn = Cdn::start();
    let port = cdn
        .up
        .address("admin")
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    for admin in [
        format!("localhost:{port}"),
        format!("http://127.0.0.1:{port}/"),
    ] {
        assert!(crate::cdn::tell_at(&admin, &["node", "list"], 0).contains("edge-1"));
    }
    // one of the usual places; the address is of a documentation network (RFC 5737)
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("seawall-data/up");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("operator.token"), "swt_secret\n").unwrap();
    let mut command = seawall();
    let output = command
        .current_dir(&dir)
        .args(["node", "list", "--admin", "192.0.2.1:8081"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no token for 192.0.2.1:8081"),
        "{}",
        stderr(&output)
    );
    // nobody listens there: that comes before any token
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut command = seawall();
    let args = ["node", "list", "--admin", &nobody.to_string()];
    let elsewhere = tempfile::tempdir().unwrap();
    let output = command.current_dir(&elsewhere).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains(&format!("no control plane answers at {nobody}")),
        "{told}"
    );
}

#[test]
fn when_a_url_was_purged_last_and_by_whom_is_listed() {
    let cdn = Cdn::start();
    cdn.tell(&["purge", "--prefix", "a/news"], 0);
    let other = cdn.json(&["purge", "http://a/other"]);
    let list = cdn.tell(&["purge", "list", "--url", "http://a/news/1"], 0);
    assert!(
        list.contains("a/news") && list.contains("operator"),
        "{list}"
    );
    assert!(!list.contains(other["id"].as_str().unwrap()), "{list}");
    assert_eq!(cdn.tell(&["purge", "list", "--tag", "t"], 0), "no purges\n");
    let wrong = cdn.tell(&["purge", "list", "--url", "nonsense"], 1);
    assert!(wrong.starts_with("seawall: url: "), "{wrong}");
}
