//! What a purge names. Edges, shields and the control plane compute the same ids from the same texts.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The identity of a scope: a 64-bit digest. Two scopes with one id would be purged together, which is safe.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable,
)]
#[repr(transparent)]
pub struct ScopeId(pub u64);

/// What a purge can name. Hosts are canonical (lower case, no default port), paths start with `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// One URL, of both schemes and with all its variants. `query` is without the question mark; `None` where there is none.
    Url {
        host: &'a str,
        path: &'a str,
        query: Option<&'a str>,
    },
    /// Every query of one path: carried by copies whose response declared `No-Vary-Search`.
    AnyQuery {
        host: &'a str,
        path: &'a str,
    },
    /// A surrogate key of one service.
    Tag {
        service: &'a str,
        tag: &'a [u8],
    },
    /// Everything below a path, by whole segments: `/a/b` covers `/a/b` and `/a/b/c`, and not `/a/bc`. Without a trailing slash.
    Prefix {
        host: &'a str,
        path: &'a str,
    },
    Host {
        host: &'a str,
    },
    Service {
        service: &'a str,
    },
    Everything,
}

impl Scope<'_> {
    /// The id of this scope. Parts are framed by their lengths and the kind comes first, so that no two scopes are
    /// digested alike. The digests are at rest and on the wire: they never change (golden vectors below).
    pub fn id(&self) -> ScopeId {
        let mut text = Text::default();
        let mut part = |bytes: &[u8]| {
            text.put(&(bytes.len() as u64).to_le_bytes());
            text.put(bytes);
        };
        match *self {
            Self::Url { host, path, query } => {
                part(b"url");
                part(host.as_bytes());
                part(path.as_bytes());
                // absent differs from empty
                if let Some(query) = query {
                    part(query.as_bytes());
                }
            }
            Self::AnyQuery { host, path } => {
                part(b"any-query");
                part(host.as_bytes());
                part(path.as_bytes());
            }
            Self::Tag { service, tag } => {
                part(b"tag");
                part(service.as_bytes());
                part(tag);
            }
            Self::Prefix { host, path } => {
                part(b"prefix");
                part(host.as_bytes());
                part(path.as_bytes());
            }
            Self::Host { host } => {
                part(b"host");
                part(host.as_bytes());
            }
            Self::Service { service } => {
                part(b"service");
                part(service.as_bytes());
            }
            Self::Everything => part(b"everything"),
        }
        ScopeId(text.digest())
    }

    /// What it is a scope of, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Url { .. } => "url",
            Self::AnyQuery { .. } => "any-query",
            Self::Tag { .. } => "tag",
            Self::Prefix { .. } => "prefix",
            Self::Host { .. } => "host",
            Self::Service { .. } => "service",
            Self::Everything => "everything",
        }
    }

    /// What it names, for people; empty of everything.
    pub fn name(&self) -> String {
        match *self {
            Self::Url { host, path, query } => match query {
                Some(query) => format!("{host}{path}?{query}"),
                None => format!("{host}{path}"),
            },
            Self::AnyQuery { host, path } | Self::Prefix { host, path } => format!("{host}{path}"),
            Self::Tag { tag, .. } => String::from_utf8_lossy(tag).into_owned(),
            Self::Host { host } => host.to_owned(),
            Self::Service { service } => service.to_owned(),
            Self::Everything => String::new(),
        }
    }
}

/// A text to be digested. Most are short, and the state for long ones would cost more than their digest.
struct Text {
    short: [u8; SHORT_BYTES_MAX],
    len: usize,
    long: Option<Box<Xxh3>>,
}

const SHORT_BYTES_MAX: usize = 240;

impl Default for Text {
    fn default() -> Self {
        Self {
            short: [0; SHORT_BYTES_MAX],
            len: 0,
            long: None,
        }
    }
}

impl Text {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(long) = &mut self.long {
            long.update(bytes);
        } else if let Some(room) = self.short.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        } else {
            let mut long = Box::new(Xxh3::new());
            long.update(&self.short[..self.len]);
            long.update(bytes);
            self.long = Some(long);
        }
    }

    fn digest(&self) -> u64 {
        match &self.long {
            Some(long) => long.digest(),
            None => xxh3_64(&self.short[..self.len]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_scopes_share_an_id() {
        let (host, path) = ("a.example", "/x");
        let scopes = [
            Scope::Url {
                host,
                path,
                query: None,
            },
            Scope::Url {
                host,
                path,
                query: Some(""),
            },
            Scope::Url {
                host,
                path,
                query: Some("q"),
            },
            Scope::Url {
                host: "a.example/",
                path: "x",
                query: None,
            },
            Scope::AnyQuery { host, path },
            Scope::Prefix { host, path },
            Scope::Host { host },
            Scope::Tag {
                service: host,
                tag: path.as_bytes(),
            },
            Scope::Service { service: host },
            Scope::Everything,
        ];
        let ids: HashSet<_> = scopes.iter().map(Scope::id).collect();
        assert_eq!(ids.len(), scopes.len());
    }

    #[test]
    fn a_text_has_one_digest_however_long_it_is_and_in_whatever_pieces_it_comes() {
        let bytes: Vec<u8> = (0..3 * SHORT_BYTES_MAX).map(|i| (i % 251) as u8).collect();
        for len in 0..bytes.len() {
            for piece in [1, 7, SHORT_BYTES_MAX, bytes.len()] {
                let mut text = Text::default();
                bytes[..len].chunks(piece).for_each(|part| text.put(part));
                assert_eq!(text.digest(), xxh3_64(&bytes[..len]), "{len} by {piece}");
            }
        }
    }

    /// These ids are stored and sent: a change of any of them is a change of format.
    #[test]
    fn ids_are_what_they_were() {
        let rows = [
            (Scope::Everything, GOLDEN[0]),
            (
                Scope::Host {
                    host: "www.example.com",
                },
                GOLDEN[1],
            ),
            (
                Scope::Url {
                    host: "www.example.com",
                    path: "/a",
                    query: Some("b=1"),
                },
                GOLDEN[2],
            ),
            (
                Scope::Tag {
                    service: "shop",
                    tag: b"product-17",
                },
                GOLDEN[3],
            ),
        ];
        let ids: Vec<u64> = rows.iter().map(|(scope, _)| scope.id().0).collect();
        let golden: Vec<u64> = rows.iter().map(|(_, golden)| *golden).collect();
        assert_eq!(ids, golden, "{ids:#x?}");
    }

    const GOLDEN: [u64; 4] = [
        0xad9d_3df5_4695_f2bb,
        0x6aaf_0fdf_13bf_5eef,
        0x1e79_f33c_8975_8f7c,
        0x8fe3_162e_5b6f_cfdb,
    ];
}
