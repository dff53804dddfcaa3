//! Sizes in bytes, so that no bare integer has to say what it counts.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// This many kibibytes (1,024 bytes).
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// This many mebibytes (1,048,576 bytes).
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// This many gibibytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }
}

/// The text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size (want a number with `KiB`, `MiB`, `GiB` or `TiB`, or bytes, as in `8MiB`)")]
pub struct InvalidSize(String);

impl FromStr for ByteSize {
    type Err = InvalidSize;

    /// Reads `8MiB`, `64 KiB` or a bare number of bytes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let unit_bytes = match unit.trim() {
            "" | "B" => Some(1_u64),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            "TiB" => Some(1 << 40),
            _ => None,
        };
        let size = number.parse::<u64>().ok().zip(unit_bytes).and_then(|(n, unit)| n.checked_mul(unit));
        size.map(Self).ok_or_else(|| InvalidSize(text.escape_debug().to_string()))
    }
}

impl fmt::Display for ByteSize {
    /// Three significant figures and a binary unit, as in `256 MiB`.
    #[expect(clippy::cast_precision_loss, reason = "shown to people with three significant figures")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut scaled = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while scaled >= 999.5 && unit + 1 < UNITS.len() {
            scaled /= 1024.0;
            unit += 1;
        }
        let places = if scaled >= 99.95 || scaled.fract() == 0.0 {
            0
        } else if scaled >= 9.995 {
            1
        } else {
            2
        };
        write!(f, "{scaled:.places$} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_units_only() {
        for (text, bytes) in [("8MiB", 8 << 20), (" 64 KiB ", 64 << 10), ("7", 7), ("2TiB", 2 << 40)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
        }
        for text in ["", "MiB", "8MB", "-1", "1.5GiB", "99999999999TiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_print_in_the_unit_people_use() {
        let cases =
            [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1 MiB"), (256 << 20, "256 MiB"), (1536, "1.50 KiB")];
        for (bytes, text) in cases {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }
}
