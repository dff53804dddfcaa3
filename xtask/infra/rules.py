"""What cfn-lint does not know about our templates.

Each rule takes expanded templates and yields problems; each problem names the thing in backticks
and the remedy. Rules never change what they read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cfnlint.helpers import REGIONS

from template import Statement, Template

# The variables that each function reads, by the name of its binary; a test of the functions reads
# the same file. Any other SEALANE_ variable is a knob that does nothing, and a missing one is a
# function that fails on its first event.
VARIABLES: dict[str, frozenset[str]] = {
    function: frozenset(names)
    for function, names in json.loads(
        Path(__file__).with_name("variables.json").read_text(encoding="utf-8")
    ).items()
}

# Variables that are not settings: for the TLS library, and secrets that the configuration names.
FOREIGN_VARIABLES = frozenset({"SSL_CERT_FILE", "WEBHOOK_SECRET_1", "WEBHOOK_SECRET_2"})

# `*` where AWS demands it: (resource, Sid) and the reason.
WILD_ACTIONS = {
    ("Key", "AccountDelegatesToIam"): "a key policy without it can lock everyone out of the key",
}
WILD_RESOURCES = {
    ("Key", "AccountDelegatesToIam"): "in a key policy `*` means the key itself",
    ("Key", "AlarmsPublish"): "in a key policy `*` means the key itself",
}

# Metrics that the functions emit, and the dimensions under which alarms may read them.
METRICS = {
    "RegionHealth": ("Observer", "Region"),
    "RegionLatency": ("Observer", "Region"),
    "RegionErrorRate": ("Observer", "Region"),
    "ReplicationLag": ("Observer", "Region"),
    "OldestUnreplicatedAge": ("Region",),
    "RegionUtilization": ("Region",),
    "UploadSuccess": ("Region",),
    "UploadFailure": ("Region",),
    "UploadThroughput": ("Region",),
    "OldestNotificationAge": ("Region",),
    "NotificationsParked": ("Region",),
}

# Alarms that may mean that work has to move, by the start of their logical id. These wake the
# failover handler; every alarm is told to the operators.
WAKING = ("RegionDown", "RegionSilent")
HANDLERS_TOPIC = {"Ref": "Topic"}
OPERATORS_TOPIC = {"Ref": "OperatorsTopic"}

# Regions whose replicas can be strongly consistent with each other.
STRONG_SETS = (
    {"us-east-1", "us-east-2", "us-west-2"},
    {"eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1"},
    {"ap-northeast-1", "ap-northeast-2", "ap-northeast-3"},
)

FUNCTION = "AWS::Lambda::Function"
GLOBAL_TABLE = "AWS::DynamoDB::GlobalTable"

Problems = Iterator[str]


def actions_are_named(template: Template) -> Problems:
    """No statement that allows names an action with a `*`, but for the listed exceptions."""
    wild = {
        (s.resource, s.sid): s
        for s in template.statements()
        if s.allows and any("*" in action for action in s.actions)
    }
    for place in wild.keys() - WILD_ACTIONS.keys():
        yield f"{wild[place]} allows {wild[place].actions}: name each action"
    yield from _unused("WILD_ACTIONS", WILD_ACTIONS, wild, template)


def resources_are_named(template: Template) -> Problems:
    """No statement that allows covers every resource, but for the listed exceptions."""
    wild = {
        (s.resource, s.sid): s
        for s in template.statements()
        if s.allows and ("*" in s.resources or "NotResource" in s.body)
    }
    for place in wild.keys() - WILD_RESOURCES.keys():
        yield f"{wild[place]} allows every resource: name the ARNs"
    yield from _unused("WILD_RESOURCES", WILD_RESOURCES, wild, template)


def _unused(table: str, listed: dict, used: dict, template: Template) -> Problems:
    for resource, sid in listed.keys() - used.keys():
        if resource in template.resources:
            yield f"`{table}` lists `{resource}` `{sid}`, which needs no excuse: remove it"


def wildcards_stand_for_regions(template: Template) -> Problems:
    """In an ARN, `*` may stand for a region, for keys in a bucket, or for a key known by alias."""
    for statement in template.statements():
        if not statement.allows:
            continue
        for resource in statement.resources:
            arn = str(template.text(resource))
            if arn != "*" and not _wildcard_is_fine(arn, statement):
                yield f"{statement} covers `{arn}`: a `*` may only stand for the region"


def _wildcard_is_fine(arn: str, statement: Statement) -> bool:
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return "*" not in arn
    _, _, service, _, account, name = parts
    if "*" in account or "*" in service:
        return False
    if service == "s3":
        bucket, _, _ = name.partition("/")
        return "*" not in bucket.removesuffix("-*")
    if service == "kms":
        conditions = statement.body.get("Condition", {})
        return name == "key/*" and "kms:ResourceAliases" in conditions.get(
            "ForAnyValue:StringEquals", {}
        )
    if service in ("cloudwatch", "execute-api"):
        return True
    return "*" not in name


def services_are_checked_for_our_account(template: Template) -> Problems:
    """A service that may act on a resource of ours must act for our account (confused deputy)."""
    for statement in template.statements():
        principal = statement.body.get("Principal")
        if not statement.allows or not isinstance(principal, dict) or "Service" not in principal:
            continue
        if "sts:AssumeRole" in statement.actions:
            continue
        conditions = {k for group in statement.body.get("Condition", {}).values() for k in group}
        if "aws:SourceAccount" not in conditions:
            yield f"{statement} trusts {principal['Service']} for all: add aws:SourceAccount"
        in_key_policy = template.resources[statement.resource]["Type"] == "AWS::KMS::Key"
        if "aws:SourceArn" not in conditions and not in_key_policy:
            yield f"{statement} trusts {principal['Service']} for any resource: add aws:SourceArn"
    for name, properties in template.of_type("AWS::Lambda::Permission"):
        if "SourceArn" not in properties:
            yield f"`{name}` lets any resource of {properties['Principal']} invoke: add SourceArn"


def each_function_has_its_own_role(template: Template) -> Problems:
    """One role a function, for Lambda alone."""
    owners: dict[str, str] = {}
    for name, properties in template.of_type(FUNCTION):
        role = template.text(properties["Role"]).strip("<>")
        if role in owners:
            yield f"`{name}` shares the role `{role}` with `{owners[role]}`: give it its own"
        owners[role] = name
        if template.resources.get(role, {}).get("Properties", {}).get("ManagedPolicyArns"):
            yield f"`{role}` has managed policies: write out what `{name}` needs"


def roles_reach_the_tables_of_their_function(template: Template) -> Problems:
    """A function may use the tables that its variables name, and no others."""
    for name, properties in template.of_type(FUNCTION):
        role = template.text(properties["Role"]).strip("<>")
        prefix = re.escape(str(template.default("Prefix")))
        granted = {
            match[1].upper()
            for statement in template.statements_of(role)
            for resource in statement.resources
            if (match := re.search(rf":table/{prefix}-([a-z]+)", str(template.text(resource))))
        }
        named = {
            variable.removeprefix("SEALANE_TABLES_")
            for variable in _variables(properties)
            if variable.startswith("SEALANE_TABLES_")
        }
        for table in granted - named:
            yield f"`{role}` may use the table {table}, which `{name}` is not told of: take it away"
        for table in named - granted:
            yield f"`{name}` is told of the table {table}, which `{role}` may not use: allow it"


def variables_are_the_ones_read(template: Template) -> Problems:
    """Every function gets the variables that it reads, and nothing else."""
    for name, properties in template.of_type(FUNCTION):
        binary = template.text(properties["FunctionName"]).removeprefix(
            f"{template.default('Prefix')}-"
        )
        if binary not in VARIABLES:
            yield f"`{name}` (binary `{binary}`) is not in variables.json: list what it reads"
            continue
        present = _variables(properties)
        for variable in sorted(VARIABLES[binary] - present):
            yield f"`{name}` reads `{variable}`, which is not set: add it"
        for variable in sorted(present - VARIABLES[binary] - FOREIGN_VARIABLES):
            yield f"`{name}` does not read `{variable}`: remove it"


def _variables(properties: dict[str, Any]) -> set[str]:
    return set(properties.get("Environment", {}).get("Variables", {}))


def only_named_topics_are_told(template: Template) -> Problems:
    """A role publishes to the topics that `NotifyTopicArns` names, and its secrets are not echoed."""
    for statement in template.statements():
        of_a_role = statement.allows and "Principal" not in statement.body
        if of_a_role and any(action.startswith("sns:") for action in statement.actions):
            if statement.actions != ["sns:Publish"]:
                yield f"{statement} allows {statement.actions}: want sns:Publish alone"
            if statement.resources != [{"Ref": "NotifyTopicArns"}]:
                yield f"{statement} may tell other topics: want !Ref NotifyTopicArns"
    for name, parameter in template.body.get("Parameters", {}).items():
        if "Secret" in name and parameter.get("NoEcho") is not True:
            yield f"the parameter `{name}` is shown to whoever looks: set NoEcho"


def each_function_has_its_log_group(template: Template) -> Problems:
    """A log group per function, under Lambda's own name for it, that forgets in time."""
    groups = dict(template.of_type("AWS::Logs::LogGroup"))
    for name, properties in template.of_type(FUNCTION):
        group = str(template.text(properties.get("LoggingConfig", {}).get("LogGroup"))).strip("<>")
        if group not in groups:
            yield f"`{name}` has no log group of ours: add one and name it in LoggingConfig"
            continue
        wanted = f"/aws/lambda/{template.text(properties['FunctionName'])}"
        if template.text(groups[group].get("LogGroupName")) != wanted:
            yield f"`{group}` is not called `{wanted}`: rename it"
    for group, properties in groups.items():
        if "RetentionInDays" not in properties:
            yield f"`{group}` keeps logs for ever: set RetentionInDays"


