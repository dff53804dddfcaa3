"""Checks the templates in infra/ without an AWS account: `python xtask/infra/check.py`.

SAM is expanded first, since cfn-lint sees little of a template that is not; its warnings count as
errors. Prints every problem and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from cfnlint.api import ManualArgs, lint

import rules
from template import Template

ROOT = Path(__file__).resolve().parents[2]
REGIONS = ["us-west-2", "us-east-1", "eu-west-1", "us-east-2"]


def linted(template: Template) -> Iterator[str]:
    """What cfn-lint says about the expansion, warnings included."""
    text = json.dumps(template.body)
    for match in lint(text, config=ManualArgs(regions=REGIONS, template=None)):
        place = "/".join(str(step) for step in match.path or [])
        yield f"{match.rule.id} at `{place}`: {match.message}"


def validated(path: Path) -> Iterator[str]:
    """What `sam validate --lint` says about the file as it stands."""
    sam = Path(sys.executable).parent / "sam"
    # A region must be named; credentials are not looked for, and nothing is reported home.
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-west-2"}
    command = [sam, "validate", "--lint", "--template-file", path, "--region", "us-west-2"]
    done = subprocess.run(
        command, env=environment, cwd=path.parent, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        yield f"sam validate: {(done.stdout + done.stderr).strip()}"


def problems(infra: Path) -> Iterator[str]:
    """Every problem of the folder `infra`, each with the file that it is about."""
    shared = Template.read(infra / "global.yaml")
    region = Template.read(infra / "template.yaml")
    samconfig = tomllib.loads((infra / "samconfig.toml").read_text(encoding="utf-8"))
    home = shared.default("PrimaryRegion")
    for name, template in (("global.yaml", shared), ("template.yaml", region)):
        source = (infra / name).read_text(encoding="utf-8")
        yield from (f"{name}: {p}" for p in linted(template))
        yield from (f"{name}: {p}" for p in rules.judge(template))
        yield from (f"{name}: {p}" for p in rules.parameters_are_documented(source, template))
    yield from (f"global.yaml: {p}" for p in rules.replicas_are_regions(shared, home))
    yield from (f"template.yaml: {p}" for p in rules.tables_exist(shared, region))
    fitting = rules.stacks_fit_together(samconfig, shared, region)
    yield from (f"samconfig.toml: {p}" for p in fitting)
    yield from (f"template.yaml: {p}" for p in validated(infra / "template.yaml"))


def main() -> int:
    """Exit code 0 if the folder has no problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--infra", type=Path, default=ROOT / "infra", help="the folder to check")
    found = list(problems(parser.parse_args().infra))
    for problem in found:
        print(problem)
    print(f"infrastructure: {len(found)} problem(s)")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
