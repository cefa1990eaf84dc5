//! A control plane and a node as processes of their own, by files.

use crate::cdn::{Origin, eventually, parse, tell_at};
use crate::running::{Running, get};
use std::fs;
use std::path::Path;

pub(crate) struct Fleet {
    pub(crate) dir: tempfile::TempDir,
    origin: Origin,
    pub(crate) plane: Running,
}

impl Fleet {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plane = plane(dir.path(), "127.0.0.1:0");
        let origin = Origin::start();
        let fleet = Self { dir, origin, plane };
        let service = format!(
            "[service]\nid = \"s\"\nhosts = [\"a\"]\nshield = false\n[[service.origins]]\nurl = \"{}\"\n",
            fleet.origin.url()
        );
        let file = fleet.dir.path().join("s.toml");
        fs::write(&file, service).unwrap();
        fleet.tell(&["service", "put", file.to_str().unwrap()], 0);
        fleet
    }

    /// Starts the control plane where nodes look for it, after it has ended.
    pub(crate) fn start_again(&mut self) {
        self.plane = plane(self.dir.path(), &self.plane.address("sync"));
    }

    pub(crate) fn edge(&self) -> Running {
        let at = self.dir.path().display();
        let sync = self.plane.address("sync");
        let config = format!(
            "role = \"edge\"\nid = \"e\"\ndata = \"{at}/e\"\n[fleet]\nid = \"f\"\nsecret_file = \"{at}/secret\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n[control_plane]\naddress = \"{sync}\"\n"
        );
        let file = self.dir.path().join("e.toml");
        fs::write(&file, config).unwrap();
        Running::start(&["edge", "--config", file.to_str().unwrap()])
    }

    pub(crate) fn tell(&self, args: &[&str], code: i32) -> String {
        tell_at(&self.plane.address("admin"), args, code)
    }
}

fn plane(dir: &Path, sync: &str) -> Running {
    let at = dir.display();
    let config = format!(
        "role = \"control-plane\"\ndata = \"{at}/plane\"\n[fleet]\nid = \"f\"\nsecret_file = \"{at}/secret\"\n[sync]\naddress = \"{sync}\"\n[admin]\naddress = \"127.0.0.1:0\"\n"
    );
    let file = dir.join("plane.toml");
    fs::write(&file, config).unwrap();
    Running::start(&["control-plane", "--config", file.to_str().unwrap()])
}

#[test]
fn a_purge_ends_with_three_while_a_node_is_away_and_with_zero_once_it_is_back_or_removed() {
    let fleet = Fleet::start();
    let edge = fleet.edge();
    assert!(get(&edge.address("listen"), "/").ends_with("answer 1"));
    assert!(
        fleet
            .tell(&["purge", "--everything"], 0)
            .contains("in force on the only node")
    );
    assert!(get(&edge.address("listen"), "/").ends_with("answer 2"));
    edge.end("-KILL");
    eventually("the node is away", || {
        fleet.tell(&["node", "list"], 0).contains("away")
    });

    let told = fleet.tell(&["purge", "--host", "a", "--wait", "100ms", "--json"], 3);
    let id = parse(&told)["id"].as_str().unwrap().to_owned();
    let told = fleet.tell(&["purge", "show", &id], 3);
    assert!(
        told.contains("not complete: pending on 1 of 1 node"),
        "{told}"
    );
    assert!(
        told.contains("pending") && told.contains("since 2"),
        "{told}"
    );

    let edge = fleet.edge();
    eventually("it caught up", || {
        fleet.tell(&["node", "list"], 0).contains("up to date")
    });
    assert!(fleet.tell(&["purge", "show", &id], 0).contains("complete"));
    assert!(get(&edge.address("listen"), "/").ends_with("answer 3"));
    edge.end("-KILL");
    eventually("the node is away", || {
        fleet.tell(&["node", "list"], 0).contains("away")
    });

    fleet.tell(&["purge", "--host", "a"], 3);
    fleet.tell(&["node", "remove", "e"], 0);
    assert_eq!(fleet.tell(&["node", "list"], 0), "no nodes yet\n");
    let list = parse(&fleet.tell(&["purge", "list", "--json"], 0));
    let id = list["purges"][0]["id"].as_str().unwrap().to_owned();
    let told = fleet.tell(&["purge", "show", &id], 0);
    assert!(
        told.contains("(1 removed)") && told.contains("removed"),
        "{told}"
    );
    fleet.tell(&["node", "remove", "no-such"], 1);
}

#[test]
fn a_control_plane_that_is_gone_is_told_in_one_line_and_its_node_serves_on() {
    let fleet = Fleet::start();
    let edge = fleet.edge();
    let Fleet {
        dir: _dir,
        origin: _origin,
        plane,
    } = fleet;
    let admin = plane.address("admin");
    plane.end("-KILL");
    let told = tell_at(&admin, &["purge", "--everything"], 1);
    assert!(
        told.contains(&format!("no control plane answers at {admin}")),
        "{told}"
    );
    assert_eq!(told.trim_end().lines().count(), 1, "{told}");
    assert!(get(&edge.address("listen"), "/").ends_with("answer 1"));
}
