//! Planted faults: deliberate mistakes in the protocol, each of which has to turn a test red.
//!
//! A suite of tests that is green says little until it was seen red. So each fault of [`list`] is
//! put into a copy of the sources, the tests that should notice are built and run, and the fault is
//! taken back. A fault that nobody notices fails the run, and so does a fault that no longer fits
//! the sources or does not compile: it would prove nothing.

pub mod copy;
pub mod list;
pub mod suite;

use crate::{
    cloud::{error::CloudError, folder::Folder},
    demo::narrator::{Narrator, seconds},
};
use copy::Copy;
use std::{
    collections::BTreeSet,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};
use suite::{Suite, Workshop};

/// One deliberate mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planted {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The mistake, in words.
    pub mistake: &'static str,
    /// The file, from the root of the workspace.
    pub file: &'static str,
    /// Text of that file, which stands in it exactly once.
    pub find: &'static str,
    /// What stands there instead.
    pub put: &'static str,
    /// The tests that are built.
    pub suite: Suite,
    /// The names of those that run; at least one of them has to turn red.
    pub tests: &'static [&'static str],
}

/// Why a fault does not fit a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the text that `{name}` replaces stands {times} times in `{file}` (want exactly once; fit `find` to the sources)"
)]
pub struct Misfit {
    name: &'static str,
    file: &'static str,
    times: usize,
}

impl Planted {
    /// `text` with the mistake in it.
    ///
    /// # Errors
    /// When the place is not there, or not the only one.
    pub fn into_text(&self, text: &str) -> Result<String, Misfit> {
        let times = text.matches(self.find).count();
        if times != 1 {
            return Err(Misfit { name: self.name, file: self.file, times });
        }
        Ok(text.replacen(self.find, self.put, 1))
    }
}

/// Most lanes: each has a copy and a build of its own, of some hundred megabytes.
const LANES_MAX: usize = 2;

/// Plants the faults called `names`, or all of them.
///
/// # Errors
/// When a fault is not noticed, does not fit or does not compile, or when the tests are red without any.
pub fn run(names: &[String], say: &(dyn Fn(&str) + Sync)) -> Result<(), CloudError> {
    let chosen = chosen(names)?;
    let folder = Folder::called("planted");
    folder.create()?;
    let count = thread::available_parallelism().map_or(1, usize::from).min(LANES_MAX);
    let lanes = lanes(&chosen, count);
    let progress = Progress { clock: Narrator::begin(), all: chosen.len(), done: AtomicUsize::new(0), say };
    // Each lane is mostly one rustc, which leaves the other cores alone.
    let walked: Vec<_> = thread::scope(|scope| {
        let mut running = Vec::new();
        for (number, faults) in (1..).zip(&lanes) {
            let (place, progress) = (folder.local().join(format!("{number}")), &progress);
            let workspace = folder.workspace();
            running.push(scope.spawn(move || walk(workspace, &place, faults, progress)));
        }
        let panicked = || CloudError::failed("a lane panicked".to_owned(), "see above".to_owned());
        running.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err(panicked()))).collect()
    });
    let unnoticed: Vec<&str> =
        walked.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let (all, spent) = (chosen.len(), progress.clock.elapsed());
    say(&format!("{} of {all} planted faults turn a test red, in {spent}", all - unnoticed.len()));
    if unnoticed.is_empty() {
        return Ok(());
    }
    let what = format!("no test noticed {}", unnoticed.join(", "));
    Err(CloudError::failed(
        what,
        "write the test that does, at the lowest level that can, or fit the fault to the sources".to_owned(),
    ))
}

/// How far all lanes are together.
struct Progress<'a> {
    clock: Narrator,
    all: usize,
    done: AtomicUsize,
    say: &'a (dyn Fn(&str) + Sync),
}

impl Progress<'_> {
    /// Tells what came of one fault, and says whether it was noticed.
    fn tell(&self, fault: &Planted, came: &Result<Vec<String>, CloudError>, took_ms: u64) -> bool {
        let number = self.done.fetch_add(1, Ordering::SeqCst) + 1;
        let place = format!("{:>7}  {number:>2}/{}  {}", seconds(took_ms), self.all, fault.name);
        (self.say)(&match came.as_deref().map(|red| red.split_first()) {
            Ok(Some((first, []))) => format!("{place}: red by {first}"),
            Ok(Some((first, more))) => format!("{place}: red by {first} and {} more", more.len()),
            Ok(None) => format!("{place}: NOT NOTICED: {}", fault.mistake),
            Err(error) => format!("{place}: NOT PLANTED: {error}"),
        });
        came.as_ref().is_ok_and(|red| !red.is_empty())
    }
}

/// `faults` in `count` parts: those of the library are spread, and each other package is built in one lane alone.
fn lanes(faults: &[Planted], count: usize) -> Vec<Vec<Planted>> {
    let mut lanes = vec![Vec::new(); count.max(1)];
    for (number, fault) in faults.iter().enumerate() {
        let spread = if fault.suite == Suite::Rules { number } else { fault.suite as usize };
        let lane = spread % lanes.len();
        lanes[lane].push(*fault);
    }
    lanes.retain(|lane| !lane.is_empty());
    lanes
}

