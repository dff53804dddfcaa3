//! Workers that share a few worksets: they register, claim, lock, move, renew, forget.
//!
//! Each asks the nearest API, and the next one when that does not answer, with the same key.
//! What it was told goes into the notes; nothing that it was told is believed here.

use std::time::Duration;

use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use aws_smithy_types::body::SdkBody;
use sealane::{aws::Limits, config::Consistency, workset::State};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Stage, writers::nearest};
use crate::{
    cloud::Place,
    dice::Dice,
    measure::{Deed, Entry, Seen, Told},
};

/// Worksets that all workers know by name.
const SHARED: u64 = 5;

/// How long a worker waits for one API.
const LIMITS: Limits =
    Limits { connect: Duration::from_secs(1), attempt: Duration::from_secs(4), attempts: 1 };

/// How long a worker goes on with one call.
const PATIENCE: Duration = Duration::from_secs(30);

/// Time between two tries of one call.
const AGAIN: Duration = Duration::from_millis(700);

/// A lock that a worker was given, and how the workset stood by the last answer.
#[derive(Debug, Clone)]
struct Job {
    id: String,
    token: u64,
    state: State,
}

struct Worker {
    stage: Stage,
    number: usize,
    place: Place,
    connector: SharedHttpConnector,
    /// The APIs, in the order in which they are asked.
    apis: Vec<String>,
    dice: Dice,
    job: Option<Job>,
    calls: u64,
}

/// The status and the body of an answer.
type Answer = (u16, Value);

/// Works from `place` until writing ends.
pub(super) async fn work(stage: Stage, number: usize, place: Place, dice: Dice) {
    let endpoint = |name| stage.config.region(name)?.endpoints.api.clone();
    let apis = nearest(&stage, place).into_iter().filter_map(endpoint).collect();
    let connector = stage.cloud.connector(place, LIMITS);
    let mut worker = Worker { stage, number, place, connector, apis, dice, job: None, calls: 0 };
    sleep(Duration::from_secs(8)).await;
    while worker.stage.is_open() {
        let pause = worker.dice.wait(Duration::from_millis(900), Duration::from_secs(9));
        sleep(pause).await;
        if worker.stage.is_on(worker.place) && worker.stage.is_asked() {
            worker.turn().await;
        }
    }
}

impl Worker {
    async fn turn(&mut self) {
        match self.job.clone() {
            None => self.seek().await,
            Some(job) => self.go_on(job).await,
        }
    }

    /// Something to do, taken from the queue or by its name.
    async fn seek(&mut self) {
        let shared = format!("run-{}", self.dice.below(SHARED));
        let lease = Duration::from_secs(6 + self.dice.below(30));
        match self.dice.below(10) {
            0..4 => {
                let asked = (Deed::Lock(lease), String::new());
                let (told, body) =
                    self.call("/v1/worksets:claim", asked, json!({"lease_s": lease.as_secs()})).await;
                self.job = job(told, &body, "ready");
            }
            4..6 => self.register(shared).await,
            6 => {
                let own = format!("own-{}-{}", self.number, self.calls);
                self.register(own).await;
            }
            7..9 => {
                let path = format!("/v1/worksets/{shared}/lock");
                let asked = (Deed::Lock(lease), shared);
                let (told, body) = self.call(&path, asked, json!({"lease_s": lease.as_secs()})).await;
                self.job = job(told, &body, "ready");
            }
            _ => self.step(&shared, State::InProgress, None).await,
        }
    }

    /// One more step of the work at hand.
    async fn go_on(&mut self, job: Job) {
        let path = |what: &str| format!("/v1/worksets/{}/lock/{what}", job.id);
        match self.dice.below(10) {
            // As a worker that died: the lock runs out.
            0 => self.job = None,
            1 => {
                let asked = (Deed::Release(job.token), job.id.clone());
                self.call(&path("release"), asked, json!({"token": job.token})).await;
                self.job = None;
            }
            2 | 3 => {
                let lease = Duration::from_secs(6 + self.dice.below(20));
                let asked = (Deed::Renew(job.token, lease), job.id.clone());
                let body = json!({"token": job.token, "lease_s": lease.as_secs()});
                if let (Told::Refused, _) = self.call(&path("renew"), asked, body).await {
                    self.job = None;
                }
            }
            _ => {
                let next = match job.state {
                    State::Ready => State::InProgress,
                    State::InProgress => State::Complete,
                    State::Archived => State::Ready,
                    State::Complete
                    | State::Error
                    | State::Ignored
                    | State::Retrying
                    | State::Failed
                    | State::Canceled
                    | State::Deleted => State::Archived,
                };
                self.step(&job.id, next, Some(job.token)).await;
            }
        }
    }

    async fn register(&mut self, id: String) {
        let body = json!({"id": id, "bucket": "my-bucket", "prefix": "runs/"});
        self.call("/v1/worksets", (Deed::Register, id), body).await;
    }

    async fn step(&mut self, id: &str, to: State, token: Option<u64>) {
        let path = format!("/v1/worksets/{id}/transitions");
        let mut body = json!({"to": to});
        if let Some(token) = token {
            body["token"] = token.into();
        }
        let (told, body) = self.call(&path, (Deed::Move(to, token), id.to_owned()), body).await;
        match (told, &mut self.job) {
            (Told::Done(_), Some(job)) => job.state = state(&body).unwrap_or(to),
            // Whoever is refused has lost the lock, or does not know how the workset stands.
            (Told::Refused, job) => *job = None,
            (Told::Done(_) | Told::Unknown, _) => {}
        }
    }

