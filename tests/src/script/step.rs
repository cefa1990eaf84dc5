//! What a script can do, and scripts that are drawn from a seed.

use crate::script::origin::{Change, How, Pieces};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    Get,
    /// `Cache-Control: no-cache`.
    NoCache,
    /// `Cache-Control: max-stale`.
    MaxStale,
    /// `If-None-Match` with what the object is now.
    IfChanged,
    /// The first bytes alone.
    Range,
    Head,
}

/// What a purge names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Url,
    /// A tag, by its place.
    Tag(usize),
}

/// One move of a script. One that cannot be made any more, since what it is about is over, is skipped: scripts can be
/// shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A client asks an edge.
    Ask { edge: usize, what: Asks },
    /// Client `n` goes away.
    Leave(usize),
    /// The next message of connection `n` between an edge and the shield goes on.
    Let(usize),
    /// The origin makes its answer to what connection `n` asks.
    Answer(usize, How, Pieces),
    /// The next piece of its answer goes on, the head in the first one.
    Piece(usize),
    /// Connection `n` is lost.
    Reset(usize),
    /// A purge stands in the log.
    Append { what: What, soft: bool },
    /// Node `n` puts the next purge of the log in force.
    Apply(usize),
    /// The object changes.
    Change(Change),
    /// So many seconds pass.
    Pass(u64),
    /// Everything that is under way goes on, and the origin answers truly, until nothing is left to be done.
    Settle,
}

/// Random numbers that can be had again (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.draw() % n.max(1) as u64) as usize
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn tags(&mut self) -> [bool; 2] {
        self.of(&[
            [true, false],
            [true, false],
            [false, true],
            [true, true],
            [false, false],
        ])
    }

    fn change(&mut self) -> Change {
        let tags = self.tags();
        self.of(&[Change::Version(tags), Change::Tags(tags)])
    }
}

/// What a world looks like to the one who chooses the next step.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub edges: usize,
    /// The origin fails often.
    pub fails: bool,
    /// Connections to the shield with a message that waits.
    pub held: Vec<usize>,
    /// Connections to the origin with a question.
    pub asked: Vec<usize>,
    /// Connections to the origin with more of an answer.
    pub begun: Vec<usize>,
    /// Connections that can be lost.
    pub open: Vec<usize>,
    /// Clients that wait.
    pub waiting: Vec<usize>,
    /// Nodes that have purges before them.
    pub behind: Vec<usize>,
    pub clients: usize,
    pub purges: usize,
    pub changes: usize,
    pub resets: usize,
    pub passed: usize,
}

const CLIENTS_MAX: usize = 7;
const PURGES_MAX: usize = 3;
const CHANGES_MAX: usize = 2;
const RESETS_MAX: usize = 2;
const PASSED_MAX: usize = 3;

/// The next step, by chance. `None`: nothing is left that a script of this length would do.
pub fn choose(view: &View, random: &mut Random) -> Option<Step> {
    let mut may: Vec<(usize, Step)> = Vec::new();
    if view.clients < CLIENTS_MAX {
        let edge = random.below(view.edges);
        let what = random.of(&[
            Asks::Get,
            Asks::Get,
            Asks::Get,
            Asks::Get,
            Asks::NoCache,
            Asks::MaxStale,
            Asks::IfChanged,
            Asks::Range,
            Asks::Head,
        ]);
        may.push((6, Step::Ask { edge, what }));
    }
    for &call in &view.held {
        may.push((6, Step::Let(call)));
    }
    for &call in &view.asked {
        let how = random.of(&[
            How::Truth,
            How::Truth,
            How::Truth,
            How::Truth,
            How::Whole,
            How::NotFound,
            How::Fail,
            How::NoStore,
        ]);
        let fails = view.fails && random.once_in(2);
        let how = if fails { How::Fail } else { how };
        let pieces = random.of(&[Pieces::All, Pieces::All, Pieces::Two, Pieces::Three]);
        may.push((6, Step::Answer(call, how, pieces)));
    }
    for &call in &view.begun {
        may.push((6, Step::Piece(call)));
    }
    if view.purges < PURGES_MAX && view.clients > 0 {
        let what = random.of(&[What::Url, What::Tag(0), What::Tag(0), What::Tag(1)]);
        let soft = random.once_in(2);
        may.push((5, Step::Append { what, soft }));
    }
    for &node in &view.behind {
        may.push((6, Step::Apply(node)));
    }
    if view.changes < CHANGES_MAX {
        may.push((2, Step::Change(random.change())));
    }
    if view.resets < RESETS_MAX && !view.open.is_empty() {
        may.push((1, Step::Reset(random.of(&view.open))));
    }
    if view.passed < PASSED_MAX {
        may.push((1, Step::Pass(random.of(&[10, 40, 100]))));
    }
    if !view.waiting.is_empty() {
        if random.once_in(6) {
            may.push((1, Step::Leave(random.of(&view.waiting))));
        }
        may.push((3, Step::Settle));
    }
    let sum: usize = may.iter().map(|(weight, _)| weight).sum();
    if sum == 0 {
        return None;
    }
    let mut at = random.below(sum);
    for (weight, step) in may {
        if at < weight {
            return Some(step);
        }
        at -= weight;
    }
    None
}
