"""Deploys the SAM templates to every region of the local cloud, as `sam deploy` would to AWS.

Reads a plan as JSON from standard input and writes the stacks' outputs as JSON to standard output:

    {"endpoint": "http://127.0.0.1:4566", "account": "000000000000", "infra": "infra", "work": "target/local",
     "functions": {"health-prober": "target/release/health-prober", ...},
     "global": {"region": "us-west-2", "parameters": {...}},
     "regions": [{"name": "us-west-2", "parameters": {...}}, ...]}

    {"global": {outputs}, "regions": {"us-west-2": {outputs}, ...}}
"""

import json
import os
import sys
import time
import zipfile

import boto3
import yaml
from botocore.config import Config
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

STACK_WITHIN_S = 120


class Aws:
    """Clients of one region, all at the same endpoint."""

    def __init__(self, endpoint, account, region):
        self.region, self._endpoint, self._account, self._clients = region, endpoint, account, {}

    def __getattr__(self, service):
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service, region_name=self.region, endpoint_url=self._endpoint,
                aws_access_key_id=self._account, aws_secret_access_key="sealane-local",
                config=Config(retries={"max_attempts": 2}, read_timeout=120),
            )
        return self._clients[service]


def zipped(name, binary, folder):
    """The function's code as Lambda wants it: one executable called `bootstrap`. Returns the path of the zip."""
    path = os.path.join(folder, f"{name}.zip")
    entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o755 << 16
    with open(binary, "rb") as code, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(entry, code.read())
    return path


class Intrinsics(yaml.SafeLoader):
    """Reads CloudFormation's short forms (`!Ref`, `!GetAtt a.b`, `!If [...]`) as the long ones."""


def _intrinsic(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Intrinsics.add_multi_constructor("!", _intrinsic)


def read_template(path):
    with open(path, encoding="utf-8") as text:
        return yaml.load(text, Intrinsics)


class NoManagedPolicies:
    """The templates name no managed policy, so there is nothing to look up."""

    def load(self):
        return {}


def expanded(template, code, parameters):
    """The template after the SAM transform, with each function's code at `code[name]` (an `s3://` address)."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            folder = resource["Properties"]["CodeUri"].rstrip("/").rsplit("/", 1)[-1]
            if folder not in code:
                raise SystemExit(f"`{folder}` is a function of the template but not of the plan")
            resource["Properties"]["CodeUri"] = code[folder]
    return transform(template, dict(parameters), NoManagedPolicies())


def is_expression(resource):
    return resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]


def compact(template):
    """The template as text, without what is for people only.

    Alarms on an expression are left out, since MiniStack makes none; each is named.
    """
    bare = {key: value for key, value in template.items() if key not in ("Metadata", "Description")}
    for name in [name for name, resource in template["Resources"].items() if is_expression(resource)]:
        print(f"left out: {name}, an alarm on an expression", file=sys.stderr)
    kept = {name: resource for name, resource in template["Resources"].items() if not is_expression(resource)}
    bare["Resources"] = kept
    for section in ("Parameters", "Outputs"):
        entries = bare.get(section, {}).items()
        bare[section] = {name: {k: v for k, v in entry.items() if k != "Description"} for name, entry in entries}
    return json.dumps({key: value for key, value in bare.items() if value}, separators=(",", ":"))


def sent(aws, text, bucket):
    """How the template goes to CloudFormation: as an object, as `sam deploy` has it, where there is a bucket for it."""
    if bucket is None:
        return {"TemplateBody": text}
    aws.s3.put_object(Bucket=bucket, Key="template.json", Body=text.encode())
    return {"TemplateURL": f"{aws.s3.meta.endpoint_url}/{bucket}/template.json"}


def deploy(aws, stack, template, parameters, bucket=None):
    """Creates the stack, waits until it is there, and returns its outputs."""
    given = [{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()]
    aws.cloudformation.create_stack(
        StackName=stack, **sent(aws, compact(template), bucket), Parameters=given,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    until = time.monotonic() + STACK_WITHIN_S
    while time.monotonic() < until:
        found = aws.cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        if found["StackStatus"] == "CREATE_COMPLETE":
            return {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}
        if not found["StackStatus"].endswith("CREATE_IN_PROGRESS"):
            raise SystemExit(f"stack `{stack}` in {aws.region} ended as {found['StackStatus']}: {failures(aws, stack)}")
        time.sleep(0.05)
    raise SystemExit(f"stack `{stack}` in {aws.region} was not there after {STACK_WITHIN_S} s")


def failures(aws, stack):
    events = aws.cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [e for e in events if "FAILED" in e.get("ResourceStatus", "")]
    return "; ".join(f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason', 'no reason')}" for e in failed) or "no reason given"


def replicate(aws, template, parameters):
    """Adds the replicas of each global table, which MiniStack's CloudFormation leaves out."""

    def value(of):
        if isinstance(of, dict) and "Ref" in of:
            return parameters.get(of["Ref"], template["Parameters"][of["Ref"]].get("Default"))
        if isinstance(of, dict) and "Fn::Sub" in of:
            text = of["Fn::Sub"]
            for name, given in template["Parameters"].items():
                text = text.replace("${%s}" % name, str(parameters.get(name, given.get("Default"))))
            return text
        return of

    def is_made(resource):
        condition = template.get("Conditions", {}).get(resource.get("Condition"))
        one, other = condition["Fn::Equals"] if condition else (None, None)
        return value(one) == value(other)

    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::DynamoDB::GlobalTable" or not is_made(resource):
            continue
        table = value(resource["Properties"]["TableName"])
        wanted = [value(replica["Region"]) for replica in resource["Properties"]["Replicas"]]
        for region in (r for r in wanted if r != aws.region):
            aws.dynamodb.update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": region}}])
            aws.dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})


