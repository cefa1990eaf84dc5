//! The nodes' side: one stream for each node, one cursor over the shared log, never a queue.

use crate::api::Refused;
use crate::api::purges::Requested;
use crate::members::{JoinError, Received};
use crate::plane::{Plane, unix_ms};
use crate::questions::Queued;
use crate::record::By;
use crate::serve::ended;
use crate::store::StoreError;
use parking_lot::Mutex;
use seawall_control_protocol::documents::{SERVICES, parts};
use seawall_control_protocol::purges::{BATCH_MAX, EncodedPurge, encode_batch, fitting};
use seawall_control_protocol::wire::node_control_server::NodeControl;
use seawall_control_protocol::wire::{self, from_node, to_node};
use seawall_control_protocol::{Ack, Answer, Document, Hello, Lease, Welcome};
use seawall_purge::PurgeSeq;
use seawall_purge::lineage::Reception;
use serde_json::json;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// A stream that is silent for longer is dead, on either side.
const SILENCE_MAX: Duration = Duration::from_secs(6);
/// Messages on their way to one node. Full: the node is slow, and its cursor waits.
const DOWN_QUEUE: usize = 4;
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Characters of a node's id that are kept with a purge that came by it.
const NODE_CHARS_MAX: usize = 128;
/// The field of the fleet's secret.
const SECRET: &str = "seawall-fleet";

/// The service that nodes connect to.
pub struct NodeService {
    plane: Arc<Plane>,
    /// What nodes show; `None`: their certificates were verified already.
    secret: Option<String>,
}

impl NodeService {
    pub fn new(plane: Arc<Plane>, secret: Option<String>) -> Self {
        Self { plane, secret }
    }

    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some(secret) = &self.secret else {
            return Ok(());
        };
        let shown = request.metadata().get(SECRET);
        let shown = shown.map(tonic::metadata::MetadataValue::as_bytes);
        // digests are compared: the time tells nothing of the secret
        let digest = |bytes: &[u8]| ring::digest::digest(&ring::digest::SHA256, bytes);
        if shown.is_some_and(|shown| digest(shown).as_ref() == digest(secret.as_bytes()).as_ref()) {
            Ok(())
        } else {
            Err(Status::unauthenticated("this is not the fleet's secret"))
        }
    }
}

type Down = Pin<Box<dyn Stream<Item = Result<wire::ToNode, Status>> + Send>>;

#[tonic::async_trait]
impl NodeControl for NodeService {
    type SyncStream = Down;

    async fn sync(
        &self,
        request: Request<Streaming<wire::FromNode>>,
    ) -> Result<Response<Down>, Status> {
        self.admit(&request)?;
        let mut up = request.into_inner();
        let first = tokio::time::timeout(HELLO_TIMEOUT, up.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no hello came"))??;
        let Some(from_node::Message::Hello(hello)) = first.and_then(|first| first.message) else {
            return Err(Status::invalid_argument("the first message is a hello"));
        };
        let hello =
            Hello::try_from(hello).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let plane = self.plane.clone();
        // a node that hangs up meanwhile is a member that leaves, not one that is here for ever
        let begun = self.plane.whole(async move {
            let session = Session::begin(plane, &hello).await?;
            let (down, queue) = mpsc::channel(DOWN_QUEUE);
            tokio::spawn(session.run(hello, up, down));
            Ok::<_, Status>(queue)
        });
        let queue = begun.await.map_err(away)??;
        Ok(Response::new(Box::pin(ReceiverStream::new(queue))))
    }

    async fn request_purge(
        &self,
        request: Request<wire::PurgeRequest>,
    ) -> Result<Response<wire::PurgeReply>, Status> {
        self.admit(&request)?;
        let wire::PurgeRequest {
            body,
            token,
            of_change,
            node_id,
        } = request.into_inner();
        // a node of the fleet, which `admit` has proved, answers for what it asks without a token
        let by = if of_change {
            Ok(By::named("a change that an edge passed on"))
        } else if token.is_empty() {
            Ok(By::named("a network that an edge allows"))
        } else {
            Refused::unless_may_purge(&self.plane, &token)
        };
        // for people: what proves that it is of the fleet is the link
        let node = (!node_id.is_empty()).then(|| node_id.chars().take(NODE_CHARS_MAX).collect());
        let by = by.map(|by| By { node, ..by });
        let done = match by {
            Ok(by) => match Requested::parse(&body, &self.plane) {
                Ok(requested) => requested.carry_out(&self.plane, by, None, false).await,
                Err(refused) => Err(refused),
            },
            Err(refused) => Err(refused),
        };
        let (status, body) = match done {
            Ok(done) => done,
            Err(refused) => (refused.status, refused.body()),
        };
        Ok(Response::new(wire::PurgeReply {
            status: u32::from(status.as_u16()),
            body: body.to_string().into_bytes(),
        }))
    }
}

/// What a node was told of services and has not acknowledged yet.
#[derive(Debug, Default)]
struct Unacknowledged {
    /// The store's count of changes as of which it was told.
    revision: u64,
    /// Generations by name.
    services: BTreeMap<String, u64>,
}

impl Unacknowledged {
    /// These documents, of services as they stood at `revision`, are about to be told.
    fn told(&mut self, revision: u64, documents: &[Document]) {
        self.revision = revision;
        let services = documents.iter().filter(|d| d.name.starts_with(SERVICES));
        self.services
            .extend(services.map(|d| (d.name.clone(), d.generation)));
    }

