//! The servers that are measured: how each is started, with the settings it does best with.

mod certificate;
mod command;
mod template;

pub(crate) use certificate::Certificate;
pub(crate) use command::SLOW_HOST;

use crate::process::Process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Until a server that was started accepts connections.
const START_MAX: Duration = Duration::from_secs(15);

/// A server, in one of its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Floor,
    Seawall,
    /// Its best for bodies up to 10 KiB.
    NginxSmall,
    /// Its best from 64 KiB on.
    NginxLarge,
    NginxDisk,
    HaProxy,
    Varnish,
    TrafficServer,
    Squid,
}

use Kind::{
    Floor, HaProxy, NginxDisk, NginxLarge, NginxSmall, Seawall, Squid, TrafficServer, Varnish,
};

pub(crate) const KINDS: [Kind; 9] = [
    Floor,
    Seawall,
    NginxSmall,
    NginxLarge,
    NginxDisk,
    HaProxy,
    Varnish,
    TrafficServer,
    Squid,
];

/// How a server is started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) cache: Cache,
    /// Threads that serve. More than one: our own servers alone, and on all cores.
    pub(crate) workers: usize,
    /// Whether requests are logged: Seawall alone.
    pub(crate) log: bool,
}

impl Setting {
    /// As in all cases but those that say something else.
    pub(crate) const USUAL: Self = Self {
        cache: Cache::Memory,
        workers: 1,
        log: false,
    };
}

/// Where copies lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    Memory,
    /// Copies are to be there after a restart.
    Disk,
}

impl Kind {
    /// What the tables call it; settings of one server share a name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Floor => "floor",
            Seawall => "seawall",
            NginxSmall | NginxLarge | NginxDisk => "nginx",
            HaProxy => "haproxy",
            Varnish => "varnish",
            TrafficServer => "trafficserver",
            Squid => "squid",
        }
    }

    /// Program, the argument that makes it tell its version, and its Debian package; none for ours.
    fn program(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Floor | Seawall => None,
            NginxSmall | NginxLarge | NginxDisk => Some(("nginx", "-v", "nginx")),
            HaProxy => Some(("haproxy", "-v", "haproxy")),
            Varnish => Some(("varnishd", "-V", "varnish")),
            TrafficServer => Some(("traffic_server", "-V", "trafficserver")),
            Squid => Some(("squid", "-v", "squid")),
        }
    }

    pub(crate) fn package(self) -> Option<&'static str> {
        self.program().map(|(_, _, package)| package)
    }

    /// Whether it can be started here.
    pub(crate) fn is_here(self) -> bool {
        self.program()
            .is_none_or(|(name, _, _)| find(name).is_some())
    }

    /// As it tells it, the first line.
    pub(crate) fn version(self) -> Option<String> {
        let (name, argument, _) = self.program()?;
        let out = Command::new(find(name)?).arg(argument).output().ok()?;
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        said.lines()
            .find(|l| l.chars().any(|c| c.is_ascii_digit()))
            .map(|l| l.trim().to_owned())
    }

    /// TLS, and HTTP/2 with and without it.
    pub(crate) fn speaks_tls(self) -> bool {
        !matches!(self, Varnish | Squid)
    }
}

/// A program on the path, or where daemons lie.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut dirs = std::env::split_paths(&path).chain(usual);
    dirs.find_map(|dir| Some(dir.join(name)).filter(|p| p.is_file()))
}

/// What all servers of a run share.
pub(crate) struct Ground {
    /// Theirs all; each has a directory in it.
    pub(crate) dir: PathBuf,
    /// The same in memory, where there is such a place.
    pub(crate) memory: PathBuf,
    pub(crate) seawall: PathBuf,
    pub(crate) certificate: Certificate,
    pub(crate) origin: Origin,
    /// Of the servers.
    pub(crate) core: usize,
    pub(crate) all_cores: Vec<usize>,
    /// Clients that a server has to be ready for, at most.
    pub(crate) connections: usize,
}

impl Ground {
    /// Those that a server stays on.
    fn cores(&self, setting: Setting) -> &[usize] {
        match setting.workers {
            1 => std::slice::from_ref(&self.core),
            _ => &self.all_cores,
        }
    }
}

