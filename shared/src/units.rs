//! Sizes in bytes, so that no bare integer has to say what it counts.

use std::fmt;

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
    fn sizes_print_in_the_unit_people_use() {
        let cases =
            [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1 MiB"), (256 << 20, "256 MiB"), (1536, "1.50 KiB")];
        for (bytes, text) in cases {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }
}
