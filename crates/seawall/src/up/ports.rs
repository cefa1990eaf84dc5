//! Where the edges of `up` listen.

use crate::cli::UpArgs;
use crate::usage::Usage;
use anyhow::Result;
use std::net::SocketAddr;

/// The addresses of the edges: ports count up from the first, without the admin's, whatever its IP address: a port is one
/// thing to people, and 0.0.0.0 has those of 127.0.0.1.
pub(super) fn edge_addresses(args: &UpArgs) -> Result<Vec<SocketAddr>> {
    let (first, admin, edges) = (args.listen, args.admin, usize::from(args.edges));
    if first.port() == 0 {
        return Ok(vec![first; edges]);
    }
    let any = first.ip().is_unspecified() || admin.ip().is_unspecified();
    if first.port() == admin.port() && (any || first.ip() == admin.ip()) {
        let why = format!("--listen {first} and --admin {admin} are the same");
        return Err(Usage(why).into());
    }
    let further = (first.port()..=u16::MAX).skip(1);
    let ports: Vec<u16> = std::iter::once(first.port())
        .chain(further.filter(|port| *port != admin.port()))
        .take(edges)
        .collect();
    if ports.len() < edges {
        let why =
            format!("--listen {first} leaves no ports for {edges} edges beside --admin {admin}");
        return Err(Usage(why).into());
    }
    let address = |port| SocketAddr::new(first.ip(), port);
    Ok(ports.into_iter().map(address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn ports(listen: &str, admin: &str, edges: &str) -> Option<Vec<u16>> {
        let line = [
            "seawall", "up", "--listen", listen, "--admin", admin, "--edges", edges,
        ];
        let Command::Up(args) = Cli::parse_from(line).command else {
            unreachable!("it says up")
        };
        let addresses = edge_addresses(&args).ok()?;
        assert!(addresses.iter().all(|a| a.ip() == args.listen.ip()));
        Some(addresses.iter().map(SocketAddr::port).collect())
    }

    #[test]
    fn ports_count_up_from_the_first_without_the_admins() {
        let rows = [
            (
                "127.0.0.1:8080",
                "127.0.0.1:8081",
                "3",
                Some(vec![8080, 8082, 8083]),
            ),
            (
                "0.0.0.0:8080",
                "127.0.0.1:8081",
                "2",
                Some(vec![8080, 8082]),
            ),
            ("[::]:8080", "127.0.0.1:8081", "2", Some(vec![8080, 8082])),
            ("127.0.0.1:0", "127.0.0.1:8081", "2", Some(vec![0, 0])),
            ("127.0.0.1:65535", "127.0.0.1:8081", "2", None),
            ("0.0.0.0:8081", "127.0.0.1:8081", "1", None),
            (
                "127.0.0.2:8081",
                "127.0.0.1:8081",
                "2",
                Some(vec![8081, 8082]),
            ),
        ];
        for (listen, admin, edges, expected) in rows {
            assert_eq!(ports(listen, admin, edges), expected, "{listen} {admin}");
        }
    }
}
