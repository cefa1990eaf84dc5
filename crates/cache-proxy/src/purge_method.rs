//! `PURGE <url>`, as other caches take it: the same purge as by the admin API, asked of an edge.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::deliver::Delivered;
use crate::refusal::Refusal;
use crate::tier::PurgeAsked;
use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::http::ResponseHeader;
use seawall_client_conn::{Exchange, Wire};
use seawall_http_cache::Outcome;
use seawall_service_model::Scheme;
use std::net::IpAddr;

/// Tags in one request's fields.
const TAGS_MAX: usize = 1000;

/// Whether a request is one.
pub(crate) fn is_purge(asked: &Asked) -> bool {
    asked.method.as_str() == "PURGE" && !asked.is_from_fleet()
}

/// Answers it with the receipt, or says why not.
pub(crate) async fn answer<W: Wire>(proxy: &CacheProxy, x: &mut Exchange<W>, asked: &Asked) {
    let purge = match read(asked) {
        Ok(purge) => purge,
        Err(refusal) => return proxy.refuse(x, Some(asked), &refusal).await,
    };
    let (status, body) = match proxy.tier().purge(purge).await {
        Ok(answer) => answer,
        Err(refusal) => return proxy.refuse(x, Some(asked), &refusal).await,
    };
    let length = body.len() as u64;
    let sent = send(x.wire(), status, body.into()).await;
    if sent.is_err() {
        x.wire().abort();
    }
    let outcome = if status < 400 {
        Outcome::Pass
    } else {
        Outcome::Denied
    };
    proxy.finished(
        asked,
        Delivered {
            outcome,
            status,
            bytes: length,
        },
    );
}

fn read(asked: &Asked) -> Result<PurgeAsked, Refusal> {
    let fields = &asked.fields;
    let text = |name: &str| -> Result<Vec<String>, Refusal> {
        let mut words = Vec::new();
        for value in fields.get_all(name) {
            let value = value
                .to_str()
                .map_err(|_| Refusal::new(400, format!("{name} is no text")))?;
            words.extend(value.split_whitespace().map(str::to_owned));
        }
        if words.is_empty() && fields.contains_key(name) {
            // a script whose variable is empty did not mean the URL
            return Err(Refusal::new(400, format!("{name} names no tag")));
        }
        Ok(words)
    };
    let mut tags = text("xkey-purge")?;
    tags.extend(text("surrogate-key")?);
    if tags.len() > TAGS_MAX {
        return Err(Refusal::new(400, format!("more than {TAGS_MAX} tags")));
    }
    let soft = match fields.get("soft-purge").map(HeaderValue::as_bytes) {
        None | Some(b"0") => false,
        Some(b"1") => true,
        Some(_) => return Err(Refusal::new(400, "Soft-Purge is 1 or 0")),
    };
    // other schemes are the site's own: they prove nothing here, and take nothing from an allowed network
    let bearer = fields.get(header::AUTHORIZATION).and_then(|value| {
        let value = value.to_str().ok()?;
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    if bearer == Some("") {
        return Err(Refusal::new(403, "the bearer token is empty"));
    }
    let scheme = match asked.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let host = String::from_utf8_lossy(&asked.host);
    let peer: IpAddr = asked.info.peer.ip().to_canonical();
    Ok(PurgeAsked {
        peer,
        token: bearer.map(str::to_owned),
        service: asked.service.id.0.to_string(),
        url: format!("{scheme}://{host}{}", asked.target),
        tags,
        soft,
    })
}

async fn send<W: Wire>(wire: &mut W, status: u16, body: Bytes) -> pingora::Result<()> {
    let mut head = ResponseHeader::build(status, Some(3))?;
    head.insert_header(header::CONTENT_TYPE, "application/json")?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    wire.head(&head, false).await?;
    wire.data(body, false).await?;
    wire.end(None).await?;
    wire.flush().await
}
