//! Request targets and hosts (RFC 9112 §3.2, RFC 3986 §3.2.2).

/// Whether `host` is a `Host` value that names a host: `uri-host [":" port]`, without a user, a path, a list or white
/// space. Empty is not.
pub fn is_host(host: &[u8]) -> bool {
    let (name, port) = if host.first() == Some(&b'[') {
        let Some(end) = host.iter().position(|&b| b == b']') else {
            return false;
        };
        let address = std::str::from_utf8(&host[1..end]).unwrap_or_default();
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        match &host[end + 1..] {
            [] => return true,
            [b':', port @ ..] => return is_port(port),
            _ => return false,
        }
    } else {
        match host.iter().position(|&b| b == b':') {
            Some(colon) => (&host[..colon], Some(&host[colon + 1..])),
            None => (host, None),
        }
    };
    // reg-name without the comma, which would let two hosts pass for one
    let legal = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(b);
    !name.is_empty() && name.len() <= 255 && name.iter().all(legal) && port.is_none_or(is_port)
}

fn is_port(port: &[u8]) -> bool {
    // "host:" with an empty port is legal (RFC 3986 §3.2.3)
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && (port.is_empty() || std::str::from_utf8(port).is_ok_and(|p| p.parse::<u16>().is_ok()))
}

/// An absolute-form target, taken apart: scheme, authority, and the rest in origin form (`None` where the path is empty:
/// it is `/`).
pub struct Absolute<'t> {
    pub https: bool,
    pub authority: &'t str,
    pub rest: Option<&'t str>,
}

/// Takes an absolute-form target apart. `None`: it is not one, or of another scheme than http and https.
pub fn absolute(target: &str) -> Option<Absolute<'_>> {
    let (scheme, behind) = target.split_once("://")?;
    let https = match () {
        () if scheme.eq_ignore_ascii_case("http") => false,
        () if scheme.eq_ignore_ascii_case("https") => true,
        () => return None,
    };
    let end = behind.find(['/', '?']).unwrap_or(behind.len());
    let (authority, rest) = behind.split_at(end);
    Some(Absolute {
        https,
        authority,
        rest: rest.starts_with('/').then_some(rest),
    })
}

/// Whether two hosts are one: letters' case and the scheme's default port make no difference.
pub fn same_host(a: &[u8], b: &[u8], https: bool) -> bool {
    let default: &[u8] = if https { b":443" } else { b":80" };
    let bare = |host: &'_ [u8]| -> Vec<u8> {
        let host = host.strip_suffix(default).unwrap_or(host);
        host.strip_suffix(b":").unwrap_or(host).to_ascii_lowercase()
    };
    bare(a) == bare(b)
}

/// Whether a path and query hold only what may stand there raw: printable ASCII without a fragment.
pub fn is_origin_form(target: &str) -> bool {
    target.starts_with('/') && target.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}
