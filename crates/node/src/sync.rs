//! The node's stream to the control plane: what it tells comes into force here, and is acknowledged when it has.

mod backoff;
mod link;
mod session;

pub use link::{control_plane_link, follow};

use self::backoff::Backoff;
use crate::data_dir::DataDirError;
use crate::last_good::LastGood;
pub use seawall_control_protocol::explain;
use seawall_control_protocol::wire;
use seawall_control_protocol::wire::node_control_client::NodeControlClient;
pub use seawall_control_protocol::{About, Document, Told, boottime};
use seawall_purge::Purge;
use seawall_purge::lineage::{Contact, Held};
use seawall_telemetry::Metrics;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// How long a node waits for the control plane at its start, before it serves on what it has.
const FIRST_CONTACT_MAX: Duration = Duration::from_secs(3);
/// The address of a control plane that is known to be away (nobody listens on RFC 863's port): it is not waited for.
pub const NOWHERE: &str = "127.0.0.1:9";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The field of the fleet's secret, as on the links between tiers.
pub(crate) const SECRET: &str = "seawall-fleet";

/// A question on its way to its answer.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Told, String>> + Send + 'a>>;

/// What a node does with what the control plane tells. Called by one thread.
pub trait Follower: Send + Sync + 'static {
    /// The last purge that is durable here.
    fn held(&self) -> Held;

    /// Puts consecutive purges in force: once this returned, no copy that they cover is answered with any more, not even
    /// after a crash. An error is a refusal: nothing of it is acknowledged.
    fn apply(&self, purges: &[Purge]) -> Result<(), String>;

    /// Lets go of everything stored, for good, and begins at `held`.
    fn start_empty(&self, held: Held) -> Result<(), String>;

    /// How far the node has come with the control plane.
    fn contact(&self, contact: Contact);

    /// Puts whole documents in force, all of these names or none of the change.
    fn install(&self, documents: &BTreeMap<String, Document>) -> Result<(), String>;

    /// The node may answer by itself until `until` (by [`boottime`]); after that, services that ask for it answer with
    /// nothing that an origin has not confirmed, asked at most `reuse` ago. Leases of an earlier stream run on.
    fn lease(&self, until: Duration, reuse: Duration);

    /// Whether documents may be put in force now. Not where the node has no lease and a service that is in force answers
    /// with nothing unconfirmed then: another one in its place, or the same with another word, must not answer with what
    /// was purged meanwhile. Nor where it has no lease and no service yet: nobody knows what was in force before.
    fn takes_documents(&self) -> bool;

    /// Answers a question, in bounded time. Purges and documents go on meanwhile, so that it may wait for a disk, but not
    /// block.
    fn answer<'a>(&'a self, about: &'a About) -> Answering<'a>;
}

/// Where the control plane is, and how this node proves itself.
#[derive(Clone, Debug)]
pub struct ControlPlaneLink {
    /// `host:port`.
    pub address: String,
    /// Mutual TLS: the name that is verified, and the node's certificate (PEM files: chain, key, authority).
    pub tls: Option<LinkTls>,
    /// On loopback: the fleet's secret.
    pub secret: Option<String>,
}

#[derive(Clone, Debug)]
pub struct LinkTls {
    pub name: String,
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
}

/// Who follows, and where its last good state is kept.
pub struct SyncSpec {
    pub node_id: String,
    pub kind: &'static str,
    pub data: PathBuf,
    pub link: ControlPlaneLink,
    pub metrics: Arc<Metrics>,
}

