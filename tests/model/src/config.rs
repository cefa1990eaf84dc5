//! Which events a configuration of the model has, and how many of each.

use crate::rule::Rule;
use seawall_purge::{ScopeId, Strength};

/// Purges that a configuration has at most.
pub const PURGES_MAX: usize = 3;
/// Versions of the object.
pub const VERSIONS_MAX: usize = 3;

/// What a purge names: bits of the scopes below.
pub type Scopes = u8;
/// How many scopes there are.
pub const SCOPES: usize = 3;
/// The object's URL: every answer carries it.
pub const URL: Scopes = 1;
/// A tag.
pub const RED: Scopes = 2;
/// Another tag.
pub const BLUE: Scopes = 4;

/// The ids of a set of scopes, as the functions of the protocol take them.
pub fn ids(scopes: Scopes) -> &'static [ScopeId] {
    const fn id(n: u64) -> ScopeId {
        ScopeId(n << 40)
    }
    const IDS: [&[ScopeId]; 8] = [
        &[],
        &[id(1)],
        &[id(2)],
        &[id(1), id(2)],
        &[id(3)],
        &[id(1), id(3)],
        &[id(2), id(3)],
        &[id(1), id(2), id(3)],
    ];
    IDS[usize::from(scopes & 7)]
}

/// One purge that may be asked for. They are appended in their order.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub strength: Strength,
    pub scopes: Scopes,
}

/// A version of the object: what it can be purged by, and whose validator it has.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    pub scopes: Scopes,
    pub validator: u8,
}

/// Events that a configuration bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// A client asks, and is not answered with a copy that is fresh.
    Ask,
    /// The object changes.
    Change,
    /// The origin begins to answer with an error, or ceases to.
    Err,
    /// A copy's lifetime is over.
    Expire,
    /// A copy is lost to others.
    Evict,
    /// An attempt fails, and there is another one.
    Retry,
    /// A fill fails.
    Fail,
    /// A node is killed; its log is whole.
    Crash,
    /// A node is killed, and the end of its log is lost.
    Cut,
    /// A node is killed, and its log is lost.
    Lose,
    /// A node's stream breaks.
    Disconnect,
    /// An operator removes a node.
    Remove,
    /// The control plane forgets a node that was removed.
    Forget,
    /// The control plane is killed.
    Restart,
    /// The control plane's disk is set back to an older image.
    RollBack,
    /// The log lets go of its first record.
    Trim,
    /// A node's table folds.
    Fold,
    /// Time goes on (leases).
    Tick,
    /// A node renews its lease.
    Renew,
}

/// How many kinds of events are bounded.
pub const KINDS: usize = May::Renew as usize + 1;

/// Names of the configurations, bounds and switches.
#[derive(Clone, Debug)]
pub struct Config {
    pub name: &'static str,
    /// In the order in which they are appended.
    pub purges: Vec<Spec>,
    pub versions: Vec<Version>,
    pub may: [u8; KINDS],
    /// Edges: one or two.
    pub edges: u8,
    /// Fills that run at a time on a node: one or two.
    pub fills: u8,
    /// Every node has a fresh copy of the first version at the start.
    pub warm: bool,
    /// Stale copies are used while they are refreshed.
    pub swr: bool,
    /// Stale copies are used for errors.
    pub sie: bool,
    /// Bodies take time: requests may join between an answer's head and its end.
    pub bodies: bool,
    /// It takes time to connect: purges come between the beginning of a fill and its attempt.
    pub connects: bool,
    /// Requests wait at a shield that is behind, and the log may begin anew meanwhile.
    pub waits: bool,
    /// Who is a member, and what is claimed of a purge.
    pub receipts: bool,
    /// Acknowledgements may come after their stream has ended.
    pub late: bool,
    /// Requests go on while their node starts empty.
    pub snapshots: bool,
    /// Who has what a rollback has lost does not say hello.
    pub stays_away: bool,
    /// Nodes have leases, and answer nothing unvalidated without.
    pub leases: bool,
    pub lease_ticks: u8,
    pub reuse_ticks: u8,
    /// The rules that are broken.
    pub off: Vec<Rule>,
}

impl Config {
    /// One object of one version without tags, one edge and a shield, and nothing that happens.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            purges: Vec::new(),
            versions: vec![Version {
                scopes: URL,
                validator: 0,
            }],
            may: [0; KINDS],
            edges: 1,
            fills: 2,
            warm: false,
            swr: false,
            sie: false,
            bodies: false,
            connects: false,
            waits: false,
            receipts: false,
            late: false,
            snapshots: false,
            stays_away: false,
            leases: false,
            lease_ticks: 1,
            reuse_ticks: 1,
            off: Vec::new(),
        }
    }

    pub fn may(mut self, what: May, times: u8) -> Self {
        self.may[what as usize] = times;
        self
    }

    pub fn hard(mut self, scopes: Scopes) -> Self {
        self.purges.push(Spec {
            strength: Strength::Hard,
            scopes,
        });
        self
    }

    pub fn soft(mut self, scopes: Scopes) -> Self {
        self.purges.push(Spec {
            strength: Strength::Soft,
            scopes,
        });
        self
    }

    /// The object's versions, in their order: tags beside the URL, and whose validator each has.
    pub fn versions(mut self, versions: &[(Scopes, u8)]) -> Self {
        self.versions = versions
            .iter()
            .map(|&(tags, validator)| Version {
                scopes: URL | tags,
                validator,
            })
            .collect();
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same without `rules`.
    pub fn without(mut self, rules: &[Rule]) -> Self {
        self.off.extend(rules);
        self
    }

    /// Whether `rule` is kept.
    pub fn keeps(&self, rule: Rule) -> bool {
        !self.off.contains(&rule)
    }
}