    /// One call, sent until it is settled or patience ends; it goes into the notes with what came of it.
    async fn call(&mut self, path: &str, (deed, id): (Deed, String), body: Value) -> (Told, Value) {
        self.calls += 1;
        let key = format!("w{}-{}", self.number, self.calls);
        let sent = self.stage.cloud.now();
        let (told, (status, answer)) = self.settle(path, &key, &body.to_string(), sent + PATIENCE).await;
        let told = match (deed, told) {
            (Deed::Lock(_), Told::Done(_)) => Told::Done(answer["lock"]["token"].as_u64()),
            // Another call had registered it.
            (Deed::Register, Told::Done(_)) if status != 201 => Told::Refused,
            _ => told,
        };
        let named = answer["workset"]["id"].as_str().filter(|_| id.is_empty());
        let id = named.map_or(id, str::to_owned);
        let heard = self.stage.cloud.now();
        let write = format!("{path} {key}");
        self.stage.note(format_args!("worker {} {deed:?} of `{id}`: {told:?} ({status})", self.number));
        self.stage.log.entries.borrow_mut().push(Entry {
            worker: self.number,
            id,
            deed,
            told,
            version: answer["workset"]["version"].as_u64(),
            sent,
            heard,
            write,
        });
        if let (Told::Done(_), Some(version)) = (told, answer["workset"]["version"].as_u64()) {
            self.look_elsewhere(answer["workset"]["id"].as_str().unwrap_or_default(), version).await;
        }
        (told, answer)
    }

    /// Reads at the farthest API what was acknowledged as this version, where every replica must have it.
    async fn look_elsewhere(&self, id: &str, wrote: u64) {
        let is_strong = self.stage.config.worksets_consistency == Consistency::Strong;
        let Some(api) = self.apis.last().filter(|_| is_strong) else { return };
        let answer = self.heard(api, &format!("/v1/worksets/{id}"), None).await;
        let read = match answer {
            Some((200, body)) if body["staleness_ms"] == 0 => body["workset"]["version"].as_u64(),
            Some((404, _)) => None,
            // Nothing was promised.
            Some(_) | None => return,
        };
        let seen = Seen { id: id.to_owned(), wrote, read, at: self.stage.cloud.now() };
        self.stage.note(format_args!("worker {} read {seen:?}", self.number));
        self.stage.log.reads.borrow_mut().push(seen);
    }

    async fn settle(&self, path: &str, key: &str, body: &str, until: Duration) -> (Told, Answer) {
        // What was sent once and not settled may be at work while another try is refused.
        let mut in_doubt = false;
        for api in self.apis.iter().cycle() {
            match self.ask(api, path, key, body).await {
                Some(answer) if (200..300).contains(&answer.0) => return (Told::Done(None), answer),
                Some(answer) if is_final(&answer) => {
                    return (if in_doubt { Told::Unknown } else { Told::Refused }, answer);
                }
                Some((_, problem)) => in_doubt |= problem["type"] == "/problems/outcome-unknown",
                None => in_doubt = true,
            }
            if self.stage.cloud.now() >= until || !self.stage.is_asked() {
                break;
            }
            sleep(AGAIN).await;
        }
        (Told::Unknown, (0, Value::Null))
    }

    async fn ask(&self, api: &str, path: &str, key: &str, body: &str) -> Option<Answer> {
        self.heard(api, path, Some((key, body))).await
    }

    /// The answer to a call with its key and its body, or to a read; `None`: there was none.
    async fn heard(&self, api: &str, path: &str, call: Option<(&str, &str)>) -> Option<Answer> {
        let mut request = HttpRequest::new(call.map_or_else(SdkBody::empty, |(_, body)| SdkBody::from(body)));
        request.set_uri(format!("{api}{path}")).ok()?;
        if let Some((key, _)) = call {
            request.set_method("POST").ok()?;
            request.headers_mut().insert("content-type", "application/json");
            request.headers_mut().insert("idempotency-key", key.to_owned());
        }
        let answer = self.connector.call(request).await.ok()?;
        let status = answer.status().as_u16();
        // A gateway whose function died has no problem to tell.
        let body = answer.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok());
        body.map(|body| (status, body))
    }
}

/// Whether nothing was done and nothing will be: a refusal that is no call to try again.
fn is_final((status, problem): &Answer) -> bool {
    (400..500).contains(status) && *status != 429 && problem["type"] != "/problems/call-in-progress"
}

fn state(body: &Value) -> Option<State> {
    body["workset"]["state"].as_str()?.parse().ok()
}

/// The work that an answer brought, if it brought any.
fn job(told: Told, body: &Value, otherwise: &str) -> Option<Job> {
    let Told::Done(Some(token)) = told else { return None };
    let id = body["workset"]["id"].as_str().or_else(|| body["id"].as_str())?.to_owned();
    let state = state(body).or_else(|| otherwise.parse().ok())?;
    Some(Job { id, token, state })
}
