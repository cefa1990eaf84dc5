//! An origin that serves a directory.
//!
//! Each answer comes from one open file whose size, times and inode are compared again after the last byte was read: a
//! file that was rewritten meanwhile cuts the answer, and never leaves a mixture behind in a cache.

use super::body::{self, Body};
use super::listener::{Answer, Listener, OriginError};
use super::path::{FilePath, percent_encode};
use super::representation::{Representation, text, with_field, wrong_method};
use bytes::Bytes;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use seawall_http_cache::Timestamp;
use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use xxhash_rust::xxh3::xxh3_64;

/// A directory as an origin: content types, strong entity tags, `Last-Modified`, ranges, conditions, HEAD.
///
/// `index.html` answers for its directory; a directory named without its slash is redirected; names that start with a
/// dot and links that lead out of the directory do not exist here. Nothing is listed.
#[derive(Debug)]
pub struct StaticOrigin {
    listener: Listener,
}

impl StaticOrigin {
    /// Serves `dir` on `address` (port 0: one the kernel picks) from a thread of its own until it is dropped. Files are
    /// answered with `max-age` of `ttl`.
    pub fn start(address: SocketAddr, dir: &Path, ttl: Duration) -> Result<Self, OriginError> {
        let failed = |reason| OriginError::Directory {
            path: dir.to_owned(),
            reason,
        };
        let root = dir.canonicalize().map_err(failed)?;
        // a directory that cannot be read is told now, not once a request
        std::fs::read_dir(&root).map_err(failed)?;
        let max_age = format!("max-age={}", ttl.as_secs());
        let files = Files {
            root,
            cache_control: HeaderValue::from_str(&max_age)
                .unwrap_or(HeaderValue::from_static("no-cache")),
        };
        let listener = Listener::start("static-origin", address, files)?;
        Ok(Self { listener })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Requests that came in since the start.
    pub fn requests(&self) -> u64 {
        self.listener.requests()
    }

    /// Closes the socket and ends what runs.
    pub fn stop(self) {}
}

struct Files {
    root: PathBuf,
    cache_control: HeaderValue,
}

/// Bytes of the first read, made together with the opening; most files are complete with it.
const FIRST_READ: u64 = 64 << 10;
/// Bytes of each further read.
const READ: u64 = 256 << 10;
/// A file that changes under each of these many readings is not served.
const ATTEMPTS_MAX: usize = 3;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified_s: i64,
    modified_ns: i64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            len: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            inode: metadata.ino(),
        }
    }

    fn etag(self) -> String {
        let mut framed = [0; 32];
        let numbers = [
            self.len,
            self.modified_s as u64,
            self.modified_ns as u64,
            self.inode,
        ];
        for (place, number) in framed.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        format!("\"{:016x}\"", xxh3_64(&framed))
    }

    /// `None` for a time to come: such a date must not be sent (RFC 9110 §8.8.2.1).
    fn modified(self) -> Option<Timestamp> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let modified = u64::try_from(self.modified_s).ok()?;
        (modified <= now).then_some(Timestamp(modified))
    }
}

/// A file, and the state it was opened in.
struct Opened {
    file: File,
    stamp: Stamp,
}

enum Found {
    File(Opened),
    Directory,
    Nothing,
}

/// What is left to read after the first bytes.
struct Rest {
    opened: Opened,
    at: u64,
    end: u64,
}

impl Answer for Files {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return wrong_method("GET, HEAD");
        }
        // the body of a GET means nothing here
        let (parts, _) = request.into_parts();
        let answered = tokio::task::spawn_blocking(move || self.answer_blocking(&parts)).await;
        match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => refusal(&error),
            Err(error) => refusal(&io::Error::other(error)),
        }
    }
}

fn refusal(error: &io::Error) -> Response<Body> {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return text(StatusCode::FORBIDDEN, "the file cannot be read");
    }
    tracing::warn!(%error, "a file could not be served");
    text(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read")
}

fn nothing() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "there is no such file")
}

impl Files {
    fn answer_blocking(&self, request: &Parts) -> io::Result<Response<Body>> {
        let Some(path) = FilePath::parse(request.uri.path()) else {
            return Ok(nothing());
        };
        let relative = if path.directory {
            path.relative.join("index.html")
        } else {
            path.relative.clone()
        };
        let mut attempts = 0;
        loop {
            attempts += 1;
            let opened = match self.open(&relative)? {
                Found::File(opened) => opened,
                Found::Directory if !path.directory => {
                    return Ok(self.redirect(&path.relative, request.uri.query()));
                }
                Found::Directory | Found::Nothing => return Ok(nothing()),
            };
            match self.deliver(opened, &relative, request) {
                // the file changed under the first read: nothing has been sent, so take its new state
                Err(error) if changed(&error) && attempts < ATTEMPTS_MAX => {}
                delivered => return delivered,
            }
        }
    }

