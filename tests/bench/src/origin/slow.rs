//! Answers that take their time: `/slow/*` waits before its head, `/stream/*` between the parts of its body.

use super::Counts;
use crate::bodies;
use anyhow::Result;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Before the head of `/slow/*`; `/slow/nostore*` may not be stored.
pub(crate) const SLOW_WAIT: Duration = Duration::from_millis(300);
const SLOW_BYTES: usize = 10 << 10;
/// Of `/stream/*`, in twenty parts 50 ms apart: a second.
pub(crate) const STREAM_BYTES: usize = 20_000_000;
const STREAM_PARTS: usize = 20;
const STREAM_WAIT: Duration = Duration::from_millis(50);

/// Serves for ever.
pub(super) fn serve(listener: TcpListener) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (counts, noise) = (Counts::default(), bodies::noise(STREAM_BYTES));
    let noise: Arc<[u8]> = noise.into();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            let (counts, noise) = (counts.clone(), noise.clone());
            tokio::spawn(async move {
                let _ = connection(stream, &counts, &noise).await;
            });
        }
    })
}

async fn connection(mut stream: TcpStream, counts: &Counts, noise: &[u8]) -> Result<()> {
    let mut head = Vec::new();
    let mut part = [0; 4096];
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            let n = stream.read(&mut part).await?;
            anyhow::ensure!(n > 0 && head.len() < 64 * 1024, "no whole head");
            head.extend_from_slice(&part[..n]);
        }
        let path = String::from_utf8_lossy(bodies::path(&head)).into_owned();
        if let Some(of) = path.strip_prefix("/_count?") {
            let seen = {
                let counts = counts.lock().map_err(|_| anyhow::anyhow!("a panic"))?;
                counts.get(of).copied().unwrap_or(0)
            };
            stream.write_all(&super::told(seen)).await?;
            continue;
        }
        if let Ok(mut counts) = counts.lock() {
            *counts.entry(path.clone()).or_default() += 1;
        }
        answer(&mut stream, &path, noise).await?;
    }
}

async fn answer(stream: &mut TcpStream, path: &str, noise: &[u8]) -> Result<()> {
    let (streams, control) = (
        path.starts_with("/stream/"),
        if path.starts_with("/slow/nostore") {
            "no-store"
        } else {
            "public, max-age=86400"
        },
    );
    let bytes = if streams { STREAM_BYTES } else { SLOW_BYTES };
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n\
         Cache-Control: {control}\r\nETag: \"slow\"\r\nDate: {date}\r\n\r\n"
    );
    if !streams {
        tokio::time::sleep(SLOW_WAIT).await;
        let whole = [head.as_bytes(), &noise[..SLOW_BYTES]].concat();
        return Ok(stream.write_all(&whole).await?);
    }
    stream.write_all(head.as_bytes()).await?;
    for part in noise.chunks(STREAM_BYTES / STREAM_PARTS) {
        stream.write_all(part).await?;
        tokio::time::sleep(STREAM_WAIT).await;
    }
    Ok(())
}
