//! A client that registers, claims, locks, moves, amends and reads worksets, as its dice have it.
//!
//! What it was told goes into its notes; nothing that it was told is believed there.

use super::caller::{Caller, REGISTER};
use crate::demo::api::Reply;
use histories::{Deed, Entry, Seen, Told};
use sealane::workset::State;
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Worksets that all clients know by name, at any time; after a while there are others, so that each is
/// written often and no history gets long.
const SHARED: u64 = 4;

/// How long one set of shared worksets is used.
const GENERATION: Duration = Duration::from_secs(120);

/// What a client noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Every call that changes something.
    pub(super) entries: Vec<Entry>,
    /// Every workset that any answer showed.
    pub(super) seen: Vec<Seen>,
    /// Requests that were sent.
    pub(super) tries: u64,
}

impl Notes {
    /// Both together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self.seen.extend(other.seen);
        Self { tries: self.tries + other.tries, ..self }
    }
}

/// A lock that a client was given, and how the workset stood by the last answer.
#[derive(Debug, Clone)]
struct Job {
    id: String,
    token: u64,
    state: State,
    /// The entity tag of the workset.
    tag: Option<String>,
}

/// One call, before it is sent.
struct Call<'a> {
    path: String,
    deed: Deed,
    id: &'a str,
    /// The version that it was decided on.
    tag: Option<String>,
    body: Value,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client<'a> {
    caller: Caller<'a>,
    number: usize,
    tag: &'a str,
    dice: fastrand::Rng,
    job: Option<Job>,
    /// A lock that it gave back, lost or forgot, and may yet write by.
    old: Option<Job>,
    calls: u64,
    notes: Notes,
}

impl<'a> Client<'a> {
    /// The client of that number, whose worksets and keys begin with `tag`.
    pub(super) fn new(caller: Caller<'a>, number: usize, tag: &'a str, seed: u64) -> Self {
        let dice = fastrand::Rng::with_seed(seed.wrapping_mul(31).wrapping_add(number as u64));
        Self { caller, number, tag, dice, job: None, old: None, calls: 0, notes: Notes::default() }
    }

    /// Works until it is over, and hands its notes in.
    pub(super) fn work(mut self, over: &AtomicBool) -> Notes {
        while !over.load(Ordering::Relaxed) {
            match self.job.clone() {
                _ if self.old.is_some() && self.dice.u32(0..12) == 0 => self.write_by_an_old_lock(),
                None => self.seek(),
                Some(job) => self.go_on(job),
            }
            let pause = Duration::from_millis(self.dice.u64(50..500));
            self.caller.clock.rest(pause);
        }
        Notes { tries: self.caller.tries, ..self.notes }
    }

    fn shared(&mut self) -> String {
        let generation = self.caller.clock.now().as_secs() / GENERATION.as_secs();
        format!("{}-{generation}-{}", self.tag, self.dice.u64(0..SHARED))
    }

    /// Something to do: taken from the queue or by its name, made, or looked at.
    fn seek(&mut self) {
        let shared = self.shared();
        match self.dice.u32(0..20) {
            0..4 => self.claim(),
            4 | 5 => self.register(&shared),
            6 => {
                let own = format!("{}-own-{}-{}", self.tag, self.number, self.calls);
                self.register(&own);
            }
            7..13 => self.lock(&shared),
            13 => self.step(&shared, None, "transitions", State::InProgress, None),
            14 | 15 => self.step(&shared, None, "restore", State::Ready, None),
            16 => self.step(&shared, None, "archive", State::Archived, None),
            17 => self.amend(&shared, None),
            18 => self.read(&shared),
            _ => self.list(),
        }
    }

    /// One more step of the work at hand.
    fn go_on(&mut self, job: Job) {
        let Job { id, token, state, tag } = &job;
        let tag = tag.clone().filter(|_| self.dice.u32(0..3) == 0);
        match self.dice.u32(0..20) {
            // As a worker that died: the lock runs out.
            0..3 => self.leave(),
            3..6 => self.release(&job),
            6 | 7 => self.renew(&job),
            8 => self.amend(id, Some(*token)),
            // Nothing follows, so that one that all share is spared.
            9 if id.contains("-own-") => self.step(id, Some(*token), "cancel", State::Canceled, tag),
            10 if *state == State::InProgress => self.report(&job),
            _ => {
                let (verb, to) = self.next(*state);
                self.step(id, Some(*token), verb, to, tag);
            }
        }
    }