    /// Takes in what the node acknowledges. Returns the revision as of which it has all services in force, if it has.
    fn acknowledged(&mut self, ack: &Ack) -> Option<u64> {
        for document in ack.documents.iter().filter(|d| d.result.is_ok()) {
            if self.services.get(&document.name) == Some(&document.generation) {
                self.services.remove(&document.name);
            }
        }
        self.services.is_empty().then_some(self.revision)
    }
}

/// One node's stream.
struct Session {
    plane: Arc<Plane>,
    unacknowledged: Arc<Mutex<Unacknowledged>>,
    node: String,
    stream: u64,
    /// What the node was told last.
    cursor: PurgeSeq,
    welcome: Welcome,
    questions: Queued,
}

impl Session {
    /// Receives a node: from when this returns on, receipts wait for it.
    async fn begin(plane: Arc<Plane>, hello: &Hello) -> Result<Self, Status> {
        let node = hello.node_id.clone();
        let removed = plane.members.must_start_empty(&node, hello.held.at);
        let (mut reception, mut head) = plane
            .log
            .receive(&hello.held, removed)
            .await
            .map_err(away)?;
        // the log may have lost nothing, and the documents all the same
        if reception == Reception::Continue && plane.is_behind(&hello.documents) {
            let rolled = plane.log.roll_on(head.at, "documents", &hello.held).await;
            head = rolled.map_err(away)?;
            reception = Reception::StartEmpty;
        }
        let start_empty = reception != Reception::Continue;
        let beginning = reception.beginning(hello.held.at, head.at);
        let stream = plane.streams.fetch_add(1, Ordering::Relaxed);
        let received = Received {
            applied: beginning.applied,
            head: head.at,
            starts_empty: start_empty,
            owes_empty: removed,
        };
        let joined = plane.members.join(hello, received, stream, unix_ms()).await;
        joined.map_err(|error| match error {
            JoinError::Full => Status::resource_exhausted(error.to_string()),
            JoinError::Removed => Status::aborted(error.to_string()),
            JoinError::Store(error) => away(error),
        })?;
        let questions = plane.questions.connect(&node, stream);
        tracing::debug!(node, held = %hello.held.at, start_empty, "a node has connected");
        plane
            .events
            .tell("node", json!({ "node": node, "state": "connected" }));
        Ok(Self {
            questions,
            welcome: Welcome {
                version: hello.version,
                head: head.at,
                term: head.term.0,
                start_empty,
                silence_max: SILENCE_MAX,
                lease: Some(plane.leases.terms()),
            },
            plane,
            unacknowledged: Arc::default(),
            node,
            stream,
            cursor: beginning.told,
        })
    }

