//! Requests that tell others something.

use std::time::Duration;

use super::Silence;
use crate::notify::TopicArn;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// To this URL.
    Url(String),
    /// To the service that has this topic, with the credentials of the process.
    Topic(TopicArn),
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Where it goes.
    pub to: Address,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: String,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAnswer {
    /// The HTTP status.
    pub status: u16,
    /// How long to wait before asking again, where the answer says so in seconds.
    pub retry_after: Option<Duration>,
    /// The beginning of the body.
    pub body: String,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// There was no answer; the request may have arrived.
    #[error("gave no answer ({how})")]
    NoAnswer {
        /// What came instead.
        how: Silence,
    },
    /// It was not sent: it could not be signed, or is none.
    #[error("was not asked: {why}")]
    Unsent {
        /// What was wrong.
        why: String,
    },
}

/// Sends requests; follows no redirect.
#[trait_variant::make(Send)]
pub trait Posts: Sync {
    /// Sends one request, once.
    async fn post(&self, post: &Post) -> Result<PostAnswer, PostError>;
}