    /// The route by which work goes on, and where it leads.
    fn next(&mut self, state: State) -> (&'static str, State) {
        match state {
            State::Ready => ("transitions", State::InProgress),
            State::InProgress if self.dice.u32(0..3) == 0 => ("transitions", State::Error),
            State::InProgress => ("transitions", State::Complete),
            State::Error => ("retry", State::Retrying),
            State::Retrying => ("retry", State::Ready),
            State::Archived => ("restore", State::Ready),
            State::Complete | State::Ignored | State::Failed | State::Canceled | State::Deleted => {
                ("archive", State::Archived)
            }
        }
    }

    fn leave(&mut self) {
        self.old = self.job.take();
    }

    fn lease(&mut self) -> Duration {
        Duration::from_secs(self.dice.u64(3..20))
    }

    fn claim(&mut self) {
        let lease = self.lease();
        let body = json!({"lease_s": lease.as_secs()});
        let call =
            Call { path: "/v1/worksets:claim".to_owned(), deed: Deed::Lock(lease), id: "", tag: None, body };
        let (told, answer) = self.call(call);
        self.take(told, &answer);
    }

    fn lock(&mut self, id: &str) {
        let lease = self.lease();
        let path = format!("/v1/worksets/{id}/lock");
        let body = json!({"lease_s": lease.as_secs()});
        let (told, answer) = self.call(Call { path, deed: Deed::Lock(lease), id, tag: None, body });
        self.take(told, &answer);
    }

    /// Takes up the work that an answer brought, if it brought any of this drill's.
    fn take(&mut self, told: Told, answer: &Value) {
        let Told::Done(Some(token)) = told else { return };
        let workset = &answer["workset"];
        let Some(id) = workset["id"].as_str().or(answer["id"].as_str()) else { return };
        let state = workset["state"].as_str().and_then(|state| state.parse().ok());
        let job =
            Job { id: id.to_owned(), token, state: state.unwrap_or(State::Ready), tag: tag_of(workset) };
        self.job = Some(job).filter(|job| job.id.starts_with(self.tag));
    }

    fn register(&mut self, id: &str) {
        let body = json!({"id": id, "bucket": "my-bucket", "prefix": "runs/"});
        let path = REGISTER.to_owned();
        self.call(Call { path, deed: Deed::Register, id, tag: None, body });
    }

    fn release(&mut self, job: &Job) {
        let path = format!("/v1/worksets/{}/lock/release", job.id);
        let (deed, body) = (Deed::Release(job.token), json!({"token": job.token}));
        self.call(Call { path, deed, id: &job.id, tag: None, body });
        self.leave();
    }

    fn renew(&mut self, job: &Job) {
        let lease = self.lease();
        let path = format!("/v1/worksets/{}/lock/renew", job.id);
        let body = json!({"token": job.token, "lease_s": lease.as_secs()});
        let deed = Deed::Renew(job.token, lease);
        if let (Told::Refused, _) = self.call(Call { path, deed, id: &job.id, tag: None, body }) {
            self.leave();
        }
    }

    fn report(&mut self, job: &Job) {
        let path = format!("/v1/worksets/{}/progress", job.id);
        let body = json!({"progress": {"step": "align"}, "token": job.token});
        let (told, answer) =
            self.call(Call { path, deed: Deed::Amend(Some(job.token)), id: &job.id, tag: None, body });
        self.follow(told, &answer, job.state);
    }

    fn step(&mut self, id: &str, token: Option<u64>, verb: &str, to: State, tag: Option<String>) {
        let mut body = match verb {
            "transitions" => json!({"to": to}),
            _ => json!({}),
        };
        if to == State::Error {
            body["error"] = json!({"category": "transient", "details": "the drill"});
        }
        if let Some(token) = token {
            body["token"] = token.into();
        }
        let path = format!("/v1/worksets/{id}/{verb}");
        let (told, answer) = self.call(Call { path, deed: Deed::Move(to, token), id, tag, body });
        if token.is_some() {
            self.follow(told, &answer, to);
        }
    }

