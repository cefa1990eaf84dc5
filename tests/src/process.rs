//! An edge in a process of its own, so that it can be killed.

use crate::client::get;
use rustix::process::{Pid, Signal, kill_process};
use seawall_config::{
    ControlPlaneEntryModel, DiskModel, EdgeModel, FleetModel, NodeModel, ShieldEntryModel,
};
use seawall_edge::Edge;
use seawall_service_model::ServiceSet;
use seawall_telemetry::{LogFormat, init_tracing};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::NamedTempFile;

const SPEC: &str = "SEAWALL_SPECS_EDGE";
/// What a started edge says, before its address and that of its admin listener.
const LISTENS: &str = "edge listens on ";

/// A running process; killed when it is dropped.
pub struct EdgeProcess {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    log: NamedTempFile,
}

impl EdgeProcess {
    /// Runs the ignored test `name` of this very binary, which calls [`serve`].
    pub fn spawn(model: &EdgeModel, name: &str) -> Self {
        let this = std::env::current_exe().expect("this binary");
        Self::spawn_by(Command::new(this), model, name)
    }

    /// The same by a `command` that ends in this very binary, or in a program that becomes it.
    pub fn spawn_by(mut command: Command, model: &EdgeModel, name: &str) -> Self {
        let node = &model.node;
        let log = NamedTempFile::new().expect("a temporary file");
        let spec = json!({
            "id": node.id,
            "data": node.data,
            "listen": node.listen[0].address,
            "sync": node.control_plane.as_ref().map(|link| &link.address),
            "secret": node.fleet.secret_file,
            "shields": model.shields.iter().map(|s| json!([s.id, s.host, s.port])).collect::<Vec<_>>(),
            "timeouts_ms": [node.conn.head_timeout.as_millis() as u64, node.conn.write_timeout.as_millis() as u64],
            "disks": node.disks.iter().map(|disk| json!([disk.path, disk.size.0])).collect::<Vec<_>>(),
        });
        let mut child = command
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env(SPEC, spec.to_string())
            .stdout(Stdio::piped())
            .stderr(log.reopen().expect("a temporary file"))
            .spawn()
            .expect("this binary runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (address, admin) = lines
            .map_while(Result::ok)
            .find_map(|line| {
                let (address, admin) = line.split_once(LISTENS)?.1.split_once(' ')?;
                Some((address.parse().ok()?, admin.parse().ok()?))
            })
            .unwrap_or_else(|| panic!("the edge starts: {}", read(&log)));
        Self {
            child,
            address,
            admin,
            log,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Bytes of its memory that are resident now.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("its memory is told") * 1024
    }

    /// Its metrics, as its admin listener tells them.
    pub fn metrics(&self) -> String {
        get(self.admin, "/metrics", &[]).text()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it where it stands, as `SIGSTOP` does.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for EdgeProcess {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the edge's log:\n{}", self.log());
        }
    }
}

fn read(log: &NamedTempFile) -> String {
    let bytes = std::fs::read(log.path()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the process does: it serves until it is killed, or until who started it is gone.
pub fn serve() {
    let Ok(spec) = std::env::var(SPEC) else {
        return;
    };
    init_tracing(LogFormat::Text, None);
    crate::fault::may_befall_this_process();
    let spec: Value = serde_json::from_str(&spec).expect("a spec");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let fleet = FleetModel {
        id: "specs".into(),
        secret_file: Some(text(&spec["secret"]).into()),
        tls: None,
    };
    let listen = text(&spec["listen"]).parse().expect("an address");
    let mut node = NodeModel::new(
        &text(&spec["id"]),
        text(&spec["data"]).into(),
        listen,
        fleet,
    );
    node.workers = 2;
    node.memory.0 = 64 << 20;
    node.admin = Some(([127, 0, 0, 1], 0).into());
    node.control_plane = Some(ControlPlaneEntryModel {
        address: text(&spec["sync"]),
        tls_name: None,
    });
    let disk = |disk: &Value| DiskModel {
        path: text(&disk[0]).into(),
        size: seawall_config::ByteCount(disk[1].as_u64().expect("a size")),
    };
    let timeout = |which: usize| {
        let ms = spec["timeouts_ms"][which].as_u64().expect("a time");
        std::time::Duration::from_millis(ms)
    };
    node.conn.head_timeout = timeout(0);
    node.conn.write_timeout = timeout(1);
    node.disks = spec["disks"]
        .as_array()
        .into_iter()
        .flatten()
        .map(disk)
        .collect();
    let shield = |shield: &Value| ShieldEntryModel {
        id: text(&shield[0]),
        host: text(&shield[1]),
        port: shield[2].as_u64().expect("a port") as u16,
        weight: 1,
        tls_name: None,
    };
    let shields = spec["shields"].as_array().into_iter().flatten();
    let model = EdgeModel {
        node,
        services: Vec::new(),
        shields: shields.map(shield).collect(),
    };
    let edge = Edge::start(&model, ServiceSet::default()).expect("an edge starts");
    let mut out = std::io::stdout();
    let admin = edge.admin_addr().expect("an admin listener");
    let _ = writeln!(out, "{LISTENS}{} {admin}", edge.addrs()[0]).and_then(|()| out.flush());
    let parent = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == parent {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
