//! One call to one region's API, without how it travels.

use std::{fmt, time::Duration};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sealane::{
    ports::Silence,
    region::RegionName,
    workset::{Priority, Registration, State, Transition, WorksetId},
};
use serde_json::Value;
use uuid::Uuid;

/// The APIs of the regions.
pub(super) trait Api {
    /// What the API of `region` answers. A server error is as good as none.
    async fn call(&self, region: RegionName, call: &Call) -> Result<Answer, Lost>;
}

/// An answer that did not come, or that is as good as none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// What came instead.
    pub(super) how: Silence,
    /// What a server error said of itself.
    pub(super) said: Option<String>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.said {
            Some(said) => write!(f, "{} ({said})", self.how),
            None => write!(f, "{}", self.how),
        }
    }
}

impl From<Silence> for Lost {
    fn from(how: Silence) -> Self {
        Self { how, said: None }
    }
}

/// One call, the same whichever region gets it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    /// The path, with its query.
    pub(super) path: String,
    /// What is sent; without it the call is a `GET`.
    pub(super) write: Option<Write>,
}

/// The method of a call that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Does something; sent again with the same key, it is done once.
    Post,
    /// Changes what is there.
    Patch,
    /// Takes away what is there.
    Delete,
}

impl Method {
    /// The name in a request.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What a call would change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Write {
    /// How.
    pub(super) method: Method,
    /// The tag of the version that the change was decided on.
    pub(super) if_match: Option<String>,
    /// The body.
    pub(super) body: Value,
    /// The same for every repetition.
    pub(super) idempotency_key: String,
}

/// What an API said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// The HTTP status, below 500.
    pub(super) status: u16,
    /// The body; what is no JSON is text.
    pub(super) body: Value,
    /// When to ask again, if it says so.
    pub(super) retry_after: Option<Duration>,
}

impl Call {
    /// Reads a workset, from the replica of `region` if one is named.
    pub(super) fn get(id: &WorksetId, region: Option<RegionName>) -> Self {
        let forced = region.map(|region| format!("?region={region}")).unwrap_or_default();
        Self { path: format!("/v1/worksets/{}{forced}", id.as_str()), write: None }
    }

    /// Lists worksets, all or those in `state` or of `priority`, from `cursor` on.
    pub(super) fn list(
        (state, priority): (Option<State>, Option<Priority>),
        limit: usize,
        cursor: Option<&str>,
    ) -> Self {
        let state = state.map(|state| format!("&state={state}")).unwrap_or_default()
            + &priority.map(|priority| format!("&priority={priority}")).unwrap_or_default();
        let from = |cursor| format!("&cursor={}", utf8_percent_encode(cursor, NON_ALPHANUMERIC));
        let cursor = cursor.map(from).unwrap_or_default();
        Self { path: format!("/v1/worksets?limit={limit}{state}{cursor}"), write: None }
    }

    /// Registers a workset.
    pub(super) fn register(registration: &Registration) -> Result<Self, serde_json::Error> {
        Ok(Self::post("/v1/worksets".to_owned(), serde_json::to_value(registration)?))
    }

    /// Moves a workset to another state.
    pub(super) fn transition(id: &WorksetId, transition: &Transition) -> Result<Self, serde_json::Error> {
        let path = format!("/v1/worksets/{}/transitions", id.as_str());
        Ok(Self::post(path, serde_json::to_value(transition)?))
    }

    /// Reads a part of a workset, from `cursor` on.
    pub(super) fn part(id: &WorksetId, part: &str, cursor: Option<&str>) -> Self {
        let from = |cursor| format!("?cursor={}", utf8_percent_encode(cursor, NON_ALPHANUMERIC));
        let from = cursor.map(from).unwrap_or_default();
        Self { path: format!("/v1/worksets/{id}/{part}{from}"), write: None }
    }

    /// Counts the queue, in the replica of `region` if one is named.
    pub(super) fn queue(region: Option<RegionName>) -> Self {
        let forced = region.map(|region| format!("?region={region}")).unwrap_or_default();
        Self { path: format!("/v1/queue{forced}"), write: None }
    }

    /// Does `verb` with a workset.
    pub(super) fn of(id: &WorksetId, verb: &str, body: Value) -> Self {
        Self::post(format!("/v1/worksets/{id}/{verb}"), body)
    }

    /// Changes or deletes a workset, as it was decided on the version of that tag.
    pub(super) fn tagged(method: Method, id: &WorksetId, tag: String, body: Value) -> Self {
        let call = Self::post(format!("/v1/worksets/{id}"), body);
        Self { write: call.write.map(|write| Write { method, if_match: Some(tag), ..write }), ..call }
    }

    /// Sends `body` to be acted on once.
    pub(super) fn post(path: String, body: Value) -> Self {
        let idempotency_key = Uuid::new_v4().to_string();
        Self { path, write: Some(Write { method: Method::Post, if_match: None, body, idempotency_key }) }
    }
}

impl Answer {
    /// Whether the API did what was asked.
    pub(super) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Whether another request with the same key is at work, as one whose answer was lost may be.
    pub(super) fn is_at_work(&self) -> bool {
        let kind = self.body.get("type").and_then(Value::as_str);
        self.status == 409 && kind == Some("/problems/call-in-progress")
    }

    /// What a refusal says of itself, from its RFC 9457 problem where it is one.
    pub(super) fn detail(&self) -> String {
        const SHOWN_MAX: usize = 400;
        let field = |name: &str| self.body.get(name).and_then(Value::as_str);
        let plain = || self.body.as_str().map_or_else(|| self.body.to_string(), str::to_owned);
        let said = field("detail").or(field("title")).or(field("message")).map_or_else(plain, str::to_owned);
        said.chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}
