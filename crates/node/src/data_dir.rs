//! A node's directory on disk.

use seawall_purge::BootId;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a node's directory cannot be used. One line, with the path.
#[derive(Debug, Error)]
pub enum DataDirError {
    #[error("data directory {path} cannot be written: {reason}")]
    Unwritable { path: PathBuf, reason: io::Error },
    #[error("data directory {path} is in use by another process")]
    Locked { path: PathBuf },
    #[error(
        "{path} holds no boot id but {found:?}: it was changed by hand or cut; remove it together with the cache files beside it"
    )]
    BootId { path: PathBuf, found: String },
    #[error("no boot id is left in {path}: remove the data directory to start anew")]
    Exhausted { path: PathBuf },
    #[error("secret file {path} {reason}")]
    Secret { path: PathBuf, reason: String },
}

/// The directory, held by this process alone for as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    boot: BootId,
    _lock: File,
}

const LOCK: &str = "lock";
const BOOT: &str = "boot-id";
/// Bytes of a fleet secret that is made here, before they are written as hexadecimal digits.
const SECRET_BYTES: usize = 32;
/// Characters that a secret must at least have, and may at most.
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=512;

impl DataDir {
    /// Creates the directory where it is missing, locks it and raises its boot id, which is on disk before this returns.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let unwritable = |reason| DataDirError::Unwritable {
            path: path.to_owned(),
            reason,
        };
        fs::create_dir_all(path).map_err(unwritable)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(unwritable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DataDirError::Locked {
                path: path.to_owned(),
            },
            TryLockError::Error(reason) => unwritable(reason),
        })?;
        let boot = raise_boot_id(path)?;
        Ok(Self {
            path: path.to_owned(),
            boot,
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of this start: greater than all before it.
    pub fn boot(&self) -> BootId {
        self.boot
    }
}

fn raise_boot_id(dir: &Path) -> Result<BootId, DataDirError> {
    let path = dir.join(BOOT);
    let unwritable = |reason| DataDirError::Unwritable {
        path: dir.to_owned(),
        reason,
    };
    let last = match fs::read_to_string(&path) {
        Ok(text) => text
            .strip_suffix('\n')
            .and_then(|number| number.parse::<u32>().ok())
            .ok_or_else(|| DataDirError::BootId {
                path: path.clone(),
                found: text.chars().take(40).collect(),
            })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(unwritable(error)),
    };
    let next = last
        .checked_add(1)
        .ok_or_else(|| DataDirError::Exhausted { path: path.clone() })?;
    replace_file(dir, &path, format!("{next}\n").as_bytes(), 0o644).map_err(unwritable)?;
    Ok(BootId(next))
}

/// Replaces a file so that after a crash it is the old one or the new one, and the new one for sure once this returned.
pub(crate) fn replace_file(dir: &Path, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(dir)?.sync_all()
}

/// Reads the fleet's secret; where the file is missing, makes one that only its owner can read.
pub fn load_or_create_secret(path: &Path) -> Result<String, DataDirError> {
    let refuse = |reason: String| DataDirError::Secret {
        path: path.to_owned(),
        reason,
    };
    match File::open(path) {
        Ok(mut file) => {
            let mode = file
                .metadata()
                .map_err(|e| refuse(format!("cannot be read: {e}")))?
                .permissions()
                .mode();
            if mode & 0o077 != 0 {
                return Err(refuse(format!(
                    "can be read by others (mode {:o}): chmod 600 it",
                    mode & 0o777
                )));
            }
            let mut text = String::new();
            file.read_to_string(&mut text)
                .map_err(|e| refuse(format!("cannot be read: {e}")))?;
            let secret = text.trim();
            let legal = secret.bytes().all(|b| b.is_ascii_graphic());
            if !legal || !SECRET_CHARS.contains(&secret.len()) {
                return Err(refuse(
                    "must hold 16 to 512 printable ASCII characters".into(),
                ));
            }
            Ok(secret.to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let cannot = |e: io::Error| refuse(format!("cannot be created: {e}"));
            let dir = path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            fs::create_dir_all(dir).map_err(cannot)?;
            let mut bytes = [0; SECRET_BYTES];
            getrandom::fill(&mut bytes).map_err(|e| refuse(format!("cannot be made: {e}")))?;
            let secret =
                bytes
                    .iter()
                    .fold(String::with_capacity(2 * SECRET_BYTES), |mut text, byte| {
                        let _ = write!(text, "{byte:02x}");
                        text
                    });
            // made whole, then put in place without replacing one that came meanwhile: all nodes use the first
            let temporary = dir.join(format!(".secret-{}", &secret[..16]));
            let put = (|| {
                let mut file = OpenOptions::new()
                    .create_new(true)
                    .write(true)
                    .mode(0o600)
                    .open(&temporary)?;
                writeln!(file, "{secret}")?;
                file.sync_all()?;
                fs::hard_link(&temporary, path)
            })();
            let _ = fs::remove_file(&temporary);
            match put {
                Ok(()) => Ok(secret),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    load_or_create_secret(path)
                }
                Err(error) => Err(cannot(error)),
            }
        }
        Err(error) => Err(refuse(format!("cannot be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_a_greater_boot_id() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap().boot();
        let second = DataDir::open(dir.path()).unwrap().boot();
        assert!(second > first);
    }

    #[test]
    fn a_second_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        assert!(matches!(
            DataDir::open(dir.path()),
            Err(DataDirError::Locked { .. })
        ));
        drop(held);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_boot_id_that_was_cut_is_not_taken_for_a_number() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["", "12", "x\n", "-1\n"] {
            fs::write(dir.path().join(BOOT), bad).unwrap();
            assert!(
                matches!(DataDir::open(dir.path()), Err(DataDirError::BootId { .. })),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_a_clear_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDir::open(file.path()).unwrap_err().to_string();
        assert!(
            error.contains("cannot be written") && !error.contains('\n'),
            "{error}"
        );
    }

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/secret");
        let made = load_or_create_secret(&path).unwrap();
        assert_eq!(load_or_create_secret(&path).unwrap(), made);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load_or_create_secret(&path).is_err());
    }
}
