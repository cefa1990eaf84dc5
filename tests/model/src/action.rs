//! What can happen next.

use crate::config::May;
use crate::moves::World;
use crate::state::{FILLS, NODES, SHIELD, Stage, Stream};

/// One event. Numbers are those of a node, and of a fill of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client asks an edge, and is not answered with a fresh copy.
    Ask(u8),
    /// A fill asks the next server.
    Attempt(u8, u8),
    /// An edge's question arrives at the shield, which is behind: it waits.
    Wait(u8, u8),
    /// An edge's question is looked at by the shield.
    Take(u8, u8),
    /// The origin answers.
    Read(u8, u8),
    /// An answer arrives.
    Decide(u8, u8),
    /// The answer's body is complete.
    Finish(u8, u8),
    /// An attempt fails, and another one follows.
    Retry(u8, u8),
    /// All attempts have failed.
    Fail(u8, u8),
    /// The object changes.
    Change,
    /// The origin begins, or ceases, to answer with errors.
    Err,
    Expire(u8),
    Evict(u8),
    /// A purge is appended.
    Append,
    /// A node says hello, and is received.
    Hello(u8),
    /// A welcome arrives.
    Welcome(u8),
    /// The next purge arrives, and is put in force.
    Deliver(u8),
    /// What a node has in force is made durable (where that comes late).
    Sync(u8),
    /// An acknowledgement arrives.
    Ack(u8),
    /// One arrives that was sent on a stream which has ended since.
    LateAck(u8),
    Disconnect(u8),
    /// An operator removes a member.
    Remove(u8),
    /// The control plane forgets a member that was removed.
    Forget(u8),
    /// What is known of a member is kept.
    Keep(u8),
    /// The control plane is killed and starts.
    Restart,
    /// The control plane is killed and starts with an older disk: so many records are left.
    RollBack(u8),
    Trim,
    /// A table lets go of its records up to a position.
    Fold(u8, u8),
    Crash(u8),
    Cut(u8),
    Lose(u8),
    /// A node waits for the control plane no more.
    GiveUp(u8),
    Tick,
    /// A node renews its lease; the control plane answers; the answer arrives.
    Renew(u8),
    Renewed(u8),
    Leased(u8),
}

