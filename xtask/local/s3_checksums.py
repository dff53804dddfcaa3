"""Makes MiniStack's S3 report checksums as S3 does.

S3 computes CRC64NVME for every object that names no algorithm, and a full-object checksum for
multipart uploads in CRC64NVME (or in CRC32 and CRC32C when asked for). MiniStack keeps only what
the client sent, computes CRCs byte by byte in Python, and combines parts as a digest of digests.
Everything that a client can see (replies of Put, UploadPartCopy, Complete, Head, GetObjectAttributes)
is corrected here; nothing is taken on trust: each value is computed from the stored bytes.
"""

import base64
import contextlib
import contextvars
import hashlib
import re
import types

from awscrt import checksums as crt

# The checksums that S3 can report for a whole multipart object; the others are digests of digests.
COMBINABLE = ("CRC64NVME", "CRC32", "CRC32C")
DEFAULT = "CRC64NVME"

# Set while one CompleteMultipartUpload runs: its whole-object checksum, and the MD5 of each part
# (known from its ETag) by the identity of its bytes, so that 256 MiB are not hashed a second time.
_completing = contextvars.ContextVar("completing", default=None)


class _Completing:
    def __init__(self, checksum, md5_by_body):
        self.checksum = checksum
        self.md5_by_body = md5_by_body


class _KnownDigest:
    def __init__(self, digest):
        self._digest = digest

    def digest(self):
        return self._digest


def _md5(data=b"", **options):
    now = _completing.get()
    known = now.md5_by_body.get(id(data)) if now and data else None
    return _KnownDigest(known) if known else hashlib.md5(data, **options)


def encode(algorithm, value):
    """A CRC as S3 writes it: big-endian bytes in base64."""
    width = 8 if algorithm == "CRC64NVME" else 4
    return base64.b64encode(value.to_bytes(width, "big")).decode()


def full_object(algorithm, bodies):
    """The checksum of the concatenation of `bodies`."""
    crc = {"CRC64NVME": crt.crc64nvme, "CRC32": crt.crc32, "CRC32C": crt.crc32c}[algorithm]
    value = 0
    for body in bodies:
        value = crc(body, value)
    return encode(algorithm, value)


def is_composite(value):
    """Whether a checksum is a digest of part digests, which S3 marks with `-<parts>`."""
    return "-" in value


def type_of(checksums):
    """`COMPOSITE` or `FULL_OBJECT`, as S3 names them."""
    return "COMPOSITE" if any(is_composite(v) for v in checksums.values()) else "FULL_OBJECT"


def install(s3):
    """Replaces the functions of MiniStack's S3 module that get checksums wrong."""
    s3._crc64nvme = lambda body: crt.crc64nvme(body)
    s3._crc32c = lambda body: crt.crc32c(body)
    s3.hashlib = types.SimpleNamespace(**{**vars(hashlib), "md5": _md5})
    _install_writes(s3)
    _install_multipart(s3)
    _install_reads(s3)


def _install_writes(s3):
    record_version, put = s3._record_object_version, s3._put_object

    def with_default_checksum(bucket, key, prior, obj, data):
        sums = obj.get("checksums") or {}
        if not sums:
            obj["checksums"] = {DEFAULT: full_object(DEFAULT, [data])}
        elif not obj.get("parts") and type_of(sums) == "COMPOSITE":
            # A copy is written in one piece, so it gets a checksum of the whole.
            obj["checksums"] = {alg: s3._compute_s3_checksum(alg, data) for alg in sums}
        return record_version(bucket, key, prior, obj, data)

    def put_with_reply(bucket, key, body, headers):
        status, reply, text = put(bucket, key, body, headers)
        if status == 200:
            reply = {**reply, **_headers(s3._ensure_bucket(bucket)["objects"][key]["checksums"])}
        return status, reply, text

    copy = s3._copy_object

    def copy_with_condition_and_reply(bucket, key, headers):
        store = s3._ensure_bucket(bucket)
        refused = store and s3._check_put_preconditions(headers, store["objects"].get(key))
        if refused:
            return refused
        status, reply, text = copy(bucket, key, headers)
        if status == 200:
            sums = store["objects"][key]["checksums"]
            found = "".join(f"<Checksum{alg}>{value}</Checksum{alg}>" for alg, value in sums.items())
            found += f"<ChecksumType>{type_of(sums)}</ChecksumType></CopyObjectResult>"
            text = text.replace(b"</CopyObjectResult>", found.encode())
        return status, reply, text

    s3._record_object_version = with_default_checksum
    s3._put_object = put_with_reply
    s3._copy_object = copy_with_condition_and_reply


