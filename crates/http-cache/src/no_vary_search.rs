//! `No-Vary-Search`: which differences of the query a response does not depend on
//! (draft-ietf-httpbis-no-vary-search-09, an extension of RFC 9111 §4).
//!
//! Browsers and earlier revisions of the draft (up to -04) have another spelling: `params` alone for "no parameter
//! counts", `params, except=("a")` for "but these". The draft has `except=()` and `except=("a")` for that. Both are read:
//! neither means anything else in the other.

use crate::fields::Fields;
use crate::sf::{BareItem, Dictionary, Member};
use std::borrow::Cow;

/// Bytes of all names that a response lists. One with more counts as one that declares nothing, which every cache may
/// do (§7): its URLs are told apart.
const NAMES_BYTES_MAX: usize = 4096;

/// What a response declares of its URL's query: its "URL variation config" (§4). The default one, by which all URLs
/// differ whose queries do, is none of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryVariation {
    /// Whether the order of different names counts.
    key_order: bool,
    params: Params,
}

/// Names are decoded, sorted, and each there once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Params {
    /// All count but these.
    AllBut(Vec<String>),
    /// These alone count.
    Only(Vec<String>),
}

impl QueryVariation {
    /// What the fields of a response declare (§5.2). `None`: the default, for want of the field or of sense in it.
    pub fn of(response: &dyn Fields) -> Option<Self> {
        Self::read(&Dictionary::of_field(response, "no-vary-search")?)
    }

    /// §5.1
    fn read(value: &Dictionary) -> Option<Self> {
        let key_order = match value.get("key-order") {
            None => true,
            Some(member) => !boolean(member)?,
        };
        let params = match (value.get("params"), value.get("except")) {
            (None, None) => Params::AllBut(Vec::new()),
            (None, Some(except)) => Params::Only(names(except)?),
            (Some(params @ Member::Inner(..)), None) => Params::AllBut(names(params)?),
            // the earlier spelling
            (Some(params), None) if boolean(params)? => Params::Only(Vec::new()),
            (Some(_), None) => Params::AllBut(Vec::new()),
            (Some(params), Some(except)) if boolean(params)? => Params::Only(names(except)?),
            (Some(_), Some(_)) => return None,
        };
        let variation = Self { key_order, params };
        (!variation.is_default()).then_some(variation)
    }

    fn is_default(&self) -> bool {
        self.key_order && matches!(&self.params, Params::AllBut(names) if names.is_empty())
    }

    /// What counts of a query, as bytes: two URLs that differ in their queries alone are equivalent for the response if
    /// these are the same (§6). `None`: there is no query.
    pub fn canonical(&self, query: Option<&[u8]>) -> Vec<u8> {
        let counts = |name: &str| match &self.params {
            Params::AllBut(names) => find(names, name).is_err(),
            Params::Only(names) => find(names, name).is_ok(),
        };
        let mut pairs: Vec<_> = pairs(query.unwrap_or_default())
            .filter(|(name, _)| counts(name))
            .collect();
        if !self.key_order {
            // of one name the order counts: the sort is a stable one
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        let mut canonical = Vec::with_capacity(query.map_or(0, <[u8]>::len) + pairs.len() * 16);
        for (name, value) in &pairs {
            frame(&mut canonical, name);
            frame(&mut canonical, value);
        }
        canonical
    }
}

fn find(names: &[String], name: &str) -> Result<usize, usize> {
    names.binary_search_by(|listed| listed.as_str().cmp(name))
}

/// With its length before it, so that no two lists are one text.
fn frame(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Of a member that is a boolean; its parameters mean nothing.
fn boolean(member: &Member) -> Option<bool> {
    match member {
        Member::Item(item) => match item.value {
            BareItem::Boolean(value) => Some(value),
            _ => None,
        },
        Member::Inner(..) => None,
    }
}

/// Of a member that is a list of strings.
fn names(member: &Member) -> Option<Vec<String>> {
    let Member::Inner(items, _) = member else {
        return None;
    };
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        let BareItem::String(name) = &item.value else {
            return None;
        };
        // §5.3: names are written as in a query
        names.push(decoded(name.as_bytes()));
    }
    names.sort_unstable();
    names.dedup();
    (names.iter().map(String::len).sum::<usize>() <= NAMES_BYTES_MAX).then_some(names)
}

/// Names and values of a query, as the parser for `application/x-www-form-urlencoded` of the URL standard finds them.
fn pairs(query: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    let parts = query.split(|&b| b == b'&').filter(|part| !part.is_empty());
    parts.map(|part| match part.iter().position(|&b| b == b'=') {
        Some(at) => (decoded(&part[..at]), decoded(&part[at + 1..])),
        None => (decoded(part), String::new()),
    })
}

/// Plus signs are spaces, then percent-encodings are bytes, then all of it is UTF-8; what is none is U+FFFD.
fn decoded(text: &[u8]) -> String {
    if !text.iter().any(|b| matches!(b, b'+' | b'%')) {
        return String::from_utf8_lossy(text).into_owned();
    }
    let digit = |at: usize| {
        let digit = char::from(*text.get(at)?).to_digit(16)?;
        u8::try_from(digit).ok()
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high << 4 | low);
                at += 2;
            }
            (b'+', ..) => bytes.push(b' '),
            (byte, ..) => bytes.push(byte),
        }
        at += 1;
    }
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(_) => String::from_utf8(bytes).unwrap_or_default(),
        Cow::Owned(text) => text,
    }
}

#[cfg(test)]
mod tests;