#[derive(Debug, Error)]
pub enum SyncError {
    #[error("the control plane's address {address} cannot be used: {reason}")]
    Address { address: String, reason: String },
    #[error(transparent)]
    Secret(#[from] DataDirError),
    #[error("{path} cannot be read: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("the thread that follows the control plane cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// Follows the control plane until it is dropped.
#[derive(Debug)]
pub struct SyncClient {
    contact: watch::Receiver<Contact>,
    channel: watch::Receiver<Channel>,
    secret: Option<String>,
    node_id: String,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl SyncClient {
    /// Puts the last good documents in force, then follows from a thread of its own.
    pub fn start(spec: SyncSpec, follower: Arc<dyn Follower>) -> Result<Self, SyncError> {
        let endpoint = endpoint(&spec.link)?;
        let last_good = LastGood::open(&spec.data);
        let documents = begin_with(last_good.load(), &*follower);
        let (contact_tx, contact) = watch::channel(Contact::Waiting);
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let channel = {
            let _inside = runtime.enter();
            endpoint.connect_lazy()
        };
        let (channel, channel_seen) = watch::channel(channel);
        let (secret, node_id) = (spec.link.secret.clone(), spec.node_id.clone());
        let following = Following {
            spec,
            follower,
            channel,
            last_good,
            documents,
            contact: contact_tx,
            stopped,
        };
        let thread = std::thread::Builder::new()
            .name("sync".into())
            .spawn(move || runtime.block_on(following.run()))?;
        Ok(Self {
            contact,
            channel: channel_seen,
            secret,
            node_id,
            stop,
            thread: Some(thread),
        })
    }

    /// Waits until the control plane was reached and everything it had to tell is in force, or it is known to be away.
    /// Bounded.
    pub fn wait_for_contact(&self) -> Contact {
        let mut contact = self.contact.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let Ok(runtime) = runtime else {
            return *contact.borrow();
        };
        runtime.block_on(async {
            // the thread says "away" in time by itself; twice that is for a thread that cannot run
            let reached = contact.wait_for(|contact| *contact != Contact::Waiting);
            let _ = tokio::time::timeout(2 * FIRST_CONTACT_MAX, reached).await;
        });
        *contact.borrow()
    }

    /// Whether the stream is up now.
    pub fn contact(&self) -> Contact {
        *self.contact.borrow()
    }

    /// Who carries purges that clients ask of this node to the control plane.
    pub fn purger(&self) -> Purger {
        Purger {
            channel: self.channel.clone(),
            secret: self.secret.clone(),
            node_id: self.node_id.clone(),
        }
    }
}

impl Drop for SyncClient {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Carries purges that clients ask of this node to the control plane.
#[derive(Clone, Debug)]
pub struct Purger {
    channel: watch::Receiver<Channel>,
    secret: Option<String>,
    node_id: String,
}

impl Purger {
    /// Asks for a purge as the admin API takes it. Returns the API's status and body; an error: the control plane
    /// cannot be reached, or does not answer within `timeout`.
    pub async fn purge(
        &self,
        body: Vec<u8>,
        token: &str,
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), String> {
        let request = wire::PurgeRequest {
            body,
            token: token.to_owned(),
            of_change: false,
            node_id: self.node_id.clone(),
        };
        self.ask(request, timeout).await
    }

    /// The same for what an origin told this node to be changed: the node asks for itself.
    pub async fn purge_changed(
        &self,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), String> {
        let request = wire::PurgeRequest {
            body,
            token: String::new(),
            of_change: true,
            node_id: self.node_id.clone(),
        };
        self.ask(request, timeout).await
    }

    async fn ask(
        &self,
        request: wire::PurgeRequest,
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), String> {
        let mut request = tonic::Request::new(request);
        sign(&mut request, self.secret.as_deref());
        let channel = self.channel.borrow().clone();
        let mut client = NodeControlClient::new(channel);
        let reply = tokio::time::timeout(timeout, client.request_purge(request)).await;
        let reply = reply
            .map_err(|_| "the control plane does not answer".to_owned())?
            .map_err(|status| status.message().to_owned())?
            .into_inner();
        Ok((reply.status as u16, reply.body))
    }
}

/// Puts the last good documents in force; what is held then.
fn begin_with(
    documents: BTreeMap<String, Document>,
    follower: &dyn Follower,
) -> BTreeMap<String, Document> {
    if documents.is_empty() {
        return documents;
    }
    match follower.install(&documents) {
        Ok(()) => documents,
        Err(reason) => {
            tracing::warn!(reason, "the last good state cannot be used any more");
            // what is not in force is not held: the control plane tells all of it anew
            BTreeMap::new()
        }
    }
}

/// Shows the fleet's secret.
fn sign<T>(request: &mut tonic::Request<T>, secret: Option<&str>) {
    // printable ASCII, as it was read
    if let Some(secret) = secret.and_then(|secret| secret.parse().ok()) {
        request.metadata_mut().insert(SECRET, secret);
    }
}

fn endpoint(link: &ControlPlaneLink) -> Result<Endpoint, SyncError> {
    let refuse = |reason: String| SyncError::Address {
        address: link.address.clone(),
        reason,
    };
    let scheme = if link.tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{}", link.address))
        .map_err(|error| refuse(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        // a link that is cut without a word is seen
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5));
    let Some(tls) = &link.tls else {
        return Ok(endpoint);
    };
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| SyncError::File {
            path: path.clone(),
            source,
        })
    };
    let config = ClientTlsConfig::new()
        .domain_name(tls.name.clone())
        .ca_certificate(Certificate::from_pem(read(&tls.ca)?))
        .identity(Identity::from_pem(read(&tls.cert)?, read(&tls.key)?));
    endpoint
        .tls_config(config)
        .map_err(|error| refuse(error.to_string()))
}

/// The thread's own.
struct Following {
    spec: SyncSpec,
    follower: Arc<dyn Follower>,
    channel: watch::Sender<Channel>,
    last_good: LastGood,
    /// In force.
    documents: BTreeMap<String, Document>,
    contact: watch::Sender<Contact>,
    stopped: watch::Receiver<bool>,
}

impl Following {
    async fn run(mut self) {
        let started = tokio::time::Instant::now();
        let first_contact_max = if self.spec.link.address == NOWHERE {
            Duration::ZERO
        } else {
            FIRST_CONTACT_MAX
        };
        let away_at = started + first_contact_max;
        let mut stopped = self.stopped.clone();
        let mut backoff = Backoff::new();
        loop {
            let ended = tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return,
                ended = self.session_or_away(away_at) => ended,
            };
            self.spec.metrics.control_plane_connected.set(0);
            if *self.contact.borrow() == Contact::CaughtUp {
                // it was reached: the next attempt comes soon
                backoff.reset();
            }
            self.lost();
            tracing::info!(reason = %ended, "the stream to the control plane ended");
            let wait = backoff.wait(getrandom::u32().unwrap_or(0));
            let deadline = tokio::time::Instant::now() + wait;
            let deadline = if *self.contact.borrow() == Contact::Waiting {
                deadline.min(away_at)
            } else {
                deadline
            };
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep_until(deadline) => {}
            }
            if *self.contact.borrow() == Contact::Waiting && started.elapsed() >= first_contact_max
            {
                self.say(Contact::Away);
            }
            self.read_certificates();
        }
    }

