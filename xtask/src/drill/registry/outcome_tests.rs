//! What is told of notes that fit together, and of some that do not.

use super::*;
use crate::drill::registry::client::Notes;
use histories::Look;
use sealane::{
    region::RegionName,
    time::Timestamp,
    workset::{Event, State},
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn region(name: &str) -> RegionName {
    name.parse().expect("a name")
}

fn entry(id: &str, told: Told) -> Entry {
    let write = format!("/v1/worksets {id}");
    Entry {
        worker: 3,
        id: id.into(),
        deed: Deed::Register,
        told,
        version: Some(1),
        sent: s(1),
        heard: s(2),
        write,
    }
}

fn event(id: &str) -> Event {
    Event {
        version: 1,
        act: None,
        from: None,
        to: State::Ready,
        at: Timestamp::default(),
        region: region("us-west-2"),
        after: None,
        epoch: Some(1),
        fence: None,
        reason: None,
        actor: "ada".parse().expect("a name"),
        request: format!("/v1/worksets {id}"),
        chain: None,
    }
}

/// The workset `h1-a` as two regions tell of it.
fn found() -> Found {
    let history = BTreeMap::from([("h1-a".to_owned(), vec![event("h1-a")])]);
    let histories = ["us-west-2", "us-east-1"].map(|name| (region(name), history.clone())).into();
    Found { histories, active: Some(region("us-east-1")), ..Found::default() }
}

fn outcome(entries: Vec<Entry>) -> Outcome {
    let look = Look { sent: s(0), heard: s(1), version: 1, epoch: 1, active: region("us-west-2") };
    let notes = Notes { entries, seen: Vec::new(), tries: 9 };
    let struck = |what: &str| BTreeMap::from([(what.to_owned(), 1)]);
    let done = Done { troubles: [("silent", 1)].into(), killed: struck("api"), ..Done::default() };
    let tape = Tape { notes, looks: vec![look], done };
    let plan = Plan { minutes: 1, seed: 7, notes: "out.history.jsonl".into() };
    Outcome::of(&plan, "h1", &tape, &found())
}

#[test]
fn notes_that_fit_the_histories_break_nothing() {
    let told = outcome(vec![entry("h1-a", Told::Done(None)), entry("h1-b", Told::Unknown)]);
    assert_eq!((&told.violations, told.failed()), (&Vec::new(), Vec::new()));
    assert_eq!((told.worksets, told.events, told.requests), (1, 1, 9));
    let lines = told.lines().join("\n");
    for words in ["register          1        0        1        0", "epochs: 1 us-west-2", "violations: 0"] {
        assert!(lines.contains(words), "{lines}");
    }
}

#[test]
fn a_write_that_two_regions_lack_is_told_for_each_and_those_of_others_are_not_judged() {
    let told = outcome(vec![entry("h1-lost", Told::Done(None)), entry("other-lost", Told::Done(None))]);
    let [one, other] = &told.violations[..] else { panic!("{:?}", told.violations) };
    assert!(
        one.contains("`/v1/worksets h1-lost` of h1-lost, sent at 1.000s and acknowledged at 2.000s"),
        "{one}"
    );
    assert!(one.ends_with("us-east-1") && other.ends_with("us-west-2"));
}

#[test]
fn what_every_region_tells_alike_is_told_once() {
    let told = outcome(vec![entry("h1-a", Told::Refused)]);
    assert_eq!(told.violations, ["`/v1/worksets h1-a` of h1-a was refused at 2.000s and wrote version 1"]);
    assert_eq!(told.failed(), ["1 promises were broken"]);
}

#[test]
fn a_drill_that_struck_nothing_proves_nothing() {
    let told = Outcome { done: Done::default(), events: 0, ..outcome(Vec::new()) };
    assert_eq!(told.failed(), ["no region was struck", "no function was killed", "nothing was written"]);
}
