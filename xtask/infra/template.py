"""Templates as the rules see them: parsed, SAM expanded, parameters at their defaults.

Reads files and calls the SAM translator, nothing else: no network and no AWS account.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# The translator looks for a region and reports metrics about itself; it gets neither a session
# nor a listener.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-west-2")
logging.getLogger("samtranslator").setLevel(logging.ERROR)

PSEUDO = {
    "AWS::AccountId": "000000000000",
    "AWS::Partition": "aws",
    "AWS::Region": "us-west-2",
    "AWS::URLSuffix": "amazonaws.com",
}


class _NoManagedPolicies:
    """Our roles are written out, so the translator's table of managed policies stays empty."""

    def load(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class Statement:
    """One statement of a policy, and where it stands."""

    resource: str
    body: dict[str, Any]

    @property
    def sid(self) -> str:
        return self.body.get("Sid", "(no Sid)")

    @property
    def allows(self) -> bool:
        return self.body.get("Effect") == "Allow"

    @property
    def actions(self) -> list[str]:
        return _listed(self.body.get("Action", []))

    @property
    def resources(self) -> list[Any]:
        return _listed(self.body.get("Resource", []))

    def __str__(self) -> str:
        return f"`{self.resource}` statement `{self.sid}`"


class Template:
    """An expanded template: plain CloudFormation in a dictionary."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    @classmethod
    def read(cls, path: Path) -> Template:
        """Parses the file and expands SAM if it asks for it."""
        return cls.expand(yaml_parse(path.read_text(encoding="utf-8")))

    @classmethod
    def expand(cls, source: dict[str, Any]) -> Template:
        """The template after the SAM transform, as CloudFormation will see it."""
        source = copy.deepcopy(source)
        if "Transform" not in source:
            return cls(source)
        for resource in source["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                # As `sam package` leaves it; the translator refuses a folder.
                resource["Properties"]["CodeUri"] = {"Bucket": "code", "Key": "bootstrap.zip"}
        expanded = transform(source, {}, _NoManagedPolicies())
        return cls(json.loads(json.dumps(expanded)))

    def copy(self) -> Template:
        return Template(copy.deepcopy(self.body))

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        return self.body["Resources"]

    def of_type(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Logical ids and properties of every resource of type `kind`."""
        for name, resource in self.resources.items():
            if resource["Type"] == kind:
                yield name, resource.get("Properties", {})

    def default(self, parameter: str) -> Any:
        return self.body.get("Parameters", {}).get(parameter, {}).get("Default")

    def text(self, value: Any) -> Any:
        """`value` as text, with parameters at their defaults and pseudo parameters filled in.

        What only a deployment knows (`Fn::GetAtt`, the id of a resource) becomes `<LogicalId>`.
        """
        if not isinstance(value, dict):
            return value
        if "Ref" in value:
            return self._ref(value["Ref"])
        if "Fn::GetAtt" in value:
            attribute = value["Fn::GetAtt"]
            return f"<{attribute.split('.')[0] if isinstance(attribute, str) else attribute[0]}>"
        if "Fn::Sub" in value:
            return re.sub(r"\$\{([^}]+)\}", lambda m: str(self._ref(m[1])), value["Fn::Sub"])
        return json.dumps(value)

    def _ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.body.get("Parameters", {}):
            return self.default(name)
        return f"<{name.split('.')[0]}>"

    def statements(self) -> Iterator[Statement]:
        """Every statement of every policy, of roles and of resources alike."""
        for name, resource in self.resources.items():
            for body in _policy_statements(resource.get("Properties", {})):
                yield Statement(name, body)

    def statements_of(self, name: str) -> list[Statement]:
        return [s for s in self.statements() if s.resource == name]


def _policy_statements(properties: Any) -> Iterator[dict[str, Any]]:
    if isinstance(properties, list):
        for item in properties:
            yield from _policy_statements(item)
    if isinstance(properties, dict):
        for key, value in properties.items():
            if key == "Statement":
                yield from _listed(value)
            else:
                yield from _policy_statements(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
