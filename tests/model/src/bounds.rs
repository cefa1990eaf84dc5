//! The configurations: each looks at some events in all their orders.

use crate::config::{BLUE, Config, May, RED, URL};

/// Fills, joins, and bodies that take time: one edge and a shield.
pub fn fills() -> Config {
    Config::new("fills")
        .hard(RED)
        .versions(&[(RED, 0)])
        .may(May::Ask, 3)
        .may(May::Evict, 1)
        .with(|c| c.bodies = true)
}

/// Attempts that fail, and purges that come while a node connects: copies that are validated, by an origin that changes its
/// answer and not its validator.
pub fn attempts() -> Config {
    Config::new("attempts")
        .hard(URL)
        .versions(&[(0, 0), (0, 0)])
        .may(May::Ask, 2)
        .may(May::Change, 1)
        .may(May::Expire, 2)
        .may(May::Retry, 1)
        .with(|c| {
            c.warm = true;
            c.connects = true;
        })
}

/// Two edges before one shield, which lags behind one of them or both.
pub fn tiers() -> Config {
    Config::new("tiers")
        .hard(RED)
        .versions(&[(RED, 0)])
        .may(May::Ask, 3)
        .with(|c| c.edges = 2)
}

/// A body that takes its time, and comes after what was asked for later.
pub fn overtaking() -> Config {
    Config::new("overtaking")
        .soft(URL)
        .hard(RED)
        .versions(&[(RED, 0), (0, 1)])
        .may(May::Ask, 2)
        .may(May::Change, 1)
        .may(May::Expire, 1)
        .with(|c| c.bodies = true)
}

/// Errors whose predecessor the shield has lost, for several who ask.
pub fn crowds() -> Config {
    Config::new("crowds")
        .hard(RED)
        .versions(&[(RED, 0)])
        .may(May::Ask, 3)
        .may(May::Err, 1)
        .may(May::Expire, 1)
        .may(May::Evict, 1)
        .with(|c| c.warm = true)
}

/// Tags that come and go, with and without another validator.
pub fn tags() -> Config {
    Config::new("tags")
        .hard(RED)
        .hard(BLUE)
        .versions(&[(RED, 0), (BLUE, 0)])
        .may(May::Ask, 2)
        .may(May::Change, 1)
        .may(May::Expire, 2)
        .with(|c| c.warm = true)
}

/// Errors in the place of copies, and copies in the place of errors.
pub fn errors() -> Config {
    Config::new("errors")
        .hard(RED)
        .versions(&[(RED, 0)])
        .may(May::Ask, 2)
        .may(May::Err, 2)
        .may(May::Expire, 2)
        .may(May::Evict, 1)
        .may(May::Fail, 1)
        .with(|c| {
            c.warm = true;
            c.sie = true;
        })
}

/// Soft purges and stale copies that answer while they are refreshed.
pub fn soft() -> Config {
    Config::new("soft")
        .soft(URL)
        .hard(RED)
        .versions(&[(RED, 0)])
        .may(May::Ask, 2)
        .may(May::Expire, 1)
        .with(|c| {
            c.warm = true;
            c.swr = true;
        })
}

/// Nodes are killed, with their logs whole or cut.
pub fn crashes() -> Config {
    Config::new("crashes")
        .hard(URL)
        .may(May::Ask, 2)
        .may(May::Crash, 1)
        .may(May::Cut, 1)
        .with(|c| c.warm = true)
}

/// Nodes are killed, and their logs are lost.
pub fn losses() -> Config {
    Config::new("losses")
        .hard(URL)
        .may(May::Ask, 2)
        .may(May::Crash, 1)
        .may(May::Lose, 1)
        .with(|c| {
            c.warm = true;
            c.edges = 2;
        })
}

/// Who is a member, and what is claimed of a purge.
pub fn members() -> Config {
    Config::new("members")
        .hard(URL)
        .may(May::Ask, 1)
        .may(May::Remove, 1)
        .may(May::Forget, 1)
        .may(May::Disconnect, 1)
        .may(May::Restart, 1)
        .with(|c| {
            c.warm = true;
            c.receipts = true;
        })
}

/// Acknowledgements that come after their stream has ended.
pub fn streams() -> Config {
    Config::new("streams")
        .hard(URL)
        .may(May::Ask, 1)
        .may(May::Cut, 1)
        .may(May::Disconnect, 1)
        .with(|c| {
            c.warm = true;
            c.receipts = true;
            c.late = true;
        })
}

/// The log is rolled back and goes on.
pub fn rollbacks() -> Config {
    Config::new("rollbacks")
        .hard(URL)
        .hard(URL)
        .may(May::Ask, 1)
        .may(May::RollBack, 1)
        .with(|c| {
            c.warm = true;
            c.receipts = true;
        })
}

/// The log is rolled back and goes on, and nodes have records of both branches.
pub fn branches() -> Config {
    Config::new("branches")
        .hard(URL)
        .hard(URL)
        .may(May::Ask, 2)
        .may(May::RollBack, 1)
        .with(|c| {
            c.edges = 2;
            c.stays_away = true;
        })
}

/// The log is trimmed while nodes are away.
pub fn trims() -> Config {
    Config::new("trims")
        .hard(URL)
        .hard(RED)
        .may(May::Ask, 1)
        .may(May::Trim, 2)
        .may(May::Disconnect, 1)
        .with(|c| {
            c.warm = true;
            c.receipts = true;
        })
}

/// A new epoch begins while requests wait.
pub fn epochs() -> Config {
    Config::new("epochs")
        .hard(URL)
        .hard(URL)
        .may(May::Ask, 2)
        .may(May::RollBack, 1)
        .with(|c| {
            c.waits = true;
            c.snapshots = true;
        })
}

/// Tables fold.
pub fn folding() -> Config {
    Config::new("folding")
        .hard(RED)
        .soft(URL)
        .versions(&[(RED, 0)])
        .may(May::Ask, 1)
        .may(May::Fold, 2)
        .with(|c| c.warm = true)
}

/// Leases run out, and what is fenced is claimed.
pub fn leases(lease_ticks: u8, reuse_ticks: u8) -> Config {
    Config::new("leases")
        .hard(URL)
        .may(May::Ask, 1)
        .may(May::Renew, 1)
        .may(May::Tick, 3)
        .with(|c| {
            c.warm = true;
            c.receipts = true;
            c.leases = true;
            c.lease_ticks = lease_ticks;
            c.reuse_ticks = reuse_ticks;
        })
}

/// All of them.
pub fn all() -> Vec<Config> {
    vec![
        fills(),
        attempts(),
        tiers(),
        overtaking(),
        tags(),
        errors(),
        crowds(),
        soft(),
        folding(),
        crashes(),
        losses(),
        members(),
        streams(),
        rollbacks(),
        branches(),
        epochs(),
        trims(),
        leases(1, 2),
        leases(2, 1),
    ]
}
