//! What a caller is told when a request is not answered as asked (RFC 9457).
//!
//! A type is stable and has its own status and title; the detail names the thing
//! and the remedy. The cause goes to the log and never to the caller.

mod kind;

use std::{error::Error, iter, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use sealane::{
    ports::RowsError,
    workset::{self, Denied, IllegalMove, Refused, Unamended},
};
use serde_json::json;

pub use kind::{Kind, pages};

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

    /// The same, with the time after which it may be tried again.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { retry_after_s: Some(wait.as_secs() + 1), ..self }
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
            | Refused::NotRunning(_)
            | Refused::Ended(_) => Kind::MoveRefused,
        };
        let problem = Self::new(kind, refused.to_string());
        match refused {
            Refused::TooEarly { left } => problem.after(left),
            _ => problem,
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let kind = match denied {
            Denied::Held { .. } => Kind::Locked,
            Denied::NotLockable(_) => Kind::NotLockable,
            Denied::NotHeld(_) => Kind::LockNotHeld,
            Denied::Superseded { .. } => Kind::LockSuperseded,
        };
        let problem = Self::new(kind, denied.to_string());
        match denied {
            Denied::Held { left, .. } => problem.after(left),
            Denied::NotLockable(_) | Denied::NotHeld(_) | Denied::Superseded { .. } => problem,
        }
    }
}

impl From<Unamended> for Problem {
    fn from(unamended: Unamended) -> Self {
        match unamended {
            Unamended::Refused(refused) => refused.into(),
            Unamended::Invalid(invalid) => {
                Self::new(Kind::InvalidWorkset, invalid.to_string()).with_errors(invalid.problems)
            }
        }
    }
}

impl From<IllegalMove> for Problem {
    fn from(illegal: IllegalMove) -> Self {
        Refused::from(illegal).into()
    }
}
