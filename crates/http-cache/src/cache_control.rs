//! `Cache-Control` of responses and requests (RFC 9111 §5.2, RFC 5861), read conservatively (§4.2.1).

use http::HeaderName;

use crate::fields::Fields;
use crate::list::{Argument, for_each_element, name_and_argument};

/// 2^31 seconds: what a larger number of seconds is read as (RFC 9111 §1.2.2).
pub const DELTA_SECONDS_MAX: u64 = 1 << 31;

/// Names that a qualified `private` or `no-cache` may list; with more the directive counts as unqualified.
const QUALIFIED_FIELDS_MAX: usize = 64;

/// The directives of a response.
///
/// A number that cannot be read is 0; of a number given twice the smallest counts; a restriction counts whatever its
/// argument; a permission (`public`, `must-understand`) counts only without one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CacheControl {
    /// The targeted field that they were read from (RFC 9213); `None`: `Cache-Control`.
    pub target: Option<HeaderName>,
    /// §5.2.2.5
    pub no_store: bool,
    /// §5.2.2.4, unqualified
    pub no_cache: bool,
    /// §5.2.2.4, `no-cache="field, .."`
    pub no_cache_fields: Vec<HeaderName>,
    /// §5.2.2.7, unqualified
    pub private: bool,
    /// §5.2.2.7, `private="field, .."`
    pub private_fields: Vec<HeaderName>,
    /// §5.2.2.9
    pub public: bool,
    /// §5.2.2.2
    pub must_revalidate: bool,
    /// §5.2.2.8
    pub proxy_revalidate: bool,
    /// §5.2.2.3
    pub must_understand: bool,
    /// §5.2.2.6
    pub no_transform: bool,
    /// §5.2.2.1, seconds
    pub max_age: Option<u64>,
    /// §5.2.2.10, seconds
    pub s_maxage: Option<u64>,
    /// RFC 5861 §3, seconds
    pub stale_while_revalidate: Option<u64>,
    /// RFC 5861 §4, seconds
    pub stale_if_error: Option<u64>,
}

impl CacheControl {
    /// Reads every `Cache-Control` line of a response; what counts for this cache is [`CacheControl::of`].
    pub(crate) fn parse(response: &dyn Fields) -> Self {
        let mut cc = CacheControl::default();
        response.each("cache-control", &mut |line| {
            for_each_element(line, |element| cc.directive(element));
        });
        cc
    }

    /// Whether a qualified `private` or `no-cache` keeps this field out of stored copies.
    pub fn withholds(&self, name: &str) -> bool {
        self.private_fields
            .iter()
            .chain(&self.no_cache_fields)
            .any(|field| field == name)
    }

    /// Whether it says that every client may have the response, so that cookies in it are meant for all: `public`,
    /// `s-maxage`, or a lifetime that is meant for caches like this one (RFC 9213).
    pub(crate) fn is_shared(&self) -> bool {
        let targeted = self.target.is_some() && self.max_age.is_some_and(|seconds| seconds > 0);
        self.public || self.s_maxage.is_some() || targeted
    }

    fn directive(&mut self, element: &[u8]) {
        let (name, argument) = name_and_argument(element);
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        if is("max-age") {
            smallest(&mut self.max_age, seconds(&argument));
        } else if is("s-maxage") {
            smallest(&mut self.s_maxage, seconds(&argument));
        } else if is("stale-while-revalidate") {
            smallest(&mut self.stale_while_revalidate, seconds(&argument));
        } else if is("stale-if-error") {
            smallest(&mut self.stale_if_error, seconds(&argument));
        } else if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            qualified(&argument, &mut self.no_cache, &mut self.no_cache_fields);
        } else if is("private") {
            qualified(&argument, &mut self.private, &mut self.private_fields);
        } else if is("public") {
            self.public |= argument == Argument::None;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand |= argument == Argument::None;
        } else if is("no-transform") {
            self.no_transform = true;
        }
    }
}

