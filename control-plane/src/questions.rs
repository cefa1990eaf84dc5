//! Questions to all connected nodes, and their answers. Both are bounded, each kind of question for itself, so that
//! neither takes the other's room; who does not answer in time is listed.

use parking_lot::Mutex;
use seawall_control_protocol::{About, Answer, Question, Told};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// Questions of one kind that wait to be sent to one node; a node with more is busy and counts as silent.
const QUEUE: usize = 16;
/// Questions of one kind that wait for answers.
const ASKED_MAX: usize = 256;

/// What a question is about: each has its own room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Estimate,
    Explain,
}

impl Kind {
    fn of(about: &About) -> Self {
        match about {
            About::Estimate { .. } => Self::Estimate,
            About::Explain(_) => Self::Explain,
        }
    }
}

/// Two of something, one for each kind.
#[derive(Clone, Debug)]
struct Each<T> {
    estimate: T,
    explain: T,
}

impl<T> Each<T> {
    fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Estimate => &self.estimate,
            Kind::Explain => &self.explain,
        }
    }
}

/// Where a node's questions go, and where the answers to one.
type Queues = Each<mpsc::Sender<Question>>;
type Waiting = mpsc::Sender<(String, Answer)>;

/// The questions that wait to be sent to one node.
#[derive(Debug)]
pub struct Queued(Each<mpsc::Receiver<Question>>);

impl Queued {
    /// One that waits, if any does.
    pub fn try_recv(&mut self) -> Option<Question> {
        let Each { estimate, explain } = &mut self.0;
        estimate.try_recv().or_else(|_| explain.try_recv()).ok()
    }

    /// The next one, of either kind. `None`: the node's stream is not the current one any more. May be dropped at any
    /// time.
    pub async fn recv(&mut self) -> Option<Question> {
        let Each { estimate, explain } = &mut self.0;
        // whichever is ready, by lot where both are
        tokio::select! {
            question = estimate.recv() => question,
            question = explain.recv() => question,
        }
    }
}

/// What the fleet said.
#[derive(Debug, Default)]
pub struct Answers {
    pub told: Vec<(String, Result<Told, String>)>,
    /// Connected nodes that did not answer in time.
    pub silent: Vec<String>,
}

/// Nodes that can be asked, and questions that are under way.
#[derive(Debug, Default)]
pub struct Questions {
    nodes: Mutex<HashMap<String, (u64, Queues)>>,
    asked: Mutex<HashMap<u64, (Kind, Waiting)>>,
    ids: AtomicU64,
}

impl Questions {
    /// A node's stream, by which it can be asked from now on.
    pub fn connect(&self, node: &str, stream: u64) -> Queued {
        let (estimates, estimate) = mpsc::channel(QUEUE);
        let (explanations, explain) = mpsc::channel(QUEUE);
        let senders = Each {
            estimate: estimates,
            explain: explanations,
        };
        self.nodes.lock().insert(node.to_owned(), (stream, senders));
        Queued(Each { estimate, explain })
    }

    pub fn disconnect(&self, node: &str, stream: u64) {
        let mut nodes = self.nodes.lock();
        if nodes
            .get(node)
            .is_some_and(|(current, _)| *current == stream)
        {
            nodes.remove(node);
        }
    }

    /// A node's answer; one that comes too late is let go.
    pub fn answered(&self, node: &str, answer: Answer) {
        let asked = self.asked.lock().get(&answer.id).cloned();
        if let Some((_, sender)) = asked {
            // room for every node that was asked
            let _ = sender.try_send((node.to_owned(), answer));
        }
    }

