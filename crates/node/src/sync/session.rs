//! One stream, from hello to its end.

use super::{Follower, Following, sign};
use seawall_control_protocol::purges::decode_batch;
use seawall_control_protocol::wire::node_control_client::NodeControlClient;
use seawall_control_protocol::wire::to_node::Message;
use seawall_control_protocol::{
    About, Ack, Answer, Document, DocumentAck, Hello, Lease, MESSAGE_BYTES_MAX, ProtocolError,
    Question, Welcome, boottime, checked, documents, wire,
};
use seawall_purge::PurgeSeq;
use seawall_purge::lease::Terms;
use seawall_purge::lease::renewals::Renewals;
use seawall_purge::lineage::{Contact, Held, caught_up};
use std::io;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tokio_stream::wrappers::ReceiverStream;

/// Messages on their way up: acknowledgements are cumulative, so a full queue loses nothing but time.
const UP_QUEUE: usize = 64;

/// Questions of one kind that are being answered at a time; the control plane is told so where there is one more.
const ANSWERING_MAX: usize = 8;

/// Why a stream ended.
#[derive(Debug, Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Status(String),
    #[error("the control plane closed it")]
    Closed,
    #[error("the control plane was silent")]
    Silent,
    #[error("the control plane said what cannot be: {0}")]
    Protocol(#[from] ProtocolError),
    #[error("the first message was no welcome")]
    NoWelcome,
    #[error("purges cannot be put in force here: {0}")]
    Refused(String),
}

impl From<tonic::Status> for Ended {
    fn from(status: tonic::Status) -> Self {
        Self::Status(status.message().to_owned())
    }
}