/// What a request's `Cache-Control` asks for (RFC 9111 §5.2.1), or its `Pragma` where it has none (§5.4).
///
/// The default asks for nothing.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestDirectives {
    /// No copy without a successful validation.
    pub no_cache: bool,
    /// Neither request nor answer may be stored.
    pub no_store: bool,
    /// The oldest copy wanted, in seconds of age. Unreadable: 0.
    pub max_age: Option<u64>,
    /// For how many seconds the copy must stay fresh. Unreadable: [`DELTA_SECONDS_MAX`].
    pub min_fresh: Option<u64>,
    /// How stale a copy may be, in seconds; without an argument [`DELTA_SECONDS_MAX`]. Unreadable: as if absent.
    pub max_stale: Option<u64>,
    /// How stale a copy may be that answers for an error, in seconds (RFC 5861 §4). Unreadable: as if absent.
    pub stale_if_error: Option<u64>,
    /// A copy or a 504, nothing from upstream.
    pub only_if_cached: bool,
    /// The content must arrive as the origin coded it.
    pub no_transform: bool,
    /// Nothing of this grants staleness that the response does not grant: see [`Self::narrowing`].
    pub(crate) only_narrows: bool,
}

impl RequestDirectives {
    /// Reads every `Cache-Control` line of a request, and `Pragma: no-cache` where there is none.
    pub fn parse(request: &dyn Fields) -> Self {
        let mut asked = RequestDirectives::default();
        let mut seen = false;
        request.each("cache-control", &mut |line| {
            seen = true;
            for_each_element(line, |element| asked.directive(element));
        });
        if !seen {
            request.each("pragma", &mut |line| {
                for_each_element(line, |element| {
                    asked.no_cache |= element.eq_ignore_ascii_case(b"no-cache");
                });
            });
        }
        asked
    }

    /// Whether nothing is asked that could keep a fresh copy from answering as it is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        *self == RequestDirectives::default()
    }

    /// The same without what leads past a fresh copy: `no-cache`, `max-age`, `min-fresh`. They are advice (§5.2.1).
    #[must_use]
    pub fn unforced(self) -> Self {
        RequestDirectives {
            no_cache: false,
            max_age: None,
            min_fresh: None,
            ..self
        }
    }

    /// The same for a copy that may be used stale only as far as the response grants it: `max-stale` and
    /// `stale-if-error` take from that, and add nothing.
    #[must_use]
    pub fn narrowing(self) -> Self {
        RequestDirectives {
            only_narrows: true,
            ..self
        }
    }

    fn directive(&mut self, element: &[u8]) {
        let (name, argument) = name_and_argument(element);
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("max-age") {
            smallest(&mut self.max_age, seconds(&argument));
        } else if is("min-fresh") {
            let wanted = seconds(&argument).unwrap_or(DELTA_SECONDS_MAX);
            self.min_fresh = Some(self.min_fresh.map_or(wanted, |before| before.max(wanted)));
        } else if is("max-stale") {
            let accepted = match argument {
                Argument::None => Some(DELTA_SECONDS_MAX),
                ref argument => seconds(argument),
            };
            if let Some(accepted) = accepted {
                smallest(&mut self.max_stale, Some(accepted));
            }
        } else if is("stale-if-error") {
            if let Some(accepted) = seconds(&argument) {
                smallest(&mut self.stale_if_error, Some(accepted));
            }
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("no-transform") {
            self.no_transform = true;
        }
    }
}

/// A delta-seconds (RFC 9111 §1.2.2): digits only, at most [`DELTA_SECONDS_MAX`].
pub(crate) fn delta_seconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + u64::from(digit - b'0')).min(DELTA_SECONDS_MAX);
    }
    Some(value)
}

fn seconds(argument: &Argument<'_>) -> Option<u64> {
    match argument {
        Argument::Token(value) => delta_seconds(value),
        Argument::Quoted(value) => delta_seconds(value),
        Argument::None | Argument::Malformed => None,
    }
}

fn smallest(slot: &mut Option<u64>, read: Option<u64>) {
    let read = read.unwrap_or(0);
    *slot = Some(slot.map_or(read, |before| before.min(read)));
}

/// Adds the names of a qualified directive, or sets the unqualified one where there are none to be read.
///
/// Only the quoted form qualifies (§5.2.2.4 and §5.2.2.7 tell senders to use no other): `private=1` means all of it.
pub(crate) fn qualified(argument: &Argument<'_>, whole: &mut bool, names: &mut Vec<HeaderName>) {
    let Argument::Quoted(list) = argument else {
        *whole = true;
        return;
    };
    let before = names.len();
    let mut readable = true;
    for_each_element(list, |name| match HeaderName::from_bytes(name) {
        Ok(name) if names.len() < QUALIFIED_FIELDS_MAX => names.push(name),
        _ => readable = false,
    });
    *whole |= !readable || names.len() == before;
}

#[cfg(test)]
mod tests;
