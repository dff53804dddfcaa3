//! Why one try of a copy ended without a proof.

use std::fmt;

use sealane::{
    ports::{ObjectsError, Silence},
    time::millis,
    upload::Reason,
};

use crate::Policy;

/// Which of the two buckets a call went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The bucket that is copied from.
    Source,
    /// The bucket that is copied to.
    Destination,
}

/// Why a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The destination did not answer: neither will it answer the next row.
    Outage(Reason),
    /// It failed in some other way; other copies may do.
    Failure(Reason),
    /// The invocation has no time left; what was done is kept.
    OutOfTime,
    /// Another worker has the row.
    Lost,
}

impl Trouble {
    /// What an error of a bucket means for the copy.
    pub(crate) fn of(error: &ObjectsError, side: Side, policy: &Policy) -> Self {
        let reason = reason(error, policy);
        match side {
            Side::Destination if error.is_outage() => Self::Outage(reason),
            Side::Destination | Side::Source => Self::Failure(reason),
        }
    }

    /// The copy is there but is not proved whole.
    pub(crate) fn unverified(detail: impl Into<String>) -> Self {
        Self::Failure(Reason::Unverified { detail: detail.into() })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outage(reason) | Self::Failure(reason) => write!(f, "{reason}"),
            Self::OutOfTime => f.write_str("the invocation ended first"),
            Self::Lost => f.write_str("another worker took it over"),
        }
    }
}

fn reason(error: &ObjectsError, policy: &Policy) -> Reason {
    let detail = chain(error);
    match error {
        ObjectsError::NoAnswer { how: Silence::Timeout, .. } => {
            Reason::TimedOut { after_ms: millis(policy.call_max) }
        }
        ObjectsError::NoAnswer { how: Silence::NoConnection, .. } => Reason::Unreachable { detail },
        ObjectsError::NoAnswer { how: Silence::ServerError(_), .. } | ObjectsError::Throttled { .. } => {
            Reason::Busy { detail }
        }
        ObjectsError::Missing { .. } | ObjectsError::Mismatch { .. } => Reason::SourceChanged { detail },
        ObjectsError::Refused { .. } => Reason::Refused { detail },
        // The port's enum is open; what it adds later is not known to have gone well.
        _ => Reason::Unverified { detail },
    }
}

/// The messages of `error` and all its sources, outermost first, fit for a row.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&e| e.source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    text.chars().take(300).collect()
}
