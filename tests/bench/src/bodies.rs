//! What is served: by the origin, and by the floors, which answer as if it were cached.

/// A path, and the bytes of its body.
pub(crate) struct Body {
    pub(crate) path: &'static str,
    pub(crate) bytes: usize,
}

/// The first answers every other path too.
pub(crate) const BODIES: [Body; 5] = [
    Body {
        path: "/1k",
        bytes: 1 << 10,
    },
    Body {
        path: "/10k",
        bytes: 10 << 10,
    },
    Body {
        path: "/64k",
        bytes: 64 << 10,
    },
    Body {
        path: "/1m",
        bytes: 1 << 20,
    },
    Body {
        path: "/32m",
        bytes: 32 << 20,
    },
];

/// Of the paths of many objects, `/obj/N`.
pub(crate) const OBJECT_BYTES: u64 = 1 << 10;

/// Place in [`BODIES`] of what a request's first line asks for.
pub(crate) fn asked(head: &[u8]) -> usize {
    let path = path(head);
    let found = BODIES.iter().position(|b| b.path.as_bytes() == path);
    found.unwrap_or(0)
}

/// The target of a request, without the authority that some peers write before it.
pub(crate) fn path(head: &[u8]) -> &[u8] {
    let target = head.split(|b| *b == b' ').nth(1).unwrap_or_default();
    match target.strip_prefix(b"http://") {
        Some(rest) => match rest.iter().position(|b| *b == b'/') {
            Some(slash) => &rest[slash..],
            None => b"/",
        },
        None => target,
    }
}

/// Bytes that do not compress, the same ones each time.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut numbers = crate::load::random::Numbers::seeded(7);
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        noise.extend_from_slice(&numbers.next().to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

/// A whole answer that may be cached for a day. `extra` are fields with their line ends.
pub(crate) fn answer(bytes: usize, extra: &str) -> Vec<u8> {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n\
         Cache-Control: public, max-age=86400\r\nETag: \"size-{bytes}\"\r\n{extra}Date: {date}\r\n\r\n"
    )
    .into_bytes();
    answer.extend_from_slice(&noise(bytes));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_says_which_body_is_asked_for() {
        assert_eq!(asked(b"GET /1k HTTP/1.1\r\n\r\n"), 0);
        assert_eq!(asked(b"GET /10k HTTP/1.1\r\n\r\n"), 1);
        assert_eq!(asked(b"GET http://origin:80/32m HTTP/1.1\r\n\r\n"), 4);
        assert_eq!(asked(b"GET /obj/17 HTTP/1.1\r\n\r\n"), 0);
        assert_eq!(asked(b""), 0);
        assert_eq!(path(b"GET http://origin HTTP/1.1"), b"/");
    }

    #[test]
    fn an_answer_says_its_length() {
        let answer = answer(1024, "Age: 12\r\n");
        let end = memchr::memmem::find(&answer, b"\r\n\r\n").unwrap();
        assert_eq!(answer.len() - end - 4, 1024);
        assert!(answer[..end].ends_with(b"GMT"));
    }
}
