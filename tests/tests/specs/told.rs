//! What a node makes of what a control plane tells it, message by message, of leases: a stand-in tells no more than a spec
//! has it say, and hears all.

use seawall_config::ControlPlaneEntryModel;
use seawall_control_protocol::documents::Document;
use seawall_control_protocol::purges::{EncodedPurge, encode_batch};
use seawall_control_protocol::wire::node_control_server::{NodeControl, NodeControlServer};
use seawall_control_protocol::wire::{self, from_node, to_node};
use seawall_control_protocol::{Lease, Welcome, boottime};
use seawall_edge::Edge;
use seawall_purge::lease::Terms;
use seawall_purge::{Epoch, Purge, PurgeSeq, ScopeId, Strength};
use seawall_service_model::ServiceSet;
use seawall_tests::cluster::metric;
use seawall_tests::fleet::service;
use seawall_tests::{Fleet, Origin, PATIENCE, eventually};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc as queues;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

const SITE: &str = "services/site";

type Down = Result<wire::ToNode, Status>;

/// Messages for streams that nodes will open, in this order.
type Streams = Arc<Mutex<VecDeque<queues::Receiver<Down>>>>;

/// The service of the stand-in: streams whose messages the spec makes and reads.
struct Told {
    streams: Streams,
    up: mpsc::Sender<from_node::Message>,
}

#[tonic::async_trait]
impl NodeControl for Told {
    type SyncStream = ReceiverStream<Down>;

    async fn sync(
        &self,
        request: Request<Streaming<wire::FromNode>>,
    ) -> Result<Response<Self::SyncStream>, Status> {
        let down = self.streams.lock().unwrap().pop_front();
        let down = down.ok_or_else(|| Status::unavailable("not now"))?;
        let (mut messages, up) = (request.into_inner(), self.up.clone());
        tokio::spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                // the spec may have ended
                if let Some(message) = message.message {
                    // a spec that has seen enough no longer listens
                    let _ = up.send(message);
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(down)))
    }

    async fn request_purge(
        &self,
        _: Request<wire::PurgeRequest>,
    ) -> Result<Response<wire::PurgeReply>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// A control plane by a spec's own words.
struct StandIn {
    address: SocketAddr,
    length: Duration,
    streams: Streams,
    /// Of the stream that was made last.
    down: queues::Sender<Down>,
    up: mpsc::Receiver<from_node::Message>,
    asked: u64,
    _runtime: Runtime,
}

fn at(n: u64) -> PurgeSeq {
    PurgeSeq::new(Epoch(7), n)
}

impl StandIn {
    /// It welcomes a node that is new, and gives leases of `length`.
    fn start(length: Duration) -> Self {
        let runtime = Runtime::new().unwrap();
        let streams = Streams::default();
        let (up, heard) = mpsc::channel();
        let service = NodeControlServer::new(Told {
            streams: streams.clone(),
            up,
        });
        let incoming = {
            let _inside = runtime.enter();
            TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap()
        };
        let address = incoming.local_addr().unwrap();
        let served = Server::builder().add_service(service);
        runtime.spawn(served.serve_with_incoming(incoming));
        let mut stand_in = Self {
            address,
            length,
            streams,
            down: queues::channel(1).0,
            up: heard,
            asked: 0,
            _runtime: runtime,
        };
        stand_in.begin_stream(0);
        stand_in
    }

    /// Ends the stream there is, should there be one; on the next one the node starts empty at `n`.
    fn begin_stream(&mut self, n: u64) {
        let (down, messages) = queues::channel(64);
        self.streams.lock().unwrap().push_back(messages);
        self.down = down;
        let welcome = Welcome {
            version: 1,
            head: at(n),
            term: 1,
            start_empty: true,
            silence_max: PATIENCE,
            lease: Some(Terms::of(self.length)),
        };
        self.tell(to_node::Message::Welcome((&welcome).into()));
    }

    fn tell(&self, message: to_node::Message) {
        let message = wire::ToNode {
            message: Some(message),
        };
        self.down.blocking_send(Ok(message)).unwrap();
    }

    /// Tells of purges up to `n`, the last one alone if there is any.
    fn tell_purges(&self, n: u64) {
        let purge = Purge {
            at: at(n),
            term: 1,
            appended_ms: 1,
            strength: Strength::Hard,
            scopes: vec![ScopeId(n)],
            pace: None,
        };
        let purges = (n > 0).then(|| EncodedPurge::from(&purge));
        let batch = encode_batch(purges.as_slice(), at(n));
        self.tell(to_node::Message::Purges(batch));
    }

    /// Tells the service `site` with this word on what happens without a lease.
    fn tell_service(&self, origin: &Origin, generation: u64, word: &str) {
        let text = service("site", "*", origin, "");
        let word = format!("on_lease_loss = \"{word}\"\nhosts");
        let document = Document {
            name: SITE.into(),
            generation,
            body: Some(text.replacen("hosts", &word, 1).into_bytes()),
        };
        self.tell(to_node::Message::Documents(wire::Documents {
            documents: vec![(&document).into()],
            more: false,
        }));
    }

    fn tell_lease(&self, renewal: u64, head: PurgeSeq) {
        let lease = Lease { renewal, head };
        self.tell(to_node::Message::Lease((&lease).into()));
    }

