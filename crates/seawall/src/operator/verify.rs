//! Receipts that were kept: whether the control plane signed them, and what they say.

use super::client::Client;
use super::table::plain;
use super::{INCOMPLETE, Output, purge};
use crate::cli::AdminArgs;
use anyhow::{Context, Result, bail};
use seawall_control_plane::signed::{self, KEYS_BYTES_MAX, PublicKey, SIGNED_BYTES_MAX, Verified};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

/// Exit code 0: valid, and complete; [`INCOMPLETE`]: valid, and not complete. An error: it proves nothing.
pub(super) fn run(
    admin: &AdminArgs,
    file: &Path,
    key: Option<&Path>,
    output: &Output,
) -> Result<ExitCode> {
    let text = read(file, SIGNED_BYTES_MAX)?;
    let keys = match key {
        Some(path) => {
            let keys = read(path, KEYS_BYTES_MAX)?;
            known(&serde_json::from_str(&keys).unwrap_or_default())
                .with_context(|| path.display().to_string())?
        }
        None => {
            let keys = Client::new(admin)?.get("/v1/keys")?.body;
            known(&keys).context("what the control plane answers")?
        }
    };
    match verified(&text, &keys) {
        Ok(verified) => {
            let body = json!({
                "valid": true,
                "complete": verified.is_complete(),
                "key": verified.key,
                "receipt": verified.receipt,
            });
            output.tell(&body, || told(&verified));
            if verified.is_complete() {
                Ok(ExitCode::SUCCESS)
            } else {
                Ok(ExitCode::from(INCOMPLETE))
            }
        }
        Err(reason) => {
            if output.as_json {
                let body = json!({ "valid": false, "error": reason.to_string() });
                output.tell(&body, String::new);
            }
            Err(reason.context(format!("{} is not valid", file.display())))
        }
    }
}

fn known(keys: &Value) -> Result<Vec<PublicKey>> {
    let keys = signed::keys(keys)?;
    if keys.is_empty() {
        bail!("there is no key in it");
    }
    Ok(keys)
}

/// The JSON that `--json` prints around a receipt. What else a file has is passed over, so that it takes no room.
#[derive(Deserialize)]
struct Wrapped {
    signed: String,
}

/// Takes the text itself, or the JSON around it.
fn verified(text: &str, keys: &[PublicKey]) -> Result<Verified> {
    let wrapped: Option<Wrapped> = text
        .trim_start()
        .starts_with('{')
        .then(|| serde_json::from_str(text).ok())
        .flatten();
    let inner = wrapped.as_ref().map(|wrapped| wrapped.signed.as_str());
    Ok(signed::verify(inner.unwrap_or(text), keys)?)
}

/// A text file of at most so many bytes: what is longer is not read to its end.
fn read(path: &Path, bytes_max: usize) -> Result<String> {
    let shown = || format!("{} cannot be read", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(shown)?;
    let mut file = file.take(bytes_max as u64 + 1);
    file.read_to_end(&mut bytes).with_context(shown)?;
    if bytes.len() > bytes_max {
        bail!("{} is longer than {bytes_max} bytes", path.display());
    }
    String::from_utf8(bytes)
        .ok()
        .with_context(|| format!("{} is no text", path.display()))
}

fn told(verified: &Verified) -> String {
    let receipt = &verified.receipt;
    let computed = plain(receipt["computed"].as_str().unwrap_or_default());
    format!(
        "valid: signed with {}, as of {computed}\n{}{}",
        verified.key,
        purge::receipt(receipt),
        purge::named(receipt)
    )
}
