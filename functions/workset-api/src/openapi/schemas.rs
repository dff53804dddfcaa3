//! The shapes of bodies and replies.

use sealane::{
    region::{Capability, NAME_LEN_MAX},
    route::Strategy,
    upload::{PARTS_MAX, StorageClass},
    workset::{ErrorCategory, Kind, Priority, State},
};
use serde_json::{Value, json};

use super::reference;
use crate::extract::LIMIT_MAX;

/// What the name of a region looks like.
const REGION: &str = "[a-z]+(-[a-z]+)+-[0-9]+";

/// The media type in which a schema travels.
pub(super) fn media_type(schema: &str) -> &'static str {
    match schema {
        "Page" => "text/html",
        "Markdown" => "text/markdown",
        _ => "application/json",
    }
}

/// The schema of a query parameter.
pub(super) fn parameter(name: &str) -> Value {
    match name {
        "state" => reference("State"),
        "priority" => reference("Priority"),
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX }),
        "region" | "data_in" => reference("Region"),
        "needs" => reference("Capability"),
        "strategy" => reference("Strategy"),
        "lat" => json!({ "type": "number", "minimum": -90, "maximum": 90 }),
        "lon" => json!({ "type": "number", "minimum": -180, "maximum": 180 }),
        "tried" => json!({ "type": "string", "pattern": format!("^({REGION}(,{REGION})*)?$") }),
        _ => json!({ "type": "string" }),
    }
}

/// Every schema, by name.
pub(super) fn all() -> Value {
    let mut all = names();
    for more in [worksets(), bodies(), replies(), uploads(), problems()] {
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
    }
    all
}

/// Whether a body of `schema` has fields that it cannot be without. One that has none may be left out.
pub(super) fn needs_fields(schema: &str) -> bool {
    bodies()[schema]["required"]
        .as_array()
        .or(uploads()[schema]["required"].as_array())
        .is_some_and(|fields| !fields.is_empty())
}

fn names() -> Value {
    json!({
        "Anything": {},
        "Page": { "type": "string" },
        "Markdown": { "type": "string" },
        "WorksetId": { "type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_-]{2,63}$" },
        "Region": {
            "type": "string", "pattern": format!("^{REGION}$"), "maxLength": NAME_LEN_MAX, "examples": ["eu-west-1"],
            "description": "A region that the deployment has.",
        },
        "Capability": { "type": "string", "enum": Capability::ALL.map(Capability::as_str) },
        "Strategy": { "type": "string", "enum": Strategy::ALL.map(Strategy::as_str) },
        "GatewayRefusal": { "type": "object", "required": ["message"], "properties": { "message": { "type": "string" } } },
        "Ms": { "type": "integer", "minimum": 0, "description": "Milliseconds since the Unix epoch." },
        "State": { "type": "string", "enum": State::ALL.map(State::as_str) },
        "Priority": { "type": "string", "enum": Priority::ALL.map(Priority::as_str) },
        "Type": { "type": "string", "enum": Kind::ALL.map(Kind::as_str) },
        "ErrorCategory": { "type": "string", "enum": ErrorCategory::ALL.map(ErrorCategory::as_str) },
        "Metadata": {
            "type": "object", "required": ["samples"],
            "properties": { "samples": { "type": "array", "minItems": 1 } },
        },
    })
}

/// Words of up to `most` characters, with no control character but newline and tab.
fn text(most: usize) -> Value {
    let clean = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]+$";
    json!({ "type": "string", "minLength": 1, "maxLength": most, "pattern": clean })
}

/// A body of these fields and of no others. One that is not required may be null as well, which is the
/// same as to leave it out.
fn body(required: &[&str], fields: Value) -> Value {
    let Value::Object(mut fields) = fields else { return closed(required, fields) };
    for (name, schema) in &mut fields {
        if !required.contains(&name.as_str()) {
            *schema = json!({ "anyOf": [schema.take(), { "type": "null" }] });
        }
    }
    closed(required, fields.into())
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// A whole number that is sent: it has to fit 64 bits.
fn number() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX })
}

/// An object of these properties, and of no others.
fn closed(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}

