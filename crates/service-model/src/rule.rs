//! Rules: what they match, and the policy they give.

use crate::edit::FieldEdits;
use crate::key::KeyRules;
use http::HeaderName;
use seawall_http_cache::{CompressTypes, ContentCoding, Fields, StoragePolicy};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    #[default]
    Cache,
    /// Neither looked up nor stored.
    Bypass,
}

/// What of a client's `Accept-Encoding` selects copies and goes on to the next server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptedCodings {
    /// All, as it came.
    #[default]
    AsAsked,
    /// The most welcome of the rule's codings alone, or `identity`.
    Normalised,
}

/// Everything that is decided for a request before it is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub cache: CacheMode,
    pub storage: StoragePolicy,
    pub key: KeyRules,
    /// Text that the origin left plain is coded at the edge in one of these, the preferred first; none: it stays plain.
    pub codings: Vec<ContentCoding>,
    /// What is coded at all.
    pub compress_types: CompressTypes,
    /// What a response declares by `No-Vary-Search` counts: one copy answers all URLs that it makes equivalent.
    pub no_vary_search: bool,
    /// Shorter bodies are left alone, in bytes.
    pub gzip_min: u64,
    /// What of `Accept-Encoding` selects copies and goes on.
    pub accept_encoding: AcceptedCodings,
    /// What came coded is decoded at the edge for clients that do not accept its coding.
    pub decode: bool,
    /// Changed on the way to the origin.
    pub request_headers: FieldEdits,
    /// Changed on the way to clients.
    pub response_headers: FieldEdits,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cache: CacheMode::Cache,
            storage: StoragePolicy {
                heuristic: true,
                ..StoragePolicy::default()
            },
            key: KeyRules::default(),
            codings: ContentCoding::PREFERRED.into(),
            compress_types: CompressTypes::default(),
            no_vary_search: true,
            gzip_min: 1024,
            accept_encoding: AcceptedCodings::default(),
            decode: false,
            request_headers: FieldEdits::default(),
            response_headers: FieldEdits::default(),
        }
    }
}

/// A pattern over whole paths: `*` stands for any characters but `/`, `**` for any characters at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
}

impl PathPattern {
    /// `None` where the text does not start with `/` or `*`.
    pub fn new(text: &str) -> Option<Self> {
        (text.starts_with('/') || text.starts_with('*')).then(|| Self {
            text: text.to_owned(),
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Each star keeps one place to return to, and no part of a path is tried again for a `*` that it has failed before:
    /// a long path, which a stranger may send, costs about its length times the pattern's.
    pub fn matches(&self, path: &str) -> bool {
        let (pattern, path) = (self.text.as_bytes(), path.as_bytes());
        let (mut p, mut s) = (0, 0);
        // where to go on when nothing fits: (pattern behind the star, path, whether it may take a slash)
        let mut single: Option<(usize, usize)> = None;
        let mut double: Option<(usize, usize)> = None;
        loop {
            if p < pattern.len() && pattern[p] == b'*' {
                if pattern.get(p + 1) == Some(&b'*') {
                    p += 2;
                    double = Some((p, s));
                    single = None;
                } else {
                    p += 1;
                    single = Some((p, s));
                }
                continue;
            }
            if p < pattern.len() && s < path.len() && pattern[p] == path[s] {
                p += 1;
                s += 1;
                continue;
            }
            if p == pattern.len() && s == path.len() {
                return true;
            }
            if let Some((behind, at)) =
                single.filter(|(_, at)| path.get(*at).is_some_and(|b| *b != b'/'))
            {
                single = Some((behind, at + 1));
                (p, s) = (behind, at + 1);
            } else if let Some((behind, at)) = double.filter(|(_, at)| *at < path.len()) {
                let next = match single {
                    // what stands behind the single star is nowhere in the rest of the path, from wherever one starts
                    Some((_, tried)) if tried == path.len() => return false,
                    Some((rest, tried)) => next_start(&pattern[behind..rest], at, tried),
                    None => at + 1,
                };
                double = Some((behind, next));
                single = None;
                (p, s) = (behind, next);
            } else {
                return false;
            }
        }
    }
}

/// Where to try next behind a double star at `at`, after the last single star of `block` has failed up to the slash at
/// `tried`: any start that leads the first one into the same segment fails again.
fn next_start(block: &[u8], at: usize, tried: usize) -> usize {
    let literal = block.iter().position(|b| *b == b'*').unwrap_or(block.len());
    if block[literal..].contains(&b'/') {
        return at + 1;
    }
    (at + 1).max((tried + 1).saturating_sub(literal))
}

/// A condition on a request's field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldCondition {
    Present(HeaderName),
    Absent(HeaderName),
    /// One of its lines is this, letter by letter.
    Equals(HeaderName, String),
}

impl FieldCondition {
    fn holds(&self, fields: &dyn Fields) -> bool {
        match self {
            Self::Present(name) => fields.first(name.as_str()).is_some(),
            Self::Absent(name) => fields.first(name.as_str()).is_none(),
            Self::Equals(name, value) => {
                let mut found = false;
                fields.each(name.as_str(), &mut |line| found |= line == value.as_bytes());
                found
            }
        }
    }
}

/// All that is given must hold; what is empty holds always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// One of these.
    pub paths: Vec<PathPattern>,
    /// One of these, in upper case.
    pub methods: Vec<String>,
    /// All of these.
    pub fields: Vec<FieldCondition>,
}

impl Matcher {
    pub fn matches(&self, method: &str, path: &str, fields: &dyn Fields) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|m| m == method))
            && (self.paths.is_empty() || self.paths.iter().any(|p| p.matches(path)))
            && self.fields.iter().all(|f| f.holds(fields))
    }
}

/// One rule of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// For people and `Cache-Status`; need not be unique.
    pub name: String,
    pub matcher: Matcher,
    /// Complete: what the rule does not say comes from the service's default.
    pub policy: Policy,
}
