//! Points in time as people read them.

use sealane::time::Timestamp;

const DAY_S: u64 = 86_400;

/// `at` in UTC, as in `2026-11-20 09:15:30Z`.
///
/// The date is Howard Hinnant's `civil_from_days`, for dates since 1970.
pub(crate) fn utc(at: Timestamp) -> String {
    let seconds = at.as_millis() / 1_000;
    let (days, second) = (seconds / DAY_S, seconds % DAY_S);
    // Eras of 400 years that begin on 1 March, so that a leap day ends its year.
    let day = days + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399_999, "2000-02-28 23:59:59Z"),
            (951_782_400_000, "2000-02-29 00:00:00Z"),
            (1_795_166_130_512, "2026-11-20 09:15:30Z"),
            (4_107_542_400_000, "2100-03-01 00:00:00Z"),
        ];
        for (ms, text) in cases {
            assert_eq!(utc(Timestamp::from_millis(ms)), text);
        }
    }
}
