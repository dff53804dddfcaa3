//! The figures of a function's start, and the bars that they have to stay under.

use serde::Serialize;

/// Most milliseconds from process start to first poll, in the best of all runs.
pub const FIRST_POLL_MS_MAX: f64 = 15.0;

/// Most memory that a function may have held at once, in KiB.
pub const PEAK_KIB_MAX: u64 = 24 << 10;

/// Largest zip, in bytes.
pub const ZIP_BYTES_MAX: u64 = 6_000_000;

/// Smallest, middle and largest of some times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The middle one; of an even number, the lower of the two.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of `times`; `None` if there are none.
    #[must_use]
    pub fn of(mut times: Vec<f64>) -> Option<Self> {
        times.sort_by(f64::total_cmp);
        let median = *times.get(times.len().checked_sub(1)? / 2)?;
        Some(Self { min: *times.first()?, median, max: *times.last()? })
    }
}

/// What was measured of one function.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Its name.
    pub function: String,
    /// Process start to first poll, in milliseconds.
    pub first_poll_ms: Spread,
    /// The first invocation of a process, in milliseconds; `null` where one lasts by design.
    pub first_invocation_ms: Option<Spread>,
    /// The second invocation of the same process, in milliseconds; `null` likewise.
    pub warm_invocation_ms: Option<Spread>,
    /// Peak memory (`VmHWM`) with what was invoked, the largest of all runs, in KiB.
    pub peak_kib: u64,
    /// Size of the binary, in bytes.
    pub binary_bytes: u64,
    /// Size of the zip that would be deployed, in bytes.
    pub zip_bytes: u64,
    /// Instructions from process start to first poll; `null` without valgrind.
    pub instructions: Option<u64>,
}

impl Figures {
    /// Each bar that is missed, in words.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let name = &self.function;
        let mut missed = Vec::new();
        if self.first_poll_ms.min > FIRST_POLL_MS_MAX {
            missed.push(format!(
                "`{name}` needs {:.1} ms to its first poll (bar {FIRST_POLL_MS_MAX} ms)",
                self.first_poll_ms.min
            ));
        }
        if self.peak_kib > PEAK_KIB_MAX {
            missed.push(format!("`{name}` holds {} (bar {})", mib(self.peak_kib), mib(PEAK_KIB_MAX)));
        }
        if self.zip_bytes > ZIP_BYTES_MAX {
            missed.push(format!("`{name}` has a zip of {} (bar {})", mb(self.zip_bytes), mb(ZIP_BYTES_MAX)));
        }
        missed
    }

    /// One line of the table.
    #[must_use]
    pub fn row(&self) -> String {
        let Spread { min, median, max } = self.first_poll_ms;
        let instructions = self
            .instructions
            .map_or_else(|| "-".to_owned(), |n| format!("{}.{} M", n / 1_000_000, n / 100_000 % 10));
        format!(
            "{:<20} {:>6.1} {:>6.1} {:>6.1}   {:>8} {:>7}   {:>9} {:>8} {:>8}  {:>10}",
            self.function,
            min,
            median,
            max,
            median_of(self.first_invocation_ms),
            median_of(self.warm_invocation_ms),
            mib(self.peak_kib),
            mb(self.binary_bytes),
            mb(self.zip_bytes),
            instructions
        )
    }
}

/// The heading of the table.
#[must_use]
pub fn heading() -> String {
    format!(
        "{:<20} {:>20}   {:>16}   {:>9} {:>8} {:>8}  {:>10}\n{:<20} {:>6} {:>6} {:>6}   {:>8} {:>7}   {:>9} {:>8} {:>8}  {:>10}",
        "",
        "start to poll, ms",
        "invocation, ms",
        "peak",
        "binary",
        "zip",
        "to poll",
        "function",
        "min",
        "median",
        "max",
        "first",
        "warm",
        "memory",
        "",
        "",
        "instr."
    )
}

/// The bars, below the columns that they are about.
#[must_use]
pub fn bars() -> String {
    let (poll, peak, zip) = (FIRST_POLL_MS_MAX, mib(PEAK_KIB_MAX), mb(ZIP_BYTES_MAX));
    format!("{:<20} {poll:>6.1} {:>33}   {peak:>9} {:>8} {zip:>8}", "bar (at most)", "", "")
}

fn median_of(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| format!("{:.1}", spread.median))
}

/// KiB as MiB with one digit.
fn mib(kib: u64) -> String {
    format!("{}.{} MiB", kib >> 10, ((kib & 1023) * 10) >> 10)
}

/// Bytes as MB with one digit.
fn mb(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let spread = Spread { min: 15.0, median: 20.0, max: 90.0 };
        Figures {
            function: "f".into(),
            first_poll_ms: spread,
            first_invocation_ms: Some(spread),
            warm_invocation_ms: None,
            peak_kib: PEAK_KIB_MAX,
            binary_bytes: 9_000_000,
            zip_bytes: ZIP_BYTES_MAX,
            instructions: None,
        }
    }

    #[test]
    fn the_bar_itself_is_met_and_anything_above_is_missed() {
        assert_eq!(figures().missed(), Vec::<String>::new());
        let over = Figures { peak_kib: PEAK_KIB_MAX + 1024, zip_bytes: 6_000_001, ..figures() };
        assert_eq!(
            over.missed(),
            ["`f` holds 25.0 MiB (bar 24.0 MiB)", "`f` has a zip of 6.0 MB (bar 6.0 MB)"]
        );
    }

    #[test]
    fn only_the_best_start_is_held_against_the_bar() {
        let spread = Spread::of(vec![40.0, 14.0, 16.0, 15.5]).expect("some");
        assert_eq!(spread, Spread { min: 14.0, median: 15.5, max: 40.0 });
        assert!(Figures { first_poll_ms: spread, ..figures() }.missed().is_empty());
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn the_table_keeps_its_columns() {
        let (heading, row) = (heading(), figures().row());
        assert!(heading.lines().all(|line| line.chars().count() == row.chars().count()), "{heading}\n{row}");
    }
}
