//! One request as a line of JSON.
//!
//! Written by hand, since this is done in the loop of a plain hit: what a general serialiser takes for it is a large part of
//! what the log may cost there.

use super::AccessEntry;
use std::io::Write as _;
use std::net::IpAddr;

/// Appends `entry` and a line end.
pub(super) fn put(out: &mut Vec<u8>, entry: &AccessEntry<'_>) {
    out.extend_from_slice(b"{\"time_ms\":");
    number(out, entry.time_ms);
    out.extend_from_slice(b",\"request_id\":\"");
    out.extend_from_slice(&hex::<16>(entry.request_id.into()));
    out.extend_from_slice(b"\",\"client\":\"");
    address(out, entry.client);
    out.extend_from_slice(b"\",\"protocol\":\"");
    out.extend_from_slice(entry.protocol.as_bytes());
    out.extend_from_slice(b"\",\"method\":");
    text(out, entry.method);
    out.extend_from_slice(b",\"host\":");
    bytes(out, entry.host);
    out.extend_from_slice(b",\"path\":");
    text(out, entry.path);
    out.extend_from_slice(b",\"status\":");
    number(out, entry.status.into());
    out.extend_from_slice(b",\"bytes\":");
    number(out, entry.bytes);
    out.extend_from_slice(b",\"outcome\":\"");
    out.extend_from_slice(entry.outcome.as_str().as_bytes());
    out.extend_from_slice(b"\",\"service\":");
    match entry.service {
        Some(service) => text(out, service),
        None => out.extend_from_slice(b"null"),
    }
    if let Some(key) = entry.key {
        out.extend_from_slice(b",\"key\":\"");
        out.extend_from_slice(&hex::<32>(key));
        out.push(b'"');
    }
    out.extend_from_slice(b",\"total_us\":");
    number(out, entry.total_us);
    if let Some(user_agent) = entry.user_agent {
        out.extend_from_slice(b",\"user_agent\":");
        bytes(out, user_agent);
    }
    if let Some(referer) = entry.referer {
        out.extend_from_slice(b",\"referer\":");
        bytes(out, referer);
    }
    out.extend_from_slice(b"}\n");
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The last `N` digits of `number`, zeros included.
fn hex<const N: usize>(number: u128) -> [u8; N] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut shown = [b'0'; N];
    let mut rest = number;
    for digit in shown.iter_mut().rev() {
        *digit = DIGITS[(rest & 15) as usize];
        rest >>= 4;
    }
    shown
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            number(out, a.into());
            for octet in [b, c, d] {
                out.push(b'.');
                number(out, octet.into());
            }
        }
        IpAddr::V6(v6) => {
            // writing to memory does not fail
            let _ = write!(out, "{v6}");
        }
    }
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(whole) => text(out, whole),
        Err(_) => text(out, &String::from_utf8_lossy(bytes)),
    }
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// As a string of JSON (RFC 8259 §7).
fn text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.push(b'"');
    // mostly nothing: all of it is looked at without a branch for each byte
    if bytes
        .iter()
        .fold(false, |any, byte| any | is_escaped(*byte))
    {
        escaped(out, bytes);
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes.iter().copied() {
        if byte < 0x20 {
            out.extend_from_slice(b"\\u");
            out.extend_from_slice(&hex::<4>(byte.into()));
        } else {
            if is_escaped(byte) {
                out.push(b'\\');
            }
            out.push(byte);
        }
    }
}
