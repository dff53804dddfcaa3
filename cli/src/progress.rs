//! One bar a region while an upload runs, on a terminal; a line for each mishap elsewhere.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sealane::{region::RegionName, transport::Progress, units::ByteSize};

const TEMPLATE: &str = "{prefix:<14} [{bar:30}] {bytes:>10} of {total_bytes:<10} {bytes_per_sec:>12}  {msg}";

/// The bars of one upload, on standard error. Drawn only on a terminal.
#[derive(Debug)]
pub(crate) struct Bars {
    all: MultiProgress,
    by_region: Mutex<BTreeMap<RegionName, ProgressBar>>,
    size: ByteSize,
}

impl Bars {
    /// Bars for regions that each get `size`, or less when it is a bound.
    pub(crate) fn new(size: ByteSize) -> Self {
        Self { all: MultiProgress::new(), by_region: Mutex::default(), size }
    }

    /// Shows what has happened.
    pub(crate) fn show(&self, news: Progress) {
        match news {
            Progress::Began { region } => self.bar(region).set_message(""),
            Progress::Sent { region, bytes } | Progress::Received { region, bytes } => {
                let bar = self.bar(region);
                bar.set_position(bytes.0);
                bar.set_message(format!("{} s left", bar.eta().as_secs()));
            }
            Progress::Verifying { region } => self.bar(region).set_message("verifying"),
            Progress::Verified { region } => self.bar(region).finish_with_message("verified"),
            Progress::Dropped { region, reason } => {
                self.bar(region).abandon_with_message("left behind");
                self.say(&format!("{region} is left behind: {reason}"));
            }
            Progress::Moved { from, to } => self.say(&format!("{to} takes over from {from}")),
        }
    }

    /// Takes the bars away, so that the receipt stands alone.
    pub(crate) fn clear(&self) {
        // A terminal that is gone has no bars to take away.
        let _gone = self.all.clear();
    }

    fn bar(&self, region: RegionName) -> ProgressBar {
        let mut bars = self.by_region.lock().unwrap_or_else(PoisonError::into_inner);
        bars.entry(region).or_insert_with(|| self.add(region)).clone()
    }

    fn add(&self, region: RegionName) -> ProgressBar {
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(self.size.0).with_prefix(region.to_string());
        let bar = self.all.add(bar);
        bar.set_style(style.progress_chars("=> "));
        bar
    }

    fn say(&self, line: &str) {
        if self.all.is_hidden() {
            eprintln!("note: {line}");
        } else {
            // The bars go on below it; a terminal that is gone needs no line.
            let _gone = self.all.println(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one_that_the_bar_understands() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn every_region_has_one_bar() {
        let bars = Bars::new(ByteSize(10));
        let region: RegionName = "eu-west-1".parse().unwrap();
        bars.show(Progress::Began { region });
        bars.show(Progress::Sent { region, bytes: ByteSize(4) });
        assert_eq!(bars.by_region.lock().unwrap().len(), 1);
        assert_eq!(bars.bar(region).position(), 4);
    }
}
