"""Starts MiniStack for Sealane: loopback only, needed services only, nothing kept, known gaps bridged.

Usage: `ministack_server.py --port N --api REGION=PORT ... --region REGION`

The process ends when its standard input closes, so that it cannot outlive the supervisor that holds the other end.
A request that arrives on the port of `--api` belongs to that region's only HTTP API, as a host name would say on AWS.
"""

import argparse
import asyncio
import datetime
import os
import signal
import sys
import threading
import traceback

SERVICES = "s3,dynamodb,sqs,sns,lambda,iam,sts,logs,events,monitoring,apigateway,cloudformation,kms,ssm"

# All that is kept of the caller's environment: a function must not see what it would not see on AWS.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api", action="append", default=[], metavar="REGION=PORT")
    parser.add_argument("--region", required=True, help="region of requests that name none")
    return parser.parse_args()


def environment(args, of=os.environ):
    """Settings that MiniStack and, through it, every function process read from the environment.

    No endpoint is set here: a function finds its endpoints in its own configuration, and only there.
    """
    for name in [n for n in of if n not in KEPT]:
        del of[name]
    of.update(
        GATEWAY_PORT=str(args.port), BIND_HOST="127.0.0.1", SERVICES=SERVICES, MINISTACK_REGION=args.region,
        PERSIST_STATE="0", S3_PERSIST="0", SFTP_ENABLED="0", IOT_MTLS_ENABLED="0", LAMBDA_EXECUTOR="local",
        LOG_LEVEL="WARNING",
        # Function processes inherit these: no metadata address is asked, and credentials are the account's.
        AWS_EC2_METADATA_DISABLED="true", AWS_ACCESS_KEY_ID="000000000000", AWS_SECRET_ACCESS_KEY="sealane-local",
    )


def with_api_ports(app, apigateway, region_by_port):
    """`app`, with requests on an API port addressed to that region's HTTP API by host name."""
    api_by_region = {}

    def api_of(region):
        if region not in api_by_region:
            api_by_region.update({key[1]: key[2] for key, _ in apigateway._apis.all_items()})
        return api_by_region.get(region)

    async def addressed(scope, receive, send):
        region = region_by_port.get((scope.get("server") or (None, None))[1]) if scope["type"] == "http" else None
        api = api_of(region) if region else None
        if api:
            host = f"{api}.execute-api.localhost".encode()
            headers = [pair for pair in scope["headers"] if pair[0].lower() != b"host"]
            scope = {**scope, "headers": [(b"host", host), *headers]}
        elif region:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b"no HTTP API is deployed in this region\n"})
            return
        await app(scope, receive, send)

    return addressed


def end_with_standard_input():
    """Ends this process and its function processes when the supervisor is gone."""

    def wait():
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="stdin").start()


def main():
    args = arguments()
    environment(args)
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack import app as ministack
    from ministack.core import lambda_runtime
    from ministack.core.responses import request_scope
    from ministack.services import apigateway, cloudwatch, cloudwatch_logs, eventbridge, lambda_svc, s3

    import alarm_events
    import function_logs
    import issuer
    import s3_checksums
    import s3_ranges

    s3_checksums.install(s3)
    s3_ranges.install(s3)
    function_logs.install(lambda_runtime, lambda_svc, cloudwatch_logs, cloudwatch, request_scope)
    alarm_events.install(cloudwatch, eventbridge, lambda: datetime.datetime.now(datetime.timezone.utc).isoformat())
    # A schedule is looked at each second instead of every ten: on AWS a rate of one minute leaves no such gap.
    eventbridge._SCHEDULER_TICK_INTERVAL = 1

    region_by_port = {int(port): region for region, port in (item.split("=") for item in args.api)}
    config = Config()
    config.bind = [f"127.0.0.1:{port}" for port in [args.port, *region_by_port]]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    tokens = issuer.Issuer(f"http://127.0.0.1:{args.port}{issuer.PATH}")
    app = issuer.beside(with_api_ports(ministack.app, apigateway, region_by_port), tokens)

    async def run():
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        end_with_standard_input()
        await serve(app, config, shutdown_trigger=stop.wait)

    code = 1
    try:
        asyncio.run(run())
        code = 0
    except BaseException:
        traceback.print_exc()
    # Threads of MiniStack that poll for ever must not keep the process; function processes end with it.
    lambda_runtime.reset()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
