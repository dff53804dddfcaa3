//! Who is told of what happens.

use super::{settings::TARGET_SETTINGS, values::Group};
use crate::{
    endpoint::{self, Served},
    notify::{About, Channel, Policy, Target, TargetName, TopicArn},
    workset::State,
};

/// Most targets: each is a lane of its own in every run, and what is more does not fit the variables of a function.
const TARGETS_MAX: usize = 8;

const EXAMPLE: &str = "{name: ops, kind: sns, topic_arn: 'arn:aws:sns:us-west-2:123456789012:my-topic'}";

/// Reads `notifications`.
pub(super) fn notifications(group: &mut Group, security: &endpoint::Policy) -> Policy {
    Policy {
        targets: targets(group, security),
        attempts_max: group.count("notifications.attempts_max", 1..=100).unwrap_or(1),
    }
}

fn targets(group: &mut Group, security: &endpoint::Policy) -> Vec<Target> {
    let key = "notifications.targets";
    let Some(entry) = group.entries.get(key).cloned() else { return Vec::new() };
    let Some(items) = entry.value.as_sequence() else {
        group.refuse(key, format!("want a list of targets, such as `[{EXAMPLE}]`"));
        return Vec::new();
    };
    if items.len() > TARGETS_MAX {
        group.refuse(key, format!("want at most {TARGETS_MAX} targets"));
        return Vec::new();
    }
    let mut targets: Vec<Target> = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let at = format!("{key}[{place}]");
        let words = [at.as_str(), &format!("{at}."), EXAMPLE];
        let read = group.item(item, words, TARGET_SETTINGS, entry.variable.as_deref(), |entry| {
            let target = target(entry, security)?;
            if target.name.is_of_sentinels() {
                entry.refuse(
                    "name",
                    "names that begin with `sentinels-` are those of `worksets.sentinels`, want another",
                );
            }
            if targets.iter().any(|other| other.name == target.name) {
                entry.refuse(
                    "name",
                    "another target is called so, want a name of its own: rows are kept by it",
                );
            }
            Some(target)
        });
        targets.extend(read);
    }
    targets
}

fn target(entry: &mut Group, security: &endpoint::Policy) -> Option<Target> {
    let want = "want 1 to 32 lower-case letters, digits and dashes";
    let name: Option<TargetName> = entry.take("name", want, |value| value.as_str()?.parse().ok());
    if name.is_none() {
        entry.refuse("name", want);
    }
    let kind: Option<String> = entry.choice("kind", &["sns", "webhook"]);
    let channel = match kind.as_deref() {
        Some("sns") => sns(entry),
        Some(_) => webhook(entry, security),
        None => {
            entry.refuse("kind", "want `sns` or `webhook`");
            None
        }
    };
    let (about, states) = (about(entry), states(entry));
    if states.is_some() && !about.contains(&About::Workset) {
        entry.refuse("states", "only worksets have states, add `workset` to `events` or remove this");
    }
    Some(Target { name: name?, channel: channel?, about, states })
}

fn sns(entry: &mut Group) -> Option<Channel> {
    refuse_others(entry, &["url", "secret_env"], "a topic");
    let text = entry.text("topic_arn", "want the ARN of a topic", |_| true);
    let Some(text) = text else {
        entry.refuse("topic_arn", "a topic needs its ARN");
        return None;
    };
    match text.parse::<TopicArn>() {
        Ok(topic) => Some(Channel::Sns { topic }),
        Err(error) => {
            entry.refuse("topic_arn", error.to_string());
            None
        }
    }
}

fn webhook(entry: &mut Group, security: &endpoint::Policy) -> Option<Channel> {
    refuse_others(entry, &["topic_arn"], "a webhook");
    let url = entry.text("url", "want a URL", |_| true);
    match &url {
        None => entry.refuse("url", "a webhook needs its URL"),
        Some(url) => {
            if let Err(refusal) = security.check(url, Served::Api) {
                entry.refuse("url", refusal.to_string());
            }
        }
    }
    let secret_env = entry.text("secret_env", WANT_VARIABLE, is_variable);
    if secret_env.is_none() {
        entry.refuse("secret_env", "a webhook needs the name of the variable that holds its secret");
    }
    Some(Channel::Webhook { url: url?, secret_env: secret_env? })
}

const WANT_VARIABLE: &str = "want the name of a variable of capital letters, digits and `_`, such as `WEBHOOK_SECRET_1`, \
                             and none of AWS's or of these settings; the secret itself does not belong here";

/// Credentials and settings are no secrets of a webhook, and sign nothing for anybody.
fn is_variable(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let is_foreign = ["AWS_", "LAMBDA_", "SEALANE_", "_"].iter().any(|prefix| text.starts_with(prefix));
    let is_name = text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(fits);
    is_name && !is_foreign && text.len() <= 64
}

fn refuse_others(entry: &mut Group, keys: &[&str], what: &str) {
    for key in keys.iter().filter(|key| entry.is_set(key)).copied().collect::<Vec<_>>() {
        entry.refuse(key, format!("{what} has none, remove it"));
    }
}

fn about(entry: &mut Group) -> Vec<About> {
    let want = "want a list of `workset` and `failover`";
    let word = |name: &str| serde_json::from_value::<About>(name.into()).ok();
    let named = entry.list("events", want, word);
    let mut about = named.unwrap_or_else(|| vec![About::Workset, About::Failover]);
    about.sort();
    about.dedup();
    if about.is_empty() {
        entry.refuse("events", "want at least one, or remove the target");
    }
    about
}

fn states(entry: &mut Group) -> Option<Vec<State>> {
    let names = State::ALL.map(State::as_str).join("`, `");
    let want = format!("want a list of states, of `{names}`");
    let word = |name: &str| State::ALL.into_iter().find(|state| state.as_str() == name);
    let mut states = entry.list("states", &want, word)?;
    states.sort();
    states.dedup();
    if states.is_empty() {
        entry.refuse("states", "want at least one, or leave it out for all of them");
    }
    Some(states)
}
