//! The admin API's client.

use super::find::{self, Found};
use crate::cli::AdminArgs;
use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use seawall_config::Fault;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Answers that are longer are not the admin API's.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Longer than any wait that can be asked for.
const PATIENCE: Duration = Duration::from_secs(75);

/// Where the API is, and the token for it.
pub(super) struct Client {
    /// `host:port`.
    authority: String,
    found: Found,
}

/// An answer that is no refusal.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// The same as it came, where it is no JSON.
    pub(super) text: String,
}

/// What a request carries besides.
#[derive(Default)]
pub(super) struct Carrying {
    pub(super) body: Option<(&'static str, String)>,
    pub(super) fields: Vec<(header::HeaderName, String)>,
    /// The file that the body is, and the service of which it is one: faults are told of the file.
    pub(super) file: Option<(String, PathBuf)>,
}

impl Carrying {
    pub(super) fn json(body: &Value) -> Self {
        Self {
            body: Some(("application/json", body.to_string())),
            ..Self::default()
        }
    }
}

impl Client {
    pub(super) fn new(args: &AdminArgs) -> Result<Self> {
        let authority = find::authority(args.admin.as_deref())?;
        let found = find::find(args.token_file.as_deref(), &authority)?;
        Ok(Self { authority, found })
    }

    pub(super) fn get(&self, path: &str) -> Result<Answer> {
        self.ask(&Method::GET, path, Carrying::default())
    }

    /// Asks, and makes an error of a refusal: its reason, and the member of the request that is wrong.
    pub(super) fn ask(&self, method: &Method, path: &str, carrying: Carrying) -> Result<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let file = carrying.file.clone();
        let asked = self.exchange(method, path, carrying);
        let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
        let answer = answer
            .map_err(|_| anyhow!("the control plane at {} does not answer", self.authority))??;
        if answer.status.is_success() {
            return Ok(answer);
        }
        bail!(refusal(&answer, file.as_ref()))
    }

    async fn exchange(&self, method: &Method, path: &str, carrying: Carrying) -> Result<Answer> {
        let away = || find::nobody(&self.authority);
        let stream = tokio::net::TcpStream::connect(&self.found.addresses[..])
            .await
            .with_context(away)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .with_context(away)?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.found.token),
            );
        for (name, value) in carrying.fields {
            request = request.header(name, value);
        }
        let body = match carrying.body {
            Some((kind, body)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                body
            }
            None => String::new(),
        };
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = sender.send_request(request).await.with_context(away)?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body
            .map_err(|error| anyhow!("the answer was cut: {error}"))?
            .to_bytes();
        // what is neither JSON nor asked for as text is not the API's: a status tells enough
        let (body, text) = match serde_json::from_slice(&body) {
            Ok(body) => (body, String::new()),
            Err(_) => (
                Value::Null,
                String::from_utf8(body.into()).unwrap_or_default(),
            ),
        };
        Ok(Answer {
            status: parts.status,
            body,
            text,
        })
    }
}

/// The reason, and the member of the request that is wrong; where it is a service that has faults, each of them in a
/// line of its own.
fn refusal(answer: &Answer, file: Option<&(String, PathBuf)>) -> String {
    let text = |name: &str| answer.body[name].as_str().unwrap_or_default();
    let (reason, field) = (text("error"), text("field"));
    let faults = answer.body["faults"].as_array();
    let mut told = match (reason.is_empty(), field.is_empty() || faults.is_some()) {
        (true, _) => format!("the control plane answers {}", answer.status.as_u16()),
        (false, true) => reason.to_owned(),
        (false, false) => format!("{field}: {reason}"),
    };
    if let Some(several) = answer.body["services"].as_array() {
        let ids: Vec<&str> = several.iter().filter_map(Value::as_str).collect();
        told += &format!(" ({})", ids.join(", "));
    }
    for fault in faults.into_iter().flatten() {
        let text = |name: &str| fault[name].as_str().unwrap_or_default();
        let of_file = file.filter(|(id, _)| id == text("service"));
        let fault = Fault {
            file: of_file.map_or_else(|| text("service").into(), |(_, file)| file.clone()),
            line: fault["line"].as_u64().map(|line| line as usize),
            path: text("path").to_owned(),
            message: text("message").to_owned(),
        };
        told += &format!("\n  {fault}");
    }
    told
}

/// A name as a part of a path.
pub(super) fn segment(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
