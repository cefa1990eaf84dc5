//! How streams ended that are gone: what still comes for them is judged by that (RFC 9113 §5.1).

/// Streams that are remembered.
const PLACES: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides ended it.
    Whole,
    /// The client reset it.
    ByClient,
    /// It was reset here: the client may not know yet.
    Here,
}

/// The last streams that ended, each in the place that its number gives it.
#[derive(Debug)]
pub(crate) struct Closed(Box<[u32; PLACES]>);

impl Default for Closed {
    fn default() -> Self {
        Self(Box::new([0; PLACES]))
    }
}

/// A client's streams are odd and have 31 bits: the first and the last bit say how it ended.
const END: u32 = 1 << 31 | 1;
const WHOLE: u32 = 1;
const BY_CLIENT: u32 = 1 << 31;

impl Closed {
    pub(crate) fn note(&mut self, stream: u32, end: End) {
        let code = match end {
            End::Whole => WHOLE,
            End::ByClient => BY_CLIENT,
            End::Here => END,
        };
        let place = &mut self.0[place(stream)];
        // a later stream is asked about rather than one that took its time
        if *place & !END <= stream & !END {
            *place = stream & !END | code;
        }
    }

    /// `None`: it is too long ago.
    pub(crate) fn end(&self, stream: u32) -> Option<End> {
        let noted = self.0[place(stream)];
        if noted & !END != stream & !END {
            return None;
        }
        match noted & END {
            WHOLE => Some(End::Whole),
            BY_CLIENT => Some(End::ByClient),
            END => Some(End::Here),
            _ => None,
        }
    }
}

fn place(stream: u32) -> usize {
    (stream >> 1) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_streams_are_remembered_and_no_others() {
        let mut closed = Closed::default();
        assert_eq!(closed.end(1), None);
        closed.note(1, End::Whole);
        closed.note(3, End::ByClient);
        closed.note(0x7fff_ffff, End::Here);
        assert_eq!(closed.end(1), Some(End::Whole));
        assert_eq!(closed.end(3), Some(End::ByClient));
        assert_eq!(closed.end(0x7fff_ffff), Some(End::Here));
        assert_eq!(closed.end(5), None);
        closed.note(1 + 2 * PLACES as u32, End::Here);
        assert_eq!(closed.end(1), None);
        // it took its time
        closed.note(1, End::Whole);
        assert_eq!(closed.end(1), None);
    }
}
