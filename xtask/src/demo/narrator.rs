//! Tells the story: one line an event, with the time since the story began.

use std::{
    thread,
    time::{Duration, Instant},
};

/// The clock of the story, and its voice.
#[derive(Debug, Clone, Copy)]
pub struct Narrator {
    began: Instant,
}

impl Narrator {
    /// The story begins now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the story's clock: every time in it is an argument from here on"
    )]
    pub fn begin() -> Self {
        Self { began: Instant::now() }
    }

    /// Milliseconds since the story began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Time since the story began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Time since the story began, in words.
    #[must_use]
    pub fn elapsed(&self) -> String {
        seconds(self.now_ms())
    }

    /// Tells one event.
    #[expect(clippy::print_stdout, reason = "this is a program for a terminal")]
    pub fn say(&self, event: &str) {
        println!("{}", line(self.now_ms(), event));
    }

    /// Begins a chapter.
    #[expect(clippy::print_stdout, reason = "this is a program for a terminal")]
    pub fn chapter(&self, title: &str) {
        println!("\n{title}");
    }

    /// Waits before looking again.
    #[expect(
        clippy::disallowed_methods,
        reason = "other processes are watched, and they offer nothing to wait on"
    )]
    pub fn rest(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// An event with its time; further lines of it are indented alike.
#[must_use]
pub fn line(at_ms: u64, event: &str) -> String {
    let stamp = format!("{:>7}  ", seconds(at_ms));
    let below = format!("\n{}", " ".repeat(stamp.len()));
    format!("{stamp}{}", event.replace('\n', &below))
}

/// A span as people say it: `0.3 s`, `12.0 s`, `2 m 05 s`.
#[must_use]
pub fn seconds(ms: u64) -> String {
    if ms < 100_000 {
        return format!("{}.{} s", ms / 1000, ms % 1000 / 100);
    }
    let whole = ms / 1000;
    format!("{} m {:02} s", whole / 60, whole % 60)
}

/// A size as people say it: `512 B`, `1.5 KiB`, `256.0 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..0x400 => return format!("{bytes} B"),
        0x400..0x10_0000 => (0x400, "KiB"),
        0x10_0000..0x4000_0000 => (0x10_0000, "MiB"),
        0x4000_0000.. => (0x4000_0000, "GiB"),
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}

/// The first `chars` characters of a text, with a mark where the rest was.
#[must_use]
pub fn clipped(text: &str, chars: usize) -> String {
    let kept: String = text.chars().take(chars).collect();
    if kept.len() < text.len() { format!("{kept}...") } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_lines_stand_below_the_first() {
        assert_eq!(line(12_345, "one\ntwo"), " 12.3 s  one\n         two");
    }

    #[test]
    fn a_long_reason_is_clipped_between_characters() {
        assert_eq!([clipped("äbc", 3), clipped("äbcd", 3)], ["äbc", "äbc..."]);
    }

    #[test]
    fn spans_and_sizes_read_like_speech() {
        assert_eq!([seconds(0), seconds(99_999), seconds(125_400)], ["0.0 s", "99.9 s", "2 m 05 s"]);
        assert_eq!(
            [size(1023), size(1536), size(256 << 20), size(3 << 29)],
            ["1023 B", "1.5 KiB", "256.0 MiB", "1.5 GiB"]
        );
    }
}
