//! Read access to a message's fields, whatever holds them.

use crate::targeted::{CDN_CACHE_CONTROL, SEAWALL_CACHE_CONTROL};
use http::{HeaderMap, HeaderName, header};

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
        let value = match known(name) {
            Some(known) => self.get(known),
            None => self.get(name),
        };
        value.map(http::HeaderValue::as_bytes)
    }

    fn each(&self, name: &str, f: &mut dyn FnMut(&[u8])) {
        let values = match known(name) {
            Some(known) => self.get_all(known),
            None => self.get_all(name),
        };
        for value in values {
            f(value.as_bytes());
        }
    }
}

/// The name that `name` is read as, of those that are asked for with each message: read anew it costs more than the look.
fn known(name: &str) -> Option<HeaderName> {
    Some(match name {
        "accept-encoding" => header::ACCEPT_ENCODING,
        "age" => header::AGE,
        "authorization" => header::AUTHORIZATION,
        "cache-control" => header::CACHE_CONTROL,
        "cdn-cache-control" => CDN_CACHE_CONTROL,
        "cdn-loop" => HeaderName::from_static("cdn-loop"),
        "content-type" => header::CONTENT_TYPE,
        "date" => header::DATE,
        "expires" => header::EXPIRES,
        "last-modified" => header::LAST_MODIFIED,
        "max-forwards" => header::MAX_FORWARDS,
        "no-vary-search" => HeaderName::from_static("no-vary-search"),
        "pragma" => header::PRAGMA,
        "range" => header::RANGE,
        "seawall-cache-control" => SEAWALL_CACHE_CONTROL,
        "vary" => header::VARY,
        _ => return None,
    })
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
