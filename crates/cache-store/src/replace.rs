//! A file put in another one's place as a whole: after a crash there is the old one or the new one.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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
    let new = path.join(format!("{name}.new"));
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| {
            write(&mut file)?;
            file.sync_all()?;
            Ok(file)
        })
        .and_then(|file| std::fs::rename(&new, path.join(name)).map(|()| file))
        .map_err(ReplaceError::Before)?;
    directory.sync_all().map_err(ReplaceError::After)?;
    Ok(file)
}
