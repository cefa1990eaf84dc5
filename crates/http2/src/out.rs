//! What waits to be written to the client.

use bytes::{Buf as _, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;

/// A shorter piece of a body is copied behind its frame's head.
const COPIED_BYTES_MAX: usize = 2048;

/// Bytes in order: most are written here, and long bodies lie where they are.
#[derive(Debug, Default)]
pub struct Out {
    /// Whole, and before all of `tail`.
    parts: VecDeque<Bytes>,
    pub(crate) tail: BytesMut,
    /// Bytes in `parts`.
    len: usize,
}

impl Out {
    pub fn len(&self) -> usize {
        self.len + self.tail.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn body(&mut self, data: Bytes) {
        if data.len() <= COPIED_BYTES_MAX {
            self.tail.extend_from_slice(&data);
            return;
        }
        if !self.tail.is_empty() {
            self.len += self.tail.len();
            self.parts.push_back(self.tail.split().freeze());
        }
        self.len += data.len();
        self.parts.push_back(data);
    }

    /// As much as `slices` has room for, in order; says how many have been filled.
    pub fn slices<'o>(&'o self, slices: &mut [IoSlice<'o>]) -> usize {
        let parts = self.parts.iter().map(|part| &part[..]);
        let all = parts.chain((!self.tail.is_empty()).then_some(&self.tail[..]));
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    /// So many bytes have been written.
    pub fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.parts.front_mut() {
            if written < first.len() {
                first.advance(written);
                self.len -= written;
                return;
            }
            written -= first.len();
            self.len -= first.len();
            self.parts.pop_front();
        }
        self.tail.advance(written);
    }

    /// The buffer that short things are written to: to be taken from a pool, and given back when all is written.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came_however_they_are_written() {
        for step in [1, 7, 2048, 5000, 100_000] {
            let mut out = Out::default();
            let mut expected = Vec::new();
            for (length, byte) in [3, 4000, 10, 2048, 2049, 5].into_iter().zip(b'a'..) {
                let data = vec![byte; length];
                expected.extend_from_slice(&data);
                out.body(data.into());
            }
            assert_eq!(out.len(), expected.len());
            let mut seen = Vec::new();
            while !out.is_empty() {
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = out.slices(&mut slices);
                let all: Vec<u8> = slices[..filled]
                    .iter()
                    .flat_map(|slice| slice.to_vec())
                    .collect();
                let n = all.len().min(step);
                seen.extend_from_slice(&all[..n]);
                out.advance(n);
            }
            assert!(seen == expected, "{step}");
        }
    }
}
