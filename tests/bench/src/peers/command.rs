//! The command that starts each server, and the files it reads.

use super::template::fill;
use super::{Cache, Ground, Kind, Ports, Setting, find, open_dir};
use Kind::{
    Floor, HaProxy, NginxDisk, NginxLarge, NginxSmall, Seawall, Squid, TrafficServer, Varnish,
};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SEAWALL: &str = include_str!("../../peers/seawall.toml.tmpl");
const NGINX: &str = include_str!("../../peers/nginx.conf.tmpl");
const HAPROXY: &str = include_str!("../../peers/haproxy.cfg.tmpl");
const VARNISH: &str = include_str!("../../peers/varnish.vcl.tmpl");
const RECORDS: &str = include_str!("../../peers/records.config.tmpl");
const SQUID: &str = include_str!("../../peers/squid.conf.tmpl");

/// Writes its files into `dir`; the command waits to be run.
pub(super) fn of(
    ground: &Ground,
    kind: Kind,
    ports: Ports,
    dir: &Path,
    setting: Setting,
) -> Result<Command> {
    let place = Place {
        ground,
        ports,
        dir,
        setting,
    };
    match kind {
        Floor => Ok(place.floor()),
        Seawall => place.seawall(),
        NginxSmall | NginxLarge | NginxDisk => place.nginx(kind),
        HaProxy => place.haproxy(),
        Varnish => place.varnish(),
        TrafficServer => place.traffic_server(),
        Squid => place.squid(),
    }
}

/// Where Seawall logs requests, if it does.
pub(super) fn access_log_of(dir: &Path) -> PathBuf {
    dir.join("access.log")
}

/// Where nginx keeps its copies: it has no cache of its own in memory.
pub(super) fn cache_of(ground: &Ground, kind: Kind, dir: &Path) -> Option<PathBuf> {
    match kind {
        NginxSmall | NginxLarge => Some(ground.memory.join(dir.file_name()?)),
        NginxDisk => Some(dir.join("cache")),
        _ => None,
    }
}

