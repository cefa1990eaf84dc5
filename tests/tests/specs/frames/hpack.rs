//! HPACK as far as the specs need it: literals for requests, and a strict reader of the server's field blocks.

use std::collections::VecDeque;

/// The prefix of a literal without indexing, and of one that goes into the table (RFC 7541 §6.2).
const PLAIN: u8 = 0x00;
const INDEXING: u8 = 0x40;
/// What an entry counts beyond its bytes (RFC 7541 §4.1).
const ENTRY_OVERHEAD: usize = 32;

/// Lengths of the codes in bits (RFC 7541, appendix B). The code is canonical: lengths make it.
const BITS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// RFC 7541, appendix A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Symbols of the Huffman code with their code and its length.
fn codes() -> Vec<(u8, u32, u8)> {
    let mut symbols: Vec<u8> = (0..=255).collect();
    symbols.sort_by_key(|symbol| (BITS[usize::from(*symbol)], *symbol));
    let (mut code, mut before) = (0_u32, 0);
    let codes = symbols.into_iter().map(|symbol| {
        let bits = BITS[usize::from(symbol)];
        code <<= bits - before;
        before = bits;
        code += 1;
        (symbol, code - 1, bits)
    });
    codes.collect()
}

/// `text` in the Huffman code, padded with ones.
pub(super) fn huffman(text: &str) -> Vec<u8> {
    let codes = codes();
    let mut bits = Vec::new();
    for byte in text.bytes() {
        let (_, code, length) = *codes.iter().find(|(symbol, ..)| *symbol == byte).unwrap();
        bits.extend((0..length).rev().map(|bit| code >> bit & 1));
    }
    bits.resize(bits.len().next_multiple_of(8), 1);
    let bytes = bits.chunks(8);
    bytes
        .map(|byte| byte.iter().fold(0, |all, bit| all << 1 | *bit as u8))
        .collect()
}

fn unhuffman(bytes: &[u8]) -> Vec<u8> {
    let codes: std::collections::HashMap<(u32, u8), u8> = codes()
        .into_iter()
        .map(|(symbol, code, bits)| ((code, bits), symbol))
        .collect();
    let (mut text, mut code, mut bits) = (Vec::new(), 0, 0);
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
    {
        (code, bits) = (code << 1 | u32::from(bit), bits + 1);
        if let Some(symbol) = codes.get(&(code, bits)) {
            text.push(*symbol);
            (code, bits) = (0, 0);
        }
    }
    assert!(
        bits < 8 && code == (1 << bits) - 1,
        "a wrong end of a Huffman string: {bytes:?}"
    );
    text
}

/// An integer behind `first`, whose lowest `prefix` bits are its beginning (RFC 7541 §5.1).
pub(super) fn integer(first: u8, prefix: u32, value: usize) -> Vec<u8> {
    let most = (1_usize << prefix) - 1;
    if value < most {
        return vec![first | value as u8];
    }
    let (mut bytes, mut rest) = (vec![first | most as u8], value - most);
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

/// A field that is in a table: 62 is the newest of the dynamic one.
pub(super) fn indexed(index: usize) -> Vec<u8> {
    integer(0x80, 7, index)
}

fn string(text: &[u8]) -> Vec<u8> {
    [integer(0, 7, text.len()), text.to_vec()].concat()
}

pub(super) fn as_literal(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![first], string(name), string(value)].concat()
}

/// A literal without indexing.
pub(super) fn literal(name: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    as_literal(PLAIN, name.as_bytes(), value.as_ref())
}

/// A literal that goes into the table.
pub(super) fn indexed_literal(name: &str, value: &str) -> Vec<u8> {
    as_literal(INDEXING, name.as_bytes(), value.as_bytes())
}

/// A block of literals.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|(name, value)| literal(name, value))
        .collect()
}

pub(super) type Fields = Vec<(String, String)>;

/// Reads the server's blocks, and fails on what a server must not send.
pub(super) struct Decoder {
    table: VecDeque<(String, String)>,
    size: usize,
    size_max: usize,
    /// What our settings allow.
    pub(super) allowed: usize,
    /// Dynamic table size updates of the last block.
    pub(super) updates: Vec<usize>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            table: VecDeque::new(),
            size: 0,
            size_max: 4096,
            allowed: 4096,
            updates: Vec::new(),
        }
    }

    pub(super) fn block(&mut self, mut bytes: &[u8]) -> Fields {
        let mut fields = Fields::new();
        self.updates.clear();
        while let Some(first) = bytes.first().copied() {
            if first & 0xe0 == 0x20 {
                assert!(fields.is_empty(), "a size update behind a field");
                let size = take_integer(&mut bytes, 5);
                assert!(size <= self.allowed, "a table of {size} bytes");
                self.updates.push(size);
                self.size_max = size;
                self.evict();
                continue;
            }
            assert!(
                self.size_max <= self.allowed,
                "no size update where settings made the table smaller"
            );
            if first & 0x80 != 0 {
                let index = take_integer(&mut bytes, 7);
                fields.push(self.entry(index));
                continue;
            }
            let indexing = first & 0x40 != 0;
            let index = take_integer(&mut bytes, if indexing { 6 } else { 4 });
            let name = match index {
                0 => take_string(&mut bytes),
                _ => self.entry(index).0,
            };
            let value = take_string(&mut bytes);
            if indexing {
                self.size += name.len() + value.len() + ENTRY_OVERHEAD;
                self.table.push_front((name.clone(), value.clone()));
                self.evict();
            }
            fields.push((name, value));
        }
        fields
    }

    fn entry(&self, index: usize) -> (String, String) {
        assert!(index > 0, "index 0");
        if let Some((name, value)) = STATIC.get(index - 1) {
            return ((*name).to_owned(), (*value).to_owned());
        }
        let entry = self.table.get(index - 1 - STATIC.len());
        entry.expect("an index beyond the tables").clone()
    }

    fn evict(&mut self) {
        while self.size > self.size_max {
            let (name, value) = self.table.pop_back().expect("its size is counted");
            self.size -= name.len() + value.len() + ENTRY_OVERHEAD;
        }
    }
}

fn take_integer(bytes: &mut &[u8], prefix: u32) -> usize {
    let take = |bytes: &mut &[u8]| {
        let (first, rest) = bytes.split_first().expect("an integer that breaks off");
        *bytes = rest;
        usize::from(*first)
    };
    let most = (1_usize << prefix) - 1;
    let mut value = take(bytes) & most;
    if value < most {
        return value;
    }
    for shift in (0..28).step_by(7) {
        let next = take(bytes);
        value += (next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return value;
        }
    }
    panic!("an integer without end");
}

fn take_string(bytes: &mut &[u8]) -> String {
    let is_huffman = bytes.first().expect("a string that breaks off") & 0x80 != 0;
    let length = take_integer(bytes, 7);
    let (text, rest) = bytes
        .split_at_checked(length)
        .expect("a string that breaks off");
    *bytes = rest;
    let text = if is_huffman {
        unhuffman(text)
    } else {
        text.to_vec()
    };
    String::from_utf8(text).expect("fields of the specs are text")
}