/// The origin's process, and its ports.
pub(crate) struct Origin {
    pub(crate) process: Process,
    pub(crate) fast: u16,
    pub(crate) slow: u16,
}

impl Origin {
    pub(crate) fn start(dir: &Path, core: usize) -> Result<Self> {
        let [fast, slow] = free_ports()?;
        let mut command = crate::programs::this();
        command.args(["origin", "--fast", &fast.to_string()]);
        command.args(["--slow", &slow.to_string()]);
        let mut process = Process::spawn(command, &[core], &dir.join("origin.log"))?;
        answers(fast, &mut process).context("the origin does not start")?;
        answers(slow, &mut process).context("the origin does not start")?;
        Ok(Self {
            process,
            fast,
            slow,
        })
    }
}

/// Where a server listens. Peers have one port for TLS, whatever is spoken behind it.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) plain: u16,
    pub(crate) https: u16,
    pub(crate) h2: u16,
    pub(crate) h2c: u16,
    pub(crate) manager: u16,
}

/// A server that runs; ended when it is dropped.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) ports: Ports,
    pub(crate) process: Process,
    /// Its own directory.
    dir: PathBuf,
    setting: Setting,
}

impl Server {
    /// Ready for connections when this returns. Tried twice: a port that was free may be taken meanwhile.
    pub(crate) fn start(ground: &Ground, kind: Kind, setting: Setting) -> Result<Self> {
        Self::try_start(ground, kind, setting).or_else(|_| Self::try_start(ground, kind, setting))
    }

    fn try_start(ground: &Ground, kind: Kind, setting: Setting) -> Result<Self> {
        let [plain, https, own_h2, own_h2c, manager] = free_ports()?;
        let ports = Ports {
            plain,
            https,
            h2: if kind == Floor { own_h2 } else { https },
            h2c: if kind == Seawall { plain } else { own_h2c },
            manager,
        };
        // workers of some peers change to a user of their own
        let dir = ground.dir.join(format!("{}-{plain}", kind.name()));
        open_dir(&dir)?;
        open_dir(&dir.join("tmp"))?;
        let process = launch(ground, kind, ports, &dir, setting)?;
        Ok(Self {
            kind,
            ports,
            process,
            dir,
            setting,
        })
    }

    /// Started once more where it was, after its process has ended; ready for connections or not.
    pub(crate) fn again(&mut self, ground: &Ground) -> Result<()> {
        let command = command::of(ground, self.kind, self.ports, &self.dir, self.setting)?;
        let log = self.dir.join("said");
        self.process = Process::spawn(command, ground.cores(self.setting), &log)?;
        Ok(())
    }

    /// Its access log, where it has one.
    pub(crate) fn access_log(&self) -> PathBuf {
        command::access_log_of(&self.dir)
    }

    /// Bytes that it takes for what it caches, in its processes and in files in memory.
    pub(crate) fn memory(&self, ground: &Ground) -> u64 {
        let files = command::cache_of(ground, self.kind, &self.dir);
        let files = files.filter(|_| self.kind == NginxSmall);
        self.process.resident() + files.map_or(0, |dir| taken(&dir))
    }
}

fn launch(
    ground: &Ground,
    kind: Kind,
    ports: Ports,
    dir: &Path,
    setting: Setting,
) -> Result<Process> {
    let command = command::of(ground, kind, ports, dir, setting)?;
    let mut process = Process::spawn(command, ground.cores(setting), &dir.join("said"))?;
    let name = kind.name();
    answers(ports.plain, &mut process).with_context(|| format!("{name} does not start"))?;
    Ok(process)
}

/// Waits until a port accepts connections.
pub(crate) fn answers(port: u16, process: &mut Process) -> Result<()> {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if !process.alive() {
            bail!("it has ended: {}", process.last_words());
        }
        if began.elapsed() > START_MAX {
            bail!(
                "no connection after {START_MAX:?}: {}",
                process.last_words()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Ports on loopback that are free now.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// A directory that every user may write to.
pub(crate) fn open_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o1777))?;
    Ok(())
}

/// Bytes of blocks of all files below a directory.
fn taken(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => taken(&entry.path()),
            Ok(data) => data.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
