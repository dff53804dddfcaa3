//! What a caller is told when a request is not answered as asked (RFC 9457).
//!
//! A type is stable and has its own status and title; the detail names the thing
//! and the remedy. The cause goes to the log and never to the caller.

use std::{error::Error, iter};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sealane::{
    ports::RowsError,
    workset::{self, Refused},
};
use serde_json::json;

/// The kinds of problems. Their names are part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A query parameter is unknown or has a value that it cannot have.
    InvalidQuery,
    /// The path names something that no such thing can be called.
    InvalidPath,
    /// The body is not JSON.
    InvalidJson,
    /// The body is JSON of another shape.
    InvalidBody,
    /// The workset in the body breaks rules.
    InvalidWorkset,
    /// The transition in the body breaks rules.
    InvalidTransition,
    /// The region is not one of the configured ones.
    UnknownRegion,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The body is larger than what is read.
    BodyTooLarge,
    /// Nobody vouches for the caller.
    Unauthenticated,
    /// The caller is known and belongs to no tenant.
    NoTenant,
    /// There is no such route.
    NoSuchRoute,
    /// The route is there, the method is not.
    MethodNotAllowed,
    /// The tenant has no such workset.
    WorksetNotFound,
    /// The tenant has another workset of that id.
    WorksetExists,
    /// The state machine has no such move.
    IllegalMove,
    /// The move is not possible as the workset stands.
    MoveRefused,
    /// The workset is at another version than the caller decided on.
    VersionChanged,
    /// A later holder of the lock has already written.
    LockSuperseded,
    /// Other writers came first too often.
    Contended,
    /// It is not known which region takes the writes.
    PrimaryUnknown,
    /// The writes are moving to another region.
    PrimaryMoving,
    /// The tables did not answer.
    Unavailable,
    /// Nobody can tell yet whether the write took effect.
    OutcomeUnknown,
    /// This region's own tables did not answer.
    NotReady,
    /// The deployment is wrong.
    Misconfigured,
    /// A fault of this API.
    Internal,
}

impl Kind {
    /// The last part of the problem's type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidQuery => "invalid-query",
            Self::InvalidPath => "invalid-path",
            Self::InvalidJson => "invalid-json",
            Self::InvalidBody => "invalid-body",
            Self::InvalidWorkset => "invalid-workset",
            Self::InvalidTransition => "invalid-transition",
            Self::UnknownRegion => "unknown-region",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::BodyTooLarge => "body-too-large",
            Self::Unauthenticated => "unauthenticated",
            Self::NoTenant => "no-tenant",
            Self::NoSuchRoute => "no-such-route",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::WorksetNotFound => "workset-not-found",
            Self::WorksetExists => "workset-exists",
            Self::IllegalMove => "illegal-move",
            Self::MoveRefused => "move-refused",
            Self::VersionChanged => "version-changed",
            Self::LockSuperseded => "lock-superseded",
            Self::Contended => "contended",
            Self::PrimaryUnknown => "primary-unknown",
            Self::PrimaryMoving => "primary-moving",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::NotReady => "not-ready",
            Self::Misconfigured => "misconfigured",
            Self::Internal => "internal",
        }
    }

    /// What all problems of this kind have in common, in words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidQuery => "the query is not valid",
            Self::InvalidPath => "the path is not valid",
            Self::InvalidJson => "the body is not JSON",
            Self::InvalidBody => "the body has another shape",
            Self::InvalidWorkset => "the workset is not valid",
            Self::InvalidTransition => "the transition is not valid",
            Self::UnknownRegion => "the region is not configured",
            Self::UnsupportedMediaType => "the body is not declared as JSON",
            Self::BodyTooLarge => "the body is too large",
            Self::Unauthenticated => "the caller is not known",
            Self::NoTenant => "the caller belongs to no tenant",
            Self::NoSuchRoute => "there is no such route",
            Self::MethodNotAllowed => "the method is not allowed",
            Self::WorksetNotFound => "there is no such workset",
            Self::WorksetExists => "another workset has this id",
            Self::IllegalMove => "the move is not legal",
            Self::MoveRefused => "the move is not possible now",
            Self::VersionChanged => "the workset changed",
            Self::LockSuperseded => "the lock was superseded",
            Self::Contended => "others write the same workset",
            Self::PrimaryUnknown => "no region takes writes",
            Self::PrimaryMoving => "writes are moving to another region",
            Self::Unavailable => "the tables do not answer",
            Self::OutcomeUnknown => "the outcome is not known",
            Self::NotReady => "this region is not ready",
            Self::Misconfigured => "the deployment is wrong",
            Self::Internal => "the API failed",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidQuery | Self::InvalidPath | Self::InvalidJson | Self::UnknownRegion => {
                StatusCode::BAD_REQUEST
            }
            Self::InvalidBody | Self::InvalidWorkset | Self::InvalidTransition => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NoTenant => StatusCode::FORBIDDEN,
            Self::NoSuchRoute | Self::WorksetNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::WorksetExists
            | Self::IllegalMove
            | Self::MoveRefused
            | Self::VersionChanged
            | Self::LockSuperseded
            | Self::Contended => StatusCode::CONFLICT,
            Self::PrimaryUnknown
            | Self::PrimaryMoving
            | Self::Unavailable
            | Self::OutcomeUnknown
            | Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::Misconfigured | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Seconds after which the same request may fare better.
    const fn retry_after_s(self) -> Option<u64> {
        match self {
            Self::Contended => Some(1),
            Self::PrimaryMoving | Self::Unavailable | Self::OutcomeUnknown | Self::NotReady => Some(5),
            Self::PrimaryUnknown => Some(10),
            Self::InvalidQuery
            | Self::InvalidPath
            | Self::InvalidJson
            | Self::InvalidBody
            | Self::InvalidWorkset
            | Self::InvalidTransition
            | Self::UnknownRegion
            | Self::UnsupportedMediaType
            | Self::BodyTooLarge
            | Self::Unauthenticated
            | Self::NoTenant
            | Self::NoSuchRoute
            | Self::MethodNotAllowed
            | Self::WorksetNotFound
            | Self::WorksetExists
            | Self::IllegalMove
            | Self::MoveRefused
            | Self::VersionChanged
            | Self::LockSuperseded
            | Self::Misconfigured
            | Self::Internal => None,
        }
    }
}

