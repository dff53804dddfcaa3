//! The drill of shipping: uploads that are killed up to three times while a region is lost, and
//! whether what their receipts name is there, whole.
//!
//! Run by `cargo xtask drill --scenario shipping`.

mod story;

use std::{env, error::Error, io::Write as _, process::ExitCode};

use story::{Stage, Told};

/// Seeds between two lines that say how far it is.
const TELL_EVERY: u64 = 1_000;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let seeds = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--seeds", n] => 1..=n.parse()?,
        ["--seed", n] => n.parse()?..=n.parse()?,
        _ => return Err("want `--seeds N` or `--seed N`".into()),
    };
    let (mut out, stage, mut sum) = (std::io::stdout().lock(), Stage::set()?, Told::default());
    for seed in seeds {
        let told = stage.tell(seed)?;
        told.broken.iter().try_for_each(|broken| writeln!(out, "seed {seed}: {broken}"))?;
        sum.add(told);
        if sum.stories.is_multiple_of(TELL_EVERY) {
            writeln!(out, "{sum}")?;
        }
    }
    writeln!(out, "{sum}")?;
    if let Some(ms) = cpu_ms() {
        writeln!(out, "{:.1} CPU-ms a story", ms / f64::from(u32::try_from(sum.stories.max(1))?))?;
    }
    Ok(if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Processor time of this process so far, in milliseconds; `None` where the system does not say.
fn cpu_ms() -> Option<f64> {
    const TICK_MS: f64 = 10.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // User and system time are the 14th and 15th field, and what stands before the bracket is two.
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks * TICK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is acknowledged is there, whole, in every region that the receipt names.
    #[test]
    fn what_a_receipt_names_is_there_whatever_was_killed_and_lost() {
        let (stage, mut sum) = (Stage::set().unwrap(), Told::default());
        (1..=100).for_each(|seed| sum.add(stage.tell(seed).unwrap()));
        assert!(sum.broken.is_empty(), "{:#?}", sum.broken);
        assert!(sum.crashes > 50 && sum.losses > 25 && sum.copies > 100, "{sum}");
    }

    /// A copy that is flipped behind the uploader's back is found: the oracle is no rubber stamp.
    #[test]
    fn a_copy_that_rots_is_found() {
        let stage = Stage::set().unwrap();
        let found = (1..=20).filter(|seed| !stage.tell_rotten(*seed).unwrap().broken.is_empty()).count();
        assert!(found >= 10, "{found} of 20");
    }
}