    fn open(&self, relative: &Path) -> io::Result<Found> {
        let path = self.root.join(relative);
        // a pipe must not hold up whoever opens it
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if names_nothing(&error) => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        if !self.is_shown(&real_path(&file, &path)?) {
            return Ok(Found::Nothing);
        }
        let metadata = file.metadata()?;
        Ok(if metadata.is_dir() {
            Found::Directory
        } else if metadata.is_file() {
            let stamp = Stamp::of(&metadata);
            Found::File(Opened { file, stamp })
        } else {
            Found::Nothing
        })
    }

    /// Whether a path without links lies below the root, with no hidden name on the way.
    fn is_shown(&self, real: &Path) -> bool {
        let Ok(below) = real.strip_prefix(&self.root) else {
            return false;
        };
        below.iter().all(|name| !name.as_bytes().starts_with(b"."))
    }

    fn redirect(&self, relative: &Path, query: Option<&str>) -> Response<Body> {
        let path = percent_encode(relative.as_os_str().as_bytes());
        let query = query.map(|q| format!("?{q}")).unwrap_or_default();
        let response = text(
            StatusCode::MOVED_PERMANENTLY,
            "a directory's address ends with a slash",
        );
        let mut response = with_field(response, LOCATION, &format!("/{path}/{query}"));
        response
            .headers_mut()
            .insert(CACHE_CONTROL, self.cache_control.clone());
        response
    }

    fn deliver(
        &self,
        opened: Opened,
        relative: &Path,
        request: &Parts,
    ) -> io::Result<Response<Body>> {
        let stamp = opened.stamp;
        let mut fields = HeaderMap::with_capacity(8);
        fields.insert(CONTENT_TYPE, content_type(relative));
        fields.insert(CACHE_CONTROL, self.cache_control.clone());
        let representation = Representation {
            len: stamp.len,
            etag: stamp.etag(),
            modified: stamp.modified(),
            fields,
        };
        let selection = representation.select(&request.method, &request.headers);
        let Some(part) = selection.send else {
            return Ok(selection.head.map(|()| body::empty()));
        };
        let mut rest = Rest {
            opened,
            at: part.start,
            end: part.end,
        };
        let first = rest.read(FIRST_READ)?;
        Ok(selection.head.map(|()| {
            if rest.at == rest.end {
                body::full(first)
            } else {
                body::streamed(first, rest.into_stream())
            }
        }))
    }
}

impl Rest {
    /// The next bytes, at most `most` of them. With the last of them the file is looked at again.
    fn read(&mut self, most: u64) -> io::Result<Bytes> {
        let mut bytes = vec![0; most.min(self.end - self.at) as usize];
        self.opened.file.read_exact_at(&mut bytes, self.at)?;
        self.at += bytes.len() as u64;
        if self.at == self.end && Stamp::of(&self.opened.file.metadata()?) != self.opened.stamp {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file changed while it was read",
            ));
        }
        Ok(bytes.into())
    }

    fn into_stream(self) -> impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold(self, |mut rest| async move {
            if rest.at == rest.end {
                return Ok(None);
            }
            let read = move || rest.read(READ).map(|bytes| Some((bytes, rest)));
            tokio::task::spawn_blocking(read)
                .await
                .map_err(io::Error::other)?
        })
    }
}

/// A file that became shorter or otherwise another while it was read.
fn changed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

fn names_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
        // a link that leads in circles, a socket, a device without a driver
        || matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO | libc::ENODEV))
}

/// The path, without links, of what has been opened: asked of the kernel, so that a link which is changed between a
/// check and the opening cannot lead out.
#[cfg(target_os = "linux")]
fn real_path(file: &File, _: &Path) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The path without links.
#[cfg(not(target_os = "linux"))]
fn real_path(_: &File, path: &Path) -> io::Result<PathBuf> {
    path.canonicalize()
}

fn content_type(path: &Path) -> HeaderValue {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let guess = mime_guess::from_ext(extension).first_raw();
    match guess {
        Some(text) if text.starts_with("text/") => {
            HeaderValue::from_str(&format!("{text}; charset=utf-8"))
                .unwrap_or(HeaderValue::from_static("text/plain; charset=utf-8"))
        }
        Some(other) => HeaderValue::from_static(other),
        None => HeaderValue::from_static("application/octet-stream"),
    }
}

#[cfg(test)]
mod tests;
