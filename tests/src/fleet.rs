//! A fleet with a control plane: every part can be ended and started again where it was.

use crate::client::Client;
use crate::eventually;
use crate::origin::Origin;
use crate::relay::Relay;
use seawall_config::{
    ControlPlaneEntryModel, DiskModel, EdgeModel, FleetModel, FleetTls, LEASE_DEFAULT, NodeModel,
    ShieldEntryModel, ShieldNodeModel,
};
use seawall_control_plane::server::{STORE_FILE, TOKEN_FILE};
use seawall_control_plane::{
    Alone, ControlPlane, ControlPlaneSpec, Plane, Reload, ReloadError, ShieldEntry, SyncTls,
};
use seawall_edge::Edge;
use seawall_node::data_dir::load_or_create_secret;
use seawall_origin_shield::Shield;
use seawall_service_model::ServiceSet;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// What a fleet is made of.
pub struct FleetSpec {
    pub edges: usize,
    /// 0: edges ask the origin.
    pub shields: usize,
    /// What stands behind `[service]`, its hosts and its origin in the service's file.
    pub service: String,
    /// Bytes of disk for each node.
    pub disk: Option<u64>,
    /// Whether shields follow the control plane; those that do not never hear of a purge.
    pub shields_follow: bool,
    /// Whether edges take `PURGE` from loopback without a token.
    pub purge_allowed: bool,
    /// Nodes and control plane meet with certificates, whose name is the second; without: by the fleet's secret.
    pub tls: Option<(FleetTls, String)>,
    /// The length of leases.
    pub lease: Duration,
    /// Each node reaches the control plane by a link of its own, which can be cut.
    pub relayed: bool,
}

impl Default for FleetSpec {
    fn default() -> Self {
        Self {
            edges: 2,
            shields: 1,
            service: String::new(),
            disk: None,
            shields_follow: true,
            purge_allowed: false,
            tls: None,
            lease: LEASE_DEFAULT,
            relayed: false,
        }
    }
}

/// A running fleet; it ends when this is dropped.
pub struct Fleet {
    spec: FleetSpec,
    edges: Vec<Option<Edge>>,
    shields: Vec<Option<Shield>>,
    edge_addresses: Vec<SocketAddr>,
    shield_addresses: Vec<SocketAddr>,
    plane: Option<ControlPlane>,
    sync: SocketAddr,
    admin: SocketAddr,
    token: String,
    /// By the id of the node.
    relays: Mutex<BTreeMap<String, Arc<Relay>>>,
    data: TempDir,
}

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// A service file of `id`, for `host`, from `origin`.
pub fn service(id: &str, host: &str, origin: &Origin, more: &str) -> String {
    let origin = origin.address();
    format!(
        "[service]\nid = \"{id}\"\nhosts = [\"{host}\"]\n[[service.origins]]\nurl = \"http://{origin}\"\n{more}\n"
    )
}

impl Fleet {
    /// Two edges, one shield, one service `site` for every host.
    pub fn of(origin: &Origin) -> Self {
        Self::start(FleetSpec::default(), origin)
    }

    /// A control plane alone, and the model of an edge that the caller starts itself.
    pub fn for_own_edge(origin: &Origin) -> (Self, EdgeModel) {
        let spec = FleetSpec {
            edges: 0,
            shields: 0,
            ..FleetSpec::default()
        };
        let mut fleet = Self::start(spec, origin);
        let index = fleet.another_edge();
        let model = fleet.edge_model(index);
        (fleet, model)
    }

