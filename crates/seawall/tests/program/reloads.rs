//! SIGHUP of a control plane.

use crate::cdn::{eventually, parse, tell_at};
use crate::running::{Running, write};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::fs;
use std::path::PathBuf;

const RELOADED: &str = "certificates and shields are reloaded";
const REFUSED: &str = "reload refused, the old state stays in force: ";

struct Plane {
    dir: tempfile::TempDir,
    running: Running,
}

impl Plane {
    /// `sync`: where nodes connect. In `fleet`, `DIR` is this one's directory.
    fn start(sync: &str, fleet: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        authority(&dir);
        write(&dir.path().join("plane.toml"), &file(&dir, sync, fleet, ""));
        let (config, log) = (dir.path().join("plane.toml"), dir.path().join("log"));
        let args = ["control-plane", "--config", config.to_str().unwrap()];
        let running = Running::start_logging(&args, &log);
        Self { dir, running }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// SIGHUP with another file in place; all that was logged for it, from the line with `wanted` on.
    fn reload(&self, text: &str, wanted: &str) -> String {
        write(&self.dir.path().join("plane.toml"), text);
        let before = self.log().len();
        self.running.signal("-HUP");
        let last = |log: &str| {
            log[before..]
                .find(wanted)
                .map(|at| log[before + at..].to_owned())
        };
        eventually(wanted, || {
            last(&self.log()).is_some_and(|told| told.contains('\n'))
        });
        last(&self.log()).unwrap()
    }

    /// The list of nodes.
    fn node(&self, id: &str) -> serde_json::Value {
        let told = tell_at(
            &self.running.address("admin"),
            &["node", "list", "--json"],
            0,
        );
        let told = parse(&told);
        let mut nodes = told["nodes"].as_array().unwrap().iter();
        nodes
            .find(|node| node["id"] == id)
            .cloned()
            .unwrap_or_default()
    }

    fn edge(&self, id: &str, link: &str, fleet: &str) -> Running {
        let at = self.dir.path().display();
        let (_, port) = self.running.ready["sync"]
            .as_str()
            .unwrap()
            .rsplit_once(':')
            .unwrap();
        let fleet = fleet.replace("DIR", &at.to_string());
        let config = format!(
            "role = \"edge\"\nid = \"{id}\"\ndata = \"{at}/{id}\"\n[fleet]\nid = \"f\"\n{fleet}\n[[listen]]\naddress = \"127.0.0.1:0\"\n[control_plane]\naddress = \"127.0.0.1:{port}\"\n{link}\n"
        );
        let file = self.dir.path().join(format!("{id}.toml"));
        write(&file, &config);
        Running::start(&["edge", "--config", file.to_str().unwrap()])
    }
}

fn file(dir: &tempfile::TempDir, sync: &str, fleet: &str, more: &str) -> String {
    let at = dir.path().display().to_string();
    let fleet = fleet.replace("DIR", &at);
    format!(
        "role = \"control-plane\"\ndata = \"{at}/plane\"\n[fleet]\nid = \"f\"\n{fleet}\n[sync]\naddress = \"{sync}\"\n[admin]\naddress = \"127.0.0.1:0\"\n{more}\n"
    )
}

/// Puts another authority in place, and a certificate of it for `plane.fleet`; those of before stay as `old.*`.
fn authority(dir: &tempfile::TempDir) {
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    for kind in ["pem", "key"] {
        // there is none at the start
        let _ = fs::rename(path(&format!("node.{kind}")), path(&format!("old.{kind}")));
    }
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    write(&path("ca.pem"), &params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::from_params(&params, &key);
    let key = KeyPair::generate().unwrap();
    let node = CertificateParams::new(vec!["plane.fleet".to_owned()]).unwrap();
    write(
        &path("node.pem"),
        &node.signed_by(&key, &issuer).unwrap().pem(),
    );
    write(&path("node.key"), &key.serialize_pem());
}

const SECRET: &str = "secret_file = \"DIR/secret\"";
const SHIELD: &str = "[[shields]]\nid = \"s\"\naddress = \"127.0.0.1:9\"";

#[test]
fn a_control_plane_takes_its_shields_anew_and_a_bad_file_changes_nothing_and_says_so() {
    let sync = "127.0.0.1:0";
    let plane = Plane::start(sync, SECRET);
    let edge = plane.edge("e", "", SECRET);
    eventually("it joins", || plane.node("e")["connected"] == true);
    let shields = || plane.node("e")["documents"]["shields"].as_u64();
    assert_eq!(shields(), None);

    let good = file(&plane.dir, sync, SECRET, SHIELD);
    let told = plane.reload(&good, RELOADED);
    assert!(!told.contains("next start"), "{told}");
    eventually("the edge is told", || shields().is_some());

    let generation = shields();
    let two_faults = good.replace(":9\"", ":0\"") + "nothing = 1\n";
    let told = plane.reload(&two_faults, REFUSED);
    for part in ["plane.toml:", "shields[0].address", "shields[0].nothing"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("\\n"), "{told}");
    let told = plane.reload("", REFUSED);
    assert!(!told.contains("\\n"), "{told}");
    plane.reload(&good, RELOADED);
    assert_eq!(shields(), generation);
    drop(edge);
}

#[test]
fn what_a_running_control_plane_cannot_change_is_said_and_the_rest_is_done() {
    let plane = Plane::start("127.0.0.1:0", SECRET);
    let edge = plane.edge("e", "", SECRET);
    eventually("it joins", || plane.node("e")["connected"] == true);
    // beyond loopback as far as addresses tell, and to be met by TLS therefore
    let fleet = "secret_file = \"DIR/another\"\ncert = \"DIR/node.pem\"\nkey = \"DIR/node.key\"\nca = \"DIR/ca.pem\"";
    let text = file(&plane.dir, "[::ffff:127.0.0.1]:0", fleet, SHIELD);
    let text = text.replace("/plane\"", "/elsewhere\"").replace(
        "admin]\naddress = \"127.0.0.1:0",
        "admin]\naddress = \"127.0.0.2:0",
    );
    plane.reload(&text, RELOADED);
    for setting in [
        "data",
        "sync.address",
        "admin.address",
        "TLS towards nodes",
        "the fleet's secret",
    ] {
        let line = format!("{setting} changes at the next start\"");
        eventually(&line, || plane.log().contains(&line));
    }
    eventually("shields are told", || {
        plane.node("e")["documents"]["shields"].is_u64()
    });
    drop(edge);
}

#[test]
fn a_control_plane_takes_its_certificates_anew_and_keeps_the_nodes_that_it_has() {
    // beyond loopback as far as addresses tell, and reached from here alone
    let sync = "[::ffff:127.0.0.1]:0";
    let fleet = "cert = \"DIR/node.pem\"\nkey = \"DIR/node.key\"\nca = \"DIR/ca.pem\"";
    let link = "tls = true\nname = \"plane.fleet\"";
    let plane = Plane::start(sync, fleet);
    let before = plane.edge("before", link, fleet);
    eventually("it joins", || plane.node("before")["connected"] == true);

    // files that do not fit together yet
    let text = file(&plane.dir, sync, fleet, "");
    let key = fs::read_to_string(plane.dir.path().join("node.key")).unwrap();
    authority(&plane.dir);
    let path = plane.dir.path().join("node.key");
    let next = fs::read_to_string(&path).unwrap();
    write(&path, &key);
    let told = plane.reload(&text, REFUSED);
    assert!(
        told.contains("node.pem") && told.contains("do not fit together"),
        "{told}"
    );
    write(&path, &next);
    plane.reload(&text, RELOADED);

    let after = plane.edge("after", link, fleet);
    eventually("it joins", || plane.node("after")["connected"] == true);
    let stranger = plane.edge("stranger", link, &fleet.replace("node.", "old."));
    eventually("it is told", || {
        plane
            .log()
            .contains("connections to the nodes' address are refused")
    });
    assert!(plane.node("stranger").is_null());
    let admin = plane.running.address("admin");
    tell_at(&admin, &["purge", "--everything"], 0);
    drop((before, after, stranger));
}
