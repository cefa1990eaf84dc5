//! Sizes and durations as they are typed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes: `512MiB`, `4GiB`, `64KiB`, `1000B`, or digits alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub u64);

/// In the largest unit that leaves a whole number.
impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = units
            .into_iter()
            .find(|(shift, _)| self.0 > 0 && self.0.trailing_zeros() >= *shift);
        match whole {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl FromStr for ByteCount {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a size is a whole number with B, KiB, MiB, GiB or TiB, as in 512MiB";
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text[..digits].parse().map_err(|_| WRONG)?;
        let shift = match text[digits..].trim_start() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(WRONG),
        };
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or("the size is too large")
    }
}

/// `250ms`, `10s`, `5m`, `1h`, `7d`.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const WRONG: &str = "a duration is a whole number with ms, s, m, h or d, as in 30s";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| WRONG)?;
    let seconds = match &text[digits..] {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(WRONG),
    };
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or("the duration is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_have_units() {
        assert_eq!("512MiB".parse(), Ok(ByteCount(512 << 20)));
        assert_eq!("4 GiB".parse(), Ok(ByteCount(4 << 30)));
        assert_eq!("17".parse(), Ok(ByteCount(17)));
        for bad in ["", "MiB", "1.5GiB", "-1", "10MB", "99999999999TiB", "1 0"] {
            assert!(bad.parse::<ByteCount>().is_err(), "{bad}");
        }
        for text in ["0B", "1000B", "64KiB", "512MiB", "4GiB", "1TiB"] {
            assert_eq!(text.parse::<ByteCount>().unwrap().to_string(), text);
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_hours(7 * 24)));
        for bad in [
            "",
            "s",
            "5",
            "1.5s",
            "-1s",
            "5 s",
            "1y",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
