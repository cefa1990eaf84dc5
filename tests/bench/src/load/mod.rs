//! Load: by wrk, h2load and oha, and by a loop of our own where they cannot do it.

pub(crate) mod engine;
pub(crate) mod h2load;
pub(crate) mod handshakes;
pub(crate) mod idle;
pub(crate) mod oha;
pub(crate) mod one;
pub(crate) mod plans;
pub(crate) mod random;
pub(crate) mod secure;
pub(crate) mod wrk;

use std::time::Duration;

/// What a load came to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    /// Connections that failed, answers other than 200, bodies of another length, answers that did not come.
    pub(crate) errors: u64,
    pub(crate) took: Duration,
    pub(crate) latencies: Latencies,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// What another loop at the same time came to, which noted each of its latencies.
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        if let (Latencies::Each(ours), Latencies::Each(theirs)) =
            (&mut self.latencies, other.latencies)
        {
            ours.extend(theirs);
        }
    }
}

/// How long answers took.
#[derive(Debug, PartialEq)]
pub(crate) enum Latencies {
    /// Each one, in microseconds.
    Each(Vec<u32>),
    /// What another program said of them, in microseconds: p50, p99.
    Said { p50: f64, p99: f64 },
}

impl Default for Latencies {
    fn default() -> Self {
        Self::Each(Vec::new())
    }
}

/// Beyond these, latencies are not noted one by one.
const NOTED_MAX: usize = 20_000_000;

impl Latencies {
    pub(crate) fn note(&mut self, latency: Duration) {
        if let Self::Each(each) = self
            && each.len() < NOTED_MAX
        {
            each.push(latency.as_micros().min(u32::MAX.into()) as u32);
        }
    }

    /// In microseconds; none where it is not known: the smallest latency that so many of 1000 do not exceed.
    pub(crate) fn quantile(&mut self, of_1000: usize) -> Option<f64> {
        match self {
            Self::Each(each) => {
                each.sort_unstable();
                let rank = (each.len() * of_1000).div_ceil(1000);
                each.get(rank.saturating_sub(1)).copied().map(f64::from)
            }
            Self::Said { p50, .. } if of_1000 == 500 => Some(*p50),
            Self::Said { p99, .. } if of_1000 == 990 => Some(*p99),
            Self::Said { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_smallest_latency_that_so_many_do_not_exceed() {
        let mut latencies = Latencies::default();
        for micros in (1..=100).rev() {
            latencies.note(Duration::from_micros(micros));
        }
        assert_eq!(latencies.quantile(500), Some(50.0));
        assert_eq!(latencies.quantile(900), Some(90.0));
        assert_eq!(latencies.quantile(999), Some(100.0));
        assert_eq!(latencies.quantile(1000), Some(100.0));
        assert_eq!(latencies.quantile(0), Some(1.0));
        assert_eq!(Latencies::default().quantile(500), None);
    }
}