struct Place<'a> {
    ground: &'a Ground,
    ports: Ports,
    dir: &'a Path,
    setting: Setting,
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Place<'_> {
    /// What all templates may name, and what one alone does.
    fn fill(&self, template: &str, more: &[(&str, String)]) -> Result<String> {
        let certificate = &self.ground.certificate;
        let path = |path: &Path| path.display().to_string();
        let mut places = vec![
            ("DIR", path(self.dir)),
            ("PORT", self.ports.plain.to_string()),
            ("TLS", self.ports.https.to_string()),
            ("H2C", self.ports.h2c.to_string()),
            ("MANAGER", self.ports.manager.to_string()),
            ("ORIGIN", self.ground.origin.fast.to_string()),
            ("SLOW", self.ground.origin.slow.to_string()),
            ("CERT", path(&certificate.cert())),
            ("KEY", path(&certificate.key())),
            ("BOTH", path(&certificate.both())),
            ("CERTS", path(&certificate.dir)),
            ("CONNECTIONS", self.ground.connections.to_string()),
            ("FILES", (2 * self.ground.connections).to_string()),
        ];
        places.extend_from_slice(more);
        fill(template, &places)
    }

    /// Fills a template into a file of the server's.
    fn write(&self, name: &str, template: &str, more: &[(&str, String)]) -> Result<PathBuf> {
        let file = self.dir.join(name);
        fs::write(&file, self.fill(template, more).context(name.to_owned())?)?;
        Ok(file)
    }

    fn floor(&self) -> Command {
        let mut command = crate::programs::this();
        command.arg("floor");
        for (name, port) in [
            ("--plain", self.ports.plain),
            ("--https", self.ports.https),
            ("--h2", self.ports.h2),
            ("--h2c", self.ports.h2c),
        ] {
            command.args([name, &port.to_string()]);
        }
        command.arg("--certificate");
        command.arg(&self.ground.certificate.dir);
        command.args(["--workers", &self.setting.workers.to_string()]);
        command
    }

    fn seawall(&self) -> Result<Command> {
        let mut more = String::new();
        if self.setting.cache == Cache::Disk {
            let path = self.dir.join("disk");
            let path = path.display();
            more += &format!("[[disks]]\npath = \"{path}\"\nsize = \"1GiB\"\n");
        }
        if self.setting.log {
            let path = access_log_of(self.dir);
            more += &format!("[access_log]\nto = \"{}\"\n", path.display());
        }
        let services = [
            ("fast", "*", self.ground.origin.fast),
            ("slow", SLOW_HOST, self.ground.origin.slow),
        ];
        for (id, host, port) in services {
            let service = format!(
                "[service]\nid = \"{id}\"\nhosts = [\"{host}\"]\nshield = false\n\n\
                 [[service.origins]]\nurl = \"http://127.0.0.1:{port}\"\n"
            );
            fs::write(self.dir.join(format!("{id}.toml")), service)?;
        }
        let workers = self.setting.workers.to_string();
        let more = [("MORE", more), ("WORKERS", workers)];
        let file = self.write("edge.toml", SEAWALL, &more)?;
        let mut command = Command::new(&self.ground.seawall);
        command.arg("edge").arg("--config").arg(file);
        Ok(command)
    }

    fn nginx(&self, kind: Kind) -> Result<Command> {
        let cache = cache_of(self.ground, kind, self.dir).context("nginx has a cache")?;
        open_dir(&cache)?;
        let sendfile = if kind == NginxSmall { "off" } else { "on" };
        let more = [
            ("CACHE", cache.display().to_string()),
            ("SENDFILE", sendfile.to_owned()),
        ];
        let file = self.write("nginx.conf", NGINX, &more)?;
        let mut command = Command::new(find("nginx").context("nginx is not here")?);
        command.arg("-c").arg(file);
        // before it has read where errors go
        command.arg("-e").arg(self.dir.join("error.log"));
        Ok(command)
    }

    fn haproxy(&self) -> Result<Command> {
        let file = self.write("haproxy.cfg", HAPROXY, &[])?;
        let mut command = Command::new(find("haproxy").context("haproxy is not here")?);
        command.arg("-db").arg("-f").arg(file);
        Ok(command)
    }

    fn varnish(&self) -> Result<Command> {
        let file = self.write("varnish.vcl", VARNISH, &[])?;
        let mut command = Command::new(find("varnishd").context("varnishd is not here")?);
        command.args(["-F", "-j", "none", "-T", "none", "-s", "malloc,1G"]);
        command.arg("-n").arg(self.dir.join("varnish"));
        command.arg("-f").arg(file);
        command.args(["-a", &format!("127.0.0.1:{}", self.ports.plain)]);
        for parameter in [
            "thread_pools=1",
            "thread_pool_min=200",
            "thread_pool_max=1000",
            "timeout_idle=3600",
            "listen_depth=4096",
        ] {
            command.args(["-p", parameter]);
        }
        Ok(command)
    }

    fn traffic_server(&self) -> Result<Command> {
        let dirs = ["etc", "cache", "run", "log", "var"].map(|name| self.dir.join(name));
        for dir in &dirs {
            open_dir(dir)?;
        }
        let etc = &dirs[0];
        for entry in fs::read_dir("/etc/trafficserver")?.flatten() {
            if entry.path().is_file() {
                fs::copy(entry.path(), etc.join(entry.file_name()))?;
            }
        }
        let user = if is_root() {
            "CONFIG proxy.config.admin.user_id STRING trafficserver"
        } else {
            ""
        };
        self.write("etc/records.config", RECORDS, &[("USER", user.to_owned())])?;
        let (fast, slow) = (self.ground.origin.fast, self.ground.origin.slow);
        let remap = format!(
            "map /slow/ http://127.0.0.1:{slow}/slow/\nmap /stream/ http://127.0.0.1:{slow}/stream/\n\
             map / http://127.0.0.1:{fast}/\n"
        );
        fs::write(etc.join("remap.config"), remap)?;
        fs::write(
            etc.join("storage.config"),
            format!("{} 4G\n", dirs[1].display()),
        )?;
        let multicert = "dest_ip=* ssl_cert_name=cert.pem ssl_key_name=key.pem\n";
        fs::write(etc.join("ssl_multicert.config"), multicert)?;
        let dir = self.dir.display();
        let root = self.dir.join("runroot.yaml");
        let layout = format!(
            "prefix: {dir}\nexec_prefix: {dir}\nsysconfdir: {dir}/etc\ndatadir: {dir}/cache\n\
             localstatedir: {dir}/var\nruntimedir: {dir}/run\nlogdir: {dir}/log\ncachedir: {dir}/cache\n\
             bindir: /usr/bin\nsbindir: /usr/sbin\nincludedir: /usr/include\n\
             libdir: /usr/lib/trafficserver\nlibexecdir: /usr/lib/trafficserver/modules\n"
        );
        fs::write(&root, layout)?;
        let program = find("traffic_server").context("traffic_server is not here")?;
        let mut command = Command::new(program);
        command.arg(format!("--run-root={}", root.display()));
        command.env("TS_RUNROOT", &root);
        Ok(command)
    }

    fn squid(&self) -> Result<Command> {
        let program = find("squid").context("squid is not here")?;
        let store = self.dir.join("disk");
        let disk = match self.setting.cache {
            Cache::Memory => String::new(),
            Cache::Disk => format!(
                "cache_dir rock {} 4096 max-size=33554432 slot-size=4096",
                store.display()
            ),
        };
        let file = self.write("squid.conf", SQUID, &[("DISK", disk)])?;
        if self.setting.cache == Cache::Disk && !store.exists() {
            open_dir(&store)?;
            // makes the store, and ends
            let mut make = Command::new(&program);
            make.arg("-N").arg("-z").arg("-f").arg(&file);
            let made = make.output()?;
            anyhow::ensure!(
                made.status.success(),
                "squid makes no store: {}",
                String::from_utf8_lossy(&made.stderr).trim()
            );
        }
        let mut command = Command::new(program);
        command.arg("-N").arg("-f").arg(file);
        Ok(command)
    }
}

