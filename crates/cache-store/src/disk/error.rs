//! Why the disk tier could not be opened.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a record does not come from a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is not there, or not whole: it will not come.
    Gone,
    /// The disk has too much to do, or does not answer. The record may be there.
    Busy,
}

#[derive(Debug, Error)]
pub enum OpenError {
    #[error("disk cache {path:?}: {bytes} bytes are too few, at least {min} are needed")]
    TooSmall { path: PathBuf, bytes: u64, min: u64 },
    #[error("disk cache {path:?} is in use by another process")]
    Locked { path: PathBuf },
    #[error(
        "disk cache {path:?} holds {name:?}, which is not the cache's: give it a directory of its own"
    )]
    Foreign { path: PathBuf, name: String },
    #[error("disk cache {path:?}: {needed} more bytes are needed, {free} are free")]
    NoSpace {
        path: PathBuf,
        needed: u64,
        free: u64,
    },
    #[error("disk cache {path:?}: cannot {what}")]
    Directory {
        path: PathBuf,
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("disk cache {path:?}: the block store did not open: {reason}")]
    Engine { path: PathBuf, reason: String },
    #[error("disk cache {path:?}: {needed} files have to be open, and {limit} may be at most")]
    OpenFiles {
        path: PathBuf,
        needed: u64,
        limit: u64,
    },
    #[error("disk cache: cannot start its threads")]
    Threads(#[source] io::Error),
}

impl OpenError {
    /// Whether the operator has to decide something: the node does not start. Of all else a disk may have the node
    /// does without that disk.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::TooSmall { .. } | Self::Locked { .. } | Self::Foreign { .. }
        )
    }
}