def _headers(sums):
    named = {f"x-amz-checksum-{alg.lower()}": value for alg, value in sums.items()}
    return {**named, "x-amz-checksum-type": type_of(sums)}


def _install_multipart(s3):
    create, part_copy, complete = s3._create_multipart_upload, s3._upload_part_copy, s3._complete_multipart_upload
    composite = s3._composite_checksum

    def create_with_type(bucket, key, headers):
        status, reply, text = create(bucket, key, headers)
        if status != 200:
            return status, reply, text
        upload = s3._multipart_uploads[re.search(rb"<UploadId>([^<]+)", text).group(1).decode()]
        algorithm = upload["checksum_algorithm"] = upload["checksum_algorithm"] or DEFAULT
        asked = (headers.get("x-amz-checksum-type") or "").upper()
        full = algorithm == DEFAULT or (algorithm in COMBINABLE and asked == "FULL_OBJECT")
        upload["full_object"] = full
        kind = "FULL_OBJECT" if full else "COMPOSITE"
        return status, {**reply, "x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}, text

    def part_copy_with_checksum(bucket, key, query, headers):
        status, reply, text = part_copy(bucket, key, query, headers)
        upload = s3._multipart_uploads.get(s3._qp(query, "uploadId"))
        if status != 200 or upload is None:
            return status, reply, text
        part = upload["parts"][int(s3._qp(query, "partNumber", "1"))]
        algorithm = upload["checksum_algorithm"]
        part["checksums"] = {algorithm: s3._compute_s3_checksum(algorithm, part["body"])}
        element = f"<Checksum{algorithm}>{part['checksums'][algorithm]}</Checksum{algorithm}></CopyPartResult>"
        return status, reply, text.replace(b"</CopyPartResult>", element.encode())

    def complete_with_whole(bucket, key, body, query, headers=None):
        upload_id = s3._qp(query, "uploadId")
        upload = s3._multipart_uploads.get(upload_id)
        if upload is None:
            return complete(bucket, key, body, query, headers)
        with _whole_object(upload, body) as whole:
            status, reply, text = complete(bucket, key, body, query, headers)
        if status == 200 and whole:
            text = text.replace(b"<ChecksumType>COMPOSITE<", b"<ChecksumType>FULL_OBJECT<")
            # A retry of a completed upload is answered from here.
            s3._completed_multipart_uploads[upload_id]["response"] = (status, reply, text)
        return status, reply, text

    def whole_or_composite(algorithm, digests):
        now = _completing.get()
        return now.checksum if now and now.checksum else composite(algorithm, digests)

    s3._create_multipart_upload = create_with_type
    s3._upload_part_copy = part_copy_with_checksum
    s3._complete_multipart_upload = complete_with_whole
    s3._composite_checksum = whole_or_composite


@contextlib.contextmanager
def _whole_object(upload, body):
    """Yields whether the upload's checksum is one of the whole object, having computed it."""
    numbers = sorted(int(n) for n in re.findall(rb"<PartNumber>\s*(\d+)", body))
    parts = [upload["parts"][n] for n in numbers if n in upload["parts"]]
    whole = full_object(upload["checksum_algorithm"], [p["body"] for p in parts]) if upload["full_object"] else None
    known = {id(p["body"]): bytes.fromhex(p["etag"].strip('"')) for p in parts}
    token = _completing.set(_Completing(whole, known))
    try:
        yield whole is not None
    finally:
        _completing.reset(token)


def _install_reads(s3):
    headers_of, attributes = s3._object_response_headers, s3._get_object_attributes

    def headers_with_type(obj, bucket_name="", key="", include_checksums=False):
        named = headers_of(obj, bucket_name, key, include_checksums=include_checksums)
        if "x-amz-checksum-type" in named:
            named["x-amz-checksum-type"] = type_of(obj["checksums"])
        return named

    def attributes_with_type(bucket, key, headers, query):
        status, reply, text = attributes(bucket, key, headers, query)
        kinds = re.findall(rb"<Checksum[A-Z0-9]+>([^<]+)</Checksum[A-Z0-9]+>", text)
        kind = b"COMPOSITE" if any(b"-" in value for value in kinds) else b"FULL_OBJECT"
        return status, reply, re.sub(rb"<ChecksumType>[^<]*", b"<ChecksumType>" + kind, text)

    s3._object_response_headers = headers_with_type
    s3._get_object_attributes = attributes_with_type
