//! Nothing is lost on the way back, whenever whoever carries it is killed.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use futures::{FutureExt as _, future::pending};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What befalls one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Whoever calls is killed before it takes effect.
    KilledBefore,
    /// Whoever calls is killed after it took effect.
    KilledAfter,
    /// It takes effect, and the answer is lost.
    Lost,
    /// Nothing happens, and nobody answers.
    Silence,
}

const FAULTS: [Fault; 4] = [Fault::KilledBefore, Fault::KilledAfter, Fault::Lost, Fault::Silence];

/// Two queues in memory. What was received is hidden until `appear`.
#[derive(Debug, Default)]
struct Fake {
    dead: RefCell<BTreeMap<String, (String, bool)>>,
    source: RefCell<Vec<String>>,
    calls: Cell<usize>,
    fault: Cell<Option<(usize, Fault)>>,
}

impl Fake {
    fn holding(bodies: &[String]) -> Self {
        let dead = bodies.iter().enumerate().map(|(i, body)| (format!("m-{i:03}"), (body.clone(), false)));
        Self { dead: RefCell::new(dead.collect()), ..Self::default() }
    }

    /// The time for which messages are hidden is over.
    fn appear(&self) {
        self.dead.borrow_mut().values_mut().for_each(|(_, hidden)| *hidden = false);
    }

    fn resting(&self) -> usize {
        self.dead.borrow().len()
    }

    async fn call<T>(&self, act: impl FnOnce() -> T) -> Result<T, QueueError> {
        let number = self.calls.replace(self.calls.get() + 1);
        let fault = self.fault.get().filter(|(at, _)| *at == number).map(|(_, fault)| fault);
        let silent =
            || QueueError::NoAnswer { queue: "q".to_owned(), region: here(), source: "planned".into() };
        match fault {
            None => Ok(act()),
            Some(Fault::KilledBefore) => pending().await,
            Some(Fault::Silence) => Err(silent()),
            Some(Fault::KilledAfter) => {
                act();
                pending().await
            }
            Some(Fault::Lost) => {
                act();
                Err(silent())
            }
        }
    }
}

impl Queues for Fake {
    async fn receive(&self) -> Result<Vec<Resting>, QueueError> {
        let receive = || {
            let mut dead = self.dead.borrow_mut();
            let shown = dead.iter_mut().filter(|(_, (_, hidden))| !hidden).take(10);
            let message = |(id, (body, hidden)): (&String, &mut (String, bool))| {
                *hidden = true;
                Resting { id: id.clone(), handle: id.clone(), body: body.clone(), received: 5, sent: None }
            };
            shown.map(message).collect()
        };
        self.call(receive).await
    }

    async fn send(&self, body: &str) -> Result<(), QueueError> {
        self.call(|| self.source.borrow_mut().push(body.to_owned())).await
    }

    async fn remove(&self, message: &Resting) -> Result<(), QueueError> {
        self.call(|| drop(self.dead.borrow_mut().remove(&message.handle))).await
    }

    async fn show(&self, message: &Resting) -> Result<(), QueueError> {
        let show = || self.dead.borrow_mut().get_mut(&message.handle).into_iter().for_each(|m| m.1 = false);
        self.call(show).await
    }
}

fn here() -> RegionName {
    "us-west-2".parse().unwrap()
}

fn event(key: usize) -> String {
    let s3 = json!({"bucket": {"name": "own"}, "object": {"key": format!("k{key}"), "versionId": "v", "sequencer": "01"}});
    json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-west-2",
        "eventName": "ObjectCreated:Put", "s3": s3}]})
    .to_string()
}

/// What is found; `None` if whoever looks was killed.
fn run(queues: &Fake, back: &Back) -> Option<Redriven> {
    let mut found = Redriven::default();
    let walk = region(queues, (here(), Some("own")), back, Timestamp::from_millis(0), &mut found);
    walk.now_or_never().map(|()| found)
}

