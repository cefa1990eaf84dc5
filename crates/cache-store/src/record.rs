//! A head's lines as they go to clients, with what of the body lies beside them, what the copy is known by and what it can be
//! purged by.

use crate::alike::{Alike, is_alike};
use bytes::BufMut;
use http::{HeaderMap, StatusCode};
use seawall_purge::{BootId, Epoch, Generation, Label, PurgeSeq, ScopeId};
use zerocopy::IntoBytes as _;

const CACHE_STATUS: &[u8] = b"cache-status: ";
const STATUS_LINE: &[u8] = b"HTTP/1.1 ";
/// Room for the lines that a usual response has like others.
const LINES_BYTES: usize = 512;

#[derive(Debug)]
pub(crate) struct Record {
    /// The first of its lines, where other heads have the same.
    alike: Option<Alike>,
    /// First what the copy is known by, and how long the parts are ([`FRONT`]). Then, as bytes: the rest of its lines, the
    /// beginning of `Cache-Status`, the body. Then, as words again, what it can be purged by.
    own: Box<[ScopeId]>,
}

/// Words before the bytes: bytes of lines and of `Cache-Status`; the generation's boot, ids, and bytes before them that belong to
/// nothing (fewer than a word has); its counter; the label's epoch and number.
const FRONT: usize = 5;

/// What a copy is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) generation: Generation,
    pub(crate) label: Label,
}

impl Record {
    pub(crate) fn new(
        stamp: Stamp,
        scopes: &[ScopeId],
        status: StatusCode,
        fields: &HeaderMap,
        upstream_cache_status: &[u8],
        inline: &[&[u8]],
    ) -> Self {
        let status_line = [
            STATUS_LINE,
            status.as_str().as_bytes(),
            b" ",
            status.canonical_reason().unwrap_or("").as_bytes(),
            b"\r\n",
        ];
        let separator: &[u8] = if upstream_cache_status.is_empty() {
            b""
        } else {
            b", "
        };
        let fields = || {
            fields.iter().map(|(name, value)| {
                let line: Line<'_> = [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"];
                (is_alike(name.as_str()), line)
            })
        };
        Self::of_lines(
            stamp,
            scopes,
            &status_line,
            fields,
            &[CACHE_STATUS, upstream_cache_status, separator],
            inline,
        )
    }

    /// What [`Self::pieces`] gave, put together: `lines_len` bytes of lines, `status_len` of `Cache-Status`, and the body.
    /// `None`: it is not like that.
    pub(crate) fn of_whole(
        stamp: Stamp,
        scopes: &[ScopeId],
        whole: &[u8],
        lines_len: u32,
        status_len: u32,
    ) -> Option<Self> {
        // as many as the front has bits for
        u32::try_from(scopes.len() << 8).ok()?;
        let (serialised, rest) = whole.split_at_checked(lines_len as usize)?;
        let (status, inline) = rest.split_at_checked(status_len as usize)?;
        if !status.starts_with(CACHE_STATUS) {
            return None;
        }
        let is_shared = |line: &[u8]| {
            let name = line.split(|&b| b == b':').next().unwrap_or_default();
            match std::str::from_utf8(name) {
                Ok(name) if name.len() < line.len() => is_alike(name),
                // the status line
                _ => true,
            }
        };
        let lines = || {
            let lines = serialised.split_inclusive(|&b| b == b'\n');
            lines.map(|text| (is_shared(text), [text, b"", b"", b""]))
        };
        Some(Self::of_lines(
            stamp,
            scopes,
            &[],
            lines,
            &[status],
            &[inline],
        ))
    }