/// Plants `faults` one after the other in a copy at `place`, and names those that nobody noticed, for whatever reason.
fn walk(
    workspace: &Path,
    place: &Path,
    faults: &[Planted],
    progress: &Progress<'_>,
) -> Result<Vec<&'static str>, CloudError> {
    let copy = Copy::refreshed(workspace, &place.join("src"))?;
    let workshop = Workshop::new(copy.root(), &place.join("build"));
    baseline(&workshop, faults, progress.say)?;
    let mut unnoticed = Vec::new();
    for fault in faults {
        let before = progress.clock.now_ms();
        let came = noticed(&copy, &workshop, fault);
        if !progress.tell(fault, &came, progress.clock.now_ms() - before) {
            unnoticed.push(fault.name);
        }
    }
    Ok(unnoticed)
}

/// The faults with these names, ordered by what is built for them.
fn chosen(names: &[String]) -> Result<Vec<Planted>, CloudError> {
    let all = list::all();
    let known: BTreeSet<&str> = all.iter().map(|fault| fault.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name.as_str())) {
        let choices = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(CloudError::failed(
            format!("there is no planted fault `{unknown}`"),
            format!("want {choices}"),
        ));
    }
    let wanted = |fault: &Planted| names.is_empty() || names.iter().any(|name| name == fault.name);
    let mut chosen: Vec<Planted> = all.into_iter().filter(wanted).collect();
    chosen.sort_by_key(|fault| fault.suite);
    Ok(chosen)
}

/// Runs the tests of every fault without any: they have to be there, and green.
fn baseline(workshop: &Workshop, chosen: &[Planted], say: &(dyn Fn(&str) + Sync)) -> Result<(), CloudError> {
    let suites: BTreeSet<Suite> = chosen.iter().map(|fault| fault.suite).collect();
    for suite in suites {
        let mine = chosen.iter().filter(|fault| fault.suite == suite);
        let tests: BTreeSet<&str> = mine.flat_map(|fault| fault.tests).copied().collect();
        let tests: Vec<&str> = tests.into_iter().collect();
        say(&format!("building and running {} tests of {} without any fault", tests.len(), suite.package()));
        let built = workshop.build(suite)?;
        let known = built.names()?;
        let absent = tests.iter().find(|test| !known.iter().any(|name| name.contains(**test)));
        if let Some(test) = absent {
            let what = format!("no test of {} is called `{test}`", suite.package());
            return Err(CloudError::failed(what, "name one that is there in the list of faults".to_owned()));
        }
        let red = built.red(&tests)?;
        if !red.is_empty() {
            let what = format!("without any fault {} is red", red.join(", "));
            return Err(CloudError::failed(what, "mend that first".to_owned()));
        }
    }
    Ok(())
}

/// The tests that turn red with `fault` in the sources.
fn noticed(copy: &Copy, workshop: &Workshop, fault: &Planted) -> Result<Vec<String>, CloudError> {
    let _planted = copy.plant(fault)?;
    workshop.build(fault.suite)?.red(fault.tests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A list that rots proves nothing: every fault fits the sources as they are.
    #[test]
    fn every_fault_fits_the_sources_exactly_once() {
        let folder = Folder::of_workspace();
        for fault in list::all() {
            let text = fs::read_to_string(folder.workspace().join(fault.file)).expect(fault.file);
            let changed = fault.into_text(&text).unwrap_or_else(|misfit| panic!("{misfit}"));
            assert_ne!(changed, text, "`{}` changes nothing", fault.name);
        }
    }

    /// The run itself builds for minutes before it could say that a test was renamed.
    #[test]
    fn every_test_that_a_fault_names_is_there() {
        let workspace = Folder::of_workspace();
        let mut sources = String::new();
        for package in ["shared", "functions"] {
            for entry in walkdir::WalkDir::new(workspace.workspace().join(package)) {
                let path = entry.expect("a folder that can be read").into_path();
                if path.extension().is_some_and(|extension| extension == "rs") {
                    sources += &fs::read_to_string(&path).expect("a source");
                }
            }
        }
        for fault in list::all() {
            for test in fault.tests {
                let own = test.rsplit("::").next().expect("a name");
                assert!(sources.contains(&format!("fn {own}(")), "`{}` names `{test}`", fault.name);
            }
        }
    }

    #[test]
    fn there_are_enough_faults_and_each_has_a_name_of_its_own() {
        let all = list::all();
        let names: BTreeSet<&str> = all.iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.len() >= 25, "{} faults", all.len());
        for fault in all {
            assert!(!fault.tests.is_empty() && !fault.mistake.is_empty(), "{}", fault.name);
        }
    }

    #[test]
    fn a_fault_that_no_longer_fits_is_named() {
        let fault = Planted { find: "x", ..list::all()[0] };
        assert_eq!(fault.into_text("a x b").expect("once"), format!("a {} b", fault.put));
        let misfit = fault.into_text("x x").expect_err("twice");
        assert!(misfit.to_string().contains("2 times"), "{misfit}");
    }

    #[test]
    fn lanes_share_the_library_and_no_other_package() {
        let all = chosen(&[]).expect("all");
        let lanes = lanes(&all, 2);
        assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), all.len());
        for suite in [Suite::Prober, Suite::Handler, Suite::Orchestrator] {
            let builds = lanes.iter().filter(|lane| lane.iter().any(|fault| fault.suite == suite));
            assert!(builds.count() <= 1, "{suite:?}");
        }
    }

    #[test]
    fn an_unknown_fault_is_named_with_the_choices() {
        let error = chosen(&["no-such".to_owned()]).expect_err("unknown");
        assert!(error.to_string().contains("`no-such`"), "{error}");
        assert!(error.to_string().contains(list::all()[0].name), "{error}");
    }
}
