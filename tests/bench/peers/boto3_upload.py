"""Uploads a file, or each file of a folder, with boto3 as it comes."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config

endpoint, path, files = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
config = Config(s3={"addressing_style": "path"}, max_pool_connections=max(files, 10))
client = boto3.client("s3", endpoint_url=endpoint, config=config)
if path.is_file():
    client.upload_file(str(path), "bench", "object")
else:
    with ThreadPoolExecutor(files) as pool:
        list(pool.map(lambda file: client.upload_file(str(file), "bench", file.name), sorted(path.iterdir())))
