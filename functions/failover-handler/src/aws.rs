//! Alarms as CloudWatch has them.

use aws_sdk_cloudwatch::{Client, types::StateValue};
use sealane::{
    aws::{Aws, Limits},
    region::Region,
};

use crate::{AlarmState, Alarms, Unanswered};

/// The alarms of one region.
#[derive(Debug)]
pub struct CloudWatchAlarms {
    client: Client,
}

impl CloudWatchAlarms {
    /// The alarms of `region`.
    pub fn new(aws: &Aws, region: &Region) -> Self {
        let config = aws.client_config(region, Limits::CALL);
        let mut builder = aws_sdk_cloudwatch::config::Builder::from(&config);
        builder.set_retry_partition(aws.retry_partition("cloudwatch", region));
        let builder = match &region.endpoints.cloudwatch {
            Some(url) => builder.endpoint_url(url),
            None => builder,
        };
        Self { client: Client::from_conf(builder.build()) }
    }
}

impl Alarms for CloudWatchAlarms {
    async fn state(&self, alarm: &str) -> Result<Option<AlarmState>, Unanswered> {
        let reply = self.client.describe_alarms().alarm_names(alarm).send().await;
        let found = reply
            .map_err(|error| Unanswered { alarm: alarm.to_owned(), source: error.into() })?
            .metric_alarms
            .unwrap_or_default();
        Ok(found.first().and_then(|a| a.state_value.as_ref()).and_then(state))
    }
}

fn state(value: &StateValue) -> Option<AlarmState> {
    match value {
        StateValue::Alarm => Some(AlarmState::Alarm),
        StateValue::Ok => Some(AlarmState::Ok),
        StateValue::InsufficientData => Some(AlarmState::InsufficientData),
        // The SDK's enum is open; a state that came later is not known.
        _ => None,
    }
}
