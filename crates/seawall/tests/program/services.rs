//! `seawall service`, `node` and `token`: what operators change.

use crate::cdn::Cdn;
use crate::running::{run, stderr, stdout};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

fn service(cdn: &Cdn, more: &str) -> String {
    let url = cdn.origin.url();
    format!(
        "[service]\nid = \"site\"\nhosts = [\"*\"]\n{more}\n[[service.origins]]\nurl = \"{url}\"\n"
    )
}

#[test]
fn a_service_is_shown_put_rolled_back_and_deleted_by_version() {
    let cdn = Cdn::start();
    assert!(cdn.tell(&["service", "list"], 0).contains("site"));
    let first = cdn.tell(&["service", "show", "site"], 0);
    assert!(
        first.contains("[service]") && first.contains(&cdn.origin.url()),
        "{first}"
    );

    let file = cdn.file("site.toml", &service(&cdn, "pass_host = true"));
    let put = cdn.tell(&["service", "put", &file, "--if-version", "1"], 0);
    assert_eq!(put, "service site is at version 2\n");
    let stale = cdn.tell(&["service", "put", &file, "--if-version", "1"], 1);
    assert!(stale.contains("the service is at version 2"), "{stale}");
    assert!(
        cdn.tell(&["service", "show", "site"], 0)
            .contains("pass_host = true")
    );

    cdn.tell(&["service", "rollback", "site", "--to", "1"], 0);
    assert_eq!(cdn.tell(&["service", "show", "site"], 0), first);
    let history = cdn.tell(&["service", "history", "site"], 0);
    assert!(history.contains("rolled back to version 1"), "{history}");
    let versions = cdn.json(&["service", "history", "site"]);
    assert_eq!(versions["versions"].as_array().unwrap().len(), 3);
    let none = cdn.tell(&["service", "rollback", "site", "--to", "9"], 1);
    assert!(none.contains("no version 9"), "{none}");

    let stale = cdn.tell(&["service", "delete", "site", "--if-version", "1"], 1);
    assert!(stale.contains("version 3"), "{stale}");
    cdn.tell(&["service", "delete", "site", "--if-version", "3"], 0);
    assert!(
        cdn.tell(&["service", "show", "site"], 1)
            .contains("no service site")
    );
    assert_eq!(cdn.json(&["service", "list"])["services"], json!([]));
}

#[test]
fn a_service_file_with_faults_is_refused_with_its_name_and_the_lines() {
    let cdn = Cdn::start();
    let syntax = cdn.file("syntax.toml", "[service]\nid = \"site\"\nhosts = [\"*\"\n");
    let told = cdn.tell(&["service", "put", &syntax], 1);
    assert!(told.contains("syntax.toml:"), "{told}");
    let id = cdn.file(
        "id.toml",
        "[service]\nhosts = [\"*\"]\n[[service.origins]]\nurl = \"http://a\"\n",
    );
    let told = cdn.tell(&["service", "put", &id], 1);
    assert!(told.contains("id.toml:1: service.id: "), "{told}");
    let faults = cdn.file("faults.toml", &service(&cdn, "colour = 1\nsize = 2"));
    let told = cdn.tell(&["service", "put", &faults], 1);
    for (line, field) in [(4, "colour"), (5, "size")] {
        assert!(
            told.contains(&format!("faults.toml:{line}: service.{field}: ")),
            "{told}"
        );
    }
    assert!(
        cdn.tell(&["service", "put", "/no/such.toml"], 1)
            .contains("/no/such.toml")
    );
    assert_eq!(cdn.json(&["service", "list"])["services"][0]["version"], 1);
}

#[test]
fn tokens_are_made_listed_and_revoked_and_a_revoked_one_is_refused() {
    let cdn = Cdn::start();
    let operators = cdn.dir.path().join("data/operator.token");
    let mode = std::fs::metadata(operators).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let made = cdn.json(&["token", "create", "--name", "ci", "--role", "read"]);
    let file = cdn.file("ci.token", made["token"].as_str().unwrap());
    cdn.tell(&["node", "list", "--token-file", &file], 0);
    let low = cdn.tell(&["purge", "--everything", "--token-file", &file], 1);
    assert!(low.contains("role read"), "{low}");
    assert!(cdn.tell(&["token", "list"], 0).contains("ci"));

    let id = made["id"].as_str().unwrap();
    cdn.tell(&["token", "revoke", id], 0);
    let refused = cdn.tell(&["node", "list", "--token-file", &file], 1);
    assert!(refused.contains("not known, or was revoked"), "{refused}");
    assert!(!cdn.tell(&["token", "list"], 0).contains(id));
    cdn.tell(&["token", "revoke", id], 1);
}

#[test]
fn a_backup_is_made_while_it_runs_and_restored_while_it_does_not() {
    let cdn = Cdn::start();
    let (data, backup) = (cdn.data(), cdn.dir.path().join("b.db"));
    let backup = backup.to_str().unwrap();
    let back_up = [
        "control-plane",
        "--json",
        "backup",
        "--data",
        &data,
        "--to",
        backup,
    ];
    let made = run(&back_up);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    assert_eq!(crate::cdn::parse(&stdout(&made))["backup"], backup);
    assert_eq!(run(&back_up).status.code(), Some(1), "it exists already");

    let file = cdn.file("site.toml", &service(&cdn, "pass_host = true"));
    cdn.tell(&["service", "put", &file], 0);
    let restore = [
        "control-plane",
        "restore",
        "--data",
        &data,
        "--from",
        backup,
    ];
    let refused = run(&restore);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("in use"), "{}", stderr(&refused));

    let Cdn { up, origin, dir } = cdn;
    up.end("-TERM");
    let restored = run(&restore);
    assert_eq!(restored.status.code(), Some(0), "{}", stderr(&restored));
    let up = crate::cdn::up(
        &dir,
        &["--origin", &origin.url(), "--edges", "2", "--disk", "0"],
    );
    let cdn = Cdn { up, origin, dir };
    assert_eq!(cdn.json(&["service", "list"])["services"][0]["version"], 1);
    cdn.warm("/");
}

#[test]
fn every_command_that_prints_prints_json_where_it_is_told_to() {
    let cdn = Cdn::start();
    let file = cdn.file("site.toml", &service(&cdn, "pass_host = true"));
    let rows = [
        (&["purge", "--everything"][..], "complete"),
        (&["purge", "--everything", "--dry-run"], "nodes"),
        (&["purge", "list"], "purges"),
        (&["service", "list"], "services"),
        (&["service", "show", "site"], "toml"),
        (&["service", "put", &file], "version"),
        (&["service", "history", "site"], "versions"),
        (&["service", "rollback", "site", "--to", "1"], "version"),
        (&["service", "delete", "site"], "deleted"),
        (&["node", "list"], "nodes"),
        (&["node", "remove", "edge-2"], "removed"),
        (
            &["token", "create", "--name", "n", "--role", "purge"],
            "token",
        ),
        (&["token", "list"], "tokens"),
    ];
    for (args, member) in rows {
        assert!(!cdn.json(args)[member].is_null(), "{args:?}");
    }
    let ready = &cdn.up.ready;
    assert!(
        ready["notes"].is_array() && ready["disk_bytes"].is_null(),
        "{ready}"
    );
}
