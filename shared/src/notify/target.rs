//! Who is told, and of what.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    region::RegionName,
    workset::{Event, State},
};

/// The name of a target: 1 to 32 lower-case letters, digits and dashes, so that it is safe in a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetName(String);

/// The text is no name of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no name of a target (want 1 to 32 lower-case letters, digits and dashes)")]
pub struct InvalidTarget;

impl TargetName {
    /// What the names of what sentinels have yet to show begin with.
    const SENTINELS: &str = "sentinels-";

    /// The name under which lies what sentinels have yet to show in the bucket of `region`; `None`: in
    /// buckets that are no region's.
    pub fn of_sentinels(region: Option<RegionName>) -> Self {
        let place = region.map_or("elsewhere".to_owned(), |region| region.to_string());
        Self(format!("{}{place}", Self::SENTINELS))
    }

    /// Whether it is such a name, which no target may have.
    pub fn is_of_sentinels(&self) -> bool {
        self.0.starts_with(Self::SENTINELS)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TargetName {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_name = (1..=32).contains(&text.len()) && text.bytes().all(fits);
        if is_name { Ok(Self(text.to_owned())) } else { Err(InvalidTarget) }
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The ARN of a standard SNS topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicArn(String);

/// The text is no ARN of a topic that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// No ARN of a topic.
    #[error("want the ARN of a topic, such as `arn:aws:sns:us-west-2:123456789012:my-topic`")]
    Malformed,
    /// A FIFO topic.
    #[error(
        "FIFO topics are not supported, want a standard topic (each notice has an id to drop doubles by)"
    )]
    Fifo,
}

impl TopicArn {
    /// The ARN as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the region that the topic lies in.
    pub fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }

    /// Where the region's SNS is asked.
    pub fn endpoint(&self) -> String {
        let suffix = if self.0.starts_with("arn:aws-cn:") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://sns.{}.{suffix}", self.region())
    }
}

impl FromStr for TopicArn {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "sns", region, account, name] = parts[..] else {
            return Err(InvalidTopic::Malformed);
        };
        let is_region = region.parse::<RegionName>().is_ok();
        let is_partition = matches!(partition, "aws" | "aws-cn" | "aws-us-gov");
        let is_named = |name: &str| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            (1..=256).contains(&name.len()) && name.bytes().all(fits)
        };
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !is_partition || !is_region || !is_account {
            return Err(InvalidTopic::Malformed);
        }
        match name.strip_suffix(".fifo") {
            Some(name) if is_named(name) => Err(InvalidTopic::Fifo),
            None if is_named(name) => Ok(Self(text.to_owned())),
            Some(_) | None => Err(InvalidTopic::Malformed),
        }
    }
}

/// How a target is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// By a message to a topic.
    Sns {
        /// The topic.
        topic: TopicArn,
    },
    /// By a signed request.
    Webhook {
        /// Where it goes.
        url: String,
        /// The variable that holds the secret: the configuration itself has none.
        secret_env: String,
    },
}

/// What notices are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// Worksets whose state changed.
    Workset,
    /// Moves of the active region.
    Failover,
}

/// Who is told, how, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What rows and logs call it.
    pub name: TargetName,
    /// How it is told.
    pub channel: Channel,
    /// What it is told of.
    pub about: Vec<About>,
    /// The states that it is told of when a workset reaches one; `None`: every one.
    pub states: Option<Vec<State>>,
}

impl Target {
    /// Whether it is told of this write of a workset.
    pub fn hears(&self, event: &Event) -> bool {
        event.changes_state() && self.hears_state(event.to)
    }

    /// Whether it is told of moves of the active region.
    pub fn hears_failovers(&self) -> bool {
        self.about.contains(&About::Failover)
    }

    fn hears_state(&self, state: State) -> bool {
        let listed = self.states.as_ref().is_none_or(|states| states.contains(&state));
        self.about.contains(&About::Workset) && listed
    }
}

/// Everybody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The targets; nobody is told where there are none.
    pub targets: Vec<Target>,
    /// Tries after which a notice that nobody takes is parked. At least 1.
    pub attempts_max: u32,
}

impl Policy {
    /// The states that somebody is told of when a workset reaches one.
    pub fn states(&self) -> Vec<State> {
        let heard = |state: &State| self.targets.iter().any(|target| target.hears_state(*state));
        State::ALL.into_iter().filter(heard).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_topic_is_asked_in_its_own_region() {
        let topic = |text: &str| text.parse::<TopicArn>();
        let here = topic("arn:aws:sns:eu-west-1:123456789012:my_topic-1").unwrap();
        assert_eq!((here.region(), &*here.endpoint()), ("eu-west-1", "https://sns.eu-west-1.amazonaws.com"));
        let china = topic("arn:aws-cn:sns:cn-north-1:123456789012:t").unwrap();
        assert_eq!(china.endpoint(), "https://sns.cn-north-1.amazonaws.com.cn");
        assert_eq!(topic("arn:aws:sns:eu-west-1:123456789012:t.fifo"), Err(InvalidTopic::Fifo));
        for odd in [
            "",
            "my-topic",
            "arn:aws:sqs:eu-west-1:123456789012:t",
            "arn:aws:sns:eu-west-1:12345678901:t",
            "arn:aws:sns::123456789012:t",
            "arn:aws:sns:eu-west-1:123456789012:",
            "arn:aws:sns:eu-west-1:123456789012:t:subscription",
            "arn:aws:sns:evil.example.com/:123456789012:t",
        ] {
            assert_eq!(topic(odd), Err(InvalidTopic::Malformed), "{odd}");
        }
    }

    proptest! {
        /// Whatever a topic is called, it is asked at AWS.
        #[test]
        fn no_topic_leads_out_of_aws(
            text in "arn:(aws|aws-cn|[a-z./-]{1,8}):sns:([a-z]{2}-[a-z]{2,5}-[0-9]|[a-z0-9./#@?-]{1,20}):[0-9]{12}:[a-z]{1,4}",
        ) {
            if let Ok(topic) = text.parse::<TopicArn>() {
                let endpoint = topic.endpoint();
                let policy = crate::endpoint::Policy::default();
                let checked = policy.check(&endpoint, crate::endpoint::Served::Service);
                prop_assert_eq!(checked, Ok(()), "{}", endpoint);
            }
        }

        /// The states that are written down for somebody are those that somebody is told of.
        #[test]
        fn what_anybody_hears_of_is_written_down(
            wants in prop::collection::vec(
                (any::<bool>(), prop::option::of(prop::sample::subsequence(State::ALL.to_vec(), 0..10))), 0..4,
            ),
        ) {
            let channel = Channel::Webhook { url: String::new(), secret_env: String::new() };
            let target = |(worksets, states): &(bool, Option<Vec<State>>)| Target {
                name: "t".parse().unwrap(),
                channel: channel.clone(),
                about: if *worksets { vec![About::Workset] } else { vec![About::Failover] },
                states: states.clone(),
            };
            let policy = Policy { targets: wants.iter().map(target).collect(), attempts_max: 1 };
            for state in State::ALL {
                let heard = wants.iter().any(|(worksets, states)| {
                    *worksets && states.as_ref().is_none_or(|states| states.contains(&state))
                });
                prop_assert_eq!(policy.states().contains(&state), heard);
            }
        }
    }
}