fn applied() -> Back {
    Back { apply: true, ..Back::default() }
}

#[test]
fn whoever_is_killed_at_any_call_loses_nothing() {
    let bodies: Vec<String> = (0..12).map(event).collect();
    for fault in FAULTS {
        for at in 0.. {
            let queues = Fake::holding(&bodies);
            queues.fault.set(Some((at, fault)));
            let first = run(&queues, &applied());
            let hit = queues.calls.get() > at;
            for body in &bodies {
                let there = queues.source.borrow().contains(body)
                    || queues.dead.borrow().values().any(|(resting, _)| resting == body);
                assert!(there, "{fault:?} at call {at}: {body} is nowhere");
            }
            if let Some(told) = &first {
                let lost = hit && !told.unknown.is_empty();
                assert_eq!(told.exit() == Exit::Unknown, lost, "{fault:?} at call {at}: {told}");
            }
            queues.fault.set(None);
            queues.appear();
            assert_eq!(run(&queues, &applied()).unwrap().exit(), Exit::Done);
            assert_eq!(queues.resting(), 0, "{fault:?} at call {at}");
            let back: BTreeSet<String> = queues.source.borrow().iter().cloned().collect();
            assert_eq!(back, bodies.iter().cloned().collect());
            if !hit {
                break;
            }
        }
    }
}

#[test]
fn a_look_changes_nothing_and_lets_others_look() {
    let queues = Fake::holding(&(0..23).map(event).collect::<Vec<_>>());
    for _ in 0..2 {
        let found = run(&queues, &Back::default()).unwrap();
        assert_eq!((found.messages.len(), found.count(Fate::WouldGo)), (23, 23));
        assert_eq!(found.exit(), Exit::Done);
    }
    assert_eq!((queues.resting(), queues.source.borrow().len()), (23, 0));
}

#[test]
fn what_cannot_be_read_rests_unless_it_is_asked_for() {
    let queues = Fake::holding(&[event(1), "{\"no\": \"event\"}".to_owned()]);
    let found = run(&queues, &applied()).unwrap();
    assert_eq!((found.count(Fate::Sent), found.count(Fate::Rests), queues.resting()), (1, 1, 1));
    assert!(found.to_string().contains("not an S3 event: "), "{found}");
    let found = run(&queues, &Back { poison: true, ..applied() }).unwrap();
    assert_eq!((found.count(Fate::Sent), queues.resting()), (1, 0));
}

#[test]
fn a_region_that_does_not_answer_is_unknown_and_named() {
    let queues = Fake::holding(&[event(1)]);
    queues.fault.set(Some((0, Fault::Silence)));
    let found = run(&queues, &Back::default()).unwrap();
    assert_eq!(found.exit(), Exit::Unknown);
    assert!(
        found.to_string().contains("unknown: us-west-2: queue `q` of us-west-2 did not answer"),
        "{found}"
    );
    assert!(!found.to_string().contains("no message rests"), "{found}");
}

#[test]
fn the_queue_has_the_prefix_of_the_stack() {
    assert_eq!(Place::default().queue("acme-ledger"), "acme-uploads");
    assert_eq!(Place::default().queue("elsewhere"), "sealane-uploads");
    let own = Place { queue: Some("own".to_owned()), ..Place::default() };
    assert_eq!(own.queue("acme-ledger"), "own");
}

proptest! {
    /// However many rest, each is met once and none is lost.
    #[test]
    fn each_message_is_met_once(readable in 0..40_usize, poison in 0..40_usize) {
        let mut bodies: Vec<String> = (0..readable).map(event).collect();
        bodies.extend((0..poison).map(|i| format!("poison {i}")));
        let queues = Fake::holding(&bodies);
        let found = run(&queues, &applied()).unwrap();
        prop_assert_eq!(found.messages.len(), readable + poison);
        prop_assert_eq!((found.count(Fate::Sent), queues.resting()), (readable, poison));
    }
}
