//! Turns the fuzzer's bytes into what the judging functions take.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Bytes that are used up from the front.
pub struct Input<'d> {
    rest: &'d [u8],
}

impl<'d> Input<'d> {
    pub fn new(data: &'d [u8]) -> Self {
        Self { rest: data }
    }

    /// 0 where nothing is left.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    pub fn number(&mut self) -> u64 {
        let bytes: [u8; 8] = std::array::from_fn(|_| self.byte());
        u64::from_le_bytes(bytes)
    }

    /// A small number, a second of these years, or any: each byte range is reached soon.
    pub fn seconds(&mut self) -> u64 {
        match self.byte() % 3 {
            0 => u64::from(self.byte()),
            1 => 1_700_000_000 + u64::from(self.byte()),
            _ => self.number(),
        }
    }

    pub fn option(&mut self) -> Option<u64> {
        (self.byte() % 2 == 1).then(|| self.seconds())
    }

    /// What is left, up to the next byte 0.
    fn line(&mut self) -> &'d [u8] {
        let end = self.rest.iter().position(|b| *b == 0);
        let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        line
    }

    /// At most 16 fields: a byte for the name among `names`, then the value.
    pub fn fields(&mut self, names: &[&'static str]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for _ in 0..self.byte() % 17 {
            let name = names[usize::from(self.byte()) % names.len()];
            if let Ok(value) = HeaderValue::from_bytes(self.line()) {
                fields.append(HeaderName::from_static(name), value);
            }
        }
        fields
    }

    pub fn rest(self) -> &'d [u8] {
        self.rest
    }
}
