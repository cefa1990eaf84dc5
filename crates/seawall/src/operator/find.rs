//! Finding the control plane and its token, without being told on the same machine.

use crate::usage::Usage;
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where `up` listens unless it is told otherwise.
const ADMIN: &str = "127.0.0.1:8081";
const TOKEN_FILE: &str = "operator.token";

/// `host:port` of the admin API: the argument, SEAWALL_ADMIN, or where `up` listens.
pub(super) fn authority(given: Option<&str>) -> Result<String> {
    let given = given
        .map(str::to_owned)
        .or_else(|| env::var("SEAWALL_ADMIN").ok());
    let text = given.unwrap_or_else(|| ADMIN.into());
    if text.starts_with("https://") {
        let why = format!("{text}: the admin API does not speak TLS yet: http, or HOST:PORT");
        return Err(Usage(why).into());
    }
    let bare = text.strip_prefix("http://").unwrap_or(&text);
    let bare = bare.trim_end_matches('/');
    let port = bare.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(1..))) || bare.contains('/') {
        let why = format!("{text}: the admin API's address is HOST:PORT or a URL, as in {ADMIN}");
        return Err(Usage(why).into());
    }
    Ok(bare.to_owned())
}

/// Where the control plane is, and the token for it.
pub(super) struct Found {
    /// Asked in this order, until one takes the connection.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) token: String,
}

/// Looks up `authority`, and its token: of the file, of SEAWALL_TOKEN, or of the control plane on this machine that listens
/// there. Tokens that are found without being named go to loopback addresses only: what is sent can be read on the way.
pub(super) fn find(file: Option<&Path>, authority: &str) -> Result<Found> {
    let addresses = authority.to_socket_addrs();
    let addresses: Vec<SocketAddr> = addresses
        .with_context(|| format!("{authority} cannot be looked up"))?
        .collect();
    let named = match file {
        Some(file) => Some(read(file).with_context(|| format!("token file {}", file.display()))?),
        None => env::var("SEAWALL_TOKEN")
            .ok()
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty()),
    };
    if let Some(token) = named {
        return Ok(Found { addresses, token });
    }
    if !addresses.iter().all(|address| address.ip().is_loopback()) {
        bail!(
            "no token for {authority}: --token-file, or SEAWALL_TOKEN (those on this machine are for loopback addresses)"
        );
    }
    let noted = |address: &SocketAddr| {
        let path = fs::read_to_string(note(*address)?).ok()?;
        let token = read(Path::new(path.trim_end())).ok()?;
        // to the one who noted it, and to nobody else
        let addresses = vec![*address];
        Some(Found { addresses, token })
    };
    if let Some(found) = addresses.iter().find_map(noted) {
        return Ok(found);
    }
    let usual = ["seawall-data/up", "seawall-data/control-plane"];
    let token = usual
        .into_iter()
        .find_map(|dir| read(&Path::new(dir).join(TOKEN_FILE)).ok());
    if token.is_none() && !listens(&addresses) {
        bail!("{}", nobody(authority));
    }
    let token = token.with_context(|| {
        format!("no token for {authority}: --token-file, or SEAWALL_TOKEN; a control plane writes one to {TOKEN_FILE} in its data directory")
    })?;
    Ok(Found { addresses, token })
}

/// What is told where no control plane can be reached.
pub(super) fn nobody(authority: &str) -> String {
    format!("no control plane answers at {authority} (--admin, SEAWALL_ADMIN)")
}

/// Whether anybody takes a connection there: loopback addresses, which say so at once.
fn listens(addresses: &[SocketAddr]) -> bool {
    const PATIENCE: Duration = Duration::from_secs(1);
    let connect = |address| TcpStream::connect_timeout(address, PATIENCE);
    addresses.iter().any(|address| connect(address).is_ok())
}

fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path)?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        bail!("it holds no token");
    }
    Ok(token.to_owned())
}

/// Notes where the token of the control plane at `admin` lies, so that commands of this user find it. A note that
/// cannot be written is only inconvenient.
pub fn remember(admin: SocketAddr, data: &Path) {
    let Some(note) = note(admin) else {
        return;
    };
    if let Some(dir) = note.parent() {
        forget_gone(dir);
    }
    let written = (|| {
        let token = fs::canonicalize(data)?.join(TOKEN_FILE);
        fs::write(&note, format!("{}\n", token.display()))
    })();
    if let Err(error) = written {
        tracing::debug!(%error, "where the operator's token lies could not be noted");
    }
}

/// Removes notes of tokens that are gone: free ports are other ones each time.
fn forget_gone(dir: &Path) {
    const NOTES_MAX: usize = 10_000;
    let notes = fs::read_dir(dir).into_iter().flatten().flatten();
    for note in notes.take(NOTES_MAX) {
        let noted = fs::read_to_string(note.path()).unwrap_or_default();
        // an empty one is being written just now
        let is_gone = !noted.is_empty() && !Path::new(noted.trim_end()).exists();
        if is_gone && noted.trim_end().ends_with(TOKEN_FILE) {
            let _ = fs::remove_file(note.path());
        }
    }
}

/// The note of one address, in a directory that is this user's own.
fn note(admin: SocketAddr) -> Option<PathBuf> {
    let own = |dir: &Path| {
        fs::metadata(dir).is_ok_and(|found| {
            found.is_dir()
                && found.uid() == rustix::process::geteuid().as_raw()
                && found.mode() & 0o022 == 0
        })
    };
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    // of the user's entry in passwd where HOME is not set
    let home = env::home_dir().filter(|home| home.is_absolute());
    let home = home.map(|home| home.join(".local/state"));
    let dir = state.or(home)?.join("seawall");
    if !dir.exists() {
        let mut make = fs::DirBuilder::new();
        make.recursive(true).mode(0o700).create(&dir).ok()?;
    }
    // who else could write here could have a token sent to whom they like
    let name = admin.to_string().replace([':', '[', ']', '%'], "_");
    own(&dir).then(|| dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_or_a_url() {
        for (given, expected) in [
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://[::1]:9000/", "[::1]:9000"),
            ("localhost:1", "localhost:1"),
        ] {
            assert_eq!(authority(Some(given)).unwrap(), expected);
        }
        for bad in [
            "",
            "localhost",
            "https://h:1",
            "h:0",
            "h:x",
            "http://h:1/path",
        ] {
            assert!(authority(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn notes_of_tokens_that_are_gone_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join(TOKEN_FILE);
        fs::write(&token, "swt_a").unwrap();
        let notes = dir.path().join("notes");
        fs::create_dir(&notes).unwrap();
        let put = |name: &str, text: &str| fs::write(notes.join(name), text).unwrap();
        put("there", &format!("{}\n", token.display()));
        put("gone", "/no/such/operator.token\n");
        put("begun", "");
        put("else", "/no/such/file\n");
        forget_gone(&notes);
        let left = |name: &str| notes.join(name).exists();
        assert_eq!(
            ["there", "gone", "begun", "else"].map(left),
            [true, false, true, true]
        );
    }

    #[test]
    fn a_token_file_holds_one_word() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t");
        for (text, good) in [("swt_a\n", true), ("", false), ("a b", false)] {
            fs::write(&file, text).unwrap();
            let found = find(Some(&file), "127.0.0.1:1");
            assert_eq!(found.is_ok(), good, "{text:?}");
        }
    }
}
