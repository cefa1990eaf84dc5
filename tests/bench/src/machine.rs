//! Where and when, and what else ran meanwhile.

use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, SystemTime};

/// Told with all figures: they hold for it alone.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// As in `25 Nov 2026`.
    pub(crate) date: String,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let date = httpdate::fmt_http_date(SystemTime::now());
        Self {
            processor: model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.trim().to_owned(),
            date: date.get(5..16).unwrap_or_default().to_owned(),
        }
    }

    /// One line of it.
    pub(crate) fn line(&self) -> String {
        let Self {
            processor,
            cores,
            kernel,
            date,
        } = self;
        format!("{processor}, {cores} cores, Linux {kernel}, {date}")
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "processor": self.processor,
            "cores": self.cores,
            "kernel": self.kernel,
            "date": self.date,
        })
    }
}

/// Time that all cores together have been busy so far; none where /proc does not tell.
pub(crate) fn busy() -> Option<Duration> {
    busy_in(&fs::read_to_string("/proc/stat").ok()?)
}

/// The first line: hundredths of a second as user, nice, system, idle, iowait, irq, softirq, steal (proc(5)).
fn busy_in(stat: &str) -> Option<Duration> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = fields
        .split_ascii_whitespace()
        .map_while(|f| f.parse().ok())
        .collect();
    let all: u64 = fields.get(..8)?.iter().sum();
    Some(Duration::from_millis((all - fields[3] - fields[4]) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_is_neither_idle_nor_waiting_for_disks() {
        let stat = "cpu  100 1 20 900 50 3 4 5 60 0\ncpu0 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_in(stat), Some(Duration::from_millis(1330)));
        assert_eq!(busy_in("cpu0 1 2 3"), None);
        assert_eq!(busy_in("cpu  1 2 3"), None);
    }
}
