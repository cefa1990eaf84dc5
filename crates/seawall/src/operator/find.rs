//! Finding the control plane and its token, without being told on the same machine.

use crate::usage::Usage;
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

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

/// The token: of the file, of SEAWALL_TOKEN, or of the control plane on this machine that listens there.
pub(super) fn token(file: Option<&Path>, authority: &str) -> Result<String> {
    if let Some(file) = file {
        return read(file).with_context(|| format!("token file {}", file.display()));
    }
    if let Ok(token) = env::var("SEAWALL_TOKEN") {
        return Ok(token.trim().to_owned());
    }
    let noted = note(authority).and_then(|note| fs::read_to_string(note).ok());
    let noted = noted.map(|path| PathBuf::from(path.trim_end()));
    let usual = ["seawall-data/up", "seawall-data/control-plane"];
    let usual = usual.map(|dir| Path::new(dir).join(TOKEN_FILE));
    noted
        .into_iter()
        .chain(usual)
        .find_map(|path| read(&path).ok())
        .with_context(|| {
            format!("no token for {authority}: --token-file, or SEAWALL_TOKEN; a control plane writes one to {TOKEN_FILE} in its data directory")
        })
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
    let Some(note) = note(&admin.to_string()) else {
        return;
    };
    let written = (|| {
        let token = fs::canonicalize(data)?.join(TOKEN_FILE);
        fs::write(&note, format!("{}\n", token.display()))
    })();
    if let Err(error) = written {
        tracing::debug!(%error, "where the operator's token lies could not be noted");
    }
}

/// The note of one address, in a directory that is this user's own.
fn note(authority: &str) -> Option<PathBuf> {
    let own = |dir: &Path| {
        fs::metadata(dir).is_ok_and(|found| {
            found.is_dir()
                && found.uid() == rustix::process::geteuid().as_raw()
                && found.mode() & 0o022 == 0
        })
    };
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let dir = state.or(home)?.join("seawall");
    if !dir.exists() {
        let mut make = fs::DirBuilder::new();
        make.recursive(true).mode(0o700).create(&dir).ok()?;
    }
    // who else could write here could have a token sent to whom they like
    own(&dir).then(|| dir.join(authority.replace([':', '/', '[', ']'], "_")))
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
    fn a_token_file_holds_one_word() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t");
        for (text, good) in [("swt_a\n", true), ("", false), ("a b", false)] {
            fs::write(&file, text).unwrap();
            assert_eq!(token(Some(&file), "x:1").is_ok(), good, "{text:?}");
        }
    }
}
