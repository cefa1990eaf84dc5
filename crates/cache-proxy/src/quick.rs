//! The plain fresh hit, found and judged synchronously and written by the connection's own loop.

mod shape;

use crate::CacheProxy;
use crate::coder;
use crate::deliver::Delivered;
use bytes::{BufMut, BytesMut};
use seawall_cache_store::{Body, Found, INLINE_MAX};
use seawall_client_conn::{ConnInfo, QuickBody, RequestHead};
use seawall_http_cache::{AcceptEncoding, Fields, Outcome};
use seawall_service_model::{AcceptedCodings, CacheMode, cache_key};
use std::io::Write as _;

/// A longer body is not worth gathering in one go: the full path streams it.
const BODY_MAX: u64 = 4 << 20;

/// Writes the head of a fresh stored copy to `out` and returns its body, if there is nothing more to it than that.
pub(crate) fn quick(
    proxy: &CacheProxy,
    head: &RequestHead<'_>,
    info: &ConnInfo,
    out: &mut BytesMut,
) -> Option<QuickBody> {
    let snapshot = proxy.snapshot();
    let service = snapshot.services.find(head.host)?;
    if !proxy.may_hit(service) {
        return None;
    }
    let path = head.target.split('?').next().unwrap_or_default();
    let (policy, rule) = service.policy(head.method, path, head);
    if policy.cache == CacheMode::Bypass {
        return None;
    }
    // HEAD is answered from what GET stored, under the key that GET has
    if head.method == "HEAD" && service.policy("GET", path, head).1 != rule {
        return None;
    }
    let scheme = proxy.scheme(info, head.looks.forwarded_proto);
    let key = cache_key(service, scheme, head.host, head.target, &policy.key, head).0;
    let accept = || AcceptEncoding::of_line(head.looks.accept_encoding);
    let found = match policy.accept_encoding {
        AcceptedCodings::AsAsked => proxy.store().lookup(key, head),
        AcceptedCodings::Normalised => {
            let accept_encoding = accept().normal_form(&policy.codings)?;
            let fields = Normalised {
                head,
                accept_encoding,
            };
            proxy.store().lookup(key, &fields)
        }
    };
    let Found::Copy {
        head: mut copy,
        variant,
    } = found
    else {
        return None;
    };
    let now = seawall_client_conn::now();
    if now >= copy.freshness().fresh_until() || !proxy.is_live(&snapshot, &copy) {
        return None;
    }
    if let Some(recoding) = coder::wanted(copy.coding(), policy, accept) {
        copy = proxy.store().recoded(key, variant, &copy, recoding)?;
    }
    if matches!(copy.body(), Body::Part(_)) {
        return None;
    }
    let shape = shape::of(head, &copy, now)?;
    let taken = shape.body(&copy);
    let length = taken.end - taken.start;
    if length > BODY_MAX {
        return None;
    }
    let chunks = if copy.length > INLINE_MAX && length > 0 {
        Some(proxy.store().body(&copy, taken.clone())?)
    } else {
        None
    };
    shape.write(&copy, out);
    if service.response.cache_status {
        out.put_slice(copy.cache_status_prefix());
        out.put_slice(b"seawall-edge; hit; ttl=");
        put_number(out, copy.freshness().ttl(now).max(0) as u64);
        if service.response.cache_status_key {
            // writing to memory does not fail
            let _ = write!(out.writer(), "; key=\"{key:032x}\"");
        }
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"age: ");
    put_number(out, copy.freshness().age(now));
    out.put_slice(b"\r\n");
    proxy.store().asked_for(key, now);
    let delivered = Delivered {
        outcome: Outcome::Hit,
        status: shape.status(&copy).as_u16(),
        bytes: length,
    };
    proxy.finished_quick(service, head, info, key, delivered);
    Some(match chunks {
        _ if length == 0 => QuickBody::None,
        Some(chunks) => QuickBody::Many(chunks),
        None => QuickBody::Held(copy, taken.start as usize..taken.end as usize),
    })
}

/// A head whose `Accept-Encoding` is in normal form.
struct Normalised<'h> {
    head: &'h RequestHead<'h>,
    accept_encoding: &'static str,
}

impl Fields for Normalised<'_> {
    fn first(&self, name: &str) -> Option<&[u8]> {
        if name == "accept-encoding" {
            return Some(self.accept_encoding.as_bytes());
        }
        self.head.first(name)
    }

    fn each(&self, name: &str, f: &mut dyn FnMut(&[u8])) {
        if name == "accept-encoding" {
            return f(self.accept_encoding.as_bytes());
        }
        self.head.each(name, f);
    }
}

fn put_number(out: &mut BytesMut, number: u64) {
    out.put_slice(itoa::Buffer::new().format(number).as_bytes());
}
