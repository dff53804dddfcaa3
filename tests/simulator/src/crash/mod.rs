//! Crash points: a flow, killed at each of its effects.
//!
//! A flow of the control loop runs on tables in memory until it is dropped, before or
//! after any call of a port; then its trigger starts it anew in a sandbox that remembers
//! nothing. All schedules with so many crashes are gone through, with each trigger
//! delivered twice, and with two sandboxes at work at once that take turns at every call.
//! Whatever happened, what is left must keep the flow's promise: a record that can be
//! read, epochs in order, one account of each move, rulings as commanded, and a state
//! that any controller brings to rest.

mod door;
mod explore;
mod flows;
mod gate;
mod promise;
mod stage;
mod trigger;

use explore::{Choice, Explorer, again};

/// What the enumeration came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Schedules gone through, in all flows.
    pub schedules: u64,
    /// Runs of a flow that this took: what starts from equal rows is run once.
    pub runs: u64,
    /// Promises that were not kept, with the flow and a schedule that [`replay`] takes.
    pub violations: Vec<String>,
    /// Each flow and its schedules.
    pub flows: Vec<(&'static str, u64)>,
}

/// How many crashes a schedule has at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// With one sandbox at a time.
    pub alone: u32,
    /// With two at once.
    pub together: u32,
}

impl Depth {
    /// Up to three crashes, for a large drill: some trillion schedules, which equal rows reduce to some
    /// hundred thousand runs.
    pub const FULL: Self = Self { alone: 3, together: 3 };
    /// The same with one crash where two are at work, which is what a test has time for.
    pub const QUICK: Self = Self { alone: 3, together: 1 };
}

/// Goes through every schedule of every flow, with as many crashes as `depth` says.
///
/// Call it outside of any async runtime: each run has a time of its own.
pub fn enumerate_to(depth: Depth) -> Summary {
    of(&flows::all(), depth)
}

/// Each flow on a thread of its own: none knows of another.
fn of(flows: &[flows::Flow], depth: Depth) -> Summary {
    let explored = std::thread::scope(|scope| {
        let explore = |flow| scope.spawn(move || explore(flow, depth));
        let threads: Vec<_> = flows.iter().map(explore).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    explored.into_iter().zip(flows).fold(Summary::default(), |mut summary, (one, flow)| {
        let one = one.unwrap_or_else(|_| Summary::panicked(flow.name));
        summary.schedules += one.schedules;
        summary.runs += one.runs;
        summary.violations.extend(one.violations);
        summary.flows.extend(one.flows);
        summary
    })
}

fn explore(flow: &flows::Flow, depth: Depth) -> Summary {
    let mut explorer = Explorer::new(flow);
    let schedules = explorer.explore(if flow.together { depth.together } else { depth.alone });
    Summary {
        schedules,
        runs: explorer.runs,
        violations: explorer
            .violations
            .into_iter()
            .map(|(broken, schedule)| format!("{}: {schedule}: {broken}", flow.name))
            .collect(),
        flows: vec![(flow.name, schedules)],
    }
}

/// What a schedule breaks, written `flow: choice choice`, as a violation begins.
///
/// # Errors
/// When no flow has such a schedule.
pub fn replay(schedule: &str) -> Result<Vec<String>, String> {
    replay_of(&flows::all(), schedule)
}

fn replay_of(flows: &[flows::Flow], schedule: &str) -> Result<Vec<String>, String> {
    let unfit = || format!("`{schedule}` is no schedule (want `flow: choices`, as a violation begins)");
    let (name, choices) = schedule.split_once(": ").ok_or_else(unfit)?;
    let flow = flows.iter().find(|flow| flow.name == name).ok_or_else(unfit)?;
    let choices: Option<Vec<Choice>> = choices.split_whitespace().map(Choice::read).collect();
    again(flow, &choices.ok_or_else(unfit)?).ok_or_else(unfit)
}

impl Summary {
    /// A flow that panicked has kept no promise.
    fn panicked(flow: &'static str) -> Self {
        Self { violations: vec![format!("{flow}: it panicked")], ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::print_stdout, reason = "the number of schedules is part of the result")]
    fn every_schedule_of_crashes_keeps_the_promises() {
        let Summary { schedules, runs, violations, flows } = enumerate_to(Depth::QUICK);
        println!("{schedules} schedules of crashes, {runs} runs: {flows:?}");
        assert_eq!(violations, [""; 0]);
        assert!(flows.iter().all(|(_, schedules)| *schedules > 10), "{flows:?}");
    }

    #[test]
    fn planted_mistakes_are_found() {
        for (flow, broken) in flows::wrong() {
            let summary = of(std::slice::from_ref(&flow), Depth { alone: 1, together: 0 });
            let found = summary.violations.iter().find(|v| v.contains(broken));
            let found = found.unwrap_or_else(|| panic!("{}: {summary:?}", flow.name));
            let schedule: Vec<&str> = found.splitn(3, ": ").take(2).collect();
            let again = replay_of(std::slice::from_ref(&flow), &schedule.join(": ")).unwrap();
            assert!(again.iter().any(|b| b.contains(broken)), "{found} again: {again:?}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let (flow, _) = &flows::wrong()[0];
        for text in ["", "account last", "other: end", "account last: sideways", "account last: step/0"] {
            assert!(replay_of(std::slice::from_ref(flow), text).is_err(), "{text}");
        }
    }
}