impl Following {
    /// Says hello and follows. Returns when the stream has ended, with the reason.
    pub(super) async fn session(&mut self) -> Ended {
        match self.follow().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Ended> {
        let (up, queue) = mpsc::channel(UP_QUEUE);
        let generations = self.documents.iter();
        let hello = Hello {
            node_id: self.spec.node_id.clone(),
            version: seawall_control_protocol::VERSIONS[0],
            held: self.follower.held(),
            documents: generations
                .map(|(name, document)| (name.clone(), document.generation))
                .collect(),
            kind: self.spec.kind.to_owned(),
            software: env!("CARGO_PKG_VERSION").to_owned(),
        };
        send(&up, wire::from_node::Message::Hello((&hello).into())).await?;
        let mut request = tonic::Request::new(ReceiverStream::new(queue));
        sign(&mut request, self.spec.link.secret.as_deref());
        let channel = self.channel.borrow().clone();
        let mut client =
            NodeControlClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut down = client.sync(request).await?.into_inner();

        let Some(Message::Welcome(welcome)) = down.message().await?.and_then(|m| m.message) else {
            return Err(Ended::NoWelcome);
        };
        let welcome = Welcome::try_from(welcome)?;
        let metrics = self.spec.metrics.clone();
        metrics.control_plane_connected.set(1);
        if welcome.start_empty {
            let held = Held {
                at: welcome.head,
                term: welcome.term,
            };
            if hello.held.at == PurgeSeq::default() {
                tracing::debug!(at = %held.at, "this node is new to the control plane");
            } else {
                let had = hello.held.at;
                tracing::warn!(%had, at = %held.at, "what is stored here cannot be judged any more: starting empty");
            }
            // generations count anew in another lineage: on disk first, lest a crash takes old ones into the new one
            for document in self.documents.values_mut() {
                document.generation = 0;
            }
            // what is held of them was logged, should this fail
            let _ = self.keep_documents();
            self.follower.start_empty(held).map_err(Ended::Refused)?;
        }
        let mut told_all = false;
        // they end with the stream
        let mut answering = UnderWay::default();
        // of a change whose last part has not come yet
        let mut parts = Vec::new();
        // changes that wait for a lease, in their order
        let mut kept_back = Vec::new();
        self.acknowledge(&up, Vec::new()).await?;
        // acknowledgements are also the sign of life
        let mut beat = interval(welcome.silence_max / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leasing = welcome.lease.map(Leasing::new);
        let mut silent_at = Instant::now() + welcome.silence_max;
        loop {
            let message = tokio::select! {
                biased;
                // before what comes, which may never end
                renewal = next_renewal(&mut leasing) => {
                    send(&up, wire::from_node::Message::Renewal(renewal)).await?;
                    continue;
                }
                message = down.message() => message?,
                _ = beat.tick() => {
                    self.acknowledge(&up, Vec::new()).await?;
                    continue;
                }
                () = sleep_until(silent_at) => return Err(Ended::Silent),
            };
            silent_at = Instant::now() + welcome.silence_max;
            let message = message.ok_or(Ended::Closed)?.message;
            // a message of a later version of this side's own: nothing that it must know
            let Some(message) = message else { continue };
            match message {
                Message::Welcome(_) => {}
                Message::Purges(batch) => {
                    let batch = decode_batch(batch)?;
                    if !batch.purges.is_empty() {
                        self.follower.apply(&batch.purges).map_err(Ended::Refused)?;
                        metrics.purges_applied.inc_by(batch.purges.len() as u64);
                        self.acknowledge(&up, Vec::new()).await?;
                    }
                    // documents were told before the first batch
                    told_all = true;
                }
                Message::Documents(part) => {
                    let more = part.more;
                    parts.extend(documents::documents(part)?);
                    checked::at_most("documents", parts.len(), checked::DOCUMENTS_MAX)?;
                    if !more {
                        kept_back.append(&mut parts);
                        let held = kept_back.len();
                        checked::at_most("documents", held, 2 * checked::DOCUMENTS_MAX)?;
                    }
                }
                Message::Lease(lease) => {
                    let lease = Lease::try_from(lease)?;
                    if let Some(leasing) = &mut leasing {
                        leasing.renewals.answered(lease.renewal, lease.head);
                    }
                }
                Message::Question(question) => {
                    answer(&self.follower, question, &up, &mut answering).await?;
                }
            }
            if let Some(Leasing {
                terms, renewals, ..
            }) = &mut leasing
            {
                let until = renewals.runs_until(self.follower.held().at);
                self.follower.lease(until, terms.reuse);
            }
            // where no leases are given nothing is claimed of nodes that have none
            let takes = leasing.is_none() || self.follower.takes_documents();
            if !kept_back.is_empty() && takes {
                let acks = self.documents(std::mem::take(&mut kept_back));
                self.acknowledge(&up, acks).await?;
            }
            let told_all = told_all && kept_back.is_empty();
            if *self.contact.borrow() != Contact::CaughtUp
                && caught_up(told_all, self.follower.held().at, welcome.head)
            {
                self.say(Contact::CaughtUp);
            }
        }
    }

    /// Puts documents in force, and on disk; says of each whether it is.
    fn documents(&mut self, told: Vec<Document>) -> Vec<DocumentAck> {
        let mut next = self.documents.clone();
        let mut acks = Vec::with_capacity(told.len());
        for document in told {
            let (name, generation) = (document.name.clone(), document.generation);
            let held = next.get(&name).map(|held| held.generation);
            let result = if held.is_some_and(|held| held > generation) {
                Err("a later generation is in force".to_owned())
            } else {
                if document.body.is_some() {
                    next.insert(name.clone(), document);
                } else {
                    next.remove(&name);
                }
                Ok(())
            };
            acks.push(DocumentAck {
                name,
                generation,
                result,
            });
        }
        match self.follower.install(&next) {
            Ok(()) => {
                self.documents = next;
                // acknowledged is what is in force after a restart too: receipts rely on what services ask of a node
                // that has no lease
                if let Err(error) = self.keep_documents() {
                    let reason = format!("in force, but not written down: {error}");
                    for ack in acks.iter_mut().filter(|ack| ack.result.is_ok()) {
                        ack.result = Err(reason.clone());
                    }
                    // told anew on the next stream, and written down perhaps
                    for document in self.documents.values_mut() {
                        document.generation = 0;
                    }
                }
            }
            Err(reason) => {
                tracing::error!(reason, "documents of the control plane are refused");
                for ack in &mut acks {
                    ack.result = Err(reason.clone());
                }
            }
        }
        acks
    }

    fn keep_documents(&self) -> io::Result<()> {
        let kept = self.last_good.store(&self.documents);
        if let Err(error) = &kept {
            tracing::warn!(%error, "the last good state could not be written");
        }
        kept
    }

    async fn acknowledge(
        &self,
        up: &mpsc::Sender<wire::FromNode>,
        documents: Vec<DocumentAck>,
    ) -> Result<(), Ended> {
        let ack = Ack {
            purged: self.follower.held().at,
            documents,
        };
        send(up, wire::from_node::Message::Ack((&ack).into())).await
    }
}

/// Renewals of one stream.
struct Leasing {
    terms: Terms,
    renewals: Renewals,
    every: Interval,
}

impl Leasing {
    fn new(terms: Terms) -> Self {
        // the first at once
        let mut every = interval(terms.renew_every());
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            terms,
            renewals: Renewals::new(terms),
            every,
        }
    }
}

/// The next renewal, when it is time for it: the lease counts from before it is sent. Never, where no leases are given.
/// May be dropped at any time.
async fn next_renewal(leasing: &mut Option<Leasing>) -> wire::Renewal {
    let Some(leasing) = leasing else {
        return std::future::pending().await;
    };
    leasing.every.tick().await;
    wire::Renewal {
        id: leasing.renewals.send(boottime()),
    }
}

/// Questions that are being answered. Each kind has its own bound: neither takes the other's turns.
#[derive(Default)]
struct UnderWay {
    estimates: JoinSet<()>,
    explanations: JoinSet<()>,
}

impl UnderWay {
    fn of(&mut self, about: &About) -> &mut JoinSet<()> {
        let of_kind = match about {
            About::Estimate { .. } => &mut self.estimates,
            About::Explain(_) => &mut self.explanations,
        };
        // those that are done make room
        while of_kind.try_join_next().is_some() {}
        of_kind
    }
}

/// Has a question answered, beside what else goes on.
async fn answer(
    follower: &Arc<dyn Follower>,
    question: wire::Question,
    up: &mpsc::Sender<wire::FromNode>,
    answering: &mut UnderWay,
) -> Result<(), Ended> {
    let id = question.id;
    let refused = match Question::try_from(question) {
        Ok(question) if answering.of(&question.about).len() < ANSWERING_MAX => {
            let (follower, up) = (follower.clone(), up.clone());
            answering.of(&question.about).spawn(async move {
                let outcome = follower.answer(&question.about).await;
                let answer = Answer { id, outcome };
                // the stream may have ended
                let _ = send(&up, wire::from_node::Message::Answer((&answer).into())).await;
            });
            return Ok(());
        }
        Ok(_) => "too many questions at a time",
        // of a control plane that is newer than this node
        Err(ProtocolError::Missing("about")) => "this node's build does not know the question",
        // one question that cannot be is no reason to let go of the stream, which brings purges
        Err(error) => &format!("the question cannot be read: {error}"),
    };
    let outcome = Err(refused.to_owned());
    let answer = Answer { id, outcome };
    send(up, wire::from_node::Message::Answer((&answer).into())).await
}

async fn send(
    up: &mpsc::Sender<wire::FromNode>,
    message: wire::from_node::Message,
) -> Result<(), Ended> {
    let message = wire::FromNode {
        message: Some(message),
    };
    up.send(message).await.map_err(|_| Ended::Closed)
}

#[cfg(test)]
mod tests {
    use super::super::Answering;
    use super::super::tests::Refuses;
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[tokio::test]
    async fn a_question_that_this_build_does_not_know_gets_an_error_and_the_stream_goes_on() {
        let follower: Arc<dyn Follower> = Arc::new(Refuses(false));
        let (up, mut queue) = mpsc::channel(2);
        let mut answering = UnderWay::default();
        let unknown = wire::Question { id: 7, about: None };
        assert!(
            answer(&follower, unknown, &up, &mut answering)
                .await
                .is_ok()
        );
        let estimate = wire::question::About::Estimate(wire::EstimatePurge::default());
        let known = wire::Question {
            id: 8,
            about: Some(estimate),
        };
        assert!(answer(&follower, known, &up, &mut answering).await.is_ok());
        for (id, reason) in [(7, "does not know"), (8, "no")] {
            let message = queue.recv().await.and_then(|m| m.message);
            let Some(wire::from_node::Message::Answer(told)) = message else {
                panic!("no answer to {id}");
            };
            let told = Answer::try_from(told).unwrap();
            assert_eq!(told.id, id);
            assert!(told.outcome.unwrap_err().contains(reason), "{id}");
        }
    }

