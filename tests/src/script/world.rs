//! Two edges, a shield, an origin and a log of purges, which a script moves step by step.
//!
//! Longer than most: each step reads and changes all of it, and what holds between the steps is said in one place.

use crate::script::call::{Call, Held};
use crate::script::client::Client;
use crate::script::judge;
use crate::script::message::Head;
use crate::script::node::{EPOCH, HOST, Node, SERVICE, To};
use crate::script::origin::{self, Change, How, Object, Pieces, Production, TAGS, URL, When};
use crate::script::quiet::Quiet;
use crate::script::step::{Asks, Random, Step, View, What, choose};
use seawall_cache_proxy::TierKind;
use seawall_client_conn::clock::stand_at;
use seawall_http_cache::Timestamp;
use seawall_purge::{Purge, PurgeSeq, Scope, ScopeId, Strength};
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use tempfile::TempDir;

/// The shield's place among the nodes; edges have the others.
pub const SHIELD: usize = 2;
const EDGES: usize = 2;

/// When a script begins, by its clock.
const BEGINNING: u64 = 1_000_000_000;

/// Moves of one settling; more means that the nodes go round in circles.
const MOVES_MAX: usize = 200;

thread_local! {
    /// Of the last world of this thread.
    static NUMBER: Cell<u16> = const { Cell::new(0) };
}

/// A purge in the log.
#[derive(Clone, Debug)]
pub struct Appended {
    pub purge: Purge,
    pub what: What,
    pub soft: bool,
    pub step: usize,
    pub clock: u64,
}

/// What differs between worlds before anything has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub object: Object,
    /// A shield that lags waits until it has caught up.
    pub waits: bool,
    pub edges: usize,
    /// The origin fails often.
    pub fails: bool,
}

impl Setting {
    pub fn drawn(random: &mut Random) -> Self {
        let object = Object {
            version: 1,
            tags: random.of(&[[true, false], [true, false], [true, true], [false, false]]),
            grants: random.of(&[
                [true, true],
                [false, true],
                [false, true],
                [true, false],
                [false, false],
            ]),
        };
        Self {
            object,
            waits: random.once_in(3),
            edges: random.of(&[1, 2]),
            fails: random.once_in(4),
        }
    }
}

/// Everything that a script moves, and what it has met.
pub struct World {
    quiet: Quiet,
    setting: Setting,
    pub nodes: Vec<Node>,
    pub object: Object,
    pub made: Vec<Production>,
    pub log: Vec<Appended>,
    pub calls: Vec<Call>,
    pub clients: Vec<Client>,
    pub step: usize,
    pub clock: u64,
    /// Steps in which a connection was lost, or an error reached a node that had asked; and which connection.
    pub failures: Vec<(usize, usize)>,
    /// Steps in which each node has put a purge in force.
    pub applied: Vec<Vec<usize>>,
    /// Tags of the copy that surely lies at each node; `None`: nobody can tell.
    copies: Vec<Option<[bool; 2]>>,
    /// What an error took over at a node, as far as that is sure, by node and production.
    errors: HashMap<(usize, usize), [bool; 2]>,
    changes: usize,
    resets: usize,
    passed: usize,
    pub met: BTreeSet<&'static str>,
    pub trace: Vec<String>,
    violation: Option<String>,
    _dir: TempDir,
}

/// What came of a script.
#[derive(Debug)]
pub struct Outcome {
    pub steps: Vec<Step>,
    pub trace: Vec<String>,
    pub met: BTreeSet<&'static str>,
    pub violation: Option<String>,
}

/// Purge logs are synced: where there is a file system in memory that costs nothing.
fn directory() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a temporary directory")
}

/// The scopes that the control plane would put into a purge of this.
pub fn scopes(what: What) -> Vec<ScopeId> {
    let scope = match what {
        What::Url => Scope::Url {
            host: HOST,
            path: URL,
            query: None,
        },
        What::Tag(place) => Scope::Tag {
            service: SERVICE,
            tag: TAGS[place].as_bytes(),
        },
    };
    vec![scope.id()]
}

