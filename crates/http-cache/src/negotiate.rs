//! Which content coding a client gets (RFC 9110 §8.4.1, §12.5.3).

use crate::fields::Fields;
use crate::list::{for_each_element, trim};
use crate::weights::{WEIGHT_MAX, qvalue};

/// A content coding that is made and undone here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// RFC 1952; `x-gzip` is the same (RFC 9110 §8.4.1.3).
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, with the window of RFC 9659.
    Zstd,
}

impl ContentCoding {
    /// All of them, as they are preferred where a client does not mind and an operator does not say. A copy is coded once
    /// and sent often: the one that makes text shortest goes first, and of the other two, which come to about the same,
    /// the one that is made and undone faster.
    pub const PREFERRED: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The coding with this name, in any case.
    #[inline]
    pub fn of_token(token: &[u8]) -> Option<Self> {
        // the length tells most of them apart: this is done for each plain hit
        match token.len() {
            2 if token.eq_ignore_ascii_case(b"br") => Some(Self::Brotli),
            4 if token.eq_ignore_ascii_case(b"gzip") => Some(Self::Gzip),
            4 if token.eq_ignore_ascii_case(b"zstd") => Some(Self::Zstd),
            6 if token.eq_ignore_ascii_case(b"x-gzip") => Some(Self::Gzip),
            _ => None,
        }
    }
}

/// What a request's `Accept-Encoding` says of the codings known here: their weights in thousandths, where it names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    gzip: Option<u16>,
    brotli: Option<u16>,
    zstd: Option<u16>,
    identity: Option<u16>,
    /// `*`: all that is not named.
    any: Option<u16>,
}

impl AcceptEncoding {
    /// Reads all lines of the field.
    pub fn of(request: &dyn Fields) -> Self {
        let mut accept = Self::default();
        request.each("accept-encoding", &mut |line| accept.read(line));
        accept
    }

    /// Reads the one line that a request has, if it has one. Allocates nothing.
    pub fn of_line(line: Option<&[u8]>) -> Self {
        let mut accept = Self::default();
        accept.read(line.unwrap_or_default());
        accept
    }

    /// An element whose weight cannot be read is not acceptable. Of a coding that is named twice the larger weight holds.
    fn read(&mut self, line: &[u8]) {
        for_each_element(line, |element| {
            let (coding, weight) = match element.iter().position(|b| *b == b';') {
                Some(at) => {
                    let weight = weight(&element[at + 1..]).unwrap_or(0);
                    (trim(&element[..at]), weight)
                }
                None => (element, WEIGHT_MAX),
            };
            let place = match coding {
                b"*" => &mut self.any,
                _ if coding.len() == 8 && coding.eq_ignore_ascii_case(b"identity") => {
                    &mut self.identity
                }
                _ => match ContentCoding::of_token(coding) {
                    Some(ContentCoding::Gzip) => &mut self.gzip,
                    Some(ContentCoding::Brotli) => &mut self.brotli,
                    Some(ContentCoding::Zstd) => &mut self.zstd,
                    None => return,
                },
            };
            *place = Some(place.map_or(weight, |before| before.max(weight)));
        });
    }

    fn weight(&self, coding: ContentCoding) -> u16 {
        let named = match coding {
            ContentCoding::Gzip => self.gzip,
            ContentCoding::Brotli => self.brotli,
            ContentCoding::Zstd => self.zstd,
        };
        named.or(self.any).unwrap_or(0)
    }

    /// Whether the client says that it takes `coding`. One that says nothing may take it (§12.5.3), and is not relied on.
    pub fn accepts(&self, coding: ContentCoding) -> bool {
        self.weight(coding) > 0
    }

    /// Whether the client takes content without a coding: anything does, unless it is refused by name or by `*;q=0`.
    pub fn accepts_identity(&self) -> bool {
        self.identity.or(self.any) != Some(0)
    }

    /// The one coding to ask for in its place, of those `offered`, or `identity`: what clients say in many ways comes to
    /// one form for each coding, and one for none. `None`: it takes nothing of that, and goes on as it is.
    ///
    /// A client that says nothing takes anything (§12.5.3); `identity` is the anything that others can share.
    pub fn normal_form(&self, offered: &[ContentCoding]) -> Option<&'static str> {
        let coding = self.best(offered).map(ContentCoding::token);
        coding.or_else(|| self.accepts_identity().then_some("identity"))
    }

    /// The most welcome coding of those `offered`, which is at least as welcome as none; of several the one that is offered
    /// first. `None`: no coding.
    pub fn best(&self, offered: &[ContentCoding]) -> Option<ContentCoding> {
        let mut best = None;
        // one that is not named is as acceptable as any, and less welcome than what is named
        let mut least = self.identity.or(self.any).unwrap_or(0).max(1);
        for &coding in offered {
            let weight = self.weight(coding);
            if weight >= least {
                best = Some(coding);
                least = weight + 1;
            }
        }
        best
    }
}

/// `q=0.5` in thousandths; `None` where it is no weight.
fn weight(parameter: &[u8]) -> Option<u16> {
    match trim(parameter) {
        [b'q' | b'Q', b'=', value @ ..] => qvalue(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
