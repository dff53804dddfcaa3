//! From SDK errors to ours: one question each, what may the caller do now?

use crate::ports::{Cause, ObjectsError, Silence};
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

/// What a failed call means, whatever the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The condition, pin or checksum did not hold.
    Condition,
    /// There is no such thing.
    Missing,
    /// Nothing took effect; slow down. Also that of two regions which write one item at once this one
    /// gives way, where the table is strongly consistent: that is no lost condition yet, since the other
    /// write may fail its own.
    Throttled,
    /// No answer, or a server error: it may have taken effect.
    NoAnswer(Silence),
    /// Asking again will not help.
    Refused,
}

/// Sorts an SDK error by what the caller may do.
pub(super) fn classify<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Failure {
    match error {
        SdkError::ConstructionFailure(_) => Failure::Refused,
        SdkError::ServiceError(service) => by_code(service.err().code(), service.raw().status().as_u16()),
        SdkError::TimeoutError(_) => Failure::NoAnswer(Silence::Timeout),
        SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => Failure::NoAnswer(Silence::Timeout),
        // The SDK's enum is open; what it adds later is not known to have failed.
        _ => Failure::NoAnswer(Silence::NoConnection),
    }
}

/// Sorts an answer by its code and its status.
pub(super) fn by_code(code: Option<&str>, status: u16) -> Failure {
    match (code.unwrap_or_default(), status) {
        (
            "ConditionalCheckFailedException"
            | "PreconditionFailed"
            | "ConditionalRequestConflict"
            | "BadDigest"
            | "InvalidPart"
            | "InvalidPartOrder"
            | "XAmzContentChecksumMismatch",
            _,
        )
        | (_, 409 | 412) => Failure::Condition,
        ("NoSuchKey" | "NoSuchVersion" | "NoSuchUpload" | "NotFound", _) => Failure::Missing,
        (
            "ThrottlingException"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "SlowDown"
            | "ReplicatedWriteConflictException"
            | "TooManyRequestsException"
            | "ServiceUnavailable"
            | "RequestThrottled",
            _,
        )
        | (_, 429 | 503) => Failure::Throttled,
        // Some calls answer 200 at once and put what went wrong later into the body.
        ("InternalError" | "InternalServerError", _) => {
            Failure::NoAnswer(Silence::ServerError(status.max(500)))
        }
        ("RequestTimeout", _) => Failure::NoAnswer(Silence::Timeout),
        (_, 500..) => Failure::NoAnswer(Silence::ServerError(status)),
        _ => Failure::Refused,
    }
}

/// What is told of a failed call to `bucket` about `key`.
pub(super) fn told(bucket: &str, key: &str, failure: Failure, source: Cause) -> ObjectsError {
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    match failure {
        Failure::Condition => ObjectsError::Mismatch { bucket, key, source },
        Failure::Missing => ObjectsError::Missing { bucket, key },
        Failure::Throttled => ObjectsError::Throttled { bucket, source },
        Failure::NoAnswer(how) => ObjectsError::NoAnswer { bucket, how, source },
        Failure::Refused => ObjectsError::Refused { bucket, key, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_says_what_the_caller_may_do() {
        let cases = [
            (Some("ConditionalCheckFailedException"), 400, Failure::Condition),
            (Some("ReplicatedWriteConflictException"), 400, Failure::Throttled),
            (Some("ResourceNotFoundException"), 400, Failure::Refused),
            (Some("NoSuchKey"), 404, Failure::Missing),
            (Some("NoSuchBucket"), 404, Failure::Refused),
            (Some("SlowDown"), 503, Failure::Throttled),
            (Some("InternalError"), 500, Failure::NoAnswer(Silence::ServerError(500))),
            (Some("InternalError"), 200, Failure::NoAnswer(Silence::ServerError(500))),
            (Some("AccessDenied"), 403, Failure::Refused),
            (None, 412, Failure::Condition),
            (None, 502, Failure::NoAnswer(Silence::ServerError(502))),
        ];
        for (code, status, want) in cases {
            assert_eq!(by_code(code, status), want, "{code:?} {status}");
        }
    }
}