    /// Certificates may have been replaced since: each connection is made with those that the files hold then.
    fn read_certificates(&self) {
        if self.spec.link.tls.is_none() {
            return;
        }
        match endpoint(&self.spec.link) {
            Ok(endpoint) => {
                self.channel.send_replace(endpoint.connect_lazy());
            }
            Err(error) => {
                tracing::warn!(%error, "the certificates cannot be read anew: those from before are used");
            }
        }
    }

    /// A session; should the first contact take longer than until `away_at`, that is said meanwhile.
    async fn session_or_away(&mut self, away_at: tokio::time::Instant) -> session::Ended {
        let (contact, follower) = (self.contact.clone(), self.follower.clone());
        let away = async move {
            tokio::time::sleep_until(away_at).await;
            if *contact.borrow() == Contact::Waiting {
                follower.contact(Contact::Away);
                contact.send_replace(Contact::Away);
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            ended = self.session() => ended,
            never = away => never,
        }
    }

    fn lost(&self) {
        if *self.contact.borrow() == Contact::CaughtUp {
            self.say(Contact::Away);
        }
    }

    fn say(&self, contact: Contact) {
        self.follower.contact(contact);
        self.contact.send_replace(contact);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) struct Refuses(pub(super) bool);

    impl Follower for Refuses {
        fn held(&self) -> Held {
            Held::default()
        }

        fn apply(&self, _: &[Purge]) -> Result<(), String> {
            Ok(())
        }

        fn start_empty(&self, _: Held) -> Result<(), String> {
            Ok(())
        }

        fn contact(&self, _: Contact) {}

        fn lease(&self, _: Duration, _: Duration) {}

        fn takes_documents(&self) -> bool {
            true
        }

        fn install(&self, _: &BTreeMap<String, Document>) -> Result<(), String> {
            if self.0 {
                Err("not of this build".into())
            } else {
                Ok(())
            }
        }

        fn answer<'a>(&'a self, _: &'a About) -> Answering<'a> {
            Box::pin(async { Err("no".into()) })
        }
    }

    #[test]
    fn a_last_good_state_that_cannot_be_put_in_force_is_not_held() {
        let document = Document {
            name: "services/shop".into(),
            generation: 3,
            body: Some(Vec::new()),
        };
        let documents = BTreeMap::from([(document.name.clone(), document)]);
        assert!(begin_with(documents.clone(), &Refuses(true)).is_empty());
        assert_eq!(begin_with(documents.clone(), &Refuses(false)), documents);
    }
}
