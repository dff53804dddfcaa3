//! A client that keeps registering and moving worksets, whatever happens to the regions.
//!
//! One write is in flight at a time, and a write that is refused, or not answered, is sent again as it
//! was until it is acknowledged. Sending it again is safe: the same registration twice is one.

use super::api::{Api, Reply};
use serde_json::{Value, json};
use std::fmt;

/// What every workset of the demo is called first.
const PREFIX: &str = "demo";

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A workset to register.
    Register(String),
    /// A workset that begins to run.
    Begin(String),
}

impl Write {
    const fn id(&self) -> &String {
        match self {
            Self::Register(id) | Self::Begin(id) => id,
        }
    }

    /// The state that the workset has once this write is done.
    #[must_use]
    pub const fn leaves(&self) -> &'static str {
        match self {
            Self::Register(_) => "ready",
            Self::Begin(_) => "in_progress",
        }
    }

    fn send(&self, api: &Api, region: &str, bucket: &str) -> Result<Reply, String> {
        match self {
            Self::Register(id) => {
                let body = json!({ "id": id, "bucket": bucket, "prefix": format!("worksets/{id}/") });
                api.post(region, "/v1/worksets", &format!("register-{id}"), &body)
            }
            Self::Begin(id) => {
                let body = json!({ "to": "in_progress", "reason": "the demo begins its run" });
                api.post(region, &format!("/v1/worksets/{id}/transitions"), &format!("begin-{id}"), &body)
            }
        }
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(id) => write!(f, "`{id}` is registered"),
            Self::Begin(id) => write!(f, "`{id}` has begun its run"),
        }
    }
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It was acknowledged.
    Done(Write),
    /// It is to be sent again; why, in words.
    Later(String),
    /// It can never succeed.
    Refused(String),
}

/// The client's memory.
#[derive(Debug, Default)]
pub struct Writer {
    /// Every acknowledged write, in order.
    acknowledged: Vec<Write>,
    registered: usize,
    pending: Option<Write>,
    refusals: u32,
    first_refused_ms: Option<u64>,
    refused_for_ms: u64,
}

impl Writer {
    /// Sends the write that is next, once.
    pub fn step(&mut self, api: &Api, region: &str, bucket: &str, now_ms: u64) -> Sent {
        let write = self.pending.take().unwrap_or_else(|| self.next());
        let sent = judge(write.clone(), write.send(api, region, bucket));
        match &sent {
            Sent::Done(write) => self.note_done(write.clone(), now_ms),
            Sent::Later(_) => {
                self.refusals += 1;
                self.first_refused_ms.get_or_insert(now_ms);
                self.pending = Some(write);
            }
            Sent::Refused(_) => {}
        }
        sent
    }

    /// A registration, then the beginning of that workset's run, and so on.
    fn next(&mut self) -> Write {
        match self.acknowledged.last() {
            Some(Write::Register(id)) => Write::Begin(id.clone()),
            Some(Write::Begin(_)) | None => {
                self.registered += 1;
                Write::Register(format!("{PREFIX}-{:03}", self.registered))
            }
        }
    }

    fn note_done(&mut self, write: Write, now_ms: u64) {
        self.acknowledged.push(write);
        if let Some(since) = self.first_refused_ms.take() {
            self.refused_for_ms = self.refused_for_ms.max(now_ms.saturating_sub(since));
        }
    }

    /// Writes acknowledged so far.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.acknowledged.len()
    }

    /// Attempts that were put off, and the longest time for which a write was.
    #[must_use]
    pub const fn put_off(&self) -> (u32, u64) {
        (self.refusals, self.refused_for_ms)
    }

    /// What every workset has to be, by id: the state that its last acknowledged write left.
    pub fn expected(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let last_of = |i: usize, id: &String| self.acknowledged[i + 1..].iter().all(|later| later.id() != id);
        let last = self.acknowledged.iter().enumerate().filter(move |(i, write)| last_of(*i, write.id()));
        last.map(|(_, write)| (write.id().as_str(), write.leaves()))
    }
}

fn judge(write: Write, answered: Result<Reply, String>) -> Sent {
    match answered {
        Err(silence) => Sent::Later(silence),
        Ok(reply) if reply.is_success() => Sent::Done(write),
        // A transition whose answer was lost finds the workset where it wanted it.
        Ok(reply) if matches!(write, Write::Begin(_)) && already(&reply.body) => Sent::Done(write),
        // Another writer was first, nothing was written, and the API asks to try again.
        Ok(reply) if reply.body["type"] == "/problems/contended" => Sent::Later(reply.words()),
        Ok(reply) if reply.status >= 500 || reply.status == 429 => Sent::Later(reply.words()),
        Ok(reply) => Sent::Refused(reply.words()),
    }
}

/// Whether a refusal says that the workset runs already.
fn already(body: &Value) -> bool {
    let illegal = body["type"].as_str().is_some_and(|kind| kind.ends_with("/illegal-move"));
    illegal && body["detail"].as_str().is_some_and(|detail| detail.contains("`in_progress`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(write: &Write) -> String {
        write.id().clone()
    }

    #[test]
    fn each_workset_is_registered_and_then_begun() {
        let mut writer = Writer::default();
        for _ in 0..3 {
            let write = writer.next();
            writer.note_done(write, 0);
        }
        let ids: Vec<_> = writer.acknowledged.iter().map(id).collect();
        assert_eq!(ids, ["demo-001", "demo-001", "demo-002"]);
        let expected: Vec<_> = writer.expected().collect();
        assert_eq!(expected, [("demo-001", "in_progress"), ("demo-002", "ready")]);
    }

    #[test]
    fn an_outage_is_tried_again_and_a_mistake_is_not() {
        let write = || Write::Register("demo-001".to_owned());
        let reply = |status| Ok(Reply { status, body: Value::Null });
        assert_eq!(judge(write(), reply(201)), Sent::Done(write()));
        assert!(matches!(judge(write(), reply(503)), Sent::Later(_)));
        assert!(matches!(judge(write(), Err("silence".to_owned())), Sent::Later(_)));
        assert!(matches!(judge(write(), reply(422)), Sent::Refused(_)));
    }

    #[test]
    fn the_longest_refusal_is_kept() {
        let mut writer = Writer { first_refused_ms: Some(1_000), ..Writer::default() };
        writer.note_done(Write::Register("a".to_owned()), 5_000);
        writer.first_refused_ms = Some(6_000);
        writer.note_done(Write::Register("b".to_owned()), 7_000);
        assert_eq!(writer.put_off(), (0, 4_000));
    }
}