impl World {
    fn new(setting: Setting, quiet: Quiet) -> Self {
        let number = NUMBER.get() % u16::MAX + 1;
        NUMBER.set(number);
        let dir = directory();
        let node = |index: usize| {
            let kind = if index == SHIELD {
                TierKind::Shield
            } else {
                TierKind::Edge
            };
            let dir = dir.path().join(index.to_string());
            Node::start(index, number, kind, &dir, setting.waits)
        };
        let nodes: Vec<Node> = (0..=EDGES).map(node).collect();
        Self {
            quiet,
            setting,
            nodes,
            object: setting.object,
            made: Vec::new(),
            log: Vec::new(),
            calls: Vec::new(),
            clients: Vec::new(),
            step: 0,
            clock: BEGINNING,
            failures: Vec::new(),
            applied: vec![Vec::new(); EDGES + 1],
            copies: vec![None; EDGES + 1],
            errors: HashMap::new(),
            changes: 0,
            resets: 0,
            passed: 0,
            met: BTreeSet::new(),
            trace: Vec::new(),
            violation: None,
            _dir: dir,
        }
    }

    fn view(&self) -> View {
        let calls = |is: &dyn Fn(&Call) -> bool| -> Vec<usize> {
            let calls = self.calls.iter().enumerate();
            calls.filter(|(_, c)| is(c)).map(|(i, _)| i).collect()
        };
        let waiting = self.clients.iter().enumerate();
        let nodes = (0..self.nodes.len()).filter(|&n| n == SHIELD || n < self.setting.edges);
        View {
            edges: self.setting.edges,
            fails: self.setting.fails,
            held: calls(&|c| c.held() != Held::Nothing),
            asked: calls(&Call::asks_origin),
            begun: calls(&Call::has_more),
            open: calls(&|c| !c.is_over && (c.through.is_some() || c.to == To::Origin)),
            waiting: waiting
                .filter(|(_, c)| !c.is_over)
                .map(|(i, _)| i)
                .collect(),
            behind: nodes
                .filter(|&n| self.nodes[n].at < self.log.len() as u64)
                .collect(),
            clients: self.clients.len(),
            purges: self.log.len(),
            changes: self.changes,
            resets: self.resets,
            passed: self.passed,
        }
    }

    /// Makes one move and waits until nothing more follows from it. False: it cannot be made.
    async fn make(&mut self, step: Step) -> bool {
        if step == Step::Settle {
            return self.settle().await;
        }
        if !self.can(step) {
            return false;
        }
        self.step += 1;
        self.trace.push(format!("{:3} {step:?}", self.step));
        self.act(step);
        self.quiet.rest().await;
        self.look();
        true
    }