def upload_code(aws, bucket, zips):
    """Puts the zips into the code bucket of the region; returns their addresses by function."""
    where = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    aws.s3.create_bucket(Bucket=bucket, **where)
    for name, path in zips.items():
        aws.s3.upload_file(path, bucket, f"{name}.zip")
    return {name: f"s3://{bucket}/{name}.zip" for name in zips}


def encrypt(aws, outputs):
    """Sets the bucket's default encryption, which MiniStack's CloudFormation leaves out."""
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": outputs["KeyArn"]},
        "BucketKeyEnabled": True,
    }
    configuration = {"Rules": [rule]}
    aws.s3.put_bucket_encryption(Bucket=outputs["BucketName"], ServerSideEncryptionConfiguration=configuration)


def first_probe(aws, outputs):
    """Starts the first minute of probing now; the schedule's first turn is a minute away."""
    event = {
        "version": "0", "id": "00000000-0000-0000-0000-000000000000", "detail-type": "Scheduled Event",
        "source": "aws.events", "account": "000000000000", "region": aws.region, "resources": [], "detail": {},
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    getattr(aws, "lambda").invoke(
        FunctionName=outputs["HealthProberName"], InvocationType="Event", Payload=json.dumps(event)
    )


def main():
    plan = json.load(sys.stdin)
    os.environ.setdefault("AWS_DEFAULT_REGION", plan["global"]["region"])
    aws = {r["name"]: Aws(plan["endpoint"], plan["account"], r["name"]) for r in plan["regions"]}

    shared, home = plan["global"], aws[plan["global"]["region"]]
    template = read_template(os.path.join(plan["infra"], "global.yaml"))
    outputs = {"global": deploy(home, "sealane-global", template, shared["parameters"]), "regions": {}}
    replicate(home, template, shared["parameters"])

    zips = {name: zipped(name, path, plan["work"]) for name, path in plan["functions"].items()}
    for region in plan["regions"]:
        name, parameters = region["name"], region["parameters"]
        bucket = f"sealane-code-{plan['account']}-{name}"
        code = upload_code(aws[name], bucket, zips)
        template = expanded(read_template(os.path.join(plan["infra"], "template.yaml")), code, parameters)
        outputs["regions"][name] = deploy(aws[name], "sealane", template, parameters, bucket)
        if "BucketName" in outputs["regions"][name]:
            encrypt(aws[name], outputs["regions"][name])
    for region in plan["regions"]:
        first_probe(aws[region["name"]], outputs["regions"][region["name"]])
    json.dump(outputs, sys.stdout)


if __name__ == "__main__":
    main()
