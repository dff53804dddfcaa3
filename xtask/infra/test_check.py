"""Planted mistakes: each rule must stay silent on the real templates and catch its mistake.

Run with `python -m unittest discover xtask/infra`.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
import tomllib
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import check
import rules
from template import Template

INFRA = check.ROOT / "infra"
SHARED = Template.read(INFRA / "global.yaml")
REGION = Template.read(INFRA / "template.yaml")
SAMCONFIG = tomllib.loads((INFRA / "samconfig.toml").read_text(encoding="utf-8"))

Edit = Callable[[dict[str, dict[str, Any]]], None]


def planted(template: Template, edit: Edit) -> Template:
    """A copy of `template` with `edit` made to its resources' properties."""
    copy = template.copy()
    edit({name: resource.get("Properties", {}) for name, resource in copy.resources.items()})
    return copy


def statement(role: dict[str, Any], sid: str) -> dict[str, Any]:
    """The statement `sid` of a role's only policy."""
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    return next(s for s in statements if s["Sid"] == sid)


class TheRealTemplates(unittest.TestCase):
    def test_have_no_problem(self) -> None:
        for template in (SHARED, REGION):
            self.assertEqual([], list(rules.judge(template)))

    def test_fit_together(self) -> None:
        self.assertEqual([], list(rules.tables_exist(SHARED, REGION)))
        self.assertEqual([], list(rules.stacks_fit_together(SAMCONFIG, SHARED, REGION)))
        self.assertEqual([], list(rules.replicas_are_regions(SHARED, "us-west-2")))

    def test_every_rule_has_something_to_judge(self) -> None:
        """A rule that finds none of its resources would be silent for the wrong reason."""
        kinds = {r["Type"] for t in (SHARED, REGION) for r in t.resources.values()}
        for kind in (
            rules.FUNCTION,
            rules.GLOBAL_TABLE,
            "AWS::ApiGatewayV2::Route",
            "AWS::CloudWatch::Alarm",
            "AWS::Lambda::EventSourceMapping",
            "AWS::Lambda::Permission",
            "AWS::Logs::LogGroup",
            "AWS::S3::Bucket",
        ):
            self.assertIn(kind, kinds)


