//! An alarm's change of state as SNS and EventBridge deliver it, and as the alarm itself calls the function.

use sealane::{emf::NAMESPACE, region::RegionName};
use serde_json::{Value, json};

/// What the change says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The region whose alarm it is.
    pub observer: RegionName,
    /// The region that it is about.
    pub about: RegionName,
    /// The alarm's name.
    pub alarm: String,
    /// The state before, as CloudWatch writes it.
    pub old: &'static str,
    /// The state from now on.
    pub new: &'static str,
}

impl Change {
    /// The alarm on `about` as `observer` has it, gone off.
    pub fn down(observer: RegionName, about: RegionName) -> Self {
        Self { observer, about, alarm: format!("sealane-region-down-{about}"), old: "OK", new: "ALARM" }
    }

    /// As a subscriber of the topic gets it.
    pub fn sns(&self) -> Value {
        let message = json!({
            "AlarmName": self.alarm, "AlarmDescription": null, "AWSAccountId": "000000000000",
            "NewStateValue": self.new, "NewStateReason": "Threshold Crossed",
            "StateChangeTime": "2026-11-20T09:15:31.204+0000", "Region": self.observer,
            "AlarmArn": self.arn(), "OldStateValue": self.old,
            "Trigger": {
                "MetricName": "RegionHealth", "Namespace": NAMESPACE, "StatisticType": "Statistic",
                "Statistic": "MINIMUM", "Unit": null, "Period": 10, "EvaluationPeriods": 1,
                "ComparisonOperator": "LessThanThreshold", "Threshold": 0.5, "TreatMissingData": "ignore",
                "Dimensions": [{"value": self.observer, "name": "Observer"}, {"value": self.about, "name": "Region"}],
            },
        });
        json!({"Records": [{
            "EventSource": "aws:sns", "EventVersion": "1.0",
            "EventSubscriptionArn": format!("arn:aws:sns:{}:000000000000:sealane-alarms:1", self.observer),
            "Sns": {
                "Type": "Notification", "MessageId": "650c466e-eefb-4049-aeb1-e498bacee297",
                "TopicArn": format!("arn:aws:sns:{}:000000000000:sealane-alarms", self.observer),
                "Subject": format!("{}: \"{}\"", self.new, self.alarm),
                "Message": message.to_string(), "Timestamp": "2026-11-20T09:15:31.391Z",
                "MessageAttributes": {},
            },
        }]})
    }

    /// As a rule of EventBridge delivers it.
    pub fn eventbridge(&self) -> Value {
        let state = |value| json!({"value": value, "timestamp": "2026-11-20T09:15:31.204+0000"});
        json!({
            "version": "0", "id": "728b7e5f-c88e-4e34-a43b-380c4f39cba1",
            "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch",
            "account": "000000000000", "time": "2026-11-20T09:15:31Z", "region": self.observer,
            "resources": [self.arn()],
            "detail": {
                "alarmName": self.alarm, "state": state(self.new), "previousState": state(self.old),
                "configuration": {"metrics": [{"id": "m1", "returnData": true, "metricStat": {
                    "metric": {"namespace": NAMESPACE, "name": "RegionHealth",
                               "dimensions": {"Observer": self.observer, "Region": self.about}},
                    "period": 10, "stat": "Minimum",
                }}]},
            },
        })
    }

    /// As an alarm calls the function that is one of its actions.
    pub fn direct(&self) -> Value {
        let state = |value| json!({"value": value, "reason": "Threshold Crossed", "timestamp": "2026-11-20T09:15:31.204+0000"});
        json!({
            "source": "aws.cloudwatch", "alarmArn": self.arn(), "accountId": "000000000000",
            "time": "2026-11-20T09:15:31.204+0000", "region": self.observer,
            "alarmData": {
                "alarmName": self.alarm, "state": state(self.new), "previousState": state(self.old),
                "configuration": {"metrics": [{"id": "m1", "returnData": true, "metricStat": {
                    "metric": {"namespace": NAMESPACE, "name": "RegionHealth",
                               "dimensions": {"Observer": self.observer, "Region": self.about}},
                    "period": 10, "stat": "Minimum",
                }}]},
            },
        })
    }

    fn arn(&self) -> String {
        format!("arn:aws:cloudwatch:{}:000000000000:alarm:{}", self.observer, self.alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a document, whatever their values; lists count by their first item.
    fn shape(value: &Value) -> Vec<String> {
        match value {
            Value::Object(map) => map
                .iter()
                .flat_map(|(key, value)| {
                    let inner = shape(value).into_iter().map(move |path| format!("{key}/{path}"));
                    std::iter::once(key.clone()).chain(inner)
                })
                .collect(),
            Value::Array(items) => items.first().map(shape).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_form_is_shaped_as_its_sample_and_is_understood() {
        let change = Change::down("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap());
        let samples = [
            (change.direct(), include_str!("../../../../events/failover-handler-direct-alarm.json")),
            (change.sns(), include_str!("../../../../events/failover-handler-sns-alarm.json")),
            (
                change.eventbridge(),
                include_str!("../../../../events/failover-handler-eventbridge-alarm.json"),
            ),
        ];
        for (event, sample) in samples {
            let sample: Value = serde_json::from_str(sample).unwrap();
            let known = shape(&sample);
            let strange: Vec<_> = shape(&event).into_iter().filter(|path| !known.contains(path)).collect();
            assert_eq!(strange, Vec::<String>::new());
            let heard = failover_handler::alarm::parse(&event).unwrap();
            assert_eq!(heard, failover_handler::alarm::parse(&sample).unwrap());
        }
    }
}
