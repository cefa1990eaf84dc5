//! Addresses of names: by DNS, kept for as long as their records say.

use hickory_resolver::TokioResolver;
use parking_lot::RwLock;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// An answer is kept at least and at most this long, whatever its TTL.
const KEEP_MIN: Duration = Duration::from_secs(1);
const KEEP_MAX: Duration = Duration::from_secs(300);
/// After a failure the last good answer serves this long before the next try.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// A lookup that takes longer has failed.
const LOOKUP_MAX: Duration = Duration::from_secs(5);
/// Addresses of one name that are used.
const ADDRESSES_MAX: usize = 64;

/// The system's resolver, made at the first name that needs it.
#[derive(Debug, Default)]
pub(crate) struct Dns {
    resolver: OnceLock<Result<TokioResolver, String>>,
}

impl Dns {
    fn resolver(&self) -> Result<&TokioResolver, String> {
        let made = self.resolver.get_or_init(|| {
            let builder = TokioResolver::builder_tokio().map_err(|e| e.to_string())?;
            builder.build().map_err(|e| e.to_string())
        });
        made.as_ref().map_err(Clone::clone)
    }
}

/// A name, and the addresses it had last.
#[derive(Debug)]
pub(crate) struct Name {
    dns: Arc<Dns>,
    text: String,
    last: RwLock<Option<(Arc<[IpAddr]>, Instant)>>,
    /// One lookup at a time.
    looking: tokio::sync::Mutex<()>,
}

impl Name {
    pub(crate) fn new(dns: Arc<Dns>, name: &str) -> Self {
        let fixed = literal(name);
        let forever = Instant::now() + Duration::from_secs(u64::from(u32::MAX));
        Self {
            dns,
            text: name.to_owned(),
            last: RwLock::new(fixed.map(|addresses| (addresses, forever))),
            looking: tokio::sync::Mutex::new(()),
        }
    }

    fn current(&self, now: Instant) -> Option<Arc<[IpAddr]>> {
        let last = self.last.read();
        last.as_ref()
            .filter(|(_, until)| *until > now)
            .map(|(addresses, _)| addresses.clone())
    }

    /// The addresses now. Where a lookup fails the last good ones are used on.
    pub(crate) async fn addresses(&self) -> Result<Arc<[IpAddr]>, String> {
        if let Some(current) = self.current(Instant::now()) {
            return Ok(current);
        }
        let _one = self.looking.lock().await;
        if let Some(current) = self.current(Instant::now()) {
            return Ok(current);
        }
        let found = self.look_up().await;
        let now = Instant::now();
        let mut last = self.last.write();
        match found {
            Ok((addresses, until)) => {
                let until = until.clamp(now + KEEP_MIN, now + KEEP_MAX);
                *last = Some((addresses.clone(), until));
                Ok(addresses)
            }
            Err(reason) => match &mut *last {
                Some((addresses, until)) => {
                    tracing::warn!(
                        name = self.text,
                        reason,
                        "a name could not be resolved; its last addresses are used on"
                    );
                    *until = now + RETRY_AFTER;
                    Ok(addresses.clone())
                }
                None => Err(reason),
            },
        }
    }

    async fn look_up(&self) -> Result<(Arc<[IpAddr]>, Instant), String> {
        let resolver = self.dns.resolver()?;
        let found = tokio::time::timeout(LOOKUP_MAX, resolver.lookup_ip(self.text.as_str()))
            .await
            .map_err(|_| "the lookup took too long".to_owned())?
            .map_err(|error| error.to_string())?;
        let addresses: Arc<[IpAddr]> = found.iter().take(ADDRESSES_MAX).collect();
        if addresses.is_empty() {
            return Err("the name has no address".into());
        }
        Ok((addresses, found.valid_until()))
    }
}

/// Addresses, and the one name that means this machine (RFC 6761 §6.3), need no DNS.
fn literal(name: &str) -> Option<Arc<[IpAddr]>> {
    let bare = name
        .strip_prefix('[')
        .and_then(|n| n.strip_suffix(']'))
        .unwrap_or(name);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some([address].into());
    }
    if name.eq_ignore_ascii_case("localhost") {
        return Some(
            [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ]
            .into(),
        );
    }
    None
}
