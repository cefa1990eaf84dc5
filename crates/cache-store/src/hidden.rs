//! What a copy's fields were before they were changed for clients.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The origin's values of fields that a rule or a coding sets, changes or removes, beside the head that clients get.
///
/// A later 304 is merged into the fields as they came and judged with them (RFC 9111 §3.2, §4.3.4). Nothing is held
/// where nothing was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden(Option<Box<Lines>>);

/// Each ended by LF: `name: value` as it came, or `name` alone where there was no such field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lines(Box<[u8]>);

impl Hidden {
    /// Nothing was changed.
    pub(crate) const fn nothing() -> Self {
        Self(None)
    }

    /// What makes `original` of `shown` again, but for the names that `forgotten` tells.
    pub fn between(
        original: &HeaderMap,
        shown: &HeaderMap,
        forgotten: impl Fn(&HeaderName) -> bool,
    ) -> Self {
        let differs = |name: &&HeaderName| {
            let shown = shown.get_all(*name);
            !original.get_all(*name).iter().eq(shown)
        };
        let added = shown.keys().filter(|name| !original.contains_key(*name));
        let mut changed: Vec<&HeaderName> = original
            .keys()
            .filter(differs)
            .chain(added)
            .filter(|name| !forgotten(name))
            .collect();
        changed.sort_unstable_by_key(|name| name.as_str());
        let mut lines = Vec::new();
        for name in changed {
            if !original.contains_key(name) {
                lines.extend_from_slice(name.as_str().as_bytes());
                lines.push(b'\n');
            }
            for value in original.get_all(name) {
                lines.extend_from_slice(name.as_str().as_bytes());
                lines.extend_from_slice(b": ");
                lines.extend_from_slice(value.as_bytes());
                lines.push(b'\n');
            }
        }
        Self::from_bytes(&lines)
    }

    /// Puts the fields as they came in the place of those that clients get.
    pub fn restore(&self, fields: &mut HeaderMap) {
        let mut last = None;
        for line in self.bytes().split(|&b| b == b'\n') {
            let colon = line.iter().position(|&b| b == b':');
            let Ok(name) = HeaderName::from_bytes(&line[..colon.unwrap_or(line.len())]) else {
                // behind the last line there is nothing
                continue;
            };
            if last.as_ref() != Some(&name) {
                fields.remove(&name);
            }
            if let Some(colon) = colon
                && let Ok(value) = HeaderValue::from_bytes(line[colon + 1..].trim_ascii())
            {
                fields.append(&name, value);
            }
            last = Some(name);
        }
    }

    /// As it is written to a disk.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |lines| &*lines.0)
    }

    /// What [`Self::bytes`] gave; of anything else what can be read counts.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self((!bytes.is_empty()).then(|| Box::new(Lines(bytes.into()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn what_was_changed_for_clients_comes_back_as_it_was() {
        let original = fields(&[
            ("cache-control", "max-age=60"),
            ("cache-control", "public"),
            ("etag", "\"1\""),
            ("x-empty", ""),
            ("x-kept", "1"),
            ("x-kept", "2"),
            ("surrogate-key", "a"),
        ]);
        let shown = fields(&[
            ("cache-control", "no-store"),
            ("x-kept", "1"),
            ("x-kept", "2"),
            ("x-added", "1"),
        ]);
        let hidden = Hidden::between(&original, &shown, |name| name == "surrogate-key");
        let mut restored = shown.clone();
        hidden.restore(&mut restored);

        let mut wanted = original.clone();
        wanted.remove("surrogate-key");
        assert_eq!(restored, wanted);
        assert_eq!(
            hidden.bytes(),
            b"cache-control: max-age=60\ncache-control: public\netag: \"1\"\nx-added\nx-empty: \n"
        );
        assert_eq!(Hidden::from_bytes(hidden.bytes()), hidden);
    }

    #[test]
    fn nothing_is_held_where_nothing_was_changed() {
        let original = fields(&[("etag", "\"1\""), ("a", "1"), ("a", "2")]);
        let hidden = Hidden::between(&original, &original, |_| false);
        assert_eq!(hidden, Hidden::default());
        let mut restored = original.clone();
        hidden.restore(&mut restored);
        assert_eq!(restored, original);
    }

    #[test]
    fn lines_that_are_none_change_nothing() {
        for bytes in [&b"\n\n"[..], b": x\n", b"bad name: x\n", b"a: b\x01\n"] {
            let mut restored = fields(&[("etag", "\"1\"")]);
            Hidden::from_bytes(bytes).restore(&mut restored);
            assert_eq!(restored, fields(&[("etag", "\"1\"")]), "{bytes:?}");
        }
    }
}
