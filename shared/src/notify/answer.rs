//! What an answer to a notice means.

use std::time::Duration;

use super::{sns, target::Channel};
use crate::ports::{PostAnswer, PostError};

/// What came of telling a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has heard.
    Told,
    /// It may hear if it is told again: it may have heard already, since no answer is not a no.
    Again {
        /// What was wrong.
        why: String,
        /// The shortest wait that it asked for.
        wait: Option<Duration>,
    },
    /// It will not hear this, however often it is told.
    Refused {
        /// What it said.
        why: String,
    },
}

/// Judges the answer to one try.
///
/// Timeouts, server errors and requests to slow down are tried again; anything else that is no success
/// is a refusal, redirects among them: nothing is followed away from where the configuration points.
pub fn judge(channel: &Channel, answer: &Result<PostAnswer, PostError>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Outcome::Again { why: error.to_string(), wait: None },
    };
    let (code, is_busy) = match channel {
        Channel::Webhook { .. } => (None, matches!(answer.status, 408 | 425 | 429)),
        Channel::Sns { .. } => {
            let code = sns::code(&answer.body);
            let is_busy = answer.status == 429 || code.is_some_and(sns::is_passing);
            (code, is_busy)
        }
    };
    let words = code.map_or(String::new(), |code| format!(" ({code})"));
    let why = format!("answered with status {}{words}", answer.status);
    match answer.status {
        200..300 => Outcome::Told,
        500..600 => Outcome::Again { why, wait: answer.retry_after },
        _ if is_busy => Outcome::Again { why, wait: answer.retry_after },
        _ => Outcome::Refused { why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Silence;

    fn answer(status: u16, body: &str) -> Result<PostAnswer, PostError> {
        Ok(PostAnswer { status, retry_after: Some(Duration::from_secs(7)), body: body.to_owned() })
    }

    fn hook() -> Channel {
        Channel::Webhook { url: "https://example.com".to_owned(), secret_env: "S".to_owned() }
    }

    #[test]
    fn who_may_hear_later_is_told_again_and_nobody_else() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let wait = Some(Duration::from_secs(7));
            let why = format!("answered with status {status}");
            assert_eq!(judge(&hook(), &answer(status, "")), Outcome::Again { why, wait });
        }
        for status in [100, 301, 307, 400, 401, 403, 404, 410, 413, 422, 600] {
            assert!(matches!(judge(&hook(), &answer(status, "")), Outcome::Refused { .. }), "{status}");
        }
        for status in [200, 202, 204, 299] {
            assert_eq!(judge(&hook(), &answer(status, "")), Outcome::Told);
        }
        let silent = Err(PostError::NoAnswer { how: Silence::Timeout });
        assert!(matches!(judge(&hook(), &silent), Outcome::Again { wait: None, .. }));
    }

    #[test]
    fn a_topic_says_by_its_code_what_passes() {
        let sns = Channel::Sns { topic: "arn:aws:sns:eu-west-1:123456789012:t".parse().unwrap() };
        let body = |code: &str| format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>");
        for code in ["Throttling", "Throttled", "KMSThrottling", "ExpiredToken", "RequestExpired"] {
            let judged = judge(&sns, &answer(400, &body(code)));
            assert!(matches!(&judged, Outcome::Again { why, .. } if why.contains(code)), "{judged:?}");
        }
        for code in ["NotFound", "AuthorizationError", "InvalidParameter", "KMSDisabled"] {
            let judged = judge(&sns, &answer(400, &body(code)));
            assert!(matches!(&judged, Outcome::Refused { why } if why.contains(code)), "{judged:?}");
        }
    }
}
