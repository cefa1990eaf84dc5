//! Field sections, compressed (HPACK, RFC 7541).

mod decode;
mod encode;
mod huffman;
mod integer;
mod statics;
mod table;

pub(crate) use decode::Decoder;
pub(crate) use encode::Encoder;

/// The dynamic table's size of either side until something else is agreed, and the most that is used here.
pub(crate) const TABLE_BYTES: usize = 4096;

/// A block that cannot be read: the connection's tables are out of step, so that it has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undecodable(pub(crate) &'static str);

#[cfg(test)]
mod tests;
