//! A control plane with many nodes that are simulated: each has a connection of its own with mutual TLS and a gRPC stream,
//! as a real one has, and takes purges into a log file instead of a table and a cache.
//!
//! All of it runs on one machine, in one process: what is measured has the nodes' share of the processors in it.

use crate::{Asker, at_a_rate, quantiles};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use seawall_control_plane::leases::Fence;
use seawall_control_plane::record::{By, Item, Kind, pack};
use seawall_control_plane::server::TOKEN_FILE;
use seawall_control_plane::store::IdempotencyKey;
use seawall_control_plane::{Alone, ControlPlane, ControlPlaneSpec, Plane, SyncTls};
use seawall_control_protocol::purges::decode_batch;
use seawall_control_protocol::wire::node_control_client::NodeControlClient;
use seawall_control_protocol::wire::{FromNode, from_node, to_node};
use seawall_control_protocol::{Ack, Hello, MESSAGE_BYTES_MAX, VERSIONS, Welcome};
use seawall_purge::lineage::Held;
use seawall_purge::{PurgeSeq, ScopeId};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// A node that was not taken waits so long before it comes again.
const AGAIN: Duration = Duration::from_millis(200);
/// The name that the control plane's certificate is for.
const NAME: &str = "control-plane.fleet";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Purges that are appended at a time where they are only to be there.
const APPENDS: u64 = 256;

/// How far simulated nodes are with joining.
#[derive(Default)]
struct Joining {
    over: AtomicBool,
    again: AtomicU32,
}