    /// `first`, then `lines`, each told whether it is one that other heads have the same of: all of one name are, or none,
    /// so that their order stays.
    fn of_lines<'l, L: Iterator<Item = (bool, Line<'l>)>>(
        stamp: Stamp,
        scopes: &[ScopeId],
        first: &[&[u8]],
        lines: impl Fn() -> L,
        status: &[&[u8]],
        inline: &[&[u8]],
    ) -> Self {
        let mut shared = Vec::with_capacity(LINES_BYTES);
        put(&mut shared, first);
        let mut own_len = 0;
        for (is_alike, line) in lines() {
            if is_alike {
                put(&mut shared, &line);
            } else {
                own_len += bytes_of(&line);
            }
        }
        let alike = Alike::of(&shared);
        if alike.is_some() {
            shared.clear();
        }
        let (lines_len, status_len) = (shared.len() + own_len, bytes_of(status));
        let bytes = lines_len + status_len + bytes_of(inline);
        // it lives long: less than a word is left over
        let words = bytes.div_ceil(size_of::<ScopeId>());
        let spare = words * size_of::<ScopeId>() - bytes;
        let mut own = Vec::with_capacity(FRONT + words + scopes.len());
        let Generation { boot, counter } = stamp.generation;
        let PurgeSeq { epoch, n } = stamp.label.0;
        let ids = (scopes.len() as u64) << 8 | spare as u64;
        own.extend([
            ScopeId((lines_len as u64) << 32 | status_len as u64),
            ScopeId(u64::from(boot.0) << 32 | ids),
            ScopeId(counter),
            ScopeId(epoch.0),
            ScopeId(n),
        ]);
        own.resize(FRONT + words, ScopeId(0));
        let mut room = own[FRONT..].as_mut_bytes();
        put(&mut room, &[&shared]);
        for (_, line) in lines().filter(|(is_alike, _)| !is_alike) {
            put(&mut room, &line);
        }
        put(&mut room, status);
        put(&mut room, inline);
        own.extend_from_slice(scopes);
        Self {
            alike,
            own: own.into_boxed_slice(),
        }
    }

    #[inline]
    fn front(&self, word: usize) -> u64 {
        self.own.get(word).map_or(0, |word| word.0)
    }

    fn lines_len(&self) -> usize {
        (self.front(0) >> 32) as usize
    }

    fn status_len(&self) -> usize {
        self.front(0) as u32 as usize
    }

    fn scopes_len(&self) -> usize {
        (self.front(1) as u32 >> 8) as usize
    }

    fn spare(&self) -> usize {
        usize::from(self.front(1) as u8)
    }

    pub(crate) fn generation(&self) -> Generation {
        Generation {
            boot: BootId((self.front(1) >> 32) as u32),
            counter: self.front(2),
        }
    }

    pub(crate) fn label(&self) -> Label {
        Label(PurgeSeq::new(Epoch(self.front(3)), self.front(4)))
    }

    /// What the copy can be purged by.
    pub(crate) fn scopes(&self) -> &[ScopeId] {
        let start = self.own.len().saturating_sub(self.scopes_len());
        self.own.get(start..).unwrap_or_default()
    }

    /// Lines that are not shared, the beginning of `Cache-Status`, and the body.
    fn bytes(&self) -> &[u8] {
        let end = self.own.len().saturating_sub(self.scopes_len());
        let words = self.own.get(FRONT..end).unwrap_or_default();
        let bytes = words.as_bytes();
        &bytes[..bytes.len().saturating_sub(self.spare())]
    }

    /// Status line and fields, each line ended, without the empty one: in two pieces.
    pub(crate) fn lines(&self) -> [&[u8]; 2] {
        let own = self.bytes().get(..self.lines_len());
        [self.alike(), own.unwrap_or_default()]
    }

    /// `cache-status: ` and the members of the tiers behind.
    pub(crate) fn cache_status_prefix(&self) -> &[u8] {
        let (start, len) = (self.lines_len(), self.status_len());
        self.bytes().get(start..start + len).unwrap_or_default()
    }

    /// The members alone.
    pub(crate) fn upstream_cache_status(&self) -> &[u8] {
        let prefix = self.cache_status_prefix();
        let members = prefix.strip_prefix(CACHE_STATUS).unwrap_or_default();
        members.strip_suffix(b", ").unwrap_or(members)
    }

    /// What of the body lies here.
    pub(crate) fn inline(&self) -> &[u8] {
        let start = self.lines_len() + self.status_len();
        self.bytes().get(start..).unwrap_or_default()
    }

    /// All of it, in two pieces; and how long its lines and the beginning of `Cache-Status` are.
    pub(crate) fn pieces(&self) -> ([&[u8]; 2], u32, u32) {
        let alike = self.alike();
        // a block is no longer than a record may be
        let lines_len = (alike.len() + self.lines_len()) as u32;
        ([alike, self.bytes()], lines_len, self.status_len() as u32)
    }

    /// How long it is, all of it.
    pub(crate) fn len(&self) -> usize {
        self.alike().len() + self.bytes().len()
    }

    /// Bytes of memory it takes, its share of what it has with others included.
    pub(crate) fn weight(&self) -> usize {
        size_of_val(&*self.own) + self.alike.as_ref().map_or(0, Alike::share)
    }

    fn alike(&self) -> &[u8] {
        self.alike.as_deref().unwrap_or_default()
    }
}

