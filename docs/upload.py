"""Ships a file through Sealane's API, without credentials of AWS: python3 upload.py FILE KEY"""
import base64, json, os, sys, time, urllib.error, urllib.request, uuid
TOLD = {"content-type": "application/json", "authorization": "Bearer " + os.environ.get("SEALANE_TOKEN", "")}
PART, TABLE = 8 << 20, list(range(256))
for _ in range(8):  # CRC64NVME a byte at a time; for large files take a compiled one
    TABLE = [n >> 1 ^ (0x9A6C9329AC4BC9B5 if n & 1 else 0) for n in TABLE]
def described(data):
    crc = 2**64 - 1
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return {"size_bytes": len(data), "crc64nvme": base64.b64encode((crc ^ 2**64 - 1).to_bytes(8, "big")).decode()}
def send(method, url, data, headers):
    return urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=300).read()
def call(path, body):
    headers = {**TOLD, "idempotency-key": str(uuid.uuid4())}  # the same for every repetition
    for _ in range(60):
        try:
            return json.loads(send("POST", os.environ["SEALANE_API"] + path, json.dumps(body).encode(), headers))
        except urllib.error.HTTPError as refused:
            time.sleep(int(refused.headers["retry-after"] or sys.exit(refused.read().decode())))
        except OSError:
            time.sleep(1)  # the same key finds out what became of it
    sys.exit("the API gave no answer")
source = open(sys.argv[1], "rb")
parts = [described(data) for data in iter(lambda: source.read(PART), b"")] or [described(b"")]
offer = call("/v1/uploads", {"key": sys.argv[2], "size_bytes": os.path.getsize(sys.argv[1]), "parts": parts})
path = "/v1/uploads/" + offer["upload"]["id"]
while offer["upload"]["state"] == "open":
    since = time.monotonic()
    try:
        for number in range(1, len(parts) + 1):
            if number > offer["parts"][-1]["number"] or time.monotonic() - since > 600:  # URLs end after 15 minutes
                offer, since = call(path + ":sign", {"from": number}), time.monotonic()
            part = offer["parts"][number - offer["parts"][0]["number"]]
            source.seek((number - 1) * PART)
            send("PUT", part["url"], source.read(PART), part["headers"])
        offer = call(path + ":complete", {})
    except OSError as lost:
        offer = call(path + ":failover", {"from": offer["upload"]["region"], "reason": str(lost)[:200]})
print(json.dumps(offer["upload"]["receipt"], indent=2))