    /// What the node says next.
    fn hear(&self) -> from_node::Message {
        self.up
            .recv_timeout(PATIENCE)
            .expect("the node says something")
    }

    /// The next renewal.
    fn renewal(&self) -> u64 {
        loop {
            if let from_node::Message::Renewal(renewal) = self.hear() {
                return renewal.id;
            }
        }
    }

    /// Answers renewals until the node says that it has this generation of the service.
    fn lease_until_it_has(&self, generation: u64) {
        loop {
            match self.hear() {
                from_node::Message::Renewal(renewal) => self.tell_lease(renewal.id, at(0)),
                said if acknowledges(&said, generation) => return,
                _ => {}
            }
        }
    }

    /// Returns once the node has taken in all that it was told; what it said until then.
    fn all_is_taken_in(&mut self) -> Vec<from_node::Message> {
        self.asked += 1;
        let (id, mut said) = (self.asked, Vec::new());
        // it knows no such question, and says so in its turn
        self.tell(to_node::Message::Question(wire::Question {
            id,
            about: None,
        }));
        loop {
            match self.hear() {
                from_node::Message::Answer(answer) if answer.id == id => return said,
                message => said.push(message),
            }
        }
    }
}

fn acknowledges(said: &from_node::Message, generation: u64) -> bool {
    let from_node::Message::Ack(ack) = said else {
        return false;
    };
    let mut documents = ack.documents.iter();
    documents.any(|ack| ack.name == SITE && ack.generation == generation && ack.error.is_empty())
}

/// An edge that follows the stand-in, and what it is started in.
struct Follows {
    edge: Edge,
    _fleet: Fleet,
}

impl Follows {
    /// Starts it; `meanwhile` is what the stand-in does until it has been reached.
    fn start(plane: &mut StandIn, origin: &Origin, meanwhile: impl FnOnce(&mut StandIn)) -> Self {
        let (fleet, mut model) = Fleet::for_own_edge(origin);
        model.node.control_plane = Some(ControlPlaneEntryModel {
            address: plane.address.to_string(),
            tls_name: None,
        });
        let started = thread::spawn(move || Edge::start(&model, ServiceSet::default()));
        meanwhile(plane);
        Self {
            edge: started.join().unwrap().expect("an edge starts"),
            _fleet: fleet,
        }
    }

    /// With the service `site`, which answers with nothing unconfirmed for lack of a lease.
    fn with_service(plane: &mut StandIn, origin: &Origin) -> Self {
        plane.tell_service(origin, 1, "revalidate");
        plane.tell_purges(0);
        Self::start(plane, origin, |plane| {
            let said = plane.all_is_taken_in();
            // nobody knows what was in force before
            assert!(!said.iter().any(|said| acknowledges(said, 1)), "{said:?}");
            plane.lease_until_it_has(1);
        })
    }

    fn gauge(&self, name: &str) -> u64 {
        self.edge.gauges()();
        metric(&self.edge.metrics().gather(), name, &[])
    }

    fn is_fenced(&self) -> bool {
        self.gauge("seawall_lease_fenced_services") == 1
    }
}

#[test]
fn a_lease_has_ended_where_its_answer_comes_later_than_it_is_long() {
    const LENGTH: Duration = Duration::from_secs(1);
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let mut plane = StandIn::start(LENGTH);
    let node = Follows::with_service(&mut plane, &origin);
    eventually("it has no lease", || node.is_fenced());
    let renewal = plane.renewal();
    // it was sent before it was heard
    let ended = boottime() + LENGTH;
    thread::sleep(ended.saturating_sub(boottime()));
    plane.tell_lease(renewal, at(0));
    plane.all_is_taken_in();
    assert!(node.is_fenced());
}

#[test]
fn a_lease_is_held_only_once_all_that_its_answer_tells_of_is_in_force() {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let mut plane = StandIn::start(Duration::from_hours(1));
    plane.tell_purges(0);
    let node = Follows::start(&mut plane, &origin, |_| {});
    plane.tell_lease(plane.renewal(), at(1));
    plane.all_is_taken_in();
    assert_eq!(node.gauge("seawall_lease_seconds"), 0);
    plane.tell_purges(1);
    plane.all_is_taken_in();
    assert!(node.gauge("seawall_lease_seconds") > 0);
}

#[test]
fn a_node_without_a_lease_takes_no_other_word_of_a_service_in() {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let mut plane = StandIn::start(Duration::from_secs(1));
    let node = Follows::with_service(&mut plane, &origin);
    eventually("it has no lease", || node.is_fenced());
    plane.tell_service(&origin, 2, "serve");
    let said = plane.all_is_taken_in();
    assert!(!said.iter().any(|said| acknowledges(said, 2)), "{said:?}");
    assert!(node.is_fenced());
    // with a lease again it does
    plane.lease_until_it_has(2);
    assert!(!node.is_fenced());
}

#[test]
fn a_node_that_starts_empty_lets_go_of_its_lease() {
    let origin = Origin::start(|_, reply| reply.fresh(b"body"));
    let mut plane = StandIn::start(Duration::from_hours(1));
    let node = Follows::with_service(&mut plane, &origin);
    assert!(!node.is_fenced());
    plane.begin_stream(5);
    plane.all_is_taken_in();
    assert!(node.is_fenced());
}
