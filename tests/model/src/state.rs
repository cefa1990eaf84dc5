//! All that one moment consists of.

use crate::config::{Config, KINDS, PURGES_MAX, SCOPES, Scopes};
use crate::table::Table;
use seawall_purge::join::Floor;
use seawall_purge::lineage::Recovered;
use seawall_purge::tier;
use seawall_purge::{Epoch, Label, PurgeSeq};

/// The shield's index among the nodes; the edges are before it.
pub const SHIELD: usize = 2;
pub const NODES: usize = 3;
pub const MEMBERS: usize = NODES;
/// Fills of a node at a time.
pub const FILLS: usize = 2;

/// A position of the log. Epochs are numbered in the order in which they begin; what the functions of the protocol are
/// given is a [`PurgeSeq`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct At {
    pub epoch: u8,
    pub n: u8,
}

impl At {
    pub fn seq(self) -> PurgeSeq {
        PurgeSeq::new(Epoch(self.epoch.into()), self.n.into())
    }

    pub fn label(self) -> Label {
        Label(self.seq())
    }
}

impl From<PurgeSeq> for At {
    fn from(seq: PurgeSeq) -> Self {
        Self {
            epoch: seq.epoch.0 as u8,
            n: seq.n as u8,
        }
    }
}

/// A position with the term of the record there, as one node tells it to another; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    pub at: At,
    pub term: u8,
}

impl Told {
    pub fn told(self) -> tier::Told {
        tier::Told {
            at: self.at.seq(),
            term: (self.term > 0).then_some(self.term.into()),
        }
    }
}

impl From<tier::Told> for Told {
    fn from(told: tier::Told) -> Self {
        Self {
            at: told.at.into(),
            term: told.term.unwrap_or(0) as u8,
        }
    }
}

impl From<Floor> for Told {
    fn from(floor: Floor) -> Self {
        tier::Told {
            at: floor.at,
            term: floor.term,
        }
        .into()
    }
}

/// What a request's sender knows beyond the node that is asked: see `seawall_purge::tier::Behind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Behind {
    pub told: Told,
    /// The node knows it too.
    pub insists: bool,
}

impl Behind {
    pub fn behind(self) -> tier::Behind {
        if self.insists {
            tier::Behind::Insists(self.told.at.seq())
        } else {
            tier::Behind::Lags(self.told.told())
        }
    }
}

impl From<tier::Behind> for Behind {
    fn from(behind: tier::Behind) -> Self {
        let (told, insists) = match behind {
            tier::Behind::Insists(at) => (tier::Told { at, term: None }, true),
            tier::Behind::Lags(told) => (told, false),
        };
        Self {
            told: told.into(),
            insists,
        }
    }
}

/// What somebody outside would know of a response: it decides whether a promise was broken, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Truth {
    /// Of each scope: how many purges had been appended, of all epochs, when the origin gave the body; or when the origin
    /// said of a body that it was good, and carried this scope from then on.
    pub since: [u8; SCOPES],
    /// The same for the last time that the origin said it was good.
    pub valid: u8,
    /// All that it can be purged by.
    pub scopes: Scopes,
}

impl Truth {
    /// What the origin gives now.
    pub fn new(now: u8, scopes: Scopes) -> Self {
        let since = std::array::from_fn(|scope| if scopes & 1 << scope == 0 { 0 } else { now });
        Self {
            since,
            valid: now,
            scopes,
        }
    }

    /// The body of this, which `other` says to be good, or takes the place of.
    pub fn and(mut self, other: Self) -> Self {
        for scope in 0..SCOPES {
            if self.scopes & 1 << scope == 0 {
                self.since[scope] = other.since[scope];
            }
        }
        self.scopes |= other.scopes;
        self
    }
}

/// A response: a copy, or an answer on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Response {
    pub truth: Truth,
    pub version: u8,
    /// An error, which is stored as well.
    pub error: bool,
    /// What it is known to carry.
    pub scopes: Scopes,
    /// It is stale, whatever the purges say.
    pub stale: bool,
}

/// A stored copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Copy {
    pub response: Response,
    pub label: At,
    /// From before this start.
    pub old: bool,
    /// One more than when the origin was asked for it last (ticks); 0: never.
    pub validated: u8,
}

/// Who asks a node, and what it was told when the request's head arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Who {
    /// The edge and its fill that wait for the answer; `None`: a client.
    pub edge: Option<(u8, u8)>,
    /// Purges that must not be broken for it: those that its node had acknowledged.
    pub bound: u8,
    /// The same by a claim that its node is fenced.
    pub fenced: u8,
    pub context: Context,
    /// It has looked in vain once.
    pub again: bool,
}

/// What a request knows of purges beyond its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    /// See `seawall_purge::tier::behind`.
    pub behind: Option<Behind>,
    pub insists: bool,
    /// It refreshes a copy in the background.
    pub refreshes: bool,
    /// Nothing but the origin will do: its sender is fenced.
    pub must_reach: bool,
    /// It reads the table of before its node started empty.
    pub was: bool,
}

/// One fetch of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fill {
    /// What requests have to agree in to wait for it; `None`: nobody may join.
    pub floor: Option<Told>,
    /// Of the request that began it.
    pub context: Context,
    /// A copy that may be validated, or fallen back to.
    pub stored: Option<Copy>,
    /// What the answer takes the place of.
    pub replaced: Option<Copy>,
    pub insists: bool,
    /// Nobody here judges the answer, and it is not stored.
    pub passes: bool,
    pub stage: Stage,
    /// Who began it. Nobody: a refreshment in the background, or the asker is gone.
    pub first: Option<Who>,
    pub second: Option<Who>,
}

