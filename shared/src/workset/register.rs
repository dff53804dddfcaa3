//! Registration: from what a caller sent to the first version of a workset.
//!
//! All problems are reported at once, each with the remedy, so that a caller
//! mends a request in one round.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    event::{Act, By, Event},
    name::Tenant,
    record::Workset,
    state::State,
};

/// A request to register, as sent: nothing in it is trusted yet.
///
/// `{"id": "ws-001", "bucket": "my-bucket", "prefix": "worksets/ws-001/"}` is
/// enough; the rest has defaults. The tenant is not part of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registration {
    /// The id that the workset shall have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The bucket that holds its data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Where in the bucket its data lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `urgent`, `normal` (default) or `low`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// `clinical`, `ruo` (default) or `lsmc`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What it holds; where given, with at least one of `samples`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Where it should run, such as `eu-west-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_region: Option<String>,
}

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The field, as it is named in the request.
    pub field: &'static str,
    /// What is wrong, and what is wanted instead.
    pub problem: String,
}

/// Everything that is wrong with a request. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Invalid {
    /// The problems, in the order of the fields.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the workset is not valid")?;
        for (i, Problem { field, problem }) in self.problems.iter().enumerate() {
            let joint = if i == 0 { ": " } else { "; " };
            write!(f, "{joint}`{field}`: {problem}")?;
        }
        Ok(())
    }
}

impl Problem {
    /// A required field that was not sent.
    fn missing(field: &'static str) -> Self {
        Self { field, problem: format!("it is missing (add `{field}` to the request)") }
    }
}

/// The first version of the workset that `request` describes, owned by
/// `tenant`, and the event that opens its history.
///
/// # Errors
/// [`Invalid`] with every problem of the request.
pub fn register(request: Registration, tenant: Tenant, by: &By) -> Result<(Workset, Event), Invalid> {
    let mut problems = Vec::new();
    let id = parse("id", request.id.as_deref(), &mut problems);
    let bucket = parse("bucket", request.bucket.as_deref(), &mut problems);
    let prefix = parse("prefix", request.prefix.as_deref(), &mut problems);
    for (field, sent) in [("id", &request.id), ("bucket", &request.bucket), ("prefix", &request.prefix)] {
        if sent.is_none() {
            problems.push(Problem::missing(field));
        }
    }
    let priority = parse("priority", request.priority.as_deref(), &mut problems).unwrap_or_default();
    let kind = parse("type", request.kind.as_deref(), &mut problems).unwrap_or_default();
    let metadata = keep("metadata", request.metadata.map(TryInto::try_into), &mut problems);
    let preferred_region = parse("preferred_region", request.preferred_region.as_deref(), &mut problems);
    let (Some(id), Some(bucket), Some(prefix), true) = (id, bucket, prefix, problems.is_empty()) else {
        return Err(Invalid { problems });
    };
    let workset = Workset {
        tenant,
        id,
        bucket,
        prefix,
        state: State::Ready,
        priority,
        kind,
        metadata,
        preferred_region,
        progress: None,
        error: None,
        retry_count: 0,
        next_retry_at: None,
        created_at: by.at,
        updated_at: by.at,
        started_at: None,
        finished_at: None,
        results_uri: None,
        metrics: None,
        fence: 0,
        version: 1,
        written_in: by.region,
    };
    let event = Event::of(Act::Registered, &workset, None, None, by);
    Ok((workset, event))
}

/// The value in `text`, or `None` and a problem if there is text without one.
fn parse<T: FromStr<Err: fmt::Display>>(
    field: &'static str,
    text: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    keep(field, text.map(T::from_str), problems)
}

