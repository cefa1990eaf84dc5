//! A file put in another one's place as a whole: after a crash there is the old one or the new one.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why a file was not replaced, and which one lies there now.
#[derive(Debug)]
pub(crate) enum ReplaceError {
    /// The old one, as it was.
    Before(io::Error),
    /// The new one for now; after a power failure perhaps the old one.
    After(io::Error),
}

impl From<ReplaceError> for io::Error {
    fn from(error: ReplaceError) -> Self {
        let (ReplaceError::Before(error) | ReplaceError::After(error)) = error;
        error
    }
}

/// Puts what `write` writes in the place of `name` in the directory at `path`; it is on the device when this returns.
/// `directory` is that directory, open: there may be no descriptor left to open it when it has to be synced.
pub(crate) fn replace(
    directory: &File,
    path: &Path,
    name: &str,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<File, ReplaceError> {
    let file = write_new(path, name, write).map_err(ReplaceError::Before)?;
    put_new(directory, path, name)?;
    Ok(file)
}

/// The first half: the new file is on the device, beside the old one.
pub(crate) fn write_new(
    path: &Path,
    name: &str,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    let mut file = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(new(path, name))?;
    write(&mut file)?;
    file.sync_all()?;
    Ok(file)
}

/// The second half: the new file takes the old one's place.
pub(crate) fn put_new(directory: &File, path: &Path, name: &str) -> Result<(), ReplaceError> {
    std::fs::rename(new(path, name), path.join(name)).map_err(ReplaceError::Before)?;
    directory.sync_all().map_err(ReplaceError::After)
}

fn new(path: &Path, name: &str) -> PathBuf {
    path.join(format!("{name}.new"))
}