def queues_outlast_their_consumers(template: Template) -> Problems:
    """Visibility of six timeouts, a dead-letter queue that keeps longer, and partial replies."""
    for name, mapping in template.of_type("AWS::Lambda::EventSourceMapping"):
        queue_name = template.text(mapping["EventSourceArn"]).strip("<>")
        function = template.text(mapping["FunctionName"]).strip("<>")
        queue = template.resources[queue_name]["Properties"]
        timeout = template.resources[function]["Properties"]["Timeout"]
        if queue.get("VisibilityTimeout", 30) < 6 * timeout:
            yield f"`{queue_name}` shows messages too soon: VisibilityTimeout >= {6 * timeout}"
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"`{name}` loses failed messages: want ReportBatchItemFailures"
        target = queue.get("RedrivePolicy", {}).get("deadLetterTargetArn")
        if target is None:
            yield f"`{queue_name}` has no dead-letter queue: add a RedrivePolicy"
            continue
        dead = template.resources[template.text(target).strip("<>")]["Properties"]
        four_days = 345_600
        if dead.get("MessageRetentionPeriod", four_days) <= queue.get(
            "MessageRetentionPeriod", four_days
        ):
            yield f"the dead-letter queue of `{queue_name}` must keep messages longer than it does"


def alarms_say_what_to_do(template: Template) -> Problems:
    """Every alarm is described, decides on missing data, tells someone, and reads a real metric."""
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm"):
        if len(str(template.text(alarm.get("AlarmDescription", "")))) < 60:
            yield f"`{name}` does not say what to do: describe it"
        if "TreatMissingData" not in alarm:
            yield f"`{name}` leaves missing data to chance: set TreatMissingData"
        if not alarm.get("AlarmActions"):
            yield f"`{name}` tells nobody: set AlarmActions"
        for metric in _metrics(alarm):
            period = metric.get("Period", 60)
            if period not in (10, 20, 30) and period % 60:
                yield f"`{name}` has a period of {period} s: take 10, 20, 30 or a multiple of 60"
            if metric.get("Namespace") != "Sealane":
                continue
            dimensions = tuple(d["Name"] for d in metric.get("Dimensions", []))
            if METRICS.get(metric.get("MetricName", "")) != dimensions:
                metric_name = metric.get("MetricName")
                yield f"`{name}` reads `{metric_name}` by {dimensions}, which nobody emits"
        returned = [m for m in alarm.get("Metrics", []) if m.get("ReturnData", True)]
        if "Metrics" in alarm and len(returned) != 1:
            yield f"`{name}` judges {len(returned)} results: return the data of one"