/// Whose origin is the slow half; others find it by the path.
pub(crate) const SLOW_HOST: &str = "slow.example";

#[cfg(test)]
mod tests {
    use super::super::{Certificate, Origin};
    use super::*;
    use crate::process::Process;

    #[test]
    fn every_template_is_filled_with_what_its_server_is_started_with() {
        let dir = tempfile::tempdir().unwrap();
        let mut sleep = Command::new("sleep");
        sleep.arg("600");
        let ground = Ground {
            dir: dir.path().to_owned(),
            memory: dir.path().join("memory"),
            seawall: "seawall".into(),
            certificate: Certificate::make(dir.path()).unwrap(),
            origin: Origin {
                process: Process::spawn(sleep, &[], &dir.path().join("said")).unwrap(),
                fast: 7001,
                slow: 7002,
            },
            core: 0,
            all_cores: vec![0, 1],
            connections: 100,
        };
        let place = Place {
            ground: &ground,
            ports: Ports {
                plain: 8001,
                https: 8002,
                h2: 8002,
                h2c: 8003,
                manager: 8004,
            },
            dir: dir.path(),
            setting: Setting::USUAL,
        };
        let more = |name| (name, String::new());
        for (template, own) in [
            (SEAWALL, vec![more("MORE"), more("WORKERS")]),
            (NGINX, vec![more("CACHE"), more("SENDFILE")]),
            (HAPROXY, vec![]),
            (VARNISH, vec![]),
            (RECORDS, vec![more("USER")]),
            (SQUID, vec![more("DISK")]),
        ] {
            let filled = place.fill(template, &own).unwrap();
            assert!(!filled.contains('@'), "{filled}");
            let has_port = filled.contains("8001") || template == VARNISH;
            assert!(has_port, "it listens where it is looked for: {filled}");
        }
    }
}