class PlantedMistakes(unittest.TestCase):
    def caught(self, template: Template, edit: Edit, *words: str) -> None:
        """`edit` raises problems, and each of `words` stands in one of them."""
        found = list(rules.judge(planted(template, edit)))
        self.assertTrue(found, "the mistake went unnoticed")
        for word in words:
            self.assertTrue(any(word in problem for problem in found), f"{word}: {found}")

    def test_a_wild_action(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            statement(r["WorksetApiRole"], "Control")["Action"] = "dynamodb:*"

        self.caught(REGION, edit, "`WorksetApiRole` statement `Control`", "name each action")

    def test_a_wild_resource(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            statement(r["HealthProberRole"], "HealthInEveryRegion")["Resource"] = "*"

        self.caught(REGION, edit, "every resource")

    def test_an_excuse_that_is_not_needed(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["Key"]["KeyPolicy"]["Statement"][0]["Action"] = ["kms:Decrypt"]

        self.caught(REGION, edit, "needs no excuse")

    def test_a_wildcard_for_a_table(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            statement(r["FailoverHandlerRole"], "Control")["Resource"] = {
                "Fn::Sub": "arn:${AWS::Partition}:dynamodb:*:${AWS::AccountId}:table/${Prefix}-*"
            }

        self.caught(REGION, edit, "table/sealane-*")

    def test_a_wildcard_for_an_account(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            statement(r["FailoverHandlerRole"], "Control")["Resource"] = (
                "arn:aws:dynamodb:us-west-2:*:table/sealane-control"
            )

        self.caught(REGION, edit, "may only stand for the region")

    def test_a_topic_that_nobody_named(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            policy = r["UploadOrchestratorTopics"]["PolicyDocument"]["Statement"]
            policy[0]["Resource"] = "arn:aws:sns:us-west-2:000000000000:other"

        self.caught(REGION, edit, "`TellTopics`", "NotifyTopicArns")

    def test_a_secret_that_is_shown(self) -> None:
        template = REGION.copy()
        del template.body["Parameters"]["WebhookSecret1"]["NoEcho"]
        found = list(rules.judge(template))
        self.assertTrue(any("`WebhookSecret1`" in problem for problem in found), found)

    def test_a_wildcard_for_a_bucket(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            statement(r["UploadOrchestratorRole"], "CopyToEveryRegion")["Resource"] = (
                "arn:aws:s3:::*/*"
            )

        self.caught(REGION, edit, "may only stand for the region")

    def test_keys_without_the_alias(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            del statement(r["HealthProberRole"], "KeysOfTheBuckets")["Condition"]

        self.caught(REGION, edit, "key/*")

    def test_a_queue_that_trusts_every_account(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            del r["UploadQueuePolicy"]["PolicyDocument"]["Statement"][0]["Condition"]

        self.caught(REGION, edit, "aws:SourceAccount", "aws:SourceArn")

    def test_a_permission_without_a_source(self) -> None:
        self.caught(REGION, lambda r: r["ApiPermission"].pop("SourceArn"), "`ApiPermission`")

    def test_a_shared_role(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["FailoverHandler"]["Role"] = r["HealthProber"]["Role"]

        self.caught(REGION, edit, "shares the role")

    def test_a_table_granted_but_not_named(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            statement(r["HealthProberRole"], "HealthInEveryRegion")["Resource"] = (
                "arn:aws:dynamodb:*:000000000000:table/sealane-ledger"
            )

        self.caught(REGION, edit, "may use the table LEDGER", "is told of the table HEALTH")

    def test_a_missing_variable(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            del r["WorksetApi"]["Environment"]["Variables"]["SEALANE_TABLES_LEDGER"]

        self.caught(REGION, edit, "reads `SEALANE_TABLES_LEDGER`, which is not set")

    def test_a_variable_that_nobody_reads(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["HealthProber"]["Environment"]["Variables"]["SEALANE_TABLES_LEDGER"] = "x"

        self.caught(REGION, edit, "does not read `SEALANE_TABLES_LEDGER`")

    def test_a_function_that_is_not_listed(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["HealthProber"]["FunctionName"] = "sealane-probe"

        self.caught(REGION, edit, "is not in variables.json")

    def test_an_endpoint_override(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["HealthProber"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = "http://x"

        self.caught(REGION, edit, "does not read `AWS_ENDPOINT_URL`")

    def test_a_function_without_a_log_group(self) -> None:
        self.caught(REGION, lambda r: r["WorksetApi"].pop("LoggingConfig"), "no log group")

    def test_a_log_group_under_another_name(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["WorksetApiLogs"]["LogGroupName"] = "/aws/lambda/other"

        self.caught(REGION, edit, "is not called `/aws/lambda/sealane-workset-api`")

    def test_logs_kept_for_ever(self) -> None:
        self.caught(REGION, lambda r: r["ApiLogs"].pop("RetentionInDays"), "`ApiLogs`")

    def test_a_short_visibility(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["UploadQueue"]["VisibilityTimeout"] = 5399

        self.caught(REGION, edit, "VisibilityTimeout >= 5400")

    def test_a_longer_timeout(self) -> None:
        self.caught(REGION, lambda r: r["UploadOrchestrator"].update(Timeout=901), ">= 5406")

    def test_a_dead_letter_queue_that_forgets_first(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["UploadDeadLetterQueue"]["MessageRetentionPeriod"] = 345_600

        self.caught(REGION, edit, "must keep messages longer")

    def test_no_dead_letter_queue(self) -> None:
        self.caught(REGION, lambda r: r["UploadQueue"].pop("RedrivePolicy"), "no dead-letter queue")

    def test_replies_about_single_messages_ignored(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["UploadOrchestratorUploads"].pop("FunctionResponseTypes")

        self.caught(REGION, edit, "loses failed messages")

    def test_an_alarm_without_words(self) -> None:
        self.caught(REGION, lambda r: r["DeadLetterAlarm"].pop("AlarmDescription"), "what to do")

    def test_an_alarm_that_ignores_silence(self) -> None:
        self.caught(REGION, lambda r: r["RegionSilent1"].pop("TreatMissingData"), "missing data")

    def test_an_alarm_that_tells_nobody(self) -> None:
        self.caught(REGION, lambda r: r["RegionDown1"].pop("AlarmActions"), "tells nobody")

    def test_an_impossible_period(self) -> None:
        self.caught(REGION, lambda r: r["RegionDown1"].update(Period=15), "15 s")

    def test_a_metric_that_nobody_emits(self) -> None:
        self.caught(REGION, lambda r: r["RegionDown1"].update(MetricName="Health"), "nobody emits")

    def test_a_metric_of_metric_math_that_nobody_emits(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            stats = [m["MetricStat"] for m in r["UploadErrorAlarm"]["Metrics"] if "MetricStat" in m]
            stats[0]["Metric"]["MetricName"] = "UploadSucces"

        self.caught(REGION, edit, "`UploadSucces` by ('Region',), which nobody emits")

    def test_metric_math_with_two_results(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            for metric in r["UploadErrorAlarm"]["Metrics"]:
                metric["ReturnData"] = True

        self.caught(REGION, edit, "judges 5 results")

    def test_an_odd_period_in_metric_math(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            stats = [m["MetricStat"] for m in r["UploadErrorAlarm"]["Metrics"] if "MetricStat" in m]
            stats[1]["Period"] = 90

        self.caught(REGION, edit, "`UploadErrorAlarm` has a period of 90 s")

    def test_a_dead_region_that_wakes_nobody(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["RegionSilent2"]["AlarmActions"].remove({"Ref": "Topic"})

        self.caught(REGION, edit, "`RegionSilent2` does not wake the handler")

    def test_a_slow_region_that_starts_a_failover(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["RegionSlow1"]["AlarmActions"].append({"Ref": "Topic"})

        self.caught(REGION, edit, "`RegionSlow1` wakes the handler and is no reason to move")

    def test_an_alarm_that_operators_do_not_hear(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["RegionDown1"]["OKActions"].remove({"Ref": "OperatorsTopic"})

        self.caught(REGION, edit, "`RegionDown1` does not tell the operators", "OKActions")

    def test_an_alarm_on_another_observer(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["RegionDown1"]["Dimensions"][0]["Value"] = "us-west-2"

        self.caught(REGION, edit, "the observer is AWS::Region")

    def test_an_alarm_about_another_slot(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["RegionDown1"]["Dimensions"][1]["Value"] = {"Ref": "Watched2"}

        self.caught(REGION, edit, "named after another slot")

    def test_an_open_route(self) -> None:
        self.caught(REGION, lambda r: r["ApiProxyRoute"].pop("AuthorizationType"), "is open")

    def test_an_authorizer_that_defaults_to_open(self) -> None:
        template = REGION.copy()
        template.body["Parameters"]["Authorizer"]["Default"] = "OPEN"
        self.assertTrue(list(rules.only_live_is_open(template)))

    def test_a_public_bucket(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["Bucket"]["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False

        self.caught(REGION, edit, "public access block")

    def test_a_bucket_without_tls(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["BucketPolicy"]["PolicyDocument"]["Statement"][0]["Effect"] = "Allow"

        self.caught(REGION, edit, "TLS-only")

    def test_a_replica_without_recovery(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            del r["LedgerTable"]["Replicas"][2]["PointInTimeRecoverySpecification"]

        self.caught(SHARED, edit, "`LedgerTable` lacks point-in-time recovery in eu-west-1")

    def test_a_table_that_goes_with_its_stack(self) -> None:
        template = SHARED.copy()
        template.resources["ControlTable"]["DeletionPolicy"] = "Delete"
        self.assertTrue(list(rules.tables_are_safe(template)))

    def test_a_key_that_is_not_defined(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["WorksetsTable"]["AttributeDefinitions"].pop()

        self.caught(SHARED, edit, "`gsi1sk`, which is not defined")

    def test_a_definition_that_is_no_key(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["HealthTable"]["AttributeDefinitions"].append(
                {"AttributeName": "rank", "AttributeType": "S"}
            )

        self.caught(SHARED, edit, "`rank`, which is no key")


    def test_calls_that_never_end(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["WorksetsTable"].pop("TimeToLiveSpecification")

        self.caught(SHARED, edit, "`WorksetsTable` has the time to live None")

    def test_a_strong_table_whose_rows_end(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["ControlTable"]["TimeToLiveSpecification"] = {"AttributeName": "ttl", "Enabled": True}

        self.caught(SHARED, edit, "want None")

    def test_worksets_tables_of_two_shapes(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["StrongWorksetsTable"]["GlobalSecondaryIndexes"][0]["IndexName"] = "by-mood"

        self.caught(SHARED, edit, "`GlobalSecondaryIndexes` of the two worksets tables differs")

    def test_strong_worksets_that_end(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            ends = {"AttributeName": "ttl", "Enabled": True}
            r["StrongWorksetsTable"]["TimeToLiveSpecification"] = ends

        self.caught(SHARED, edit, "`StrongWorksetsTable` has the time to live")

    def test_strong_worksets_that_lie_elsewhere_than_control(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["StrongWorksetsTable"]["Replicas"].pop()

        self.caught(SHARED, edit, "`Replicas` of `StrongWorksetsTable` is not that of")

    def test_two_worksets_tables_at_once(self) -> None:
        template = SHARED.copy()
        del template.resources["WorksetsTable"]["Condition"]
        found = list(rules.worksets_differ_in_consistency_alone(template))
        self.assertEqual(1, len(found), found)


class PlantedRegions(unittest.TestCase):
    def found(self, edit: Edit, home: str = "us-west-2") -> str:
        return "\n".join(rules.replicas_are_regions(planted(SHARED, edit), home))

    def test_an_unknown_replica(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["HealthTable"]["Replicas"][1]["Region"] = "us-est-1"

        self.assertIn("`us-est-1`, which is no region", self.found(edit))

    def test_a_home_without_a_replica(self) -> None:
        self.assertIn("no replica in `eu-north-1`", self.found(lambda r: None, "eu-north-1"))

    def test_a_region_twice(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["HealthTable"]["Replicas"][1]["Region"] = "us-west-2"

        self.assertIn("twice", self.found(edit))

    def test_a_strong_table_across_the_ocean(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["ControlTable"]["Replicas"][1]["Region"] = "eu-west-1"

        self.assertIn("no common region set", self.found(edit))

    def test_a_strong_table_without_its_witness(self) -> None:
        found = self.found(lambda r: r["ControlTable"].pop("GlobalTableWitnesses"))
        self.assertIn("2 and a witness", found)

    def test_a_table_that_does_not_exist(self) -> None:
        def edit(r: dict[str, dict[str, Any]]) -> None:
            r["WorksetApi"]["Environment"]["Variables"]["SEALANE_TABLES_LEDGER"] = "sealane-legder"

        self.assertTrue(list(rules.tables_exist(SHARED, planted(REGION, edit))))

    def test_a_region_that_watches_itself(self) -> None:
        text = (INFRA / "samconfig.toml").read_text(encoding="utf-8")
        wrong = tomllib.loads(text.replace('"Watched1=us-east-1"', '"Watched1=us-west-2"', 1))
        found = list(rules.stacks_fit_together(wrong, SHARED, REGION))
        self.assertEqual(1, len(found), found)

    def test_a_section_too_few(self) -> None:
        fewer = {name: body for name, body in SAMCONFIG.items() if name != "eu-west-1"}
        self.assertTrue(list(rules.stacks_fit_together(fewer, SHARED, REGION)))

    def test_a_parameter_without_documentation(self) -> None:
        source = (INFRA / "template.yaml").read_text(encoding="utf-8")
        self.assertEqual([], list(rules.parameters_are_documented(source, REGION)))
        source = source.replace("#   TrustStore ", "#   Store ", 1)
        found = list(rules.parameters_are_documented(source, REGION))
        self.assertEqual(["`TrustStore` is missing from the comment at the top"], found)


class TheLinters(unittest.TestCase):
    def test_a_misspelt_property_is_caught_on_the_expansion(self) -> None:
        wrong = planted(REGION, lambda r: r["HealthProber"].update(MemorySise=256))
        self.assertIn("MemorySise", "\n".join(check.linted(wrong)))

    def test_a_warning_counts(self) -> None:
        wrong = REGION.copy()
        wrong.body["Parameters"]["Unused"] = {"Type": "String", "Default": ""}
        self.assertIn("W2001", "\n".join(check.linted(wrong)))

    def test_the_command_fails_with_the_problem_printed(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(INFRA, folder, dirs_exist_ok=True)
            path = Path(folder) / "template.yaml"
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("Timeout: 900", "Timeout: 9000"), encoding="utf-8")
            printed = io.StringIO()
            with mock.patch.object(sys, "argv", ["check.py", "--infra", folder]):
                with contextlib.redirect_stdout(printed):
                    code = check.main()
        self.assertEqual(1, code)
        self.assertIn("9000 is greater than the maximum of 900", printed.getvalue())
        self.assertIn("sam validate", printed.getvalue())


if __name__ == "__main__":
    unittest.main()