/// Simulated nodes on one control plane.
#[derive(Args)]
pub(crate) struct FleetArgs {
    /// Nodes, at most 4000: a fleet has 4096 members.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=4000))]
    nodes: u32,
    /// Purges one after the other.
    #[arg(long, default_value_t = 1000)]
    purges: u32,
    /// Purges a second at a fixed rate; 0: none.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Seconds at that rate, at most 120.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=120))]
    seconds: u64,
    /// Purges that one more node has missed when it comes back; 0: none. At most 900,000, which the log keeps.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=900_000))]
    behind: u64,
    /// What a node does with purges before it acknowledges them.
    #[arg(long, value_enum, default_value_t = Durable::Append)]
    durable: Durable,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Durable {
    /// Nothing: the control plane and the links alone.
    None,
    /// They are appended to a file of the node.
    Append,
    /// And it is synced: one disk then does for all nodes what each node's own would do.
    Sync,
}

pub(crate) fn run(args: &FleetArgs) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let pki = Pki::make(dir.path())?;
    let plane = ControlPlane::start(ControlPlaneSpec {
        data: dir.path().join("control-plane"),
        sync: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin: SocketAddr::from(([127, 0, 0, 1], 0)),
        secret: None,
        tls: Some(pki.files.clone()),
        shields: None,
        lease: Duration::from_secs(10),
        host: Arc::new(Alone),
    })?;
    let token = fs::read_to_string(dir.path().join("control-plane").join(TOKEN_FILE))?;
    let token = token.trim();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut nodes = JoinSet::new();
    let joining = Arc::new(Joining::default());
    let begun = Instant::now();
    for index in 0..args.nodes {
        let node = Node::new(&pki, plane.sync_address(), index, dir.path(), args.durable)?;
        nodes.spawn_on(node.join(joining.clone()), runtime.handle());
    }
    let wanted = args.nodes as usize;
    until("nodes are connected", || {
        plane.plane().members.count().0 == wanted
    })?;
    joining.over.store(true, Ordering::Relaxed);
    let how = match args.durable {
        Durable::None => "acknowledge at once",
        Durable::Append => "acknowledge after an append to a file",
        Durable::Sync => "acknowledge after an append that was synced",
    };
    println!(
        "{wanted} nodes, mutual TLS, which {how}; connected in {:.1} s, {} tries again",
        begun.elapsed().as_secs_f64(),
        joining.again.load(Ordering::Relaxed)
    );
    one_by_one(plane.admin_address(), token, args.purges)?;
    if args.rate > 0 {
        let lasting = Duration::from_secs(args.seconds);
        at_a_rate(plane.admin_address(), token, url, args.rate, lasting)?;
    }
    if args.behind > 0 {
        let late = Node::new(
            &pki,
            plane.sync_address(),
            args.nodes,
            dir.path(),
            args.durable,
        )?;
        behind(&runtime, plane.plane(), late, args.behind)?;
    }
    // one that has ended early would have been no part of it
    while let Some(ended) = nodes.try_join_next() {
        ended??;
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

fn url(n: u64) -> Value {
    json!({ "urls": [format!("https://www.example.com/{n}")], "wait_ms": 10_000 })
}

fn one_by_one(admin: SocketAddr, token: &str, count: u32) -> Result<()> {
    let mut asker = Asker::new(admin, token);
    let mut times = Vec::new();
    for n in 0..count {
        times.push(asker.purge(&url(u64::from(n)))?);
    }
    println!(
        "accepted to applied on all, one by one, store append included: {}",
        quantiles(&mut times)
    );
    Ok(())
}

/// A node that was there, went, and comes back after `count` purges.
fn behind(
    runtime: &tokio::runtime::Runtime,
    plane: &Arc<Plane>,
    late: Node,
    count: u64,
) -> Result<()> {
    runtime.block_on(async {
        let before = plane.log.head().await?;
        let held = Held {
            at: before.at,
            term: before.term.0,
        };
        // once, so that it is a member with this position
        late.clone()
            .follow(Held::default(), Some(before.at))
            .await?;
        let mut next = 0;
        let mut appends = JoinSet::new();
        while next < count || !appends.is_empty() {
            while next < count && (appends.len() as u64) < APPENDS {
                let (plane, n) = (plane.clone(), next);
                appends.spawn(async move {
                    let item = Item {
                        kind: Kind::Url,
                        text: format!("https://www.example.com/late/{n}"),
                        scopes: vec![ScopeId(n), ScopeId(!n)],
                    };
                    let records = pack(vec![item], None, false, &By::named("bench"));
                    plane
                        .purge(&records, IdempotencyKey(u128::from(n) + (1 << 100)))
                        .await
                });
                next += 1;
            }
            if let Some(done) = appends.join_next().await {
                done??;
            }
        }
        let head = plane.log.head().await?.at;
        let missed = head.n - before.at.n;
        // all others are up to date before it begins
        let others = plane.members.count().0;
        let waiting = Instant::now();
        while plane.members.tally(head, &|_| Fence::Unknown).applied < others {
            ensure!(waiting.elapsed() < PATIENCE, "nodes did not catch up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let begun = Instant::now();
        late.follow(held, Some(head)).await?;
        println!(
            "a node {missed} purges behind: connected, caught up and acknowledged in {:.0} ms",
            begun.elapsed().as_secs_f64() * 1e3
        );
        Ok(())
    })
}

fn until(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !done() {
        if begun.elapsed() > PATIENCE {
            bail!("{what}: not within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// An authority, the control plane's files, and what all nodes show.
struct Pki {
    files: SyncTls,
    ca: String,
    cert: String,
    key: String,
}

impl Pki {
    fn make(dir: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate()?;
        let authority = params.self_signed(&authority_key)?;
        let issuer = Issuer::from_params(&params, &authority_key);
        let signed = |name: &str| -> Result<(String, String)> {
            let key = KeyPair::generate()?;
            let cert = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &issuer)?;
            Ok((cert.pem(), key.serialize_pem()))
        };
        let (server_cert, server_key) = signed(NAME)?;
        let (cert, key) = signed("node.fleet")?;
        let ca = authority.pem();
        let write = |name: &str, text: &str| -> Result<_> {
            let path = dir.join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        let files = SyncTls {
            cert: write("server.pem", &server_cert)?,
            key: write("server.key", &server_key)?,
            ca: write("ca.pem", &ca)?,
        };
        Ok(Self {
            files,
            ca,
            cert,
            key,
        })
    }
}

/// What a node needs to connect, and where it takes purges.
#[derive(Clone)]
struct Node {
    id: String,
    endpoint: Endpoint,
    log: Option<Arc<File>>,
    durable: Durable,
}

impl Node {
    fn new(
        pki: &Pki,
        address: SocketAddr,
        index: u32,
        dir: &Path,
        durable: Durable,
    ) -> Result<Self> {
        let tls = ClientTlsConfig::new()
            .domain_name(NAME)
            .ca_certificate(Certificate::from_pem(&pki.ca))
            .identity(Identity::from_pem(&pki.cert, &pki.key));
        let endpoint = Endpoint::from_shared(format!("https://{address}"))?
            .tcp_nodelay(true)
            .tls_config(tls)?;
        let log = match durable {
            Durable::None => None,
            Durable::Append | Durable::Sync => Some(Arc::new(File::create(
                dir.join(format!("node-{index}.log")),
            )?)),
        };
        Ok(Self {
            id: format!("node-{index}"),
            endpoint,
            log,
            durable,
        })
    }

    /// Follows from the beginning; again as long as not all nodes are there: of a thousand that come at once one may have to
    /// wait for too long. What it ended with then.
    async fn join(self, joining: Arc<Joining>) -> Result<()> {
        loop {
            let ended = self.clone().follow(Held::default(), None).await;
            if joining.over.load(Ordering::Relaxed) {
                return ended;
            }
            joining.again.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Follows from what it holds; until it has acknowledged `until`, where that is given. Ends with the stream.
    async fn follow(self, held: Held, until: Option<PurgeSeq>) -> Result<()> {
        let channel = self
            .endpoint
            .connect()
            .await
            .context("a node does not connect")?;
        let mut client =
            NodeControlClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (up, queue) = mpsc::channel(64);
        let hello = Hello {
            node_id: self.id.clone(),
            version: VERSIONS[0],
            held,
            documents: HashMap::new(),
            kind: "edge".into(),
            software: "bench".into(),
        };
        say(&up, from_node::Message::Hello((&hello).into())).await?;
        let mut down = client.sync(ReceiverStream::new(queue)).await?.into_inner();
        let first = down.message().await?.and_then(|message| message.message);
        let Some(to_node::Message::Welcome(welcome)) = first else {
            bail!("no welcome came");
        };
        let welcome = Welcome::try_from(welcome)?;
        let mut applied = if welcome.start_empty {
            welcome.head
        } else {
            held.at
        };
        let mut beat = tokio::time::interval(welcome.silence_max / 3);
        loop {
            let reached =
                until.is_some_and(|until| applied.epoch == until.epoch && applied.n >= until.n);
            let ack = Ack {
                purged: applied,
                documents: Vec::new(),
            };
            say(&up, from_node::Message::Ack((&ack).into())).await?;
            if reached {
                // heard of: the control plane says so by closing after this side does
                drop(up);
                while down.message().await.is_ok_and(|message| message.is_some()) {}
                return Ok(());
            }
            loop {
                let message = tokio::select! {
                    biased;
                    message = down.message() => message?.context("a stream ended")?,
                    _ = beat.tick() => break,
                };
                if let Some(to_node::Message::Purges(batch)) = message.message {
                    let batch = decode_batch(batch)?;
                    if let Some(last) = batch.purges.last() {
                        self.keep(&batch.purges)?;
                        applied = last.at;
                        break;
                    }
                }
            }
        }
    }

    fn keep(&self, purges: &[seawall_control_protocol::Purge]) -> Result<()> {
        let Some(mut log) = self.log.as_deref() else {
            return Ok(());
        };
        let mut bytes = Vec::with_capacity(purges.len() * 48);
        for purge in purges {
            bytes.extend(purge.at.n.to_le_bytes());
            bytes.extend(purge.term.to_le_bytes());
            bytes.extend(purge.scopes.iter().flat_map(|scope| scope.0.to_le_bytes()));
        }
        log.write_all(&bytes)?;
        if self.durable == Durable::Sync {
            tokio::task::block_in_place(|| log.sync_data())?;
        }
        Ok(())
    }
}

async fn say(up: &mpsc::Sender<FromNode>, message: from_node::Message) -> Result<()> {
    let message = Some(message);
    up.send(FromNode { message })
        .await
        .context("a stream ended")
}
