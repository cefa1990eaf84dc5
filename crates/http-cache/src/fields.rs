//! Read access to a message's fields, whatever holds them.

use http::HeaderMap;

/// The fields of one message: a parsed head that borrows a read buffer, a `HeaderMap`, a stored head.
///
/// Names are asked for in lower case; how they are held is the implementor's matter.
pub trait Fields {
    /// The first line's value, without the white space around it.
    fn first(&self, name: &str) -> Option<&[u8]>;

    /// Calls `f` with each line's value, in the order received.
    fn each(&self, name: &str, f: &mut dyn FnMut(&[u8]));
}

impl Fields for HeaderMap {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.get(name).map(http::HeaderValue::as_bytes)
    }

    fn each(&self, name: &str, f: &mut dyn FnMut(&[u8])) {
        for value in self.get_all(name) {
            f(value.as_bytes());
        }
    }
}

/// A field that may stand in a message once.
pub(crate) enum Single<'f> {
    Absent,
    Once(&'f [u8]),
    /// Which of the lines is meant nobody can say.
    Repeated,
}

impl<'f> Single<'f> {
    pub(crate) fn of(fields: &'f dyn Fields, name: &str) -> Self {
        let Some(first) = fields.first(name) else {
            return Single::Absent;
        };
        let mut lines = 0_usize;
        fields.each(name, &mut |_| lines += 1);
        if lines > 1 {
            Single::Repeated
        } else {
            Single::Once(first)
        }
    }

    /// The value, if there is exactly one.
    pub(crate) fn once(self) -> Option<&'f [u8]> {
        match self {
            Single::Once(value) => Some(value),
            Single::Absent | Single::Repeated => None,
        }
    }
}
