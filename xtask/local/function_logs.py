"""Delivers function output while the function runs, and turns EMF lines into metrics.

CloudWatch Logs shows a line within seconds and extracts embedded metrics (EMF) from it. MiniStack
writes a function's lines when its invocation ends, which for a prober that loops for a minute is a
minute late, and extracts nothing.
"""

import datetime
import json
import logging
import time
import uuid

log = logging.getLogger("sealane.function_logs")


def metrics_in(line):
    """The metric data of an EMF line as `(namespace, name, dimensions, timestamp_s, unit, value)`; none otherwise.

    A metric is stored once for each of its dimension sets. A line that is not EMF yields nothing, and a metric
    or dimension that is named but not present is left out, as CloudWatch does.
    """
    if '"_aws"' not in line:
        return
    try:
        document = json.loads(line)
        meta = document["_aws"]
        directives, stamp_s = meta["CloudWatchMetrics"], meta["Timestamp"] / 1000
    except (ValueError, KeyError, TypeError):
        return
    for directive in directives:
        for names in directive.get("Dimensions") or [[]]:
            dimensions = {name: str(document[name]) for name in names if name in document}
            for metric in directive.get("Metrics", []):
                found = document.get(metric["Name"])
                for value in found if isinstance(found, list) else [found]:
                    if isinstance(value, (int, float)) and not isinstance(value, bool):
                        unit = metric.get("Unit", "None")
                        yield directive["Namespace"], metric["Name"], dimensions, stamp_s, unit, float(value)


def install(runtime, lambda_svc, logs, cloudwatch, request_scope):
    """Hooks the delivery into MiniStack's worker of `provided` runtimes."""
    emit = lambda_svc._emit_lambda_logs
    pump = runtime.ProvidedWorker._pump_output

    def pump_live(worker, stream, queue):
        arn = worker.config.get("FunctionArn", "")
        account, region = runtime._lambda_function_account_region_from_arn(arn)
        name = f"{datetime.date.today():%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
        deliver = lambda line: _deliver(logs, cloudwatch, worker.func_name, name, line)

        class Tee:
            def put_nowait(self, line):
                with request_scope(account, region):
                    deliver(line)
                queue.put_nowait(line)

            def get_nowait(self):
                return queue.get_nowait()

        pump(worker, stream, Tee())

    def emit_frame(func, request_id, text, error, duration_ms, *, log_source=None):
        # The lines themselves were delivered when they were printed.
        emit(func, request_id, "", error, duration_ms, log_source=log_source)

    runtime.ProvidedWorker._pump_output = pump_live
    lambda_svc._emit_lambda_logs = emit_frame
    # MiniStack judges alarms without their dimensions; `bridge.py` judges them instead.
    cloudwatch._evaluate_alarm = lambda alarm: None


def _deliver(logs, cloudwatch, function, stream_name, line):
    try:
        now_ms = int(time.time() * 1000)
        group = logs._log_groups.get(f"/aws/lambda/{function}")
        if group is None:
            group = logs._log_groups[f"/aws/lambda/{function}"] = {
                "arn": logs._make_group_arn(f"/aws/lambda/{function}"), "creationTime": now_ms,
                "retentionInDays": None, "tags": {}, "subscriptionFilters": {}, "streams": {},
            }
        stream = group["streams"].setdefault(stream_name, {
            "events": [], "uploadSequenceToken": "1", "creationTime": now_ms,
            "firstEventTimestamp": None, "lastEventTimestamp": None, "lastIngestionTime": None,
        })
        logs._append_log_events(stream, [{"timestamp": now_ms, "message": line, "ingestionTime": now_ms}])
        for namespace, metric, dimensions, stamp_s, unit, value in metrics_in(line):
            cloudwatch._store_datum(namespace, metric, dimensions, stamp_s, unit, value, None, None, None)
    except Exception:  # a lost log line must not stop the function that printed it
        log.exception("a line of `%s` was not delivered", function)
