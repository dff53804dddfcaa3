//! Points in time as people read them.

use sealane::time::Timestamp;

/// `at` in UTC, as in `2026-11-20 09:15:30Z`.
pub(crate) fn utc(at: Timestamp) -> String {
    let [year, month, date, hour, minute, second] = at.utc();
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
