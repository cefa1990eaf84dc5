//! The Huffman code of strings (RFC 7541 §5.2, Appendix B).
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols. So the lengths say it all.

use bytes::{BufMut as _, BytesMut};

const EOS: usize = 256;

/// Bits of each symbol's code; the last is the end of string, which may not occur.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

static CODES: [u32; 257] = codes();
static STEPS: [[Step; 16]; NODES] = steps();

/// Nodes of the code's tree that are no leaves: one fewer than leaves.
const NODES: usize = 256;

/// What four bits lead to from a node.
#[derive(Clone, Copy)]
struct Step {
    node: u8,
    /// What they complete: no code has fewer than five bits, so there is one at most.
    symbol: u8,
    /// Of the constants below.
    is: u8,
}

/// They complete a symbol.
const EMITS: u8 = 1;
/// They complete the end of string.
const FAILS: u8 = 2;
/// A string may end here: less than a byte of ones is behind the last symbol.
const ENDS: u8 = 4;

const fn codes() -> [u32; 257] {
    let mut codes = [0; 257];
    let (mut code, mut length) = (0u32, 1u8);
    while length <= 30 {
        let mut symbol = 0;
        while symbol <= EOS {
            if LENGTHS[symbol] == length {
                codes[symbol] = code;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    codes
}

const fn steps() -> [[Step; 16]; NODES] {
    /// A child is a leaf, whose symbol follows.
    const LEAF: u16 = 0x8000;
    let codes = codes();
    // 0 is the root, which is nobody's child: not there yet
    let mut children = [[0u16; 2]; NODES];
    let mut nodes = 1;
    // nodes with nothing but ones before them, less than a byte of them
    let mut padding = [false; NODES];
    padding[0] = true;
    let mut symbol = 0;
    while symbol <= EOS {
        let mut node = 0;
        let mut bit = LENGTHS[symbol];
        while bit > 0 {
            bit -= 1;
            let side = (codes[symbol] >> bit & 1) as usize;
            if bit == 0 {
                children[node][side] = LEAF | symbol as u16;
            } else {
                if children[node][side] == 0 {
                    children[node][side] = nodes as u16;
                    nodes += 1;
                }
                node = children[node][side] as usize;
                let depth = LENGTHS[symbol] - bit;
                padding[node] = depth < 8 && codes[symbol] >> bit == (1 << depth) - 1;
            }
        }
        symbol += 1;
    }
    let none = Step {
        node: 0,
        symbol: 0,
        is: 0,
    };
    let mut steps = [[none; 16]; NODES];
    let mut from = 0;
    while from < NODES {
        let mut bits = 0;
        while bits < 16 {
            let step = &mut steps[from][bits];
            let mut node = from;
            let mut bit = 4;
            while bit > 0 {
                bit -= 1;
                let child = children[node][bits >> bit & 1];
                if child & LEAF == 0 {
                    node = child as usize;
                } else {
                    let symbol = (child & !LEAF) as usize;
                    step.is |= if symbol == EOS { FAILS } else { EMITS };
                    step.symbol = symbol as u8;
                    node = 0;
                }
            }
            step.node = node as u8;
            if padding[node] {
                step.is |= ENDS;
            }
            bits += 1;
        }
        from += 1;
    }
    steps
}

/// Appends what `coded` stands for. False: it is no code, or its padding is not what it has to be.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> bool {
    let mut node = 0u8;
    let mut ends = true;
    for byte in coded {
        for bits in [byte >> 4, byte & 15] {
            let step = &STEPS[usize::from(node)][usize::from(bits)];
            if step.is & FAILS != 0 {
                return false;
            }
            if step.is & EMITS != 0 {
                out.push(step.symbol);
            }
            (node, ends) = (step.node, step.is & ENDS != 0);
        }
    }
    ends
}

/// Bytes that `text` takes when it is coded.
pub(super) fn len(text: &[u8]) -> usize {
    let bits: usize = text
        .iter()
        .map(|&byte| usize::from(LENGTHS[usize::from(byte)]))
        .sum();
    bits.div_ceil(8)
}

pub(super) fn encode(text: &[u8], out: &mut BytesMut) {
    // bits that wait, the last one lowest
    let (mut waiting, mut count) = (0u64, 0);
    for &byte in text {
        let length = u32::from(LENGTHS[usize::from(byte)]);
        waiting = waiting << length | u64::from(CODES[usize::from(byte)]);
        count += length;
        while count >= 8 {
            count -= 8;
            out.put_u8((waiting >> count) as u8);
        }
    }
    if count > 0 {
        let padding = 8 - count;
        out.put_u8((waiting << padding) as u8 | ((1u16 << padding) - 1) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(coded: &[u8], expected: Option<&[u8]>) {
        let mut out = Vec::new();
        let read = decode(coded, &mut out).then_some(&out[..]);
        assert_eq!(read, expected);
    }

    /// RFC 7541 C.4.1.
    #[test]
    fn the_rfc_s_example_is_read_and_written() {
        let coded = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        check(&coded, Some(b"www.example.com"));
        let mut out = BytesMut::new();
        encode(b"www.example.com", &mut out);
        assert_eq!(out[..], coded);
        assert_eq!(len(b"www.example.com"), coded.len());
    }

    /// RFC 7541 §5.2.
    #[test]
    fn padding_is_less_than_a_byte_of_ones_and_the_end_of_string_does_not_occur() {
        // '0' is 00000
        check(&[0b0000_0111], Some(b"0"));
        check(&[0b0000_0110], None);
        check(&[0b0000_0000], None);
        check(&[0b0000_0111, 0xff], None);
        check(&[0xff], None);
        check(&[0xff, 0xff, 0xff, 0xfc], None);
        check(&[0xff, 0xff, 0xff, 0xff], None);
        check(&[], Some(b""));
    }

    proptest! {
        #[test]
        fn every_text_is_read_as_it_was_written(text: Vec<u8>) {
            let (mut coded, mut out) = (BytesMut::new(), Vec::new());
            encode(&text, &mut coded);
            prop_assert_eq!(coded.len(), len(&text));
            prop_assert!(decode(&coded, &mut out));
            prop_assert_eq!(out, text);
        }
    }
}
