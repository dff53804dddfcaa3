//! What happened, in order, and its hash.
//!
//! Two runs of one seed must leave the same trace; the hash is what is compared, and the
//! lines are kept only where someone wants to read them.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A line after another, shared by everyone who has something to say.
#[derive(Debug, Clone, Default)]
pub struct Trace(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    hash: u64,
    count: u64,
    line: String,
    kept: Option<Vec<String>>,
}

impl Trace {
    /// A trace that keeps its hash only.
    pub fn new() -> Self {
        Self::default()
    }

    /// A trace that keeps its lines, too.
    pub fn recording() -> Self {
        let state = State { kept: Some(Vec::new()), ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Keeps the lines from here on.
    pub fn record(&self) {
        self.state().kept.get_or_insert_default();
    }

    /// Adds a line: what happened at `at`, since the start.
    pub fn note(&self, at: Duration, what: impl fmt::Display) {
        let mut state = self.state();
        let mut line = std::mem::take(&mut state.line);
        line.clear();
        // Writing into a string does not fail.
        let _ = write!(line, "{:>11.6} {what}", at.as_secs_f64());
        state.hash = rapidhash::v3::rapidhash_v3(line.as_bytes()) ^ state.hash.rotate_left(7);
        state.count += 1;
        if let Some(kept) = &mut state.kept {
            kept.push(line.clone());
        }
        state.line = line;
    }

    /// What stands for every line and their order.
    pub fn hash(&self) -> u64 {
        self.state().hash
    }

    /// How many lines there are.
    pub fn count(&self) -> u64 {
        self.state().count
    }

    /// The lines since they were kept.
    pub fn lines(&self) -> Vec<String> {
        self.state().kept.clone().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_tells_other_lines_another_time_and_another_order() {
        let told = |lines: &[(u64, &str)]| {
            let trace = Trace::new();
            for (at, what) in lines {
                trace.note(Duration::from_micros(*at), what);
            }
            trace.hash()
        };
        let base = told(&[(1, "a"), (2, "b")]);
        assert_eq!(base, told(&[(1, "a"), (2, "b")]));
        for other in [&[(1, "a"), (3, "b")][..], &[(1, "b"), (2, "a")], &[(2, "b"), (1, "a")], &[(1, "a")]] {
            assert_ne!(base, told(other), "{other:?}");
        }
    }

    #[test]
    fn lines_are_kept_only_when_asked_for() {
        let (plain, kept) = (Trace::new(), Trace::recording());
        for trace in [&plain, &kept] {
            trace.note(Duration::from_millis(1500), "one");
        }
        assert_eq!(plain.lines(), Vec::<String>::new());
        assert_eq!(kept.lines(), ["   1.500000 one"]);
        assert_eq!((plain.hash(), plain.count()), (kept.hash(), 1));
    }
}