    /// What a guarded write leaves of the work at hand.
    fn follow(&mut self, told: Told, answer: &Value, to: State) {
        match (told, &mut self.job) {
            (Told::Done(_), Some(job)) => {
                let shown = answer["workset"]["state"].as_str().and_then(|state| state.parse().ok());
                (job.state, job.tag) = (shown.unwrap_or(to), tag_of(&answer["workset"]));
            }
            // Whoever is refused has lost the lock, or does not know how the workset stands.
            (Told::Refused, _) => self.leave(),
            (Told::Done(_) | Told::Unknown, _) => {}
        }
    }

    /// A step by a lock that was given back, forgotten or lost: let in only if nobody took it since.
    fn write_by_an_old_lock(&mut self) {
        let Some(Job { id, token, state, .. }) = self.old.take() else { return };
        let at_hand = self.job.take();
        let (verb, to) = self.next(state);
        self.step(&id, Some(token), verb, to, None);
        self.job = at_hand;
    }

    /// Reads the workset, and changes it at the version that was read.
    fn amend(&mut self, id: &str, token: Option<u64>) {
        let path = format!("/v1/worksets/{id}");
        let Some(tag) = self.caller.get(&path).and_then(|read| tag_of(&read["workset"])) else { return };
        self.calls += 1;
        let mut body = json!({"metadata": {"samples": ["a"], "call": self.calls}});
        if let Some(token) = token {
            body["token"] = token.into();
        }
        let (sent, key) = (self.caller.clock.now(), self.key());
        let (told, answer, request) = self.caller.patch(&path, &tag, &body);
        self.note((Deed::Amend(token), id), told, &answer.body, sent, request.unwrap_or(key));
    }

    fn read(&mut self, id: &str) {
        if let Some(answer) = self.caller.get(&format!("/v1/worksets/{id}")) {
            self.see(&answer["workset"]);
        }
    }

    fn list(&mut self) {
        let Some(answer) = self.caller.get("/v1/worksets?state=ready&limit=20") else { return };
        for workset in answer["worksets"].as_array().into_iter().flatten() {
            self.see(workset);
        }
    }

    fn key(&self) -> String {
        format!("{}-w{}-{}", self.tag, self.number, self.calls)
    }

    /// One call, sent until it is settled or patience ends; it goes into the notes with what came of it.
    fn call(&mut self, call: Call<'_>) -> (Told, Value) {
        let Call { path, deed, id, tag, body } = call;
        self.calls += 1;
        let (key, sent) = (self.key(), self.caller.clock.now());
        let (told, Reply { body: answer, .. }) = self.caller.post(&path, &key, tag.as_deref(), &body);
        let told = match (deed, told) {
            (Deed::Lock(_), Told::Done(_)) => Told::Done(answer["lock"]["token"].as_u64()),
            _ => told,
        };
        self.note((deed, id), told, &answer, sent, format!("{path} {key}"));
        (told, answer)
    }

    fn note(&mut self, (deed, id): (Deed, &str), told: Told, answer: &Value, sent: Duration, write: String) {
        let named = answer["workset"]["id"].as_str().filter(|_| id.is_empty()).unwrap_or(id).to_owned();
        let version = answer["workset"]["version"].as_u64();
        let heard = self.caller.clock.now();
        self.notes.entries.push(Entry {
            worker: self.number,
            id: named,
            deed,
            told,
            version,
            sent,
            heard,
            write,
        });
        self.see(&answer["workset"]);
    }

    /// Notes how an answer shows a workset.
    fn see(&mut self, workset: &Value) {
        let (id, version) = (workset["id"].as_str(), workset["version"].as_u64());
        let state = workset["state"].as_str().and_then(|state| state.parse().ok());
        if let (Some(id), Some(version), Some(state)) = (id, version, state) {
            self.notes.seen.push(Seen { id: id.to_owned(), version, state, heard: self.caller.clock.now() });
        }
    }
}

/// The entity tag of a workset, as the API makes it.
fn tag_of(workset: &Value) -> Option<String> {
    Some(format!("\"{}-{}\"", workset["version"].as_u64()?, workset["written_in"].as_str()?))
}