    fn can(&self, step: Step) -> bool {
        let view = self.view();
        match step {
            Step::Ask { edge, .. } => edge < view.edges,
            Step::Leave(client) => view.waiting.contains(&client),
            Step::Let(call) => view.held.contains(&call),
            Step::Answer(call, ..) => view.asked.contains(&call),
            Step::Piece(call) => view.begun.contains(&call),
            Step::Reset(call) => view.open.contains(&call),
            Step::Apply(node) => view.behind.contains(&node),
            Step::Append { .. } | Step::Change(_) | Step::Pass(_) | Step::Settle => true,
        }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Ask { edge, what } => {
                let node = &self.nodes[edge];
                let (now, version) = ((self.step, self.clock), self.object.version);
                let client = Client::ask(node.connect(), (edge, node.at), what, now, version);
                self.clients.push(client);
            }
            Step::Leave(client) => {
                self.met.insert("a client that leaves");
                self.clients[client].leave();
            }
            Step::Let(call) => self.let_go(call),
            Step::Answer(call, how, pieces) => self.answer(call, how, pieces),
            Step::Piece(call) => self.piece(call),
            Step::Reset(call) => self.reset(call),
            Step::Append { what, soft } => {
                let n = self.log.len() as u64 + 1;
                let strength = if soft { Strength::Soft } else { Strength::Hard };
                let purge = Purge {
                    at: PurgeSeq::new(EPOCH, n),
                    term: 1,
                    appended_ms: self.clock * 1000,
                    strength,
                    scopes: scopes(what),
                    pace: None,
                };
                let (step, clock) = (self.step, self.clock);
                self.log.push(Appended {
                    purge,
                    what,
                    soft,
                    step,
                    clock,
                });
            }
            Step::Apply(node) => {
                let next = self.nodes[node].at as usize;
                let of_node = |c: &&Call| c.from == node && !c.is_over;
                let refreshes = |c: &Call| {
                    let request = c.request.as_ref();
                    request.is_some_and(|r| r.field("seawall-refresh").is_some())
                };
                if self.calls.iter().filter(of_node).any(refreshes) {
                    self.met
                        .insert("a refreshment under way while a purge comes");
                }
                self.nodes[node].apply(&self.log[next].purge);
                self.applied[node].push(self.step);
            }
            Step::Change(change) => {
                self.changes += 1;
                match change {
                    Change::Version(tags) => {
                        self.object.version += 1;
                        self.object.tags = tags;
                    }
                    Change::Tags(tags) => self.object.tags = tags,
                }
            }
            Step::Pass(seconds) => {
                self.passed += 1;
                self.clock += seconds;
                stand_at(Some(Timestamp(self.clock)));
            }
            Step::Settle => {}
        }
    }

    fn let_go(&mut self, call: usize) {
        if self.calls[call].held() != Held::Request {
            if self.calls[call].held() == Held::Head {
                let head = self.calls[call].head.clone().unwrap_or_default();
                self.arrives(call, &head);
            }
            if self.calls[call].held() == Held::BrokenOff {
                self.failures.push((self.step, call));
            }
            self.calls[call].let_answer();
            return;
        }
        let shield = &self.nodes[SHIELD];
        let (down, at) = (shield.connect(), shield.at);
        let from = self.calls[call].from;
        let mut under_way = self
            .calls
            .iter()
            .filter(|c| c.through.is_some() && !c.is_over);
        let both = under_way.any(|c| c.from != from);
        self.calls[call].let_request(down, self.step, at);
        if both {
            self.met.insert("two edges that ask the shield at once");
        }
        let request = self.calls[call].request.as_ref();
        let known = request.and_then(|r| r.field("seawall-sequence"));
        let known = known.and_then(|s| s.parse::<PurgeSeq>().ok());
        match known.map(|known| known.n.cmp(&at)) {
            Some(std::cmp::Ordering::Greater) => self.met.insert("a shield that lags"),
            Some(std::cmp::Ordering::Less) => self.met.insert("an edge that lags"),
            _ => false,
        };
        if request.is_some_and(|r| r.field("seawall-insist").is_some()) {
            self.met.insert("an edge that insists");
        }
    }

    fn answer(&mut self, call: usize, how: How, pieces: Pieces) {
        let open = self.calls.iter().filter(|c| !c.is_over);
        let now = When {
            step: self.step,
            clock: self.clock,
            asked: open.map(|c| c.clock).min().unwrap_or(self.clock),
        };
        let request = self.calls[call].request.clone().unwrap_or_default();
        let pieces = origin::answer(self.object, &request, (how, pieces), now, &mut self.made);
        self.calls[call].answer(pieces);
    }

    /// The next of the origin's answer reaches the shield.
    fn piece(&mut self, call: usize) {
        if !self.calls[call].has_begun() {
            let head = self.calls[call].head.clone().unwrap_or_default();
            if head.status() == 304 {
                self.met.insert("a 304 of the origin");
            }
            self.arrives(call, &head);
        }
        self.calls[call].piece();
    }

    /// What the answer `head` does to the copy at the node that asked, as far as that is sure.
    fn arrives(&mut self, call: usize, head: &Head) {
        let Call { from, over, .. } = self.calls[call];
        let is_get = self.calls[call]
            .request
            .as_ref()
            .is_some_and(|r| r.method() == "GET");
        let parts = judge::parts(head);
        if head.status() >= 500 {
            self.failures.push((self.step, call));
        }
        let copy = &mut self.copies[from];
        match (head.status(), parts.first()) {
            // it inherits from what lay there when it was asked for
            (404, Some(&error)) if is_get => {
                let took = over.unwrap_or_default();
                let known = self.errors.entry((from, error)).or_insert(took);
                *known = [known[0] && took[0], known[1] && took[1]];
                *copy = over;
            }
            (304 | 503, _) => {}
            _ => *copy = None,
        }
    }

    /// Whether what `edge` answers a client with in this step is what an error made its answer: the edge's own question has
    /// failed just now; or the answer of the shield that goes out with it, whose last word of the origin is `latest`, is one
    /// that an error at the shield has made. Whoever waits for it then may have it, also who asked after that error.
    pub fn is_of_an_error(&self, edge: usize, latest: usize) -> bool {
        let now = self.step;
        let failed = |from: usize, at: usize| {
            let mut failures = self.failures.iter();
            failures.any(|&(step, call)| step == at && self.calls[call].from == from)
        };
        let is_of_one = |call: &Call| {
            let ends = call.ended.is_none_or(|step| step == now);
            let told = call.head.as_ref().map(judge::parts);
            let is_it = told.is_some_and(|parts| parts.last() == Some(&latest));
            let from_shield = call.from == edge && call.to == To::Shield;
            let goes_out = from_shield && call.has_begun() && ends && is_it;
            goes_out && call.answered.is_some_and(|step| failed(SHIELD, step))
        };
        failed(edge, now) || self.calls.iter().any(is_of_one)
    }

    /// The tags that the error `production` took over at `node`.
    pub fn inherited(&self, node: usize, production: usize) -> [bool; 2] {
        let known = self.errors.get(&(node, production));
        known.copied().unwrap_or_default()
    }

    /// A node answered with a copy of its own: what it carries is known.
    fn note_hit(&mut self, node: usize, head: &Head, cache: &str) {
        let status = head.field("cache-status").unwrap_or_default();
        let is_hit = status.split(", ").any(|member| member.starts_with(cache));
        let parts = judge::parts(head);
        let fills = self.calls.iter().any(|c| c.from == node && !c.is_over);
        if !is_hit || fills || head.status() != 200 || parts.is_empty() {
            return;
        }
        let tags = |place: usize| parts.iter().any(|n| self.made[n - 1].tags[place]);
        self.copies[node] = Some([tags(0), tags(1)]);
    }

    fn reset(&mut self, call: usize) {
        self.resets += 1;
        self.failures.push((self.step, call));
        if self.calls[call].has_begun() {
            self.met.insert("a connection that is lost amid an answer");
        }
        self.calls[call].lose();
    }

    /// Takes in all that the nodes have done since.
    fn look(&mut self) {
        for node in 0..self.nodes.len() {
            for (to, pipe) in self.nodes[node].opened() {
                self.note_attempt(node, to);
                let mut call = Call::new(node, to, pipe, (self.step, self.clock));
                call.over = self.copies[node];
                self.calls.push(call);
            }
        }
        for index in 0..self.calls.len() {
            let (asked, answered) = self.calls[index].look();
            let call = &self.calls[index];
            let (from, to) = (call.from, call.to);
            if asked {
                let request = call.request.clone().unwrap_or_default();
                self.tell(
                    &format!("node {from} asks {to:?} ({index})"),
                    &request.to_string(),
                );
            }
            if self.calls[index].is_over {
                self.calls[index].ended.get_or_insert(self.step);
            }
            if answered {
                self.calls[index].answered = Some(self.step);
                let head = self.calls[index].head.clone().unwrap_or_default();
                self.tell(&format!("the shield answers ({index})"), &head.to_string());
                self.note_hit(SHIELD, &head, "seawall-shield; hit");
                let judged = judge::link(self, &self.calls[index]);
                self.judged(judged);
            }
        }
        for index in 0..self.clients.len() {
            if !self.clients[index].look() {
                continue;
            }
            let client = &self.clients[index];
            let head = client.head.clone().unwrap_or_default();
            let body = String::from_utf8_lossy(&client.got).into_owned();
            let whole = if client.is_whole() {
                ""
            } else {
                ", broken off"
            };
            self.tell(
                &format!("client {index} has {body:?}{whole}"),
                &head.to_string(),
            );
            self.note_hit(self.clients[index].edge, &head, "seawall-edge; hit");
            let judged = judge::answer(self, &self.clients[index]);
            self.judged(judged);
        }
    }

    /// An attempt after one that was lost just now.
    fn note_attempt(&mut self, node: usize, to: To) {
        let lost = self.failures.last().map(|(step, _)| step) == Some(&self.step);
        let before = self
            .calls
            .iter()
            .rev()
            .find(|c| c.from == node && c.to == to && c.is_over);
        let Some(before) = before.filter(|_| lost) else {
            return;
        };
        self.met.insert("another attempt");
        if self.applied[node].iter().any(|step| *step > before.opened) {
            self.met
                .insert("another attempt after a purge that came meanwhile");
        }
    }

    fn judged(&mut self, judged: Result<Vec<&'static str>, String>) {
        match judged {
            Ok(met) => self.met.extend(met),
            Err(violation) => {
                self.trace.push(format!("    VIOLATION: {violation}"));
                self.violation.get_or_insert(violation);
            }
        }
    }

    fn tell(&mut self, what: &str, head: &str) {
        let head = head.trim_end().replace("\r\n", " | ");
        self.trace.push(format!("      {what}: {head}"));
    }

    /// Lets everything go on until nobody waits for the script. True: something did.
    async fn settle(&mut self) -> bool {
        for moves in 0..MOVES_MAX {
            let view = self.view();
            let next = None
                .or(view.held.first().map(|call| Step::Let(*call)))
                .or(view
                    .asked
                    .first()
                    .map(|call| Step::Answer(*call, How::Truth, Pieces::All)))
                .or(view.begun.first().map(|call| Step::Piece(*call)));
            let Some(next) = next else {
                return moves > 0;
            };
            Box::pin(self.make(next)).await;
        }
        self.judged(Err("the nodes go on asking without end".into()));
        true
    }

    /// Everything comes into force everywhere and goes on; then each edge is asked twice more.
    async fn end(&mut self) {
        self.settle().await;
        while let Some(&node) = self.view().behind.first() {
            self.make(Step::Apply(node)).await;
        }
        self.settle().await;
        for edge in 0..self.setting.edges {
            for _ in 0..2 {
                let what = Asks::Get;
                self.make(Step::Ask { edge, what }).await;
                self.settle().await;
            }
        }
        if let Some(waits) = self.clients.iter().position(|client| !client.is_over) {
            self.judged(Err(format!("client {waits} waits for ever")));
        }
    }
}

