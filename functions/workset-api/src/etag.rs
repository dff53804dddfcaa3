//! Versions in headers: `ETag` of a workset, and `If-Match` of a write.
//!
//! A tag names the version and the region that wrote it, so that two writes of one
//! version never share a tag.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use sealane::workset::Workset;

use crate::problem::{Kind, Problem};

/// The tag of a workset as it is.
pub(crate) fn of(workset: &Workset) -> String {
    format!("\"{}-{}\"", workset.version, workset.written_in)
}

/// The tags that a request names, of which one has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    /// Any version.
    Any,
    /// One of these.
    OneOf(Vec<String>),
}

impl Tags {
    fn parse(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get(&name) else { return Ok(None) };
        let invalid = || {
            Problem::new(
                Kind::InvalidHeader,
                format!("`{name}` is not readable (want the `etag` of a workset)"),
            )
        };
        let text = value.to_str().map_err(|_| invalid())?.trim();
        if text == "*" {
            return Ok(Some(Self::Any));
        }
        // A list may have empty places (RFC 9110, 5.6.1): one of nothing else names no version at all.
        let places = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
        let tags: Vec<_> = places.map(|tag| tag.trim_start_matches("W/").to_owned()).collect();
        let fits = |tag: &String| tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"');
        if tags.iter().all(fits) { Ok(Some(Self::OneOf(tags))) } else { Err(invalid()) }
    }

    /// Whether one of them is that of `workset`.
    pub(crate) fn hold(&self, workset: &Workset) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.contains(&of(workset)),
        }
    }
}

/// The version that a write was decided on, if the caller names one.
#[derive(Debug, Clone)]
pub(crate) struct IfMatch(pub(crate) Option<Tags>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Tags::parse(&parts.headers, header::IF_MATCH).map(Self)
    }
}

impl IfMatch {
    /// The same, of a write that has to name a version.
    pub(crate) fn required(self) -> Result<Self, Problem> {
        if self.0.is_some() {
            return Ok(self);
        }
        let detail = "the write names no version (send `if-match` with the `etag` that the last read gave)";
        Err(Problem::new(Kind::PreconditionRequired, detail))
    }

    /// Refuses a write that was decided on another version than `workset`.
    pub(crate) fn check(&self, workset: &Workset) -> Result<(), Problem> {
        if self.0.as_ref().is_none_or(|tags| tags.hold(workset)) {
            return Ok(());
        }
        let detail = format!("the workset is at `etag` {} (read it again and decide anew)", of(workset));
        Err(Problem::new(Kind::PreconditionFailed, detail))
    }
}

/// The versions that the caller holds already.
#[derive(Debug, Clone)]
pub(crate) struct IfNoneMatch(pub(crate) Option<Tags>);

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Tags::parse(&parts.headers, header::IF_NONE_MATCH).map(Self)
    }
}