/// What an attempt began with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asked {
    /// S of before it.
    pub own: At,
    /// What the next server is told of S.
    pub known: Told,
    /// The validators of the stored copy go with it.
    pub about: bool,
    /// Nothing but the origin will do.
    pub must_reach: bool,
    /// When (ticks).
    pub at: u8,
}

/// How far a fill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nothing was asked, or an attempt failed.
    Begun,
    /// The question is on its way.
    Sent(Asked),
    /// It waits at a shield that is behind; `was`: the shield has started empty meanwhile.
    Waits(Asked, bool),
    /// A request at the shield waits for its answer.
    Held(Asked),
    /// The answer is on its way.
    Back(Asked, Answer),
    /// The answer's head was passed on; its body comes. What will be stored, if anything.
    Grows(Response, At, bool),
}

/// An answer of the next server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    pub response: Response,
    /// A 304: the scopes and the truth are those that the 304 states.
    pub not_modified: bool,
    /// A neighbour's label, and whether the origin was asked; `None`: an origin's.
    pub stated: Option<(At, bool)>,
}

/// A node's stream to the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    None,
    /// The control plane has received the node, and its welcome is on its way: whether the node starts empty, and the head.
    Welcomed {
        empty: bool,
        head: At,
        term: u8,
    },
    /// The head that was told.
    Up {
        head: At,
    },
}

/// A node's lease (ticks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lease {
    /// From when it counts.
    pub from: Option<u8>,
    /// A renewal is on its way: when it was sent.
    pub sent: Option<u8>,
    /// Its answer is: when the renewal was sent, when it was answered, and the head that stands before it.
    pub answered: Option<(u8, u8, u8)>,
}

/// An edge or the shield.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Which member it is.
    pub id: u8,
    /// Durable and in force.
    pub table: Table,
    /// Of the record at each position; 0: not known.
    pub terms: [u8; PURGES_MAX],
    /// In force, and not durable yet (which only a broken rule allows): the records from here on.
    pub durable: u8,
    /// The table of before it started empty: requests from before that are judged by it.
    pub was: Option<Table>,
    pub copy: Option<Copy>,
    pub fills: [Option<Fill>; FILLS],
    pub stream: Stream,
    /// An acknowledgement on a stream that has ended.
    pub late: Option<At>,
    pub recovered: Recovered,
    /// Copies from before its start are used.
    pub serves: bool,
    /// The control plane was heard, or given up, since its start.
    pub settled: bool,
    pub lease: Lease,
    /// Purges that it has acknowledged, by the order of their appends: bits.
    pub bound: u8,
    /// Purges for which it was claimed to be fenced.
    pub fenced: u8,
    /// Purges that were claimed complete while it was removed: they bind it when it is a member again.
    pub owed: u8,
}

/// A member, as the control plane knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Member {
    pub known: bool,
    pub applied: At,
    /// What the store has of it.
    pub kept: At,
    pub removed_at: Option<At>,
    pub empties: bool,
    pub kept_empties: bool,
}

/// What is durable at the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plane {
    pub epoch: u8,
    /// Of this writer.
    pub term: u8,
    /// The purge at each position (by the order of their appends), and its term. 0: none.
    pub log: [(u8, u8); PURGES_MAX],
    /// When each was appended (ticks).
    pub appended: [u8; PURGES_MAX],
    pub head: u8,
    /// The oldest record that is kept.
    pub first: u8,
    pub members: [Member; MEMBERS],
}

impl Plane {
    pub fn at(&self) -> At {
        At {
            epoch: self.epoch,
            n: self.head,
        }
    }
}

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The object's version at the origin, and whether that answers with errors.
    pub version: u8,
    pub broken: bool,
    /// Purges appended so far, of all epochs.
    pub appended: u8,
    pub now: u8,
    pub plane: Plane,
    /// Epochs and terms that were drawn.
    pub epochs: u8,
    pub terms: u8,
    pub nodes: [Node; NODES],
    pub left: [u8; KINDS],
    /// A promise was broken: see [`crate::promise`].
    pub bad: u8,
}

impl State {
    pub fn first(config: &Config) -> Self {
        let at = At { epoch: 1, n: 0 };
        let copy = config.warm.then(|| {
            let scopes = config.versions[0].scopes;
            Copy {
                response: Response {
                    truth: Truth::new(0, scopes),
                    version: 0,
                    error: false,
                    scopes,
                    stale: false,
                },
                label: at,
                old: false,
                validated: 0,
            }
        });
        let node = |id| Node {
            id,
            table: Table::new(at),
            terms: [0; PURGES_MAX],
            durable: 0,
            was: None,
            copy,
            fills: [None; FILLS],
            stream: Stream::Up { head: at },
            late: None,
            recovered: Recovered::Whole,
            serves: true,
            settled: true,
            lease: Lease {
                from: Some(0),
                ..Lease::default()
            },
            bound: 0,
            fenced: 0,
            owed: 0,
        };
        let mut members = [Member::default(); MEMBERS];
        for member in &mut members[..NODES] {
            *member = Member {
                known: true,
                applied: at,
                kept: at,
                ..Member::default()
            };
        }
        if config.edges < 2 {
            members[1].known = false;
        }
        Self {
            version: 0,
            broken: false,
            appended: 0,
            now: 0,
            plane: Plane {
                epoch: 1,
                term: 1,
                log: [(0, 0); PURGES_MAX],
                appended: [0; PURGES_MAX],
                head: 0,
                first: 1,
                members,
            },
            epochs: 1,
            terms: 1,
            nodes: [node(0), node(1), node(2)],
            left: config.may,
            bad: 0,
        }
    }
}
