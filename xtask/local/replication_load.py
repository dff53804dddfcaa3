"""Puts objects into one region of the local cloud, and looks which of them every region holds.

Started with the path of `cloud.json` and a plan as JSON: {"region", "prefix", "objects", "object_bytes",
"large_bytes", "part_bytes"}. The objects are put at once, with the large one in parts beside the small ones; each
step of that is told as {"put": bytes, "of": bytes} on a line of its own, and the end as {"done": true}. Then each
line read is answered with {"verified": n, "missing": {region: n}}: an object is verified when every region reports
for it the checksum of the bytes that were put.
"""

import base64
import concurrent.futures
import json
import os
import sys
import threading

WORKERS = 8


def encode(crc):
    """A CRC64NVME as S3 writes it."""
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


def part_of(number, size):
    """The bytes of part `number`, which no other part has and which do not compress into one another."""
    seed = f"part {number} ".encode()
    return (seed * (size // len(seed) + 1))[:size]


def sizes(total, part):
    """The sizes of the parts of an object, of which only the last may be smaller."""
    return [min(part, total - start) for start in range(0, total, part)]


def judged(sums, found):
    """How many keys of `sums` every region of `found` reports with its sum, and how many each region lacks."""
    missing = {region: sum(held.get(key) != crc for key, crc in sums.items()) for region, held in found.items()}
    verified = sum(all(held.get(key) == crc for held in found.values()) for key, crc in sums.items())
    return {"verified": verified, "missing": {region: n for region, n in missing.items() if n}}


class Load:
    def __init__(self, cloud, plan, crc):
        self.cloud, self.plan, self.crc = cloud, plan, crc
        self.sums, self.held, self.put_bytes, self.lock = {}, {}, 0, threading.Lock()
        self.total = plan["objects"] * plan["object_bytes"] + plan["large_bytes"]

    def tell(self, size):
        with self.lock:
            self.put_bytes += size
            print(json.dumps({"put": self.put_bytes, "of": self.total}), flush=True)

    def small(self, number):
        body = os.urandom(self.plan["object_bytes"])
        key = f"{self.plan['prefix']}/{number:06}"
        self.cloud.put(self.plan["region"], key, body)
        self.sums[key] = encode(self.crc(body, 0))
        self.tell(len(body))

    def large(self):
        if not self.plan["large_bytes"]:
            return
        key, crc = f"{self.plan['prefix']}/large", 0
        upload = self.cloud.begin(self.plan["region"], key)
        for number, size in enumerate(sizes(self.plan["large_bytes"], self.plan["part_bytes"]), 1):
            body = part_of(number, size)
            crc = self.crc(body, crc)
            upload.part(number, body)
            self.tell(size)
        upload.complete()
        self.sums[key] = encode(crc)

    def put_all(self):
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            puts = [pool.submit(self.large)]
            puts += [pool.submit(self.small, number) for number in range(self.plan["objects"])]
            for put in puts:
                put.result()

    def look(self):
        """Asks for what is not known to be there; what a region once held with its sum stays."""
        for region in self.cloud.regions():
            held = self.held.setdefault(region, {})
            wanted = [key for key, crc in self.sums.items() if held.get(key) != crc]
            with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
                held.update(zip(wanted, pool.map(lambda key: self.cloud.checksum(region, key), wanted)))
        return judged(self.sums, self.held)


class Upload:
    """A multipart upload."""

    def __init__(self, client, place):
        self.client, self.place, self.parts = client, place, []
        made = client.create_multipart_upload(**place, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
        self.place = {**place, "UploadId": made["UploadId"]}

    def part(self, number, body):
        sent = self.client.upload_part(**self.place, PartNumber=number, Body=body)
        self.parts.append({"PartNumber": number, "ETag": sent["ETag"]})

    def complete(self):
        self.client.complete_multipart_upload(**self.place, MultipartUpload={"Parts": self.parts})


class Buckets:
    """The buckets of a local cloud, through the gates of its clients."""

    def __init__(self, record):
        import boto3
        from botocore.config import Config

        keys = record["credentials"]
        config = Config(retries={"max_attempts": 2}, connect_timeout=5, read_timeout=300,
                        request_checksum_calculation="when_required", max_pool_connections=WORKERS)
        self._buckets = {region["name"]: region["bucket"] for region in record["regions"]}
        self._clients = {
            region["name"]: boto3.client(
                "s3", region_name=region["name"], endpoint_url=region["endpoints"]["s3"], config=config,
                aws_access_key_id=keys["access_key_id"], aws_secret_access_key=keys["secret_access_key"])
            for region in record["regions"]}

    def regions(self):
        return list(self._buckets)

    def put(self, region, key, body):
        self._clients[region].put_object(Bucket=self._buckets[region], Key=key, Body=body)

    def begin(self, region, key):
        return Upload(self._clients[region], {"Bucket": self._buckets[region], "Key": key})

    def checksum(self, region, key):
        """The store's checksum of an object; `None` where there is none or nobody answers."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            head = self._clients[region].head_object(Bucket=self._buckets[region], Key=key, ChecksumMode="ENABLED")
        except (BotoCoreError, ClientError):
            return None
        return head.get("ChecksumCRC64NVME")


def main():
    from awscrt import checksums

    with open(sys.argv[1]) as file:
        record = json.load(file)
    load = Load(Buckets(record), json.loads(sys.argv[2]), checksums.crc64nvme)
    load.put_all()
    print(json.dumps({"done": True}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(load.look()), flush=True)


if __name__ == "__main__":
    main()