/// One problem, as the caller sees it.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<workset::Problem>,
    retry_after_s: Option<u64>,
    cause: Option<String>,
}

impl Problem {
    /// A problem of this kind; `detail` names the thing and the remedy.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retry_after_s = kind.retry_after_s();
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after_s, cause: None }
    }

    /// The same with every field that is wrong.
    #[must_use]
    pub fn with_errors(self, errors: Vec<workset::Problem>) -> Self {
        Self { errors, ..self }
    }

    /// The same with its cause, for the log alone.
    #[must_use]
    pub fn caused_by(self, error: &(dyn Error + 'static)) -> Self {
        let causes = iter::successors(Some(error), |&e| e.source()).map(ToString::to_string);
        Self { cause: Some(causes.collect::<Vec<_>>().join(": ")), ..self }
    }

    /// What kind it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What happened, and what to do about it.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What led to it, for the log alone.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The reply to the request of this id.
    pub fn reply(&self, request_id: &str) -> Response {
        let status = self.kind.status();
        let mut body = json!({
            "type": format!("/problems/{}", self.kind.name()),
            "title": self.kind.title(),
            "status": status.as_u16(),
            "detail": self.detail,
            "request_id": request_id,
        });
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        let mut reply = Response::new(Body::from(body.to_string()));
        *reply.status_mut() = status;
        let json = HeaderValue::from_static("application/problem+json");
        reply.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some(seconds) = self.retry_after_s {
            reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }
}

impl IntoResponse for Problem {
    /// Leaves the reply to the outermost layer, which knows the id of the request.
    fn into_response(self) -> Response {
        let mut reply = self.kind.status().into_response();
        reply.extensions_mut().insert(self);
        reply
    }
}

impl From<RowsError> for Problem {
    fn from(error: RowsError) -> Self {
        let kind = match &error {
            RowsError::Throttled { .. } | RowsError::NoAnswer { .. } => Kind::Unavailable,
            RowsError::Conflict => Kind::Contended,
            // `RowsError` may grow: what is new is a fault until it is known here.
            RowsError::Refused { .. } | RowsError::Unreadable { .. } | _ => Kind::Internal,
        };
        let remedy = if error.is_outage() { " (try again, or ask another region)" } else { "" };
        Self::new(kind, format!("{error}{remedy}")).caused_by(&error)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let kind = match refused {
            Refused::Illegal(_) => Kind::IllegalMove,
            Refused::Changed { .. } => Kind::VersionChanged,
            Refused::Superseded { .. } => Kind::LockSuperseded,
            Refused::NoError | Refused::Misplaced { .. } => Kind::InvalidTransition,
            Refused::NotRetryable(_)
            | Refused::RetriesSpent
            | Refused::TooEarly { .. }
            | Refused::NotRunning(_) => Kind::MoveRefused,
        };
        let problem = Self::new(kind, refused.to_string());
        match refused {
            Refused::TooEarly { left } => Self { retry_after_s: Some(left.as_secs() + 1), ..problem },
            _ => problem,
        }
    }
}