    pub fn start(spec: FleetSpec, origin: &Origin) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let any: SocketAddr = LOOPBACK.into();
        let plane = plane(&spec, data.path(), any, any);
        let token = data.path().join("control-plane").join(TOKEN_FILE);
        let token = std::fs::read_to_string(token).expect("an operator's token");
        let mut fleet = Self {
            edges: Vec::new(),
            shields: Vec::new(),
            edge_addresses: vec![any; spec.edges],
            shield_addresses: vec![any; spec.shields],
            sync: plane.sync_address(),
            admin: plane.admin_address(),
            plane: Some(plane),
            token: token.trim().to_owned(),
            relays: Mutex::default(),
            data,
            spec,
        };
        let text = service("site", "*", origin, &fleet.spec.service);
        let (status, told) = fleet.put_service("site", &text, &[]);
        assert_eq!(status, 201, "{told}");
        for index in 0..fleet.spec.shields {
            fleet.shields.push(None);
            fleet.start_shield(index);
        }
        for index in 0..fleet.spec.edges {
            fleet.edges.push(None);
            fleet.start_edge(index);
        }
        // a purge waits for the members that are known when it is asked for
        let shields = (0..fleet.spec.shields).filter(|_| fleet.spec.shields_follow);
        let shields = shields.map(|index| format!("shield-{index}"));
        let edges = (0..fleet.spec.edges).map(|index| format!("edge-{index}"));
        for id in shields.chain(edges) {
            eventually("it follows", || fleet.is_up_to_date(&id));
        }
        fleet
    }

    fn node(&self, id: &str, listen: SocketAddr, follows: bool) -> NodeModel {
        let mut node = NodeModel::new(
            id,
            self.data.path().join(id),
            listen,
            fleet_model(&self.spec, self.data.path()),
        );
        node.workers = 2;
        node.memory.0 = 64 << 20;
        node.control_plane = follows.then(|| ControlPlaneEntryModel {
            address: if self.spec.relayed {
                self.relay(id).address().to_string()
            } else {
                self.sync.to_string()
            },
            tls_name: self.spec.tls.as_ref().map(|(_, name)| name.clone()),
        });
        if let Some(bytes) = self.spec.disk {
            let path = self.disk(id);
            let size = seawall_config::ByteCount(bytes);
            node.disks = vec![DiskModel { path, size }];
        }
        if self.spec.purge_allowed {
            node.purge_allow = vec!["127.0.0.0/8".parse().expect("a network")];
        }
        node
    }

    /// The link of a node to the control plane, where they are relayed.
    pub fn relay(&self, id: &str) -> Arc<Relay> {
        let mut relays = self.relays.lock().expect("no holder panics");
        let relay = relays.entry(id.to_owned());
        relay
            .or_insert_with(|| Arc::new(Relay::to(self.sync)))
            .clone()
    }

    /// The length of leases from the next start of the control plane on.
    pub fn set_lease(&mut self, length: Duration) {
        self.spec.lease = length;
    }

    /// Where a node's copies lie on disk.
    pub fn disk(&self, id: &str) -> PathBuf {
        self.data.path().join(id).join("disk")
    }

    /// A directory of a node's or the control plane's own.
    pub fn dir(&self, id: &str) -> PathBuf {
        self.data.path().join(id)
    }

    /// The model of an edge, for a process of its own.
    pub fn edge_model(&self, index: usize) -> EdgeModel {
        let shields = self.shield_addresses.iter().enumerate();
        EdgeModel {
            node: self.node(&format!("edge-{index}"), self.edge_addresses[index], true),
            services: Vec::new(),
            shields: shields
                .map(|(index, address)| ShieldEntryModel {
                    id: format!("shield-{index}"),
                    host: address.ip().to_string(),
                    port: address.port(),
                    weight: 1,
                    tls_name: None,
                })
                .collect(),
        }
    }

    /// Makes room for one more edge, which is not started here; its index.
    pub fn another_edge(&mut self) -> usize {
        self.edges.push(None);
        self.edge_addresses.push(LOOPBACK.into());
        self.edges.len() - 1
    }

    /// Starts one more edge, whose shield is `shield`: a server that says what it likes.
    pub fn edge_below(&mut self, shield: &Origin) -> Edge {
        let index = self.another_edge();
        let mut model = self.edge_model(index);
        model.shields = vec![ShieldEntryModel {
            id: "not-a-shield".into(),
            host: shield.address().ip().to_string(),
            port: shield.address().port(),
            weight: 1,
            tls_name: None,
        }];
        let edge = Edge::start(&model, ServiceSet::default()).expect("an edge starts");
        eventually("it follows", || {
            self.is_up_to_date(&format!("edge-{index}"))
        });
        edge
    }

    /// Starts an edge where it was.
    pub fn start_edge(&mut self, index: usize) {
        let edge = Edge::start(&self.edge_model(index), ServiceSet::default());
        let edge = edge.expect("an edge starts");
        self.edge_addresses[index] = edge.addrs()[0];
        self.edges[index] = Some(edge);
    }

    /// Has an edge take its file anew, as SIGHUP does.
    pub fn reload_edge(&self, index: usize, model: &EdgeModel) {
        let edge = self.edges[index].as_ref().expect("it runs");
        edge.reload(model, ServiceSet::default())
            .expect("a good file");
    }

    pub fn start_shield(&mut self, index: usize) {
        let follows = self.spec.shields_follow;
        let id = format!("shield-{index}");
        let node = self.node(&id, self.shield_addresses[index], follows);
        let model = ShieldNodeModel {
            node,
            services: Vec::new(),
        };
        // one that follows nobody has its services from a file
        let services = if follows {
            ServiceSet::default()
        } else {
            let toml = self.get("/v1/services/site").1["toml"].clone();
            let text = toml.as_str().expect("a service").to_owned();
            seawall_config::read_services(&[("site".into(), text)]).expect("a good service")
        };
        let shield = Shield::start(&model, services).expect("a shield starts");
        self.shield_addresses[index] = shield.addrs()[0];
        self.shields[index] = Some(shield);
    }

    /// Ends an edge as SIGTERM does.
    pub fn stop_edge(&mut self, index: usize) {
        if let Some(edge) = self.edges[index].take() {
            edge.drain(Duration::ZERO);
        }
    }

    pub fn stop_shield(&mut self, index: usize) {
        if let Some(shield) = self.shields[index].take() {
            shield.drain(Duration::ZERO);
        }
    }

    pub fn stop_control_plane(&mut self) {
        self.plane = None;
    }

    pub fn start_control_plane(&mut self) {
        self.plane = Some(plane(&self.spec, self.data.path(), self.sync, self.admin));
    }

    /// The parts of the control plane, while it runs.
    pub fn plane(&self) -> &Arc<Plane> {
        self.plane.as_ref().expect("it runs").plane()
    }

    /// Has the control plane take its certificates' files and these shields anew, as SIGHUP does.
    pub fn reload_control_plane(
        &mut self,
        shields: Option<Vec<ShieldEntry>>,
    ) -> Result<(), ReloadError> {
        let tls = sync_tls(&self.spec);
        let plane = self.plane.as_mut().expect("it runs");
        plane.reload(&Reload { tls, shields })
    }

    /// The file of the control plane's store.
    pub fn store(&self) -> PathBuf {
        self.data.path().join("control-plane").join(STORE_FILE)
    }

    pub fn edge(&self, index: usize) -> SocketAddr {
        self.edge_addresses[index]
    }

    pub fn shield(&self, index: usize) -> SocketAddr {
        self.shield_addresses[index]
    }

    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Where nodes connect.
    pub fn sync(&self) -> SocketAddr {
        self.sync
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub fn metrics(&self, index: usize) -> String {
        let edge = self.edges[index].as_ref().expect("it runs");
        edge.gauges()();
        edge.metrics().gather()
    }

    pub fn shield_metrics(&self, index: usize) -> String {
        let shield = self.shields[index].as_ref().expect("it runs");
        shield.gauges()();
        shield.metrics().gather()
    }

    /// Asks the admin API with the operator's token. Status and JSON.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        body: &str,
        fields: &[(&str, &str)],
    ) -> (u16, Value) {
        self.ask_as(&self.token, method, path, body, fields)
    }

    pub fn ask_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: &str,
        fields: &[(&str, &str)],
    ) -> (u16, Value) {
        let bearer = format!("Bearer {token}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(fields);
        let mut client = Client::connect(self.admin);
        client.request(method, path, &all, body.as_bytes());
        let answer = client.response(method).expect("a whole answer");
        let told = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        (answer.status, told)
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, "", &[])
    }

    pub fn put_service(&self, id: &str, text: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        self.ask("PUT", &format!("/v1/services/{id}"), text, fields)
    }

    /// Purges; status and receipt.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "specs hand over what they just wrote"
    )]
    pub fn purge(&self, what: Value) -> (u16, Value) {
        self.ask("POST", "/v1/purges", &what.to_string(), &[])
    }

    /// Purges, and it is in force on every member.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "specs hand over what they just wrote"
    )]
    pub fn purge_everywhere(&self, what: Value) -> Value {
        let (status, mut told) = self.purge(what);
        assert!(status == 200 || status == 202, "{told}");
        // a machine with other work may take longer than the answer waits
        let receipt = format!("/v1/purges/{}", told["id"].as_str().unwrap_or_default());
        eventually("all nodes have the purge", || {
            if told["complete"] != json!(true) {
                told = self.get(&receipt).1;
            }
            told["complete"] == json!(true)
        });
        told
    }

    /// Whether the control plane has a stream of the node, which has all purges.
    pub fn is_up_to_date(&self, id: &str) -> bool {
        let (_, told) = self.get("/v1/nodes");
        let nodes = told["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().any(|node| {
            node["id"] == id && node["connected"] == json!(true) && node["behind"] == json!(0)
        })
    }
}

fn fleet_model(spec: &FleetSpec, data: &Path) -> FleetModel {
    FleetModel {
        id: "specs".into(),
        // links between tiers are loopback links
        secret_file: Some(data.join("secret")),
        tls: spec.tls.as_ref().map(|(tls, _)| tls.clone()),
    }
}

fn plane(spec: &FleetSpec, data: &Path, sync: SocketAddr, admin: SocketAddr) -> ControlPlane {
    let secret = load_or_create_secret(&data.join("secret")).expect("a secret");
    let started = ControlPlane::start(ControlPlaneSpec {
        data: data.join("control-plane"),
        sync,
        admin,
        secret: Some(secret),
        tls: sync_tls(spec),
        shields: None,
        lease: spec.lease,
        host: Arc::new(Alone),
    });
    started.expect("a control plane starts")
}

fn sync_tls(spec: &FleetSpec) -> Option<SyncTls> {
    spec.tls.as_ref().map(|(tls, _)| SyncTls {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        ca: tls.ca.clone(),
    })
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for edge in self.edges.drain(..).flatten() {
            edge.drain(Duration::ZERO);
        }
        for shield in self.shields.drain(..).flatten() {
            shield.drain(Duration::ZERO);
        }
    }
}
