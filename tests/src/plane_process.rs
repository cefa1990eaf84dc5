//! A control plane in a process of its own, so that it can be killed.

use seawall_control_plane::{Alone, ControlPlane, ControlPlaneSpec};
use seawall_node::data_dir::load_or_create_secret;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const SPEC: &str = "SEAWALL_SPECS_PLANE";
/// What a started control plane says.
const SERVES: &str = "control plane serves";

/// A running process; killed when it is dropped.
pub struct PlaneProcess {
    child: Child,
}

impl PlaneProcess {
    /// Runs the ignored test `name` of this very binary, which calls [`serve_plane`].
    pub fn spawn(
        data: &Path,
        secret: &Path,
        sync: SocketAddr,
        admin: SocketAddr,
        name: &str,
    ) -> Self {
        let spec = json!({ "data": data, "secret": secret, "sync": sync, "admin": admin });
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env(SPEC, spec.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let started = lines
            .map_while(Result::ok)
            .any(|line| line.contains(SERVES));
        assert!(started, "the control plane starts");
        Self { child }
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for PlaneProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the process does: it serves until it is killed, or until who started it is gone.
pub fn serve_plane() {
    let Ok(spec) = std::env::var(SPEC) else {
        return;
    };
    let spec: Value = serde_json::from_str(&spec).expect("a spec");
    let text = |name: &str| spec[name].as_str().expect("a text");
    let address = |name: &str| text(name).parse().expect("an address");
    let secret = load_or_create_secret(Path::new(text("secret"))).expect("a secret");
    let _plane = ControlPlane::start(ControlPlaneSpec {
        data: text("data").into(),
        sync: address("sync"),
        admin: address("admin"),
        secret: Some(secret),
        tls: None,
        shields: None,
        lease: seawall_config::LEASE_DEFAULT,
        host: Arc::new(Alone),
    })
    .expect("a control plane starts");
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{SERVES}").and_then(|()| out.flush());
    let parent = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == parent {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