/// A line in its pieces.
type Line<'l> = [&'l [u8]; 4];

fn put(to: &mut impl BufMut, parts: &[&[u8]]) {
    for part in parts {
        to.put_slice(part);
    }
}

fn bytes_of(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const STAMP: Stamp = Stamp {
        generation: Generation {
            boot: BootId(u32::MAX),
            counter: u64::MAX - 1,
        },
        label: Label(PurgeSeq::new(Epoch(u64::MAX - 2), 3)),
    };

    fn fields() -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("etag", "\"1\""),
            ("server", "s"),
            ("x-own", "b"),
            ("x-own", "a"),
            ("vary", "b"),
            ("vary", "a"),
        ] {
            fields.append(name, HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn its_pieces_are_what_it_was_made_of_and_it_is_made_of_its_pieces_again() {
        let scopes = [ScopeId(u64::MAX), ScopeId(7)];
        let cached = b"shield; hit";
        let record = Record::new(
            STAMP,
            &scopes,
            StatusCode::OK,
            &fields(),
            cached,
            &[b"he", b"llo"],
        );
        let lines = record.lines().concat();
        assert_eq!(
            lines,
            b"HTTP/1.1 200 OK\r\nserver: s\r\nvary: b\r\nvary: a\r\netag: \"1\"\r\nx-own: b\r\nx-own: a\r\n"
        );
        assert_eq!(record.cache_status_prefix(), b"cache-status: shield; hit, ");
        assert_eq!(record.upstream_cache_status(), b"shield; hit");
        assert_eq!(record.inline(), b"hello");
        assert_eq!(record.scopes(), scopes);

        let (pieces, lines_len, status_len) = record.pieces();
        let whole = pieces.concat();
        assert_eq!(whole.len(), record.len());
        let again = Record::of_whole(STAMP, &scopes, &whole, lines_len, status_len).unwrap();
        assert_eq!(again.scopes(), scopes);
        assert_eq!(again.pieces(), record.pieces());
        assert_eq!(again.lines(), record.lines());
        for record in [record, again] {
            let (generation, label) = (record.generation(), record.label());
            assert_eq!(Stamp { generation, label }, STAMP);
        }
    }

    #[test]
    fn its_body_is_as_long_as_it_was_whatever_lies_before_it() {
        for len in 0..20 {
            let body = vec![b'b'; len];
            for scopes in [&[][..], &[ScopeId(1)], &[ScopeId(1), ScopeId(2)]] {
                let record = Record::new(STAMP, scopes, StatusCode::OK, &fields(), b"", &[&body]);
                assert_eq!((record.inline(), record.scopes()), (&body[..], scopes));
                assert!(
                    size_of_val(&*record.own)
                        < record.bytes().len() + 8 * (FRONT + scopes.len() + 1)
                );
            }
        }
    }

    #[test]
    fn what_two_have_alike_is_held_once_and_weighs_half() {
        let [one, two] = [b"1", b"2"]
            .map(|body| Record::new(STAMP, &[], StatusCode::ACCEPTED, &fields(), b"", &[body]));
        assert_eq!(one.lines()[0].as_ptr(), two.lines()[0].as_ptr());
        assert_eq!(one.weight(), size_of_val(&*one.own) + one.alike().len() / 2);
        assert_eq!(one.upstream_cache_status(), b"");
        assert!(!one.bytes().windows(6).any(|w| w == b"server"));
    }

    #[test]
    fn a_record_that_does_not_say_how_long_its_parts_are_is_none() {
        let record = Record::new(STAMP, &[], StatusCode::OK, &fields(), b"", &[]);
        let (pieces, lines_len, status_len) = record.pieces();
        let whole = pieces.concat();
        for (lines_len, status_len) in [
            (lines_len + 1, status_len),
            (lines_len - 1, status_len),
            (lines_len, u32::MAX),
            (u32::MAX, status_len),
            (lines_len, 3),
        ] {
            assert!(Record::of_whole(STAMP, &[], &whole, lines_len, status_len).is_none());
        }
    }
}
