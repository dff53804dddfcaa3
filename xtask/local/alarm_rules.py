"""How CloudWatch judges a metric alarm, as a pure function of the alarm and its data points."""

import math

OPERATORS = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


def periods(alarm, now_s):
    """Starts (in epoch seconds, oldest first) of the last complete periods that `alarm` looks at."""
    length = alarm["Period"]
    end = math.floor(now_s / length) * length
    return [end - length * back for back in range(alarm["EvaluationPeriods"], 0, -1)]


def judge(alarm, points):
    """The state that `points` call for, and the reason in words; `None` where the state is to stay.

    `points` are the values of the last complete periods, oldest first; `None` marks one without data.
    M of N are `DatapointsToAlarm` (all, if left out) of `EvaluationPeriods`. A missing point counts as
    `TreatMissingData` says; if it says `ignore`, or `missing` while others are there, a state is left
    only for what the points that are there decide by themselves.
    """
    needed = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
    treat = alarm.get("TreatMissingData") or "missing"
    breaches = OPERATORS[alarm["ComparisonOperator"]]
    there = [value for value in points if value is not None]
    missing = len(points) - len(there)
    bad = sum(breaches(value, alarm["Threshold"]) for value in there)
    if treat == "breaching":
        bad, missing = bad + missing, 0
    elif treat == "notBreaching":
        missing = 0
    seen = ", ".join("none" if value is None else f"{value:g}" for value in points)
    reason = f"{bad} of the last {len(points)} data points [{seen}] breach the threshold {alarm['Threshold']:g}"
    if bad >= needed:
        return "ALARM", reason
    if missing == len(points):
        return ("INSUFFICIENT_DATA", "no data") if treat == "missing" else None
    if bad + missing >= needed:
        return None
    return "OK", reason
