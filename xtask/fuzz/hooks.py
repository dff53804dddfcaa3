"""What the API's document says of every deployment, narrowed to the one that is asked."""

import os
import uuid

import schemathesis

# Which regions there are is a deployment's own matter.
REGIONS = os.environ["SEALANE_REGIONS"].split(",")


@schemathesis.hook
def before_load_schema(_context, document):
    """Regions are those of this deployment, and a cursor can only be what a page gave."""
    document["components"]["schemas"]["Region"] = {"type": "string", "enum": REGIONS}
    for operations in document["paths"].values():
        for operation in operations.values():
            asked = operation["parameters"]
            operation["parameters"] = [one for one in asked if one["name"] not in ("cursor", "tried")]


@schemathesis.hook
def map_body(_context, body):
    """A whole number is written as one: JSON Schema takes `96.0` for an integer, the API does not."""
    return whole(body)


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Each call is a new one: a key that was sent before with another body is refused, and rightly.

    A call that is to try a header stays as it is: to touch its headers would complete them.
    """
    tried = getattr(case.meta.phase.data if case.meta else None, "parameter", None) or ""
    if tried.lower() in ("authorization", "idempotency-key", "if-match"):
        return
    key = case.headers.get("Idempotency-Key") if case.headers else None
    if key and len(key) <= 128 and all("!" <= letter <= "~" for letter in key):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())


def whole(value):
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [whole(one) for one in value]
    if isinstance(value, dict):
        return {name: whole(one) for name, one in value.items()}
    return value
