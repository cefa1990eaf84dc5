//! One URL of a server that runs already, and a floor with the same answer, in turns.

use crate::load::engine::{Wanted, drive};
use crate::load::one;
use crate::load::plans::Same;
use crate::peers::free_ports;
use crate::process::{Process, cpu_of};
use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::time::Duration;

/// A server that runs already.
#[derive(clap::Args)]
pub(crate) struct Against {
    /// A URL on loopback, as in http://127.0.0.1:8080/index.html: only it is measured, against a floor.
    #[arg(requires = "pid")]
    url: Option<String>,
    /// Process that serves the URL; its processor time is read from /proc.
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// Connections to the URL.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=10_000), requires = "url")]
    connections: u16,
}

impl Against {
    /// What is to be measured, if anything is.
    pub(crate) fn wanted(&self) -> Option<(&str, u32)> {
        self.url.as_deref().zip(self.pid)
    }

    /// One line a round, and one of the median.
    pub(crate) fn run(
        &self,
        (url, pid): (&str, u32),
        rounds: u32,
        seconds: u64,
    ) -> Result<Vec<String>> {
        let rest = url
            .strip_prefix("http://")
            .context("an http URL is wanted")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address: SocketAddr = authority
            .parse()
            .context("the URL's host is an address and port")?;
        if !address.ip().is_loopback() || !address.is_ipv4() {
            bail!("loads stay on 127.0.0.1");
        }
        let path = format!("/{path}");
        one::get(address.port(), &path)?;
        let answer = one::get(address.port(), &path)?;
        ensure!(answer.status == 200, "answered with {}", answer.status);
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("answer");
        std::fs::write(&file, [&answer.head[..], &answer.body].concat())?;
        let [port] = free_ports()?;
        let mut command = crate::programs::this();
        command.args(["floor", "--plain", &port.to_string()]);
        command.arg("--answer").arg(&file);
        let mut floor = Process::spawn(command, &[], &dir.path().join("said"))?;
        crate::peers::answers(port, &mut floor)?;
        let mut wanted = Wanted {
            port,
            host: None,
            connections: self.connections.into(),
            body: answer.body.len() as u64,
            at_most: Duration::from_secs(seconds + 30),
        };
        let (mut lines, mut ratios) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            let mut turn = |port: u16, cpu: &dyn Fn() -> Duration| -> Result<(f64, f64)> {
                wanted.port = port;
                let mut plan = Same {
                    path: &path,
                    lasting: Duration::from_secs(seconds),
                };
                let before = cpu();
                let outcome = drive(&wanted, &mut plan)?;
                ensure!(outcome.errors == 0, "{} errors", outcome.errors);
                let spent = cpu().saturating_sub(before).as_secs_f64() * 1e6;
                Ok((spent / outcome.requests.max(1) as f64, outcome.per_second()))
            };
            let (base, base_rate) = turn(port, &|| floor.cpu())?;
            let (ours, rate) = turn(address.port(), &|| cpu_of(pid).unwrap_or_default())?;
            let ratio = ours / base;
            lines.push(format!(
                "round {round}: floor {base:.1} us ({base_rate:.0}/s), server {ours:.1} us ({rate:.0}/s), ratio {ratio:.2}"
            ));
            ratios.push(ratio);
        }
        ratios.sort_by(f64::total_cmp);
        lines.push(format!("median ratio {:.2}", ratios[ratios.len() / 2]));
        Ok(lines)
    }
}