/// An object that has these properties at least.
fn open(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

fn nullable(schema: &str) -> Value {
    json!({ "oneOf": [reference(schema), { "type": "null" }] })
}

fn worksets() -> Value {
    let (ms, region, state) = (reference("Ms"), reference("Region"), reference("State"));
    let digest = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    json!({
        "Progress": closed(&["step"], json!({ "step": text(64), "message": text(1024) })),
        "Failure": closed(&["category", "details"], json!({ "category": reference("ErrorCategory"), "details": text(4096) })),
        "Workset": open(
            &["tenant", "id", "bucket", "prefix", "state", "priority", "type", "created_ms", "updated_ms", "version", "written_in"],
            json!({
                "tenant": { "type": "string" }, "id": reference("WorksetId"), "bucket": { "type": "string" },
                "prefix": { "type": "string" }, "state": state, "priority": reference("Priority"), "type": reference("Type"),
                "metadata": reference("Metadata"), "preferred_region": region, "progress": reference("Progress"),
                "error": reference("Failure"), "retry_count": count(), "next_retry_ms": ms, "created_ms": ms, "updated_ms": ms,
                "started_ms": ms, "finished_ms": ms, "results_uri": text(2048), "metrics": { "type": "object" },
                "fence": count(), "version": { "type": "integer", "minimum": 1 }, "written_in": region,
            }),
        ),
        "Lock": closed(&["owner", "token", "expires_ms"], json!({ "owner": text(256), "token": count(), "expires_ms": ms })),
        "Event": open(
            &["version", "to", "at_ms", "region", "actor", "request"],
            json!({
                "version": count(), "from": state, "to": state, "at_ms": ms, "region": region, "after": region,
                "reason": text(1024), "actor": { "type": "string" }, "request": { "type": "string" },
                "act": { "enum": ["registered", "moved", "reported", "amended", "taken_over", "broken"] },
                "epoch": count(), "fence": count(), "chain": reference("Link"),
            }),
        ),
        "Link": closed(&["hash"], json!({ "prev": digest, "content": digest, "hash": digest })),
        "Conflict": closed(&["version", "kept", "writes"], json!({
            "version": count(), "kept": nullable("Region"), "writes": { "type": "array", "minItems": 1, "items": reference("Event") },
        })),
    })
}

fn bodies() -> Value {
    let (token, lease) = (number(), json!({ "type": "integer", "minimum": 1, "maximum": 86_400 }));
    let why = json!({ "reason": text(1024), "token": token });
    let bucket = json!({ "type": "string", "minLength": 3, "maxLength": 63, "pattern": "^[a-z0-9]([a-z0-9-]|\\.(?!\\.))*[a-z0-9]$" });
    let prefix = json!({ "type": "string", "maxLength": 512, "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_/-]*$" });
    json!({
        "Nothing": body(&[], json!({})),
        "Reasoned": body(&[], why),
        "Registration": body(&["id", "bucket", "prefix"], json!({
            "id": reference("WorksetId"), "bucket": bucket, "prefix": prefix, "priority": reference("Priority"),
            "type": reference("Type"), "metadata": reference("Metadata"), "preferred_region": reference("Region"),
        })),
        "Transition": body(&["to"], json!({
            "to": reference("State"), "reason": text(1024), "error": reference("Failure"), "progress": reference("Progress"),
            "results_uri": text(2048), "metrics": { "type": "object" }, "token": token, "if_version": number(),
        })),
        "Report": body(&["progress"], json!({
            "progress": reference("Progress"), "metrics": { "type": "object" }, "token": token, "if_version": number(),
        })),
        "Amendment": body(&[], json!({
            "priority": reference("Priority"), "metadata": reference("Metadata"), "preferred_region": reference("Region"),
            "reason": text(1024), "token": token,
        })),
        "ClaimAsk": body(&[], json!({ "lease_s": lease, "priority": reference("Priority") })),
        "LockAsk": body(&[], json!({ "lease_s": lease })),
        "LockRenewal": body(&["token"], json!({ "token": token, "lease_s": lease })),
        "LockRelease": body(&["token"], json!({ "token": token })),
    })
}

fn replies() -> Value {
    let by = reference("Region");
    let stale = json!({ "type": ["integer", "null"], "description": "How far the replica may be behind the writes; null: not known." });
    let next =
        json!({ "type": ["string", "null"], "description": "Send it as `cursor` to go on; null: the end." });
    let many = |of: &str| json!({ "type": "array", "items": reference(of) });
    json!({
        "Standing": closed(&["region", "status"], json!({ "region": by, "status": { "type": "string" } })),
        "One": closed(&["served_by", "staleness_ms", "workset"], json!({ "served_by": by, "staleness_ms": stale, "workset": reference("Workset") })),
        "OneWritten": closed(&["served_by", "workset"], json!({ "served_by": by, "workset": reference("Workset") })),
        "Many": closed(&["served_by", "staleness_ms", "worksets", "next"], json!({
            "served_by": by, "staleness_ms": stale, "worksets": many("Workset"), "next": next,
        })),
        "Events": closed(&["served_by", "staleness_ms", "events", "collisions", "next"], json!({
            "served_by": by, "staleness_ms": stale, "events": many("Event"), "next": next,
            "collisions": { "type": "array", "items": count() },
        })),
        "Conflicts": closed(&["served_by", "conflicts", "next"], json!({ "served_by": by, "conflicts": many("Conflict"), "next": next })),
        "Queue": closed(&["served_by", "depth", "more_than_counted", "next_ready", "next_ready_age_ms"], json!({
            "served_by": by, "depth": { "type": "object", "additionalProperties": count() },
            "more_than_counted": many("State"), "next_ready": nullable("WorksetId"),
            "next_ready_age_ms": { "type": ["integer", "null"] },
        })),
        "Claimed": closed(&["served_by", "workset", "lock"], json!({ "served_by": by, "workset": nullable("Workset"), "lock": nullable("Lock") })),
        "LockReply": closed(&["served_by", "id", "lock", "token_last"], json!({
            "served_by": by, "id": reference("WorksetId"), "lock": nullable("Lock"), "token_last": count(),
        })),
        "LockShown": closed(&["id", "lock", "is_expired", "token_last"], json!({
            "id": reference("WorksetId"), "lock": nullable("Lock"), "is_expired": { "type": "boolean" }, "token_last": count(),
        })),
    })
}

/// What uploads are asked with, and what is told of them.
fn uploads() -> Value {
    let (by, ms) = (reference("Region"), reference("Ms"));
    let sum = json!({
        "type": "string", "pattern": "^[A-Za-z0-9+/]{10}[AEIMQUYcgkosw048]=$",
        "description": "CRC64NVME: base64 of 8 big-endian bytes.", "examples": ["rosUhgp5mIg="],
    });
    let place = json!({ "type": "integer", "minimum": 1, "maximum": PARTS_MAX });
    let regions = json!({ "type": "array", "items": by });
    let part = closed(&["size_bytes", "crc64nvme"], json!({ "size_bytes": number(), "crc64nvme": sum }));
    let url = closed(
        &["number", "method", "url", "headers"],
        json!({
            "number": place, "method": { "const": "PUT" }, "url": { "type": "string", "format": "uri" },
            "headers": { "type": "object", "additionalProperties": { "type": "string" },
                         "description": "To be sent as they are: the signature covers them." },
        }),
    );
    let stored = closed(
        &["parts", "size_bytes"],
        json!({
            "parts": { "type": "array", "items": { "type": "array" }, "description": "Runs of numbers, each as [first, last]." },
            "size_bytes": count(),
        }),
    );
    json!({
        "UploadId": { "type": "string", "pattern": "^up-[0-9a-f]{32}$" },
        "UploadAsk": body(&["key", "size_bytes", "parts"], json!({
            "key": text(1024), "size_bytes": number(),
            "parts": { "type": "array", "minItems": 1, "maxItems": PARTS_MAX, "items": part },
            "content_type": { "type": "string", "maxLength": 256, "pattern": "^[!-.0-~]+/[!-~]+$" },
            "storage_class": { "enum": StorageClass::ALL.map(StorageClass::as_str) },
            "copies": { "type": "integer", "minimum": 1 },
            "residency": { "type": "array", "maxItems": 16, "items": text(64) }, "data_in": by,
        })),
        "SignAsk": body(&["from"], json!({ "from": place, "to": place.clone() })),
        "FailoverAsk": body(&["from"], json!({ "from": by, "reason": text(256) })),
        "Upload": closed(
            &["id", "state", "key", "region", "bucket", "why", "size_bytes", "crc64nvme", "parts", "tried", "owed_aborts", "created_ms", "receipt"],
            json!({
                "id": reference("UploadId"), "state": { "enum": ["open", "completed", "aborted"] },
                "key": { "type": "string" }, "region": by, "bucket": { "type": "string" }, "why": { "type": "string" },
                "size_bytes": count(), "crc64nvme": sum, "parts": place, "tried": regions, "owed_aborts": regions,
                "created_ms": ms, "receipt": nullable("Receipt"),
            }),
        ),
        "Receipt": open(&["upload_id", "key", "size", "checksum", "outcome", "rule", "copies", "owed", "failed", "attempts"], json!({
            "upload_id": reference("UploadId"), "key": { "type": "string" }, "size": count(), "checksum": sum, "files": count(),
            "outcome": { "enum": ["complete", "degraded"] }, "rule": { "type": "string" },
            "copies": { "type": "array", "minItems": 1 }, "owed": { "type": "array" }, "failed": { "type": "array" },
            "attempts": { "type": "array" }, "leftovers": { "type": "array" },
        })),
        "Offered": closed(&["served_by", "upload", "parts", "expires_ms", "next"], json!({
            "served_by": by, "upload": reference("Upload"), "parts": { "type": "array", "items": url },
            "expires_ms": { "type": ["integer", "null"], "description": "Until when the URLs are good, on the API's clock; null: there are none." },
            "next": { "type": ["integer", "null"], "description": "The first part that has no URL here: send it as `from` to `:sign`; null: the end." },
        })),
        "OneUpload": closed(&["served_by", "upload"], json!({ "served_by": by, "upload": reference("Upload") })),
        "UploadShown": closed(&["served_by", "upload", "stored"], json!({
            "served_by": by, "upload": reference("Upload"), "stored": { "oneOf": [stored, { "type": "null" }] },
        })),
    })
}

fn problems() -> Value {
    let wrong = closed(
        &["field", "problem"],
        json!({ "field": { "type": "string" }, "problem": { "type": "string" } }),
    );
    json!({
        "Problem": open(&["type", "title", "status", "detail", "request_id"], json!({
            "type": { "type": "string", "format": "uri-reference" }, "title": { "type": "string" },
            "status": { "type": "integer" }, "detail": { "type": "string" }, "request_id": { "type": "string" },
            "errors": { "type": "array", "items": wrong },
        })),
    })
}
