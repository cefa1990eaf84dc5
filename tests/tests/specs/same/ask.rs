//! One request over either version, of which the head is seen before the body is read.

use super::cases::{Question, Version};
use seawall_tests::{Client, PATIENCE, Response};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// Asks for `target`; `at_head` runs between head and body. An error says how the answer broke off.
pub(super) fn ask(
    address: SocketAddr,
    target: &str,
    question: &Question,
    at_head: impl FnOnce(),
) -> Result<Response, String> {
    match question.version {
        Version::Http1 => http1(address, target, question, at_head),
        Version::Http2 => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let answer = async {
                tokio::time::timeout(PATIENCE, http2(address, target, question, at_head)).await
            };
            runtime
                .block_on(answer)
                .map_err(|_| "no answer in time".to_owned())?
                .map_err(|error| error.to_string())
        }
    }
}

fn http1(
    address: SocketAddr,
    target: &str,
    question: &Question,
    at_head: impl FnOnce(),
) -> Result<Response, String> {
    let fields: Vec<(&str, &str)> = question
        .fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut client = Client::connect(address);
    client.request(question.method, target, &fields, b"");
    let (status, fields) = client.head().map_err(|error| format!("no head: {error}"))?;
    at_head();
    let body = client
        .body(question.method, status, &fields)
        .map_err(|error| format!("{status}, then {error}"))?;
    Ok(Response {
        status,
        fields,
        body,
        interim: Vec::new(),
    })
}

async fn http2(
    address: SocketAddr,
    target: &str,
    question: &Question,
    at_head: impl FnOnce(),
) -> Result<Response, h2::Error> {
    let stream = TcpStream::connect(address).await.expect("the node listens");
    let (mut send, connection) = h2::client::handshake(stream).await?;
    let running = tokio::spawn(async move {
        let _ = connection.await;
    });
    let mut request = http::Request::builder()
        .method(question.method)
        .uri(format!("http://www.example{target}"));
    for (name, value) in &question.fields {
        request = request.header(*name, value);
    }
    let request = request.body(()).expect("a request");
    let (response, _) = send.send_request(request, true)?;
    let (head, mut stream) = response.await?.into_parts();
    at_head();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    running.abort();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(Response {
        status: head.status.as_u16(),
        fields: head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        body,
        interim: Vec::new(),
    })
}
