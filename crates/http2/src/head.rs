//! A request's head, and what makes it malformed (RFC 9113 §8.2, §8.3).

use crate::hpack::{Decoder, Undecodable};
use std::ops::Range;

/// What RFC 9113 §6.5.2 counts of each field besides its name and value.
const FIELD_BYTES: usize = 32;

/// How much a head may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// `SETTINGS_MAX_HEADER_LIST_SIZE`.
    pub(crate) bytes_max: usize,
    pub(crate) fields_max: usize,
}

/// What is wrong with a head that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is no request: its stream is reset.
    Malformed(&'static str),
    /// It is larger than it may be; what came first is there.
    TooLarge,
}

/// The head that was read last. Its memory is used again.
#[derive(Debug, Default)]
pub struct Head {
    names: String,
    values: Vec<u8>,
    /// Where names and values end.
    fields: Vec<(usize, usize)>,
    pseudo: [Option<Range<usize>>; 4],
    cookies: u32,
    content_length: Option<u64>,
    /// Counted as RFC 9113 §6.5.2 does.
    size: usize,
    fault: Option<Fault>,
    trailers: bool,
}

const METHOD: usize = 0;
const SCHEME: usize = 1;
const AUTHORITY: usize = 2;
const PATH: usize = 3;
/// A head's memory beyond this is not kept.
const KEPT_BYTES: usize = 8 * 1024;

impl Head {
    /// Reads a block. An error ends the connection; anything else that is wrong is this head's [`fault`](Self::fault).
    pub(crate) fn read(
        &mut self,
        decoder: &mut Decoder,
        block: &[u8],
        limits: HeadLimits,
        trailers: bool,
    ) -> Result<(), Undecodable> {
        self.clear();
        self.trailers = trailers;
        decoder.decode(block, |name, value| self.take(name, value, limits))?;
        if !trailers {
            self.judge_pseudo();
        }
        Ok(())
    }

    fn clear(&mut self) {
        if self.values.capacity() > KEPT_BYTES || self.names.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
        self.names.clear();
        self.values.clear();
        self.fields.clear();
        self.pseudo = [const { None }; 4];
        (self.cookies, self.size) = (0, 0);
        (self.content_length, self.fault) = (None, None);
    }

    fn take(&mut self, name: &[u8], value: &[u8], limits: HeadLimits) {
        self.size += name.len() + value.len() + FIELD_BYTES;
        // crumbs are one field again later
        let fields = self.fields.len() - (self.cookies as usize).saturating_sub(1);
        let is_crumb = name == b"cookie" && self.cookies > 0;
        if self.size > limits.bytes_max || fields == limits.fields_max && !is_crumb {
            self.fault.get_or_insert(Fault::TooLarge);
            return;
        }
        if let Err(text) = self.judge(name, value) {
            self.fault.get_or_insert(Fault::Malformed(text));
        }
    }

    fn judge(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if !is_value(value) {
            return Err("a field's value has bytes that none has");
        }
        let start = self.values.len();
        if let Some(pseudo) = name.strip_prefix(b":") {
            let place = match pseudo {
                b"method" => METHOD,
                b"scheme" => SCHEME,
                b"authority" => AUTHORITY,
                b"path" => PATH,
                _ => return Err("an unknown pseudo-header field"),
            };
            if self.trailers || !self.fields.is_empty() {
                return Err("a pseudo-header field where none may stand");
            }
            self.values.extend_from_slice(value);
            let range = start..self.values.len();
            return match self.pseudo[place].replace(range) {
                None => Ok(()),
                Some(_) => Err("a pseudo-header field is repeated"),
            };
        }
        if !is_name(name) {
            return Err("a field's name is none");
        }
        match name {
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
            | b"upgrade" => return Err("a field of HTTP/1.1 connections"),
            b"te" if !value.eq_ignore_ascii_case(b"trailers") => {
                return Err("te has more than trailers");
            }
            b"cookie" => self.cookies += 1,
            b"content-length" if !self.trailers => {
                if self.content_length.is_some() {
                    return Err("content-length is repeated");
                }
                self.content_length = Some(length(value).ok_or("content-length is no length")?);
            }
            _ => {}
        }
        // checked above: nothing but ASCII
        self.names
            .push_str(std::str::from_utf8(name).unwrap_or_default());
        self.values.extend_from_slice(value);
        self.fields.push((self.names.len(), self.values.len()));
        Ok(())
    }

    fn judge_pseudo(&mut self) {
        let is_there = |place: usize| {
            let value = self.pseudo[place].as_ref();
            value.is_some_and(|value| !value.is_empty())
        };
        let connect = self.method() == "CONNECT";
        let whole = if connect {
            is_there(AUTHORITY) && self.pseudo[SCHEME].is_none() && self.pseudo[PATH].is_none()
        } else {
            is_there(METHOD) && is_there(SCHEME) && is_there(PATH)
        };
        if !whole {
            self.fault
                .get_or_insert(Fault::Malformed("a pseudo-header field is missing"));
        }
    }

    fn pseudo(&self, place: usize) -> Option<&[u8]> {
        self.values.get(self.pseudo[place].clone()?)
    }

    fn pseudo_text(&self, place: usize) -> &str {
        let value = self.pseudo(place).unwrap_or_default();
        std::str::from_utf8(value).unwrap_or_default()
    }

    /// What is wrong with it.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Empty where it is missing, or not of ASCII.
    pub fn method(&self) -> &str {
        self.pseudo_text(METHOD)
    }

    /// `:path`; empty where it is missing, or not UTF-8.
    pub fn path(&self) -> &str {
        self.pseudo_text(PATH)
    }

    /// `:authority`.
    pub fn authority(&self) -> Option<&[u8]> {
        self.pseudo(AUTHORITY)
    }

    /// More than one `cookie`: they are one field for what speaks no HTTP/2 (RFC 9113 §8.2.3).
    pub fn has_crumbs(&self) -> bool {
        self.cookies > 1
    }

    /// The fields, in order, without pseudo-header fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let before = self.pseudo.iter().flatten().map(|range| range.end).max();
        let mut ends = (0, before.unwrap_or(0));
        self.fields.iter().map(move |&(name, value)| {
            let field = (&self.names[ends.0..name], &self.values[ends.1..value]);
            ends = (name, value);
            field
        })
    }

    /// It names a length, and no body follows.
    pub(crate) fn is_without_its_body(&mut self) {
        self.fault
            .get_or_insert(Fault::Malformed("content-length without a body"));
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        self.content_length
    }
}

/// RFC 9113 §8.2.1; and nothing that HTTP/1.1 has no form for.
fn is_value(value: &[u8]) -> bool {
    let edge = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let legal = |&byte: &u8| byte >= b' ' && byte != 0x7f || byte == b'\t';
    !edge(value.first()) && !edge(value.last()) && value.iter().all(legal)
}

/// A token (RFC 9110 §5.6.2) without upper case.
fn is_name(name: &[u8]) -> bool {
    let legal = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_!#$%&'*+.^`|~".contains(byte)
    };
    !name.is_empty() && name.iter().all(legal)
}

/// Digits alone, at most 18 of them.
fn length(value: &[u8]) -> Option<u64> {
    if value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}
