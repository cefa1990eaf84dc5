//! What figures are of.

/// Of a figure: its unit, and which of two is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Processor time of the server's processes for a request.
    CpuMicros,
    PerSecond,
    /// The processor time for a request, to that of a server without what the case is about.
    ToWithout,
    WithoutCpuMicros,
    WithoutPerSecond,
    P50Micros,
    P90Micros,
    P99Micros,
    /// Of an object, or of a connection.
    BytesEach,
    /// What the origin was asked.
    Fetches,
    FirstByteMs,
    MedianMs,
    /// The same load once more.
    AgainMs,
    HitPercent,
    FirstHitMs,
}

impl Measure {
    /// With its unit.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::CpuMicros => "CPU us/request",
            Self::PerSecond => "requests/s",
            Self::ToWithout => "x without it",
            Self::WithoutCpuMicros => "CPU us/request without it",
            Self::WithoutPerSecond => "requests/s without it",
            Self::P50Micros => "p50 us",
            Self::P90Micros => "p90 us",
            Self::P99Micros => "p99 us",
            Self::BytesEach => "bytes each",
            Self::Fetches => "origin fetches",
            Self::FirstByteMs => "first byte ms",
            Self::MedianMs => "median ms",
            Self::AgainMs => "median ms, again",
            Self::HitPercent => "% hits",
            Self::FirstHitMs => "first hit ms",
        }
    }

    pub(crate) fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::PerSecond | Self::WithoutPerSecond | Self::HitPercent
        )
    }

    /// The value with as many digits as say something.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond | Self::WithoutPerSecond | Self::BytesEach => {
                thousands(value.round() as i64)
            }
            Self::P50Micros | Self::P90Micros | Self::P99Micros | Self::Fetches => {
                format!("{value:.0}")
            }
            Self::ToWithout => format!("{value:.3}"),
            Self::CpuMicros | Self::WithoutCpuMicros if value >= 100.0 => format!("{value:.0}"),
            Self::FirstByteMs | Self::MedianMs | Self::AgainMs | Self::FirstHitMs
                if value >= 10.0 =>
            {
                format!("{value:.0}")
            }
            _ => format!("{value:.1}"),
        }
    }
}

/// As in `12,345`.
fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if number < 0 {
        format!("-{shown}")
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_as_many_digits_as_say_something() {
        assert_eq!(Measure::CpuMicros.show(7.6543), "7.7");
        assert_eq!(Measure::CpuMicros.show(186.2), "186");
        assert_eq!(Measure::PerSecond.show(129_000.4), "129,000");
        assert_eq!(Measure::PerSecond.show(999.0), "999");
        assert_eq!(Measure::BytesEach.show(-1234.0), "-1,234");
        assert_eq!(Measure::FirstByteMs.show(0.81), "0.8");
    }
}