    /// Answers no question before it is dropped.
    struct Thinks;

    impl Follower for Thinks {
        fn held(&self) -> Held {
            Held::default()
        }

        fn apply(&self, _: &[seawall_purge::Purge]) -> Result<(), String> {
            Ok(())
        }

        fn start_empty(&self, _: Held) -> Result<(), String> {
            Ok(())
        }

        fn contact(&self, _: Contact) {}

        fn install(&self, _: &BTreeMap<String, Document>) -> Result<(), String> {
            Ok(())
        }

        fn lease(&self, _: Duration, _: Duration) {}

        fn takes_documents(&self) -> bool {
            true
        }

        fn answer<'a>(&'a self, _: &'a About) -> Answering<'a> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn questions_of_one_kind_take_no_turn_from_those_of_the_other() {
        let follower: Arc<dyn Follower> = Arc::new(Thinks);
        let (up, mut queue) = mpsc::channel(8);
        let mut answering = UnderWay::default();
        let estimate = wire::question::About::Estimate(wire::EstimatePurge::default());
        let explain = wire::question::About::Explain(wire::ExplainGet {
            scheme: "http".into(),
            target: "/".into(),
            ..wire::ExplainGet::default()
        });
        let kinds = [explain, estimate];
        for (kind, about) in kinds.iter().enumerate() {
            for n in 0..ANSWERING_MAX {
                let question = wire::Question {
                    id: (kind * 100 + n) as u64,
                    about: Some(about.clone()),
                };
                let taken = answer(&follower, question, &up, &mut answering).await;
                assert!(taken.is_ok());
                assert!(queue.try_recv().is_err(), "{kind}: {n}");
            }
        }
        for about in kinds {
            let question = wire::Question {
                id: 7,
                about: Some(about),
            };
            assert!(
                answer(&follower, question, &up, &mut answering)
                    .await
                    .is_ok()
            );
            let message = queue.try_recv().ok().and_then(|m| m.message);
            let Some(wire::from_node::Message::Answer(told)) = message else {
                panic!("one question too many is answered at once");
            };
            let outcome = Answer::try_from(told).unwrap().outcome;
            assert!(outcome.unwrap_err().contains("too many"));
        }
    }
}