/// The value that was read, or `None` and a problem if reading failed.
fn keep<T, E: fmt::Display>(
    field: &'static str,
    read: Option<Result<T, E>>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    match read? {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(Problem { field, problem: error.to_string() });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::time::Timestamp;

    fn by() -> By {
        By {
            actor: "alice".parse().unwrap(),
            region: "us-west-2".parse().unwrap(),
            at: Timestamp::from_millis(1_700_000_000_000),
            request: String::new(),
            epoch: None,
        }
    }

    fn registered(request: Value) -> Result<(Workset, Event), Invalid> {
        register(serde_json::from_value(request).unwrap(), "lab".parse().unwrap(), &by())
    }

    fn fields(refused: &Invalid) -> Vec<&'static str> {
        refused.problems.iter().map(|p| p.field).collect()
    }

    #[test]
    fn the_smallest_registration_is_ready_with_defaults() {
        let (workset, event) =
            registered(json!({"id": "ws-001", "bucket": "my-bucket", "prefix": "worksets/ws-001/"})).unwrap();
        assert_eq!((workset.state, workset.version, workset.metadata), (State::Ready, 1, None));
        assert_eq!((workset.priority.as_str(), workset.kind.as_str()), ("normal", "ruo"));
        assert_eq!((event.version, event.from, event.to), (1, None, State::Ready));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let refused = registered(json!({
            "id": "a#b", "bucket": "No", "prefix": "../x", "priority": "asap", "type": "toy",
            "metadata": {"samples": []}, "preferred_region": "mars",
        }))
        .unwrap_err();
        let all = ["id", "bucket", "prefix", "priority", "type", "metadata", "preferred_region"];
        assert_eq!(fields(&refused), all);
        assert_eq!(fields(&registered(json!({})).unwrap_err()), ["id", "bucket", "prefix"]);
    }

    #[test]
    fn a_refusal_names_the_field_and_the_remedy() {
        let refused = registered(json!({"id": "ws-001", "prefix": "p"})).unwrap_err().to_string();
        assert_eq!(
            refused,
            "the workset is not valid: `bucket`: it is missing (add `bucket` to the request)"
        );
    }

    #[test]
    fn a_tenant_in_the_request_is_refused() {
        let sent = json!({"id": "ws-001", "bucket": "abc", "prefix": "p", "tenant": "other"});
        assert!(serde_json::from_value::<Registration>(sent).is_err());
    }

    proptest! {
        /// What was registered is read back from its JSON unchanged.
        #[test]
        fn a_registered_workset_round_trips(
            id in "[a-zA-Z0-9][a-zA-Z0-9_-]{2,63}", prefix in "[a-zA-Z0-9][a-zA-Z0-9_/-]{0,60}",
            priority in prop::option::of("urgent|normal|low"), kind in prop::option::of("clinical|ruo|lsmc"),
            samples in prop::option::of(prop::collection::vec("\\PC{0,12}", 1..5)),
            region in prop::option::of("eu-west-[1-3]"),
        ) {
            let request = Registration {
                id: Some(id), bucket: Some("my-bucket".to_owned()), prefix: Some(prefix), priority, kind,
                metadata: samples.map(|samples| json!({ "samples": samples })), preferred_region: region,
            };
            let sent = serde_json::to_value(&request).unwrap();
            let (workset, event) = register(request, "lab".parse().unwrap(), &by()).unwrap();
            let json = serde_json::to_value(&workset).unwrap();
            for (field, value) in sent.as_object().unwrap() {
                prop_assert_eq!(&json[field], value);
            }
            prop_assert_eq!(serde_json::from_value::<Workset>(json).unwrap(), workset);
            let history = serde_json::to_string(&event).unwrap();
            prop_assert_eq!(serde_json::from_str::<Event>(&history).unwrap(), event);
        }

        /// No id that a key cannot hold is ever registered.
        #[test]
        fn hostile_ids_are_never_registered(id in any::<String>()) {
            let sent = json!({"id": id, "bucket": "my-bucket", "prefix": "p"});
            if let Ok((workset, _)) = registered(sent) {
                prop_assert!(workset.id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)));
            }
        }
    }
}
