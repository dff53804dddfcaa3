"""Judges the alarms of the local cloud, so that the real alarms start the real failover handler.

Usage: `bridge.py --endpoint URL --control PORT --region NAME...`

MiniStack judges an alarm without its dimensions, its M-of-N and its missing data, so that part of it is
switched off and done here by CloudWatch's rules. An alarm's state is set only when it changes; MiniStack
then notifies its topic. A region that is cut off at the gates is left alone: a dead region has no alarms.
"""

import argparse
import datetime
import json
import os
import socket
import sys
import threading
import time

import boto3

import alarm_rules

TURN_S = 1.0
QUERIES_MAX = 500

# Alarms that were said to be left out, so that it is said once each.
left_out = set()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--region", action="append", required=True)
    return parser.parse_args()


def cut_regions(port):
    """Regions that are cut off as a whole, by the gates."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as control, control.makefile("rw") as lines:
        lines.write('{"do":"state"}\n')
        lines.flush()
        faults = json.loads(lines.readline())["faults"]
    whole = [f for f in faults if f["service"] is None and f["from"] is None]
    return {f["region"] for f in whole if f["effect"] in ("refuse", "silence")}


def queries(alarms):
    """The metric queries of `alarms`, named by their position."""
    for position, alarm in enumerate(alarms):
        metric = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")}
        stat = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        yield {"Id": f"m{position}", "MetricStat": {"Metric": metric, "Period": alarm["Period"], "Stat": stat}}


def read_points(cloudwatch, alarms, now_s):
    """Values by period start for each alarm, in the order of `alarms`."""
    start = min(alarm_rules.periods(alarm, now_s)[0] for alarm in alarms)
    window = {"StartTime": start, "EndTime": now_s}
    results = cloudwatch.get_metric_data(MetricDataQueries=list(queries(alarms)), **window)["MetricDataResults"]
    by_id = {r["Id"]: {t.timestamp(): v for t, v in zip(r["Timestamps"], r["Values"])} for r in results}
    return [by_id.get(f"m{position}", {}) for position in range(len(alarms))]


def judged(alarm, values, now_s):
    """The verdict on `alarm`, or `None` while it is younger than the periods that it looks at."""
    starts = alarm_rules.periods(alarm, now_s)
    if starts[0] < alarm["AlarmConfigurationUpdatedTimestamp"].timestamp():
        return None
    return alarm_rules.judge(alarm, [values.get(start) for start in starts])


def metric_alarms(cloudwatch):
    """The alarms on one metric. Metric math is not judged here, and each such alarm is named once."""
    for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"]):
        for alarm in page["MetricAlarms"]:
            if alarm.get("MetricName"):
                yield alarm
            elif alarm["AlarmArn"] not in left_out:
                left_out.add(alarm["AlarmArn"])
                print(f"{alarm['AlarmArn']} is on metric math and is NOT judged here: only CloudWatch does", flush=True)


def turn(cloudwatch, now_s):
    """Judges all alarms of one region once."""
    alarms = list(metric_alarms(cloudwatch))
    for first in range(0, len(alarms), QUERIES_MAX):
        some = alarms[first:first + QUERIES_MAX]
        for alarm, values in zip(some, read_points(cloudwatch, some, now_s)):
            verdict = judged(alarm, values, now_s)
            if verdict and verdict[0] != alarm["StateValue"]:
                state, reason = verdict
                cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason=reason)
                moment = datetime.datetime.now().isoformat(timespec="milliseconds")
                print(f"{moment} {alarm['AlarmArn']}: {alarm['StateValue']} -> {state}: {reason}", flush=True)


def end_with_standard_input():
    """Ends this process when the supervisor, which holds the other end, is gone."""

    def wait():
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def main():
    args = arguments()
    end_with_standard_input()
    clients = {
        region: boto3.client(
            "cloudwatch", region_name=region, endpoint_url=args.endpoint,
            aws_access_key_id="000000000000", aws_secret_access_key="sealane-local",
        )
        for region in args.region
    }
    while True:
        started = time.monotonic()
        try:
            cut = cut_regions(args.control)
            for region, client in clients.items():
                if region not in cut:
                    turn(client, time.time())
        except Exception as error:  # one bad turn must not end all later ones
            print(f"a turn failed: {error!r}", flush=True)
        time.sleep(max(0.0, TURN_S - (time.monotonic() - started)))


if __name__ == "__main__":
    main()