impl World<'_> {
    /// All that can happen now.
    pub fn actions(&self, out: &mut Vec<Action>) {
        if self.s.bad != 0 {
            return;
        }
        self.fills(out);
        self.objects(out);
        self.control(out);
        self.losses(out);
        if self.c.leases {
            self.time(out);
        }
    }

    fn nodes(&self) -> impl Iterator<Item = u8> + use<> {
        let edges = usize::from(self.c.edges);
        (0..NODES as u8).filter(move |&n| usize::from(n) < edges || usize::from(n) == SHIELD)
    }

    fn fills(&self, out: &mut Vec<Action>) {
        for n in 0..self.c.edges {
            if self.may(May::Ask) && self.can_be_asked(n.into()) {
                out.push(Action::Ask(n));
            }
        }
        for n in self.nodes() {
            for f in 0..FILLS as u8 {
                let Some(fill) = self.s.nodes[usize::from(n)].fills[usize::from(f)] else {
                    continue;
                };
                let at_shield = usize::from(n) == SHIELD;
                match fill.stage {
                    Stage::Begun => out.push(Action::Attempt(n, f)),
                    Stage::Sent(asked) if !at_shield => {
                        if self.c.waits && self.lags(asked) {
                            out.push(Action::Wait(n, f));
                        } else if self.can_take(asked) {
                            out.push(Action::Take(n, f));
                        }
                    }
                    Stage::Sent(_) => out.push(Action::Read(n, f)),
                    Stage::Waits(asked, _) if self.can_take(asked) => out.push(Action::Take(n, f)),
                    Stage::Waits(..) | Stage::Held(_) => {}
                    Stage::Back(..) => out.push(Action::Decide(n, f)),
                    Stage::Grows(..) => out.push(Action::Finish(n, f)),
                }
                let under_way = !matches!(fill.stage, Stage::Begun | Stage::Grows(..));
                if under_way && self.may(May::Retry) {
                    out.push(Action::Retry(n, f));
                }
                if under_way && self.may(May::Fail) {
                    out.push(Action::Fail(n, f));
                }
            }
        }
    }

    fn objects(&self, out: &mut Vec<Action>) {
        if self.may(May::Change) && usize::from(self.s.version) + 1 < self.c.versions.len() {
            out.push(Action::Change);
        }
        if self.may(May::Err) {
            out.push(Action::Err);
        }
        for n in self.nodes() {
            let Some(copy) = self.s.nodes[usize::from(n)].copy else {
                continue;
            };
            if self.may(May::Expire) && !copy.response.stale {
                out.push(Action::Expire(n));
            }
            if self.may(May::Evict) {
                out.push(Action::Evict(n));
            }
        }
    }

    fn control(&self, out: &mut Vec<Action>) {
        let plane = &self.s.plane;
        if usize::from(self.s.appended) < self.c.purges.len() {
            out.push(Action::Append);
        }
        for n in self.nodes() {
            let node = &self.s.nodes[usize::from(n)];
            match node.stream {
                Stream::None if self.c.stays_away && self.has_what_is_lost(n.into()) => {}
                Stream::None => out.push(Action::Hello(n)),
                Stream::Welcomed { .. } => out.push(Action::Welcome(n)),
                Stream::Up { .. } => {
                    if node.table.at.epoch == plane.epoch && node.table.at.n < plane.head {
                        out.push(Action::Deliver(n));
                    }
                    let member = &plane.members[usize::from(node.id)];
                    let says_more = member.applied != node.table.at || member.empties;
                    if self.c.receipts && (says_more || node.owed != 0) {
                        out.push(Action::Ack(n));
                    }
                }
            }
            if node.durable > 0 {
                out.push(Action::Sync(n));
            }
            if node.late.is_some() {
                out.push(Action::LateAck(n));
            }
            if node.stream != Stream::None && self.may(May::Disconnect) {
                out.push(Action::Disconnect(n));
            }
            if self.may(May::Fold) {
                for floor in 1..=node.table.at.n {
                    if node.table.records[usize::from(floor) - 1] > 0 {
                        out.push(Action::Fold(n, floor));
                    }
                }
            }
        }
        for (id, member) in plane.members.iter().enumerate() {
            if !member.known {
                continue;
            }
            if member.removed_at.is_none() && self.may(May::Remove) {
                out.push(Action::Remove(id as u8));
            }
            if member.removed_at.is_some() && self.may(May::Forget) {
                out.push(Action::Forget(id as u8));
            }
            if self.may(May::Restart)
                && (member.kept, member.kept_empties) != (member.applied, member.empties)
            {
                out.push(Action::Keep(id as u8));
            }
        }
        if self.may(May::Restart) {
            out.push(Action::Restart);
        }
        if self.may(May::RollBack) {
            out.extend((plane.first.saturating_sub(1)..plane.head).map(Action::RollBack));
        }
        if self.may(May::Trim) && plane.first <= plane.head {
            out.push(Action::Trim);
        }
    }

    fn losses(&self, out: &mut Vec<Action>) {
        for n in self.nodes() {
            let node = &self.s.nodes[usize::from(n)];
            if self.may(May::Crash) {
                out.push(Action::Crash(n));
            }
            if self.may(May::Cut) && node.table.records.iter().any(|order| *order > 0) {
                out.push(Action::Cut(n));
            }
            if self.may(May::Lose) {
                out.push(Action::Lose(n));
            }
            if !node.settled {
                out.push(Action::GiveUp(n));
            }
        }
    }

    fn time(&self, out: &mut Vec<Action>) {
        if self.may(May::Tick) {
            out.push(Action::Tick);
        }
        for n in self.nodes() {
            let node = &self.s.nodes[usize::from(n)];
            if !matches!(node.stream, Stream::Up { .. }) {
                continue;
            }
            let lease = node.lease;
            if lease.sent.is_none() && lease.answered.is_none() && self.may(May::Renew) {
                out.push(Action::Renew(n));
            }
            if lease.sent.is_some() {
                out.push(Action::Renewed(n));
            }
            if lease.answered.is_some() && self.lease_may_arrive(n.into()) {
                out.push(Action::Leased(n));
            }
        }
    }
}
