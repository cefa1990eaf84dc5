//! Clients that misbehave, each in its way, over and over.

use seawall_tests::client::request;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// A way to misbehave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bad {
    /// A byte a second.
    Drips,
    /// A head that never ends.
    Endless,
    /// 100,000 requests at once, whose answers are taken.
    Pipelines,
    /// Large answers that are asked for and never read.
    NeverReads,
    /// A reset after some bytes of a request, or of its answer.
    Resets,
}

pub(super) const ALL: [Bad; 5] = [
    Bad::Drips,
    Bad::Endless,
    Bad::Pipelines,
    Bad::NeverReads,
    Bad::Resets,
];

/// Requests of one pipeline.
const PIPELINE: usize = 100_000;

pub(super) struct Random(u64);

impl Random {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

impl Bad {
    /// One connection after the other, as soon as the node has cut one.
    pub(super) async fn go_on(self, edge: SocketAddr, mut random: Random) {
        loop {
            if let Ok(stream) = TcpStream::connect(edge).await {
                // however it ended: the node has had enough of it, as it should
                let _ = self.once(stream, &mut random).await;
            }
            sleep(Duration::from_millis(50 + random.below(200))).await;
        }
    }

    async fn once(self, mut stream: TcpStream, random: &mut Random) -> io::Result<()> {
        match self {
            Self::Drips => {
                for byte in request("GET", "/hit", &[], b"") {
                    stream.write_all(&[byte]).await?;
                    sleep(Duration::from_secs(1)).await;
                }
                Ok(())
            }
            Self::Endless => {
                stream.write_all(b"GET /hit HTTP/1.1\r\n").await?;
                let line = [b"x-more: ", &[b'x'; 1000][..], b"\r\n"].concat();
                loop {
                    stream.write_all(&line).await?;
                }
            }
            Self::Pipelines => {
                let (mut read, mut write) = stream.split();
                let some = request("GET", "/hit", &[], b"").repeat(100);
                let asks = async {
                    for _ in 0..PIPELINE / 100 {
                        write.write_all(&some).await?;
                    }
                    Ok(())
                };
                let takes = async {
                    let mut part = vec![0; 64 * 1024];
                    while read.read(&mut part).await? > 0 {}
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
                tokio::try_join!(asks, takes).map(|((), ())| ())
            }
            Self::NeverReads => {
                stream
                    .write_all(&request("GET", "/large", &[], b"").repeat(50))
                    .await?;
                stream.ready(Interest::ERROR).await.map(drop)
            }
            Self::Resets => {
                let target = ["/hit", "/large"][random.below(2) as usize];
                let whole = request("GET", target, &[], b"");
                let some = random.below(whole.len() as u64 + 1) as usize;
                stream.write_all(&whole[..some]).await?;
                if some == whole.len() {
                    let mut part = vec![0; 1 + random.below(100_000) as usize];
                    stream.read_exact(&mut part).await?;
                }
                // its close is a reset
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
                Ok(())
            }
        }
    }
}
