"""Acts of the live drill that no command of Sealane is for.

    drill_acts.py CLOUD_JSON forget
        deletes every row of the control table, so that the regions begin anew in the primary region
    drill_acts.py CLOUD_JSON storm EVENT TIMES
        publishes the alarm of a recorded event TIMES times to the topic of every region

Prints what it did as one line of JSON.
"""

import json
import sys

import boto3
from botocore.config import Config

TOPIC = "sealane"


def client(record, region, service):
    keys, endpoints = record["credentials"], region["endpoints"]
    return boto3.client(
        service, region_name=region["name"], endpoint_url=endpoints.get(service, endpoints["other"]),
        aws_access_key_id=keys["access_key_id"], aws_secret_access_key=keys["secret_access_key"],
        config=Config(retries={"max_attempts": 3}, connect_timeout=5, read_timeout=60),
    )


def forget(record, _):
    """The table is one for all regions, so it is asked through one of them."""
    table, dynamodb = record["tables"]["control"], client(record, record["regions"][0], "dynamodb")
    deleted = 0
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            dynamodb.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})
            deleted += 1
    return {"deleted": deleted}


def topics(sns):
    pages = sns.get_paginator("list_topics").paginate()
    found = [topic["TopicArn"] for page in pages for topic in page["Topics"]]
    return [arn for arn in found if TOPIC in arn.rsplit(":", 1)[1]]


def storm(record, arguments):
    with open(arguments[0], encoding="utf-8") as file:
        recorded = json.load(file)["Records"][0]["Sns"]
    published = 0
    for region in record["regions"] + record["witnesses"]:
        sns = client(record, region, "sns")
        for arn in topics(sns):
            for _ in range(int(arguments[1])):
                sns.publish(TopicArn=arn, Subject=recorded["Subject"], Message=recorded["Message"])
                published += 1
    return {"published": published}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        record = json.load(file)
    print(json.dumps({"forget": forget, "storm": storm}[sys.argv[2]](record, sys.argv[3:])))


if __name__ == "__main__":
    main()