def _metrics(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What an alarm reads: one metric, or those of its metric math, each with its period."""
    if "Metrics" not in alarm:
        yield alarm
    for query in alarm.get("Metrics", []):
        if "MetricStat" in query:
            stat = query["MetricStat"]
            yield {**stat["Metric"], "Period": stat["Period"]}


def alarms_wake_whom_they_should(template: Template) -> Problems:
    """Down and silent wake the handler, nothing else does, and operators are told of all."""
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm"):
        for kind in ("AlarmActions", "OKActions"):
            told = alarm.get(kind, [])
            if OPERATORS_TOPIC not in told:
                yield f"`{name}` does not tell the operators: add OperatorsTopic to {kind}"
            if name.startswith(WAKING) and HANDLERS_TOPIC not in told:
                yield f"`{name}` does not wake the handler: add Topic to {kind}"
            if not name.startswith(WAKING) and HANDLERS_TOPIC in told:
                yield f"`{name}` wakes the handler and is no reason to move: take Topic from {kind}"


def alarms_about_regions_watch_from_here(template: Template) -> Problems:
    """Alarms about another region are on what this region observed, one of each kind a slot."""
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm"):
        dimensions = {d["Name"]: d["Value"] for d in alarm.get("Dimensions", [])}
        if "Observer" not in dimensions:
            continue
        slot = dimensions["Region"].get("Ref", "")
        if dimensions["Observer"] != {"Ref": "AWS::Region"}:
            yield f"`{name}` trusts another region's prober: the observer is AWS::Region"
        if not name.endswith(slot.removeprefix("Watched")) or f"${{{slot}}}" not in str(
            alarm["AlarmName"]
        ):
            yield f"`{name}` is about `{slot}` but named after another slot: rename it"
        if template.resources[name].get("Condition") != slot.replace("Watched", "Watches"):
            yield f"`{name}` exists although `{slot}` may be empty: give it the slot's condition"


def only_live_is_open(template: Template) -> Problems:
    """Without choosing otherwise, every route but `GET /v1/live` asks for a signed request."""
    for name, route in template.of_type("AWS::ApiGatewayV2::Route"):
        kind = route.get("AuthorizationType", "NONE")
        if route["RouteKey"] == "GET /v1/live":
            if kind != "NONE":
                yield f"`{name}` is closed: probers of other regions must reach it"
        elif not (isinstance(kind, dict) and kind.get("Fn::If", [])[:2] == ["IsIam", "AWS_IAM"]):
            yield f"`{name}` ({route['RouteKey']}) is open: put it behind the authorizer"
    routes = any(template.of_type("AWS::ApiGatewayV2::Route"))
    if routes and template.default("Authorizer") != "IAM":
        yield "`Authorizer` does not default to IAM: an API must be closed unless someone opens it"


def buckets_are_safe(template: Template) -> Problems:
    """Versioned, private, owner enforced, KMS, TLS only, kept, and clean of dead uploads."""
    tls_only = {
        template.text(template.resources[s.resource]["Properties"]["Bucket"]).strip("<>")
        for s in template.statements()
        if template.resources[s.resource]["Type"] == "AWS::S3::BucketPolicy"
        and s.body.get("Effect") == "Deny"
        and s.body.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    }
    for name, bucket in template.of_type("AWS::S3::Bucket"):
        text = str(bucket)
        block = bucket.get("PublicAccessBlockConfiguration", {})
        demands = {
            "versioning": bucket.get("VersioningConfiguration") == {"Status": "Enabled"},
            "a full public access block": len(block) == 4 and all(block.values()),
            "enforced ownership": "BucketOwnerEnforced" in text,
            "SSE-KMS": "aws:kms" in text and "KMSMasterKeyID" in text,
            "a TLS-only policy": name in tls_only,
            "an end to incomplete uploads": "AbortIncompleteMultipartUpload" in text,
            "DeletionPolicy Retain": template.resources[name].get("DeletionPolicy") == "Retain",
        }
        for demand, met in demands.items():
            if not met:
                yield f"`{name}` lacks {demand}"


def tables_are_safe(template: Template) -> Problems:
    """Encrypted, restorable, on demand, protected and kept."""
    for name, table in template.of_type(GLOBAL_TABLE):
        demands = {
            "encryption": table.get("SSESpecification", {}).get("SSEEnabled") is True,
            "on-demand billing": table.get("BillingMode") == "PAY_PER_REQUEST",
            "DeletionPolicy Retain": template.resources[name].get("DeletionPolicy") == "Retain",
        }
        for replica in table["Replicas"]:
            region = template.text(replica["Region"])
            recovery = replica.get("PointInTimeRecoverySpecification", {})
            demands[f"deletion protection in {region}"] = (
                replica.get("DeletionProtectionEnabled") is True
            )
            demands[f"point-in-time recovery in {region}"] = (
                recovery.get("PointInTimeRecoveryEnabled") is True
            )
        for demand, met in demands.items():
            if not met:
                yield f"`{name}` lacks {demand}"


def keys_are_defined(template: Template) -> Problems:
    """Every key attribute is defined, and every definition is a key."""
    for name, table in template.of_type(GLOBAL_TABLE):
        schemas = [table["KeySchema"]]
        schemas += [index["KeySchema"] for index in table.get("GlobalSecondaryIndexes", [])]
        keys = {key["AttributeName"] for schema in schemas for key in schema}
        defined = {a["AttributeName"] for a in table["AttributeDefinitions"]}
        for attribute in sorted(keys - defined):
            yield f"`{name}` has the key `{attribute}`, which is not defined: define it"
        for attribute in sorted(defined - keys):
            yield f"`{name}` defines `{attribute}`, which is no key: remove it"


def only_calls_end(template: Template) -> Problems:
    """The records of calls end, by the attribute that the adapter writes; strong tables cannot let rows end."""
    for name, table in template.of_type(GLOBAL_TABLE):
        ends = table.get("TimeToLiveSpecification")
        wanted = {"AttributeName": "ttl", "Enabled": True} if name == "WorksetsTable" else None
        if ends != wanted:
            yield f"`{name}` has the time to live {ends}: want {wanted}"


def worksets_differ_in_consistency_alone(template: Template) -> Problems:
    """Either worksets table may be made: of one shape, never both, the strong one where control lies."""
    tables = dict(template.of_type(GLOBAL_TABLE))
    if "StrongWorksetsTable" not in tables:
        return
    eventual, strong = tables["WorksetsTable"], tables["StrongWorksetsTable"]
    apart = {
        "MultiRegionConsistency",
        "GlobalTableWitnesses",
        "TimeToLiveSpecification",
        "Replicas",
    }
    for name in sorted((eventual.keys() | strong.keys()) - apart):
        if eventual.get(name) != strong.get(name):
            yield f"`{name}` of the two worksets tables differs: want one for both"
    for name in ("MultiRegionConsistency", "GlobalTableWitnesses", "Replicas"):
        if strong.get(name) != tables["ControlTable"].get(name):
            yield f"`{name}` of `StrongWorksetsTable` is not that of `ControlTable`"
    wanted = {"WorksetsTable": "eventual", "StrongWorksetsTable": "strong"}
    for table, word in wanted.items():
        condition = template.body.get("Conditions", {}).get(
            template.resources[table].get("Condition")
        )
        if condition != {"Fn::Equals": [{"Ref": "WorksetsConsistency"}, word]}:
            yield f"`{table}` is not made exactly where `WorksetsConsistency` is `{word}`"


def replicas_are_regions(template: Template, home: str) -> Problems:
    """Replicas are known regions, once each, and the stack's own region `home` is one of them."""
    for name, table in template.of_type(GLOBAL_TABLE):
        replicas = [template.text(replica["Region"]) for replica in table["Replicas"]]
        witnesses = [template.text(w["Region"]) for w in table.get("GlobalTableWitnesses", [])]
        for region in replicas + witnesses:
            if region not in REGIONS:
                yield f"`{name}` has a replica in `{region}`, which is no region"
        if len({*replicas, *witnesses}) != len(replicas) + len(witnesses):
            yield f"`{name}` lists a region twice"
        if home not in replicas:
            yield f"`{name}` has no replica in `{home}`, where its stack is deployed"
        if table.get("MultiRegionConsistency") == "STRONG":
            yield from _strong_set(name, replicas, witnesses)


def _strong_set(name: str, replicas: list[str], witnesses: list[str]) -> Problems:
    if (len(replicas), len(witnesses)) not in ((3, 0), (2, 1)):
        yield f"`{name}` is strongly consistent: it needs 3 replicas, or 2 and a witness"
    if not any({*replicas, *witnesses} <= regions for regions in STRONG_SETS):
        yield f"`{name}` spans {replicas + witnesses}, which lie in no common region set"


def tables_exist(shared: Template, region: Template) -> Problems:
    """Every table that a function is told of is one of the shared stack's."""
    tables = {shared.text(t["TableName"]) for _, t in shared.of_type(GLOBAL_TABLE)}
    for name, properties in region.of_type(FUNCTION):
        for variable, value in properties["Environment"]["Variables"].items():
            if variable.startswith("SEALANE_TABLES_") and region.text(value) not in tables:
                yield f"`{name}` is told of the table `{region.text(value)}`, which does not exist"


def stacks_fit_together(samconfig: dict[str, Any], shared: Template, region: Template) -> Problems:
    """The sections of samconfig.toml are the regions of the tables, and watch each other."""
    tables = {name: body for name, body in samconfig.items() if isinstance(body, dict)}
    sections = {name: body for name, body in tables.items() if "deploy" in body}
    health = dict(shared.of_type(GLOBAL_TABLE))["HealthTable"]
    replicas = {shared.text(replica["Region"]) for replica in health["Replicas"]}
    if set(sections) != replicas:
        yield f"samconfig.toml deploys to {sorted(sections)}, the tables lie in {sorted(replicas)}"
    values = {
        name: dict(p.split("=", 1) for p in body["deploy"]["parameters"]["parameter_overrides"])
        for name, body in sections.items()
    }
    full = {name for name, given in values.items() if given.get("RegionRole") == "full"}
    for name, given in values.items():
        if sections[name]["global"]["parameters"]["region"] != name:
            yield f"section `{name}` deploys to another region"
        for unknown in given.keys() - region.body["Parameters"].keys():
            yield f"section `{name}` sets `{unknown}`, which is no parameter"
        watched = {value for key, value in given.items() if key.startswith("Watched")}
        if watched != full - {name}:
            yield f"section `{name}` watches {sorted(watched)}: want {sorted(full - {name})}"


def parameters_are_documented(source: str, template: Template) -> Problems:
    """Each parameter has a description and stands in the comment at the top of its file."""
    head = source.split("\nParameters:", 1)[0].split("\nMetadata:", 1)[0]
    for name, parameter in template.body.get("Parameters", {}).items():
        stem = re.sub(r"\d$", "", name)
        if not parameter.get("Description"):
            yield f"`{name}` has no description"
        if not re.search(rf"^#.*\b{stem}", head, re.MULTILINE):
            yield f"`{name}` is missing from the comment at the top"


# Rules that need one template only.
EVERYWHERE = (
    actions_are_named,
    resources_are_named,
    wildcards_stand_for_regions,
    services_are_checked_for_our_account,
    each_function_has_its_own_role,
    roles_reach_the_tables_of_their_function,
    variables_are_the_ones_read,
    only_named_topics_are_told,
    each_function_has_its_log_group,
    queues_outlast_their_consumers,
    alarms_say_what_to_do,
    alarms_wake_whom_they_should,
    alarms_about_regions_watch_from_here,
    only_live_is_open,
    buckets_are_safe,
    tables_are_safe,
    keys_are_defined,
    only_calls_end,
    worksets_differ_in_consistency_alone,
)


def judge(template: Template) -> Iterable[str]:
    """Every problem of one template."""
    return [problem for rule in EVERYWHERE for problem in rule(template)]
