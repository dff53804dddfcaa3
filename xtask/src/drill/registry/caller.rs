//! One call of the API, sent until it is settled.

use crate::demo::{
    api::{Api, Reply},
    narrator::Narrator,
    scene::FULL,
};
use histories::Told;
use serde_json::Value;
use std::time::Duration;

/// How long a client goes on with one call.
const PATIENCE: Duration = Duration::from_secs(40);

/// Time between two tries of one call.
const AGAIN: Duration = Duration::from_millis(500);

/// What an API says when it wrote nothing and may do so if asked again.
const NOTHING_WRITTEN: [&str; 5] =
    ["primary-unknown", "primary-moving", "unavailable", "not-ready", "rate-limited"];

/// Where worksets are registered.
pub(super) const REGISTER: &str = "/v1/worksets";

/// No answer at all.
const SILENCE: Reply = Reply { status: 0, body: Value::Null };

/// Calls from one place: its own region's API first, then the others.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    api: &'a Api,
    pub(super) clock: Narrator,
    regions: Vec<&'static str>,
    /// Requests that were sent.
    pub(super) tries: u64,
}

/// What one answer settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settles {
    /// That it is done.
    Done,
    /// That it is not, and will not be.
    Refused,
    /// Nothing, and nothing was done.
    NotYet,
    /// Nothing, and it may have been done.
    Doubt,
}

impl<'a> Caller<'a> {
    /// The caller of that number; they are spread over the regions.
    pub(super) fn new(api: &'a Api, clock: Narrator, number: usize) -> Self {
        let mut regions = FULL.to_vec();
        regions.rotate_left(number % FULL.len());
        Self { api, clock, regions, tries: 0 }
    }

    /// Sends a call with its key to one region after the other, until it is settled or patience ends.
    pub(super) fn post(&mut self, path: &str, key: &str, tag: Option<&str>, body: &Value) -> (Told, Reply) {
        let until = self.clock.now() + PATIENCE;
        // What was sent once and not settled may be at work while another try is refused.
        let mut in_doubt = false;
        for region in self.regions.clone().into_iter().cycle() {
            self.tries += 1;
            let answer = self.api.post_if(region, path, key, tag, body).unwrap_or(SILENCE);
            match settles(&answer) {
                // It was there, registered by another call; or by this one, if a try of it is in doubt.
                Settles::Done if path == REGISTER && answer.status != 201 => {
                    return (if in_doubt { Told::Unknown } else { Told::Refused }, answer);
                }
                Settles::Done => return (Told::Done(None), answer),
                Settles::Refused if in_doubt => break,
                Settles::Refused => return (Told::Refused, answer),
                Settles::NotYet => {}
                Settles::Doubt => in_doubt = true,
            }
            if self.clock.now() >= until {
                break;
            }
            self.clock.rest(AGAIN);
        }
        (Told::Unknown, SILENCE)
    }

    /// Changes a workset at the version of `tag`, once; with the name that its write has.
    pub(super) fn patch(&mut self, path: &str, tag: &str, body: &Value) -> (Told, Reply, Option<String>) {
        self.tries += 1;
        let (answer, request) = self.api.patch(self.regions[0], path, tag, body).unwrap_or((SILENCE, None));
        let told = match settles(&answer) {
            Settles::Done => Told::Done(None),
            Settles::Refused | Settles::NotYet => Told::Refused,
            Settles::Doubt => Told::Unknown,
        };
        (told, answer, request)
    }

    /// Reads from the first region that answers.
    pub(super) fn get(&mut self, path: &str) -> Option<Value> {
        for region in self.regions.clone() {
            self.tries += 1;
            match self.api.get(region, path) {
                Ok(reply) if reply.is_success() => return Some(reply.body),
                Ok(reply) if reply.status < 500 => return None,
                Ok(_) | Err(_) => {}
            }
        }
        None
    }
}

/// What came of one try.
fn settles(reply: &Reply) -> Settles {
    // A gateway whose function died has no problem to tell.
    let problem = reply.body["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/"));
    match (reply.status, problem) {
        (200..=299, _) => Settles::Done,
        (409, Some("call-in-progress")) => Settles::Doubt,
        (429 | 500..=599, Some(kind)) if NOTHING_WRITTEN.contains(&kind) => Settles::NotYet,
        (400..=499, Some(_)) => Settles::Refused,
        _ => Settles::Doubt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_refusal_in_the_apis_own_words_settles_a_call() {
        let told = |status, kind: &str| {
            settles(&Reply { status, body: json!({"type": format!("/problems/{kind}")}) })
        };
        assert_eq!(told(201, ""), Settles::Done);
        assert_eq!(told(409, "locked"), Settles::Refused);
        assert_eq!(told(412, "precondition-failed"), Settles::Refused);
        assert_eq!(told(503, "primary-moving"), Settles::NotYet);
        assert_eq!(told(429, "rate-limited"), Settles::NotYet);
        assert_eq!(told(503, "outcome-unknown"), Settles::Doubt);
        assert_eq!(told(500, "internal"), Settles::Doubt);
        assert_eq!(told(409, "call-in-progress"), Settles::Doubt);
        for status in [403, 500, 502, 504] {
            assert_eq!(settles(&Reply { status, body: Value::Null }), Settles::Doubt, "a gateway's");
        }
        assert_eq!(settles(&SILENCE), Settles::Doubt);
    }
}
