//! Which request fields select a response (RFC 9111 §4.1).

use http::{HeaderMap, HeaderName};
use xxhash_rust::xxh3::Xxh3;

use crate::fields::Fields;
use crate::list::for_each_element;
use crate::weights::Weighted;

/// The most selecting fields that are followed; a response with more is as good as `Vary: *`.
pub const VARY_FIELDS_MAX: usize = 32;

/// The selecting fields of a response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Vary {
    /// The response answers every request with its key.
    None,
    /// It answers no other request: `*`, a name that cannot be read, or more than [`VARY_FIELDS_MAX`] names.
    Star,
    /// Lower case, sorted, without duplicates, at least one.
    Fields(Vec<HeaderName>),
}

/// Reads every `Vary` line.
pub fn vary(response: &HeaderMap) -> Vary {
    let mut names: Vec<HeaderName> = Vec::new();
    let mut star = false;
    response.each("vary", &mut |line| {
        for_each_element(line, |element| match HeaderName::from_bytes(element) {
            // `*` is a token, so it parses as a name.
            Ok(name) if name.as_str() != "*" => {
                let known = names.contains(&name);
                if !known && names.len() < VARY_FIELDS_MAX {
                    names.push(name);
                } else {
                    star |= !known;
                }
            }
            _ => star = true,
        });
    });
    if star {
        return Vary::Star;
    }
    if names.is_empty() {
        return Vary::None;
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    Vary::Fields(names)
}

/// The digest of a request's selecting fields; two requests with the same digest select the same response.
///
/// White space around commas, empty list elements and the split into lines do not count. Of the fields that list ranges
/// with weights (`Accept`, `Accept-Charset`, `Accept-Encoding`, `Accept-Language`) the case and the order of the ranges
/// do not either: RFC 9111 §4.1 allows to normalise "in a way that is known to have identical semantics" (see
/// `weights`). Of all other fields case, order and all else do count. An absent field differs from an empty one. The
/// order of `names` counts: pass them as [`vary`] gives them. Never 0 or 1, which callers may use as marks.
pub fn variant_digest(names: &[HeaderName], request: &dyn Fields) -> u64 {
    let mut hash = Xxh3::new();
    for name in names {
        framed(&mut hash, b'n', name.as_str().as_bytes());
        if request.first(name.as_str()).is_none() {
            continue;
        }
        hash.update(b"p");
        let readable = Weighted::of(name).is_some_and(|weighted| {
            weighted.each(name, request, |range, weight| {
                framed(&mut hash, b'w', range);
                hash.update(&weight.to_le_bytes());
            })
        });
        if !readable {
            request.each(name.as_str(), &mut |line| {
                for_each_element(line, |element| framed(&mut hash, b'e', element));
            });
        }
    }
    match hash.digest() {
        mark @ (0 | 1) => mark + 2,
        digest => digest,
    }
}

/// Tag, length, bytes: no two sequences of fields and elements write the same.
fn framed(hash: &mut Xxh3, tag: u8, bytes: &[u8]) {
    let mut frame = [tag; 9];
    frame[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    hash.update(&frame);
    hash.update(bytes);
}

#[cfg(test)]
mod tests;
