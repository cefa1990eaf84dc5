//! What is known of members' leases, and how a purge stands on those that may have none.

use super::{Member, Members};
use crate::leases::Fence;
use seawall_purge::PurgeSeq;
use seawall_purge::receipt::{Standing, State, state};
use std::time::Duration;

/// A member that has not applied a purge of its own epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unapplied {
    /// It has acknowledged all services as they stood at this revision of the store; `None`: not known.
    pub services: Option<u64>,
    /// When its last renewal was answered, since this start.
    pub answered: Option<Duration>,
}

/// Judges such a member.
pub type Judge<'a> = &'a dyn Fn(Unapplied) -> Fence;

impl Member {
    /// How the purge at `purge` stands on it, and since when it is fenced, if it is; `None`: it is not its business.
    pub(super) fn stands(
        &self,
        purge: PurgeSeq,
        judge: Judge<'_>,
    ) -> Option<(State, Option<Duration>)> {
        let mut standing = Standing {
            applied: self.applied,
            removed_at: self.removed_at,
            fenced: false,
        };
        let as_told = state(&standing, purge)?;
        if as_told != State::Pending || self.applied.epoch != purge.epoch {
            // of another epoch it is not known what it had in force, nor which leases it was given
            return Some((as_told, None));
        }
        let fence = judge(Unapplied {
            services: self.services,
            answered: self.answered,
        });
        let since = match fence {
            Fence::Since(since) => Some(since),
            Fence::From(_) | Fence::Unknown => None,
        };
        standing.fenced = since.is_some();
        Some((state(&standing, purge)?, since))
    }
}

impl Members {
    /// A renewal that a node sent on its stream `stream` is about to be answered. False: that is not its stream any more,
    /// and there is no answer.
    pub fn renew(&self, id: &str, stream: u64, now: Duration) -> bool {
        let mut members = self.by_id.lock();
        let Some(member) = members.get_mut(id).filter(|m| m.stream == Some(stream)) else {
            return false;
        };
        member.answered = Some(now);
        true
    }

    /// A node has acknowledged all services as they stood at `revision`.
    pub fn has_services(&self, id: &str, stream: u64, revision: u64) {
        let mut members = self.by_id.lock();
        let Some(member) = members.get_mut(id).filter(|m| m.stream == Some(stream)) else {
            return;
        };
        if member.services < Some(revision) {
            member.services = Some(revision);
            member.unkept = true;
        }
    }

    /// Members that were not removed, each with when its last renewal was answered, since this start.
    pub fn answered(&self) -> Vec<(String, Option<Duration>)> {
        let members = self.by_id.lock();
        let present = members.iter().filter(|(_, m)| m.removed_at.is_none());
        present.map(|(id, m)| (id.clone(), m.answered)).collect()
    }
}