/// Steps of a script before its end.
const STEPS_MAX: usize = 60;

/// Half of the scripts begin with copies that lie at the nodes.
fn begun(random: &mut Random) -> Vec<Step> {
    let what = Asks::Get;
    let asked = [Step::Ask { edge: 0, what }, Step::Settle];
    match random.below(4) {
        0 => asked.to_vec(),
        1 => [asked, asked].concat(),
        _ => Vec::new(),
    }
}

/// Runs `steps`, or as many as are drawn from `random` after `setting`.
fn run(setting: Setting, mut steps: Vec<Step>, mut random: Option<Random>) -> Outcome {
    let (runtime, quiet) = Quiet::runtime();
    let outcome = runtime.block_on(async {
        stand_at(Some(Timestamp(BEGINNING)));
        let mut world = World::new(setting, quiet);
        world.trace.push(format!("{setting:?}"));
        if let Some(random) = &mut random {
            for step in begun(random) {
                steps.push(step);
                world.make(step).await;
            }
            while steps.len() < STEPS_MAX && world.violation.is_none() {
                let Some(step) = choose(&world.view(), random) else {
                    break;
                };
                steps.push(step);
                world.make(step).await;
            }
        } else {
            for &step in &steps {
                world.make(step).await;
            }
        }
        if world.violation.is_none() {
            world.end().await;
        }
        stand_at(None);
        Outcome {
            steps,
            trace: world.trace,
            met: world.met,
            violation: world.violation,
        }
    });
    // whatever still runs ends here
    drop(runtime);
    outcome
}

/// Runs the script that `seed` makes.
pub fn of_seed(seed: u64) -> (Setting, Outcome) {
    let mut random = Random(seed);
    let setting = Setting::drawn(&mut random);
    (setting, run(setting, Vec::new(), Some(random)))
}

/// Runs a script of these steps; those that cannot be made are left out.
pub fn of_steps(setting: Setting, steps: &[Step]) -> Outcome {
    run(setting, steps.to_vec(), None)
}

/// The shortest script found that ends as badly, by leaving out steps of one that does.
pub fn shortened(setting: Setting, outcome: Outcome) -> Outcome {
    let mut best = outcome;
    let mut size = best.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.steps.len() {
            let mut steps = best.steps.clone();
            steps.drain(at..(at + size).min(steps.len()));
            let tried = of_steps(setting, &steps);
            if tried.violation.is_some() {
                best = Outcome { steps, ..tried };
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    best
}