    async fn run(
        mut self,
        hello: Hello,
        up: Streaming<wire::FromNode>,
        down: mpsc::Sender<Result<wire::ToNode, Status>>,
    ) {
        // the last renewal that waits for its answer; those before it would give a shorter lease
        let (renew, mut renewals) = watch::channel(0);
        let listening = Listening {
            plane: self.plane.clone(),
            node: self.node.clone(),
            stream: self.stream,
            unacknowledged: self.unacknowledged.clone(),
            renew,
        };
        let mut held: BTreeMap<String, u64> = hello.documents.into_iter().collect();
        if self.welcome.start_empty {
            // generations count anew in another lineage: everything is told
            for generation in held.values_mut() {
                *generation = 0;
            }
        }
        let status = tokio::select! {
            status = listening.listen(up) => status,
            status = self.talk(&mut held, &mut renewals, &down) => match status {
                Ok(never) => match never {},
                Err(status) => status,
            },
        };
        self.plane.questions.disconnect(&self.node, self.stream);
        if self
            .plane
            .members
            .leave(&self.node, self.stream, unix_ms())
            .await
        {
            let (node, reason) = (&self.node, status.message());
            tracing::debug!(node, reason, "a node has left");
            self.plane
                .events
                .tell("node", json!({ "node": node, "state": "away" }));
        }
        // the last word, if the node still listens
        let _ = down.try_send(Err(status));
    }

    /// Tells what there is, in this order: welcome, documents, purges; then whatever comes.
    async fn talk(
        &mut self,
        held: &mut BTreeMap<String, u64>,
        renewals: &mut watch::Receiver<u64>,
        down: &mpsc::Sender<Result<wire::ToNode, Status>>,
    ) -> Result<std::convert::Infallible, Status> {
        let mut services = self.plane.services.changes();
        let mut shields = self.plane.shields.changes();
        let mut ending = self.plane.ending.subscribe();
        send(down, to_node::Message::Welcome((&self.welcome).into())).await?;
        self.documents(held, down).await?;
        // an empty batch says that everything was told
        self.batch(&[], down).await?;
        let mut beat = tokio::time::interval(SILENCE_MAX / 3);
        loop {
            if !self.plane.members.is_current(&self.node, self.stream) {
                return Err(Status::aborted(
                    "another stream of this node, or its removal",
                ));
            }
            // a long way to catch up holds up neither documents nor questions
            let others = services.has_changed().unwrap_or(false);
            if others || shields.has_changed().unwrap_or(false) {
                services.mark_unchanged();
                shields.mark_unchanged();
                self.documents(held, down).await?;
            }
            if renewals.has_changed().unwrap_or(false) {
                let renewal = *renewals.borrow_and_update();
                self.lease(renewal, down).await?;
            }
            while let Some(question) = self.questions.try_recv() {
                send(down, to_node::Message::Question((&question).into())).await?;
            }
            let read = self.plane.log.purges(self.cursor, BATCH_MAX).await;
            let purges = match read {
                Ok(purges) => purges,
                // a rollback was noticed, or the node is too slow for what the log keeps: hello again
                Err(StoreError::OtherEpoch { .. } | StoreError::Trimmed { .. }) => {
                    return Err(Status::aborted("say hello again"));
                }
                Err(error) => {
                    // a record that cannot be read is damage that the store does not see
                    self.plane.damage.note(&error);
                    return Err(away(error));
                }
            };
            let purges = &purges[..fitting(&purges)];
            if let Some(last) = purges.last() {
                self.cursor = last.at;
                self.batch(purges, down).await?;
                continue;
            }
            tokio::select! {
                moved = self.plane.log.moved(self.cursor) => moved.map_err(away)?,
                changed = services.changed() => {
                    changed.map_err(|_| Status::unavailable("the control plane ends"))?;
                    self.documents(held, down).await?;
                }
                changed = shields.changed() => {
                    changed.map_err(|_| Status::unavailable("the control plane ends"))?;
                    self.documents(held, down).await?;
                }
                Ok(()) = renewals.changed() => {
                    let renewal = *renewals.borrow_and_update();
                    self.lease(renewal, down).await?;
                }
                Some(question) = self.questions.recv() => {
                    send(down, to_node::Message::Question((&question).into())).await?;
                }
                _ = beat.tick() => self.batch(&[], down).await?,
                () = ended(&mut ending) => {
                    return Err(Status::unavailable("the control plane ends"));
                }
            }
        }
    }

    async fn documents(
        &self,
        held: &mut BTreeMap<String, u64>,
        down: &mpsc::Sender<Result<wire::ToNode, Status>>,
    ) -> Result<(), Status> {
        let in_force = self.plane.services.in_force();
        let (documents, generations) = self.plane.documents_for(&in_force, held);
        *held = generations;
        {
            let mut unacknowledged = self.unacknowledged.lock();
            unacknowledged.told(in_force.revision().0, &documents);
        }
        for part in parts(&documents) {
            send(down, to_node::Message::Documents(part)).await?;
        }
        Ok(())
    }

