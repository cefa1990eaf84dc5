//! How many files this process may have open: clients, connections upstream and the blocks of disk caches all count.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit, often 1024, to the hard one, which needs nobody's leave.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, current = limit.current, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_open_files_becomes_the_hard_one() {
        let limit = getrlimit(Resource::Nofile);
        let lower = Rlimit {
            // enough for whatever else runs in this process
            current: limit.maximum.map(|files| files - 1).or(Some(4096)),
            ..limit
        };
        setrlimit(Resource::Nofile, lower).unwrap();
        raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, limit.maximum);
    }
}