    /// Asks all connected nodes; those that have not answered after `patience`, or when `ended` is ready, are silent.
    /// `None`: too many questions of this kind are under way.
    pub async fn ask(
        &self,
        about: &About,
        patience: Duration,
        ended: impl Future<Output = ()>,
    ) -> Option<Answers> {
        let (id, kind) = (self.ids.fetch_add(1, Ordering::Relaxed), Kind::of(about));
        let nodes: Vec<(String, mpsc::Sender<Question>)> = {
            let nodes = self.nodes.lock();
            let queues = nodes.iter();
            queues
                .map(|(id, (_, senders))| (id.clone(), senders.of(kind).clone()))
                .collect()
        };
        let (sender, mut receiver) = mpsc::channel(nodes.len().max(1));
        {
            let mut asked = self.asked.lock();
            let of_kind = asked.values().filter(|(of, _)| *of == kind);
            if of_kind.count() >= ASKED_MAX {
                return None;
            }
            asked.insert(id, (kind, sender));
        }
        let _under_way = UnderWay { all: self, id };
        let mut answers = Answers::default();
        for (node, queue) in nodes {
            let about = about.clone();
            // busy nodes are silent ones
            let _ = queue.try_send(Question { id, about });
            answers.silent.push(node);
        }
        let until = Instant::now() + patience;
        let mut ended = pin!(ended);
        while !answers.silent.is_empty() {
            let told = tokio::select! {
                told = timeout_at(until, receiver.recv()) => told,
                () = ended.as_mut() => break,
            };
            let Ok(Some((node, answer))) = told else {
                break;
            };
            answers.silent.retain(|silent| *silent != node);
            answers.told.push((node, answer.outcome));
        }
        answers.silent.sort_unstable();
        answers.told.sort_by(|(a, _), (b, _)| a.cmp(b));
        Some(answers)
    }
}

/// Lets go of a question, also where the one who asked has gone.
struct UnderWay<'a> {
    all: &'a Questions,
    id: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.all.asked.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use seawall_control_protocol::{Estimate, ExplainGet};
    use std::future::{pending, ready};

    #[tokio::test(start_paused = true)]
    async fn nodes_that_do_not_answer_are_listed_and_late_answers_are_let_go() {
        let questions = Questions::default();
        let mut a = questions.connect("a", 1);
        let _b = questions.connect("b", 2);
        let about = About::Estimate { scopes: Vec::new() };
        let asking = questions.ask(&about, Duration::from_secs(1), pending());
        let answering = async {
            let id = a.recv().await.unwrap().id;
            let outcome = Ok(Told::Estimate(Estimate::default()));
            questions.answered("a", Answer { id, outcome });
            id
        };
        let (answers, id) = tokio::join!(asking, answering);
        let answers = answers.unwrap();
        assert_eq!(answers.told.len(), 1);
        assert_eq!(answers.silent, ["b"]);
        let outcome = Err("late".into());
        questions.answered("b", Answer { id, outcome });
        assert!(questions.asked.lock().is_empty());
    }

    #[tokio::test]
    async fn so_many_questions_of_each_kind_are_under_way_at_a_time() {
        let questions = Questions::default();
        let mut a = questions.connect("a", 1);
        let about = About::Estimate { scopes: Vec::new() };
        let ask = || questions.ask(&about, Duration::from_hours(1), pending());
        let mut asking: Vec<_> = (0..ASKED_MAX).map(|_| Box::pin(ask())).collect();
        for asked in &mut asking {
            assert!(futures::poll!(asked.as_mut()).is_pending());
        }
        assert!(matches!(ask().now_or_never(), Some(None)));
        // those of the other kind have room of their own, here and on their way
        let explain = About::Explain(ExplainGet {
            scheme: "http".into(),
            host: "a".into(),
            target: "/".into(),
            fields: Vec::new(),
        });
        let mut other = Box::pin(questions.ask(&explain, Duration::from_hours(1), pending()));
        assert!(futures::poll!(other.as_mut()).is_pending());
        let mut sent = Vec::new();
        while let Some(question) = a.recv().now_or_never() {
            sent.push(question.unwrap().about);
        }
        assert_eq!(sent.iter().filter(|about| **about == explain).count(), 1);
        assert_eq!(sent.len(), QUEUE + 1);
        // whoever gives up makes room
        asking.pop();
        assert!(futures::poll!(Box::pin(ask())).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_answers_when_the_control_plane_ends() {
        let questions = Questions::default();
        let _a = questions.connect("a", 1);
        let about = About::Estimate { scopes: Vec::new() };
        let (begun, patience) = (Instant::now(), Duration::from_hours(1));
        let answers = questions.ask(&about, patience, ready(())).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(answers.silent, ["a"]);
        assert!(questions.asked.lock().is_empty());
    }

    #[tokio::test]
    async fn a_stream_that_ends_late_takes_nothing_from_the_next_one() {
        let questions = Questions::default();
        let _old = questions.connect("a", 1);
        let _new = questions.connect("a", 2);
        questions.disconnect("a", 1);
        assert_eq!(questions.nodes.lock().len(), 1);
    }
}
