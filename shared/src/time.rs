//! Points in time, and durations as people write them.
//!
//! No clock is compared with another machine's clock: a [`Timestamp`] is
//! subtracted only from one that the same machine took, or shown to a person.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

const DAY_S: u64 = 86_400;

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// This many milliseconds after the Unix epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Time since `earlier`; zero if `earlier` lies ahead, as with skewed clocks.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The time `span` earlier; `None` if there is none.
    pub fn before(self, span: Duration) -> Option<Self> {
        self.0.checked_sub(millis(span)).map(Self)
    }

    /// The moment in UTC, as in `2026-11-20T09:15:30.512Z` (RFC 3339).
    pub fn rfc3339(self) -> String {
        let [year, month, date, hour, minute, second] = self.utc();
        let ms = self.0 % 1_000;
        format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }

    /// Year, month, date, hour, minute and second in UTC.
    ///
    /// The date is Howard Hinnant's `civil_from_days`, for dates since 1970.
    pub const fn utc(self) -> [u64; 6] {
        let seconds = self.0 / 1_000;
        let (days, second) = (seconds / DAY_S, seconds % DAY_S);
        // Eras of 400 years that begin on 1 March, so that a leap day ends its year.
        let day = days + 719_468;
        let (era, day_of_era) = (day / 146_097, day % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let date = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + (month <= 2) as u64;
        [year, month, date, second / 3_600, second / 60 % 60, second % 60]
    }

    /// The time `span` later; the end of time if there is none.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

/// A span in whole milliseconds, as rows and reports keep it.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration (want a number and a unit, as in `500ms`, `10s`, `2m` or `1h`)")]
pub struct InvalidDuration(String);

/// Reads `500ms`, `10s`, `2m`, `1h` or a bare number of seconds.
///
/// ```
/// use std::time::Duration;
/// use sealane::time::parse_duration;
///
/// assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
/// assert_eq!(parse_duration("30"), Ok(Duration::from_secs(30)));
/// assert!(parse_duration("soon").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let refuse = || InvalidDuration(text.to_owned());
    let text_trimmed = text.trim();
    let split = text_trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(text_trimmed.len());
    let (number, unit) = text_trimmed.split_at(split);
    let number: u64 = number.parse().map_err(|_| refuse())?;
    let unit_ms = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(refuse()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(refuse)
}

/// Prints a duration in the largest unit that keeps it whole: the inverse of [`parse_duration`].
#[derive(Debug, Clone, Copy)]
pub struct Human(pub Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = millis(self.0);
        match ms {
            0 => write!(f, "0s"),
            ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is printed reads back as the same duration.
        #[test]
        fn human_durations_round_trip(ms in 0..10_000_000_000_u64) {
            let span = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&Human(span).to_string()), Ok(span));
        }

        /// Time never runs backwards, whatever the clocks say.
        #[test]
        fn since_is_never_negative(a: u64, b: u64) {
            let span = Timestamp::from_millis(a).since(Timestamp::from_millis(b));
            prop_assert_eq!(span.is_zero(), a <= b);
        }
    }
}
