//! An answer is read here as pingora reads it.

use super::answer::Answer;
use bytes::Bytes;
use pingora::protocols::Stream;
use pingora::{Error, Result};
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::v1::client::HttpSession;
use seawall_service_model::Timeouts;
use tokio::io::{AsyncWriteExt, duplex};

/// What comes of an answer.
#[derive(Debug, Default, PartialEq)]
struct Told {
    heads: Vec<String>,
    body: Vec<u8>,
    /// How it broke off.
    fault: Option<(String, String)>,
    kept: bool,
}

impl Told {
    /// Whether that was the last of it.
    fn take(&mut self, task: Result<HttpTask>) -> bool {
        let is_end = task.as_ref().is_ok_and(HttpTask::is_end);
        match task {
            Ok(HttpTask::Header(head, end)) => {
                let mut fields: Vec<String> = head
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value:?}"))
                    .collect();
                fields.sort();
                let (version, status) = (head.version, head.status);
                self.heads
                    .push(format!("{version:?} {status} {fields:?} {end}"));
            }
            Ok(HttpTask::Body(Some(data), _)) => self.body.extend_from_slice(&data),
            Ok(_) => {}
            Err(error) => self.fault = Some(told_of(&error)),
        }
        is_end || self.fault.is_some()
    }
}

fn told_of(error: &Error) -> (String, String) {
    let context = error.context.as_ref().map(|c| c.as_str().to_owned());
    (
        error.etype().as_str().to_owned(),
        context.unwrap_or_default(),
    )
}

/// A server that sends `parts`, one after the other was read, and then closes if `closes`.
fn server(parts: Vec<Bytes>, closes: bool) -> Stream {
    let (here, mut there) = duplex(1 << 20);
    tokio::spawn(async move {
        for part in parts {
            let _ = there.write_all(&part).await;
            tokio::task::yield_now().await;
        }
        if !closes {
            std::future::pending::<()>().await;
        }
    });
    Box::new(here)
}

async fn here(stream: Stream) -> Told {
    let mut told = Told::default();
    let mut answer = Answer::new(stream, &Timeouts::default());
    while !told.take(answer.next().await) {}
    told.kept = told.fault.is_none() && answer.into_kept().await.is_some();
    told
}

async fn by_pingora(stream: Stream) -> Told {
    let mut told = Told::default();
    let mut session = HttpSession::new(stream);
    while !told.take(session.read_response_task().await) {}
    session.respect_keepalive();
    told.kept = told.fault.is_none() && session.reuse().await.is_some();
    told
}

const ANSWERS: [(&str, &[u8]); 44] = [
    ("plain", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nEtag: \"a\"\r\n\r\nhello"),
    ("empty", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ("empty value", b"HTTP/1.1 200 OK\r\nx-a:\r\ncontent-length: 1\r\nx-b: \r\n\r\nh"),
    ("two of a name", b"HTTP/1.1 200 OK\r\nvary: a\r\nvary: b\r\ncontent-length: 1\r\n\r\nh"),
    ("no reason", b"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nh"),
    ("another reason", b"HTTP/1.1 200 Very Well\r\ncontent-length: 1\r\n\r\nh"),
    ("not found", b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone"),
    ("part", b"HTTP/1.1 206 P\r\ncontent-range: bytes 0-0/9\r\ncontent-length: 1\r\n\r\nh"),
    ("204", b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n"),
    ("204 with a length", b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n"),
    ("304", b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n"),
    ("304 with a length", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
    ("304 with a body", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello"),
    ("closes", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nh"),
    ("keeps", b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nh"),
    ("closes by list", b"HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 1\r\n\r\nh"),
    ("short", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello"),
    ("long", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhello"),
    ("two answers", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ("chunks", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("trailers", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n0\r\na: b\r\n\r\n"),
    ("chunks and length", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n0\r\n\r\n"),
    ("a bad chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\nhello"),
    ("gzip, chunked", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\nh\r\n0\r\n\r\n"),
    ("until close", b"HTTP/1.1 200 OK\r\nx: y\r\n\r\nhello"),
    ("1.0", b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nh"),
    ("1.0 keeps", b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nh"),
    ("103", b"HTTP/1.1 103 Early\r\nlink: <a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nh"),
    ("100", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nh"),
    ("101", b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\nraw"),
    ("one length twice", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nh"),
    ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nhh"),
    ("a list of lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\nh"),
    ("a signed length", b"HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\nh"),
    ("a negative length", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nh"),
    ("no length at all", b"HTTP/1.1 204 OK\r\ncontent-length: x\r\n\r\n"),
    ("folded", b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 1\r\n\r\nh"),
    ("space before colon", b"HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 1\r\n\r\nh"),
    ("bare LF", b"HTTP/1.1 200 OK\ncontent-length: 1\n\nh"),
    ("bytes above ASCII", b"HTTP/1.1 200 OK\r\nx: \xc3\xa4\xff\r\ncontent-length: 1\r\n\r\nh"),
    ("no colon", b"HTTP/1.1 200 OK\r\nx\r\ncontent-length: 1\r\n\r\nh"),
    ("999", b"HTTP/1.1 999 Odd\r\ncontent-length: 1\r\n\r\nh"),
    ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ("nothing", b""),
];

#[tokio::test]
async fn an_answer_is_read_as_pingora_reads_it_however_it_comes() {
    for (name, answer) in ANSWERS {
        for closes in [true, false] {
            // one that waits for the end waits here as there
            let ends = !matches!(
                name,
                "short" | "until close" | "nothing" | "no HTTP" | "101"
            );
            if !closes && !ends {
                continue;
            }
            for at in 0..=answer.len() {
                let parts = || {
                    vec![
                        Bytes::from_static(&answer[..at]),
                        Bytes::from_static(&answer[at..]),
                    ]
                };
                let (here, there) = (
                    here(server(parts(), closes)).await,
                    by_pingora(server(parts(), closes)).await,
                );
                assert_eq!(here, there, "{name}, cut at {at}, closes: {closes}");
            }
        }
    }
}
