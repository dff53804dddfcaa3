"""Sends each change of an alarm's state to EventBridge, as CloudWatch does and MiniStack does not."""

import json


def detail(alarm, old, new, reason, timestamp):
    """The detail of a `CloudWatch Alarm State Change` event."""
    metric = {
        "id": "m1", "returnData": True,
        "metricStat": {
            "metric": {
                "namespace": alarm.get("Namespace", ""), "name": alarm.get("MetricName", ""),
                "dimensions": {d["Name"]: d["Value"] for d in alarm.get("Dimensions", [])},
            },
            "period": alarm.get("Period", 60), "stat": alarm.get("Statistic") or alarm.get("ExtendedStatistic"),
        },
    }
    return {
        "alarmName": alarm["AlarmName"],
        "state": {"value": new, "reason": reason, "timestamp": timestamp},
        "previousState": {"value": old},
        "configuration": {"description": alarm.get("AlarmDescription", ""), "metrics": [metric]},
    }


def install(cloudwatch, eventbridge, time_iso):
    """Hooks the event into MiniStack's dispatch of alarm actions."""
    dispatch = cloudwatch._dispatch_alarm_actions

    def dispatch_and_send(alarm, old, new, reason):
        dispatch(alarm, old, new, reason)
        event = {
            "Source": "aws.cloudwatch", "DetailType": "CloudWatch Alarm State Change",
            "Resources": [alarm["AlarmArn"]], "Detail": json.dumps(detail(alarm, old, new, reason, time_iso())),
        }
        eventbridge._put_events({"Entries": [event]}, allow_aws_source=True)

    cloudwatch._dispatch_alarm_actions = dispatch_and_send
