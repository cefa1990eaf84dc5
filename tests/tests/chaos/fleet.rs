//! A control plane, a shield and two edges as processes, by files; each node reaches the control plane by a relay.

use crate::patience::Patience;
use crate::program::{Program, read, runs};
use crate::relay::{Link, Relay};
use crate::site::HOST;
use seawall_tests::{Client, Response};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const NODES: [&str; 3] = ["edge-0", "edge-1", "shield-0"];
pub(crate) const EDGES: usize = 2;
const SHIELD: usize = 2;
/// How long the fleet may take to be whole again.
const RECOVERY: Duration = Duration::from_secs(60);

/// The service, and how long nodes have leases. It is asked for leases where the program knows of them.
fn service(origin: SocketAddr, leases: bool) -> String {
    let lease = if leases {
        "on_lease_loss = \"revalidate\"\n"
    } else {
        ""
    };
    format!(
        "[service]\nid = \"site\"\nhosts = [\"{HOST}\"]\n{lease}[[service.origins]]\nurl = \"http://{origin}\"\n[service.timeouts]\nread = \"5s\"\n"
    )
}
const LEASE: Duration = Duration::from_secs(2);

/// Where the admin API is, and who asks.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) address: SocketAddr,
    bearer: String,
}

impl Admin {
    /// Status and JSON; an error: no whole answer came, and what was done is not known.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: &str,
    ) -> io::Result<(u16, Value)> {
        let mut client = Client::try_connect(self.address, Duration::from_secs(10))?;
        let fields = [
            ("authorization", self.bearer.as_str()),
            ("idempotency-key", key),
            ("connection", "close"),
        ];
        let fields = if key.is_empty() {
            &fields[..1]
        } else {
            &fields[..]
        };
        client.try_send(&seawall_tests::client::request(
            method,
            path,
            fields,
            body.as_bytes(),
        ))?;
        let Response { status, body, .. } = client.response(method)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

pub(crate) struct Fleet {
    plane: Option<Program>,
    nodes: [Option<Program>; 3],
    relays: Vec<Relay>,
    pub(crate) edges: [SocketAddr; EDGES],
    pub(crate) admin: Admin,
    /// The length of leases, where nodes have some.
    pub(crate) lease: Option<Duration>,
    dir: TempDir,
}

impl Fleet {
    pub(crate) fn start(origin: SocketAddr) -> Self {
        let kept = std::env::var_os("SEAWALL_CHAOS_KEEP").map(PathBuf::from);
        let dir = tempfile::Builder::new()
            .prefix("chaos-")
            .disable_cleanup(kept.is_some())
            .tempdir_in(kept.unwrap_or_else(std::env::temp_dir))
            .unwrap();
        let at = dir.path().to_owned();
        let file = at.join("site.toml");
        fs::write(&file, service(origin, true)).unwrap();
        let lease = runs(&["check", text(&file)]).0.then_some(LEASE);
        fs::write(&file, service(origin, lease.is_some())).unwrap();

        let any = ([127, 0, 0, 1], 0).into();
        plane_file(&at, any, any, lease);
        let plane = start(&at, "control-plane");
        let (sync, admin) = (plane.address("sync"), plane.address("admin"));
        plane_file(&at, sync, admin, lease);
        let token = fs::read_to_string(at.join("control-plane/operator.token")).unwrap();
        let bearer = format!("Bearer {}", token.trim());
        let admin = Admin {
            address: admin,
            bearer,
        };
        let text = fs::read_to_string(&file).unwrap();
        let (status, told) = admin.ask("PUT", "/v1/services/site", "", &text).unwrap();
        assert_eq!(status, 201, "{told}");

        let relays: Vec<Relay> = NODES.iter().map(|_| Relay::start(sync)).collect();
        let mut nodes = [None, None, None];
        let mut addresses = [any; 3];
        // edges have to know where the shield is
        for node in [SHIELD, 0, 1] {
            let shield = addresses[SHIELD];
            node_file(&at, node, any, relays[node].address(), shield);
            let program = start(&at, NODES[node]);
            addresses[node] = program.address("listen");
            node_file(&at, node, addresses[node], relays[node].address(), shield);
            nodes[node] = Some(program);
        }
        let mut fleet = Self {
            plane: Some(plane),
            nodes,
            relays,
            edges: [addresses[0], addresses[1]],
            admin,
            lease,
            dir,
        };
        fleet.is_whole_again();
        fleet
    }

    /// Waits until every node follows the control plane and has all purges.
    pub(crate) fn is_whole_again(&mut self) {
        let mut patience = Patience::of(RECOVERY);
        loop {
            self.lives();
            let told = self.admin.ask("GET", "/v1/nodes", "", "");
            let told = told.map_or(Value::Null, |(_, told)| told);
            let follows = |id: &&str| {
                let nodes = told["nodes"].as_array().into_iter().flatten();
                let mut nodes = nodes.filter(|node| node["id"] == **id);
                // purges come all the time
                nodes.any(|node| {
                    node["connected"] == json!(true) && node["behind"].as_u64() <= Some(1)
                })
            };
            if NODES.iter().all(follows) {
                return;
            }
            assert!(
                patience.lasts(),
                "the fleet is not whole again: {told}\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// No process has ended by itself.
    pub(crate) fn lives(&mut self) {
        for program in self.nodes.iter_mut().chain([&mut self.plane]).flatten() {
            program.lives();
        }
    }

    pub(crate) fn kill(&mut self, node: usize) {
        if let Some(mut program) = self.nodes[node].take() {
            program.kill();
        }
    }

    pub(crate) fn start_node(&mut self, node: usize) {
        self.nodes[node] = Some(start(self.dir.path(), NODES[node]));
    }

    pub(crate) fn kill_plane(&mut self) {
        if let Some(mut program) = self.plane.take() {
            program.kill();
        }
    }

    pub(crate) fn start_plane(&mut self) {
        self.plane = Some(start(self.dir.path(), "control-plane"));
    }

    pub(crate) fn pause(&self, node: usize, on: bool) {
        let program = self.nodes[node].as_ref().unwrap();
        program.pause(on);
    }

    pub(crate) fn pause_plane(&self, on: bool) {
        self.plane.as_ref().unwrap().pause(on);
    }

    pub(crate) fn link(&self, node: usize, link: Link) {
        self.relays[node].set(link);
    }

    /// What a node knows, and its copies.
    pub(crate) fn directories(&self, node: usize) -> [PathBuf; 2] {
        let at = self.dir.path();
        [at.join(NODES[node]), at.join("disks").join(NODES[node])]
    }

    pub(crate) fn back_up(&self) {
        let (data, to) = (self.dir.path().join("control-plane"), self.backup());
        let _ = fs::remove_file(&to);
        let (done, told) = runs(&[
            "control-plane",
            "backup",
            "--data",
            text(&data),
            "--to",
            text(&to),
        ]);
        assert!(done, "{told}");
    }

    /// Takes the backup in place of what the control plane has, which does not run.
    pub(crate) fn restore(&self) {
        let (data, from) = (self.dir.path().join("control-plane"), self.backup());
        let (done, told) = runs(&[
            "control-plane",
            "restore",
            "--data",
            text(&data),
            "--from",
            text(&from),
        ]);
        assert!(done, "{told}");
    }

    fn backup(&self) -> PathBuf {
        self.dir.path().join("backup.db")
    }

    /// What all have logged, the last of it.
    pub(crate) fn logs(&self) -> String {
        let mut all = String::new();
        for name in NODES.iter().chain(&["control-plane"]) {
            let log = read(&log(self.dir.path(), name));
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(30)..];
            all += &format!("--- {name}\n{}\n", last.join("\n"));
        }
        all
    }

    /// Nobody's log tells of a panic.
    pub(crate) fn has_not_panicked(&self) {
        for name in NODES.iter().chain(&["control-plane"]) {
            let log = read(&log(self.dir.path(), name));
            let line = log.lines().find(|line| line.contains("panicked"));
            assert_eq!(line, None, "{name}");
        }
    }
}

fn start(at: &Path, name: &str) -> Program {
    // a node is named by its role and a digit
    let role = name.trim_end_matches(['-', '0', '1']);
    let file = at.join(format!("{name}.toml"));
    Program::start(name, &[role, "--config", text(&file)], &log(at, name))
}

fn log(at: &Path, name: &str) -> PathBuf {
    at.join(format!("{name}.log"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn plane_file(at: &Path, sync: SocketAddr, admin: SocketAddr, lease: Option<Duration>) {
    let lease = lease.map_or(String::new(), |lease| {
        format!("lease = \"{}ms\"\n", lease.as_millis())
    });
    let data = at.display();
    let file = format!(
        "role = \"control-plane\"\ndata = \"{data}/control-plane\"\n[fleet]\nid = \"chaos\"\nsecret_file = \"{data}/secret\"\n[sync]\naddress = \"{sync}\"\n{lease}[admin]\naddress = \"{admin}\"\n"
    );
    fs::write(at.join("control-plane.toml"), file).unwrap();
}

fn node_file(at: &Path, node: usize, listen: SocketAddr, sync: SocketAddr, shield: SocketAddr) {
    let (id, data) = (NODES[node], at.display());
    let (role, shields) = if node == SHIELD {
        ("shield", String::new())
    } else {
        (
            "edge",
            format!("[[shields]]\nid = \"shield-0\"\naddress = \"{shield}\"\n"),
        )
    };
    // little memory, so that disks answer too
    let file = format!(
        "role = \"{role}\"\nid = \"{id}\"\ndata = \"{data}/{id}\"\nworkers = 2\nmemory = \"1MiB\"\n[fleet]\nid = \"chaos\"\nsecret_file = \"{data}/secret\"\n[[listen]]\naddress = \"{listen}\"\n[control_plane]\naddress = \"{sync}\"\n{shields}[[disks]]\npath = \"{data}/disks/{id}\"\nsize = \"64MiB\"\n"
    );
    fs::create_dir_all(at.join("disks")).unwrap();
    fs::write(at.join(format!("{id}.toml")), file).unwrap();
}