    /// Answers a renewal. The head is read now, after it came: whatever was appended before the node sent it is part of
    /// that, and the node holds the lease only once it has applied all of it. So a lease that a purge is not part of
    /// runs from before the append of that purge.
    async fn lease(
        &self,
        renewal: u64,
        down: &mpsc::Sender<Result<wire::ToNode, Status>>,
    ) -> Result<(), Status> {
        let head = self.plane.log.head().await.map_err(away)?.at;
        let now = self.plane.leases.now();
        if !self.plane.members.renew(&self.node, self.stream, now) {
            return Err(Status::aborted(
                "another stream of this node, or its removal",
            ));
        }
        let lease = Lease { renewal, head };
        send(down, to_node::Message::Lease((&lease).into())).await
    }

    async fn batch(
        &self,
        purges: &[EncodedPurge],
        down: &mpsc::Sender<Result<wire::ToNode, Status>>,
    ) -> Result<(), Status> {
        let head = self.plane.log.head().await.map_err(away)?.at;
        // between two epochs the next read says so; and a batch never ends before what was told
        let whole = head.epoch == self.cursor.epoch && head.n >= self.cursor.n;
        let head = if whole { head } else { self.cursor };
        let batch = encode_batch(purges, head);
        send(down, to_node::Message::Purges(batch)).await
    }
}

/// The half of a stream that a node talks on.
struct Listening {
    plane: Arc<Plane>,
    node: String,
    stream: u64,
    unacknowledged: Arc<Mutex<Unacknowledged>>,
    renew: watch::Sender<u64>,
}

impl Listening {
    /// Takes in what the node says, until its stream ends or is silent.
    async fn listen(self, mut up: Streaming<wire::FromNode>) -> Status {
        loop {
            let message = match tokio::time::timeout(SILENCE_MAX, up.message()).await {
                Err(_) => return Status::deadline_exceeded("the node was silent"),
                Ok(Err(status)) => return status,
                Ok(Ok(None)) => return Status::ok("the node closed it"),
                Ok(Ok(Some(message))) => message.message,
            };
            let Self { plane, node, .. } = &self;
            match message {
                Some(from_node::Message::Ack(ack)) => match Ack::try_from(ack) {
                    Ok(ack) => self.acknowledged(&ack).await,
                    Err(error) => return Status::invalid_argument(error.to_string()),
                },
                Some(from_node::Message::Answer(answer)) => match Answer::try_from(answer) {
                    Ok(answer) => plane.questions.answered(node, answer),
                    Err(error) => return Status::invalid_argument(error.to_string()),
                },
                Some(from_node::Message::Renewal(renewal)) => {
                    self.renew.send_replace(renewal.id);
                }
                // nothing that this side must know
                Some(from_node::Message::Hello(_)) | None => {}
            }
        }
    }

    async fn acknowledged(&self, ack: &Ack) {
        let (plane, node) = (&self.plane, &self.node);
        for document in ack.documents.iter().filter(|d| d.result.is_err()) {
            let (name, reason) = (&document.name, document.result.as_ref().err());
            tracing::error!(node, name, ?reason, "a node refuses a document");
        }
        let settled = plane.members.acknowledge(node, self.stream, ack, unix_ms());
        let services = self.unacknowledged.lock().acknowledged(ack);
        if let Some(revision) = services {
            plane.members.has_services(node, self.stream, revision);
        }
        if settled && let Err(error) = plane.members.keep_positions().await {
            tracing::warn!(%error, node, "that a node has started empty could not be kept");
        }
    }
}

async fn send(
    down: &mpsc::Sender<Result<wire::ToNode, Status>>,
    message: to_node::Message,
) -> Result<(), Status> {
    let message = wire::ToNode {
        message: Some(message),
    };
    down.send(Ok(message))
        .await
        .map_err(|_| Status::cancelled("the node is gone"))
}

#[allow(clippy::needless_pass_by_value, reason = "what map_err gives")]
fn away(error: StoreError) -> Status {
    tracing::error!(%error, "the store does not answer a node");
    Status::unavailable(error.to_string())
}
