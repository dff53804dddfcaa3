//! Worksets through the public API while regions are cut off and functions killed: what each client was
//! told is noted, and judged at the end against the histories that every region tells.
//!
//! Each of the clients repeats a call with its key until it is settled, as one that keeps its promises
//! does. All notes are by one clock, that of this process. The rules are those of the simulator.

mod caller;
mod client;
mod nemesis;
mod outcome;
mod readback;
mod sandbox;

pub use outcome::Outcome;

use super::stage::Stage;
use crate::{
    cloud::error::CloudError,
    demo::{
        api::{Api, Reply},
        scene::FULL,
    },
};
use caller::Caller;
use client::{Client, Notes};
use histories::Look;
use nemesis::{Done, Nemesis};
use readback::Found;
use sealane::failover::Record;
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// Clients at work at once.
const CLIENTS: usize = 8;

/// How long a client waits for one API.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How often each region is asked who is active.
const LOOK_EVERY: Duration = Duration::from_millis(700);

/// How long clients go on when everything is healed.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// How long it goes on, and by which dice.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How long regions are cut and functions killed.
    pub minutes: u64,
    /// What every choice is drawn from; the times are this machine's.
    pub seed: u64,
    /// Where the notes go, as lines of JSON.
    pub notes: PathBuf,
}

/// All that was noted.
#[derive(Debug, Default)]
struct Tape {
    notes: Notes,
    looks: Vec<Look>,
    done: Done,
}

impl Stage {
    /// Lets the clients work while everything around them breaks, and judges what they were told.
    ///
    /// # Errors
    /// When the cloud cannot be steered, or does not tell the histories when it is healed.
    pub fn registry(&self, plan: &Plan) -> Result<Outcome, CloudError> {
        self.restore()?;
        let tag = format!("h{:08x}", uuid::Uuid::new_v4().as_fields().0);
        self.narrator.say(&format!(
            "{CLIENTS} clients of {} regions for {} minutes, seed {}; their worksets begin with `{tag}`",
            FULL.len(),
            plan.minutes,
            plan.seed
        ));
        let tape = self.record(plan, &tag);
        let found = self.settled().and_then(|()| readback::read(self, &tape, &tag));
        // The notes are kept whatever the regions tell.
        readback::keep(&plan.notes, &tape, found.as_ref().unwrap_or(&Found::default()))?;
        let found = found?;
        self.narrator.say(&format!("read back: {found}"));
        Ok(Outcome::of(plan, &tag, &tape, &found))
    }

    /// Everything at once, until the time is over.
    fn record(&self, plan: &Plan, tag: &str) -> Tape {
        let (api, over) = (Api::waiting(&self.cloud.record, ANSWER_WITHIN), AtomicBool::new(false));
        let until = self.narrator.now() + Duration::from_secs(plan.minutes * 60);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let caller = Caller::new(&api, self.narrator, number);
                    let client = Client::new(caller, number, tag, plan.seed);
                    scope.spawn(|| client.work(&over))
                })
                .collect();
            let watchers = FULL.map(|region| {
                let (api, over) = (&api, &over);
                scope.spawn(move || self.watch_record(api, region, over))
            });
            let done = Nemesis::new(self, plan.seed).rage(until);
            self.narrator
                .say(&format!("all is healed, and the clients go on for {} s", AFTERWARDS.as_secs()));
            self.narrator.rest(AFTERWARDS);
            over.store(true, Ordering::Relaxed);
            let notes = clients.into_iter().map(|client| client.join().unwrap_or_default());
            let notes = notes.fold(Notes::default(), Notes::and);
            let looks = watchers.into_iter().flat_map(|watcher| watcher.join().unwrap_or_default());
            Tape { notes, looks: looks.collect(), done }
        })
    }

    /// Asks one region who is active, again and again.
    fn watch_record(&self, api: &Api, region: &str, over: &AtomicBool) -> Vec<Look> {
        let mut looks = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let sent = self.narrator.now();
            if let Some(record) = record(api, region) {
                let Record { version, epoch, active, .. } = record;
                looks.push(Look { sent, heard: self.narrator.now(), version, epoch, active });
            }
            self.narrator.rest(LOOK_EVERY);
        }
        looks
    }
}

/// The record as a region's API shows it; `None`: it does not answer.
fn record(api: &Api, region: &str) -> Option<Record> {
    let reply = api.get(region, "/v1/failovers").ok().filter(Reply::is_success)?;
    serde_json::from_value(reply.body["record"].clone()).ok()
}
