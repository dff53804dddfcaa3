//! All tests of the workspace, in order, until one fails.

pub mod fuzz;
pub mod purity;
pub mod steps;

use crate::cloud::error::CloudError;
use steps::Session;

/// One step: its title and what it does.
type Step = (&'static str, fn(&Session) -> Result<(), CloudError>);

/// The steps, the quickest and those that everything else rests on first.
const STEPS: [Step; 11] = [
    ("the pure parts are built without AWS, network and runtime", Session::purity),
    ("unit, property and flow tests, and the templates of events", Session::workspace_tests),
    ("the documentation builds without a warning", Session::documentation),
    ("each planted mistake turns a test red", Session::planted),
    ("some seeds of every scenario of the drill hold", Session::drill),
    ("the Python programs of the local cloud keep their rules", Session::local_python),
    ("the templates keep their rules, and the rules catch planted mistakes", Session::infrastructure),
    ("a local cloud of its own comes up", Session::up),
    ("the contracts hold on the local cloud", Session::contracts),
    ("others hear of worksets, by webhook and by topic", Session::notifications),
    ("a folder is shipped while a region goes away and comes back", Session::end_to_end),
];

/// What `--full` adds.
const FULL_STEPS: [Step; 1] = [("the API holds what its document promises, to whom it may", Session::fuzz)];

/// How a run went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    passed: usize,
    failed: usize,
    left_out: usize,
}

impl Tally {
    /// The closing line.
    #[must_use]
    pub fn line(self) -> String {
        let Self { passed, failed, left_out } = self;
        let rest = if left_out == 0 { String::new() } else { format!(", {left_out} not begun") };
        format!("{passed} passed, {failed} failed{rest}")
    }
}

/// Runs the steps until one fails; with `full` the story waits for the failback, too, and more steps follow.
///
/// # Errors
/// That of the step that failed.
pub fn run(full: bool, say: &dyn Fn(&str)) -> Result<(), CloudError> {
    let session = Session::new(full);
    let steps: Vec<Step> = STEPS.into_iter().chain(FULL_STEPS.into_iter().filter(|_| full)).collect();
    let mut tally = Tally { left_out: steps.len(), ..Tally::default() };
    let mut ended = Ok(());
    for (number, (title, step)) in (1..).zip(&steps) {
        say(&format!("\n== {number}/{}  {title}", steps.len()));
        let took = session.narrator();
        ended = step(&session);
        tally.left_out -= 1;
        match &ended {
            Ok(()) => {
                tally.passed += 1;
                say(&format!("== {number}/{}  passed in {}", steps.len(), took.elapsed()));
            }
            Err(_) => {
                tally.failed += 1;
                break;
            }
        }
    }
    let down = session.down();
    say(&format!("\n{}", tally.line()));
    ended.and(down)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_says_what_was_not_begun() {
        assert_eq!(Tally { passed: 10, ..Tally::default() }.line(), "10 passed, 0 failed");
        assert_eq!(Tally { passed: 2, failed: 1, left_out: 5 }.line(), "2 passed, 1 failed, 5 not begun");
    }
}
