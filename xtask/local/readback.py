"""Reads objects and rows of the local cloud back, so that a claim is checked against the bytes themselves.

Started with the path of `cloud.json` and a folder for what is downloaded. Reads one request a line and
answers with one line:

    {"do": "copies", "key": "run/0042.tar.zst", "regions": ["us-east-1"], "source": "path"}
        {"copies": [{"region", "bytes", "crc64nvme", "version_id", "metadata"}], "missing": [...], "equal": true,
         "archive": {"files": 3, "differences": []}}
    {"do": "row", "region": "us-east-1", "table": "control", "pk": "assignment", "sk": "current"}
        {"found": true, "body": {...}, "indexed": false}
    {"do": "rows", "region": "us-east-1", "table": "ledger", "pk": "upload#.."}
        {"rows": [{"sk": "us-west-2", "body": {...}, "indexed": true}]}

An error of a request is answered as {"error": "..."}; the program goes on.
"""

import base64
import filecmp
import hashlib
import json
import os
import sys
import tarfile

import boto3
import zstandard
from awscrt import checksums
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

CHUNK = 1 << 20
MANIFEST = ".sealane-manifest.json"


class Cloud:
    """The regions as a client reaches them: through the gates."""

    def __init__(self, record):
        self.tables, self._keys = record["tables"], record["credentials"]
        self._regions = {region["name"]: region for region in record["regions"]}
        self._clients = {}

    def bucket(self, region):
        return self._regions[region]["bucket"]

    def client(self, service, region):
        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(
                service, region_name=region, endpoint_url=self._regions[region]["endpoints"][service],
                aws_access_key_id=self._keys["access_key_id"],
                aws_secret_access_key=self._keys["secret_access_key"],
                config=Config(retries={"max_attempts": 2}, connect_timeout=5, read_timeout=120),
            )
        return self._clients[service, region]


class Summed:
    """Passes bytes on to a file and keeps their count and CRC64NVME."""

    def __init__(self, file):
        self._file, self.bytes, self._crc = file, 0, 0

    def write(self, data):
        self._file.write(data)
        self.bytes += len(data)
        self._crc = checksums.crc64nvme(data, self._crc)

    def crc64nvme(self):
        return base64.b64encode(self._crc.to_bytes(8, "big")).decode()


def download(cloud, region, key, path):
    """Every byte of the object, into `path`; None if the region does not have it."""
    try:
        reply = cloud.client("s3", region).get_object(Bucket=cloud.bucket(region), Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    with open(path, "wb") as file:
        summed = Summed(file)
        for chunk in reply["Body"].iter_chunks(CHUNK):
            summed.write(chunk)
    return {
        "region": region, "bytes": summed.bytes, "crc64nvme": summed.crc64nvme(),
        "version_id": reply.get("VersionId"), "metadata": reply["Metadata"],
    }


def digest(stream):
    """Size and SHA-256 of what a stream holds."""
    size, sha = 0, hashlib.sha256()
    while data := stream.read(CHUNK):
        size, _ = size + len(data), sha.update(data)
    return size, sha.hexdigest()


def in_folder(source):
    """Size and SHA-256 of every file below the folder, by its name in an archive."""
    found = {}
    for above, _, names in os.walk(source):
        for name in names:
            path = os.path.join(above, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, source)] = digest(file)
    return found


def in_archive(path):
    """The same of every file in a `tar.zst`, but for the manifest that is packed with them."""
    found = {}
    with open(path, "rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as plain:
        with tarfile.open(fileobj=plain, mode="r|") as archive:
            for entry in archive:
                if entry.isfile() and entry.name != MANIFEST:
                    found[entry.name] = digest(archive.extractfile(entry))
    return found


def differences(source, path):
    """Files in what was shipped, and each difference from `source` in words."""
    if os.path.isfile(source):
        same = filecmp.cmp(source, path, shallow=False)
        return 1, [] if same else [f"`{source}` differs from what was shipped"]
    there, packed = in_folder(source), in_archive(path)
    said = [f"`{name}` is missing from the archive" for name in there.keys() - packed.keys()]
    said += [f"`{name}` is in the archive only" for name in packed.keys() - there.keys()]
    said += [f"`{name}` differs" for name in there.keys() & packed.keys() if there[name] != packed[name]]
    return len(packed), sorted(said)


def copies(cloud, folder, request):
    """Downloads the object from each region and compares the copies with one another and with their source."""
    regions, paths, found, missing = request["regions"], [], [], []
    try:
        for region in regions:
            path = os.path.join(folder, f"copy-{region}")
            paths.append(path)
            copy = download(cloud, region, request["key"], path)
            if copy is None:
                missing.append(region)
                paths.pop()
            else:
                found.append(copy)
        equal = all(filecmp.cmp(paths[0], path, shallow=False) for path in paths[1:])
        files, said = differences(request["source"], paths[0]) if paths else (0, ["no region has a copy"])
        return {
            "copies": found, "missing": missing, "equal": equal and bool(paths),
            "archive": {"files": files, "differences": said},
        }
    finally:
        for region in regions:
            path = os.path.join(folder, f"copy-{region}")
            if os.path.exists(path):
                os.remove(path)


def row(item):
    """A row as Sealane's tables have it: key, JSON body, and whether the index lists it."""
    return {"sk": item["sk"]["S"], "body": json.loads(item["body"]["S"]), "indexed": "gsi1pk" in item}


def one_row(cloud, _, request):
    key = {"pk": {"S": request["pk"]}, "sk": {"S": request["sk"]}}
    reply = cloud.client("dynamodb", request["region"]).get_item(
        TableName=cloud.tables[request["table"]], Key=key, ConsistentRead=True
    )
    return {"found": True, **row(reply["Item"])} if "Item" in reply else {"found": False}


def all_rows(cloud, _, request):
    pages = cloud.client("dynamodb", request["region"]).get_paginator("query").paginate(
        TableName=cloud.tables[request["table"]], KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": request["pk"]}}, ConsistentRead=True,
    )
    return {"rows": [row(item) for page in pages for item in page["Items"]]}


REQUESTS = {"copies": copies, "row": one_row, "rows": all_rows}


def main():
    with open(sys.argv[1], encoding="utf-8") as record:
        cloud = Cloud(json.load(record))
    for line in sys.stdin:
        try:
            request = json.loads(line)
            answer = REQUESTS[request["do"]](cloud, sys.argv[2], request)
        except (BotoCoreError, ClientError, KeyError, ValueError, OSError, tarfile.TarError, zstandard.ZstdError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
