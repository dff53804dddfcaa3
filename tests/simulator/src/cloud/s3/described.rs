//! What is kept with an object, as headers of an answer.

use super::{Answer, METADATA, ObjectState};

/// `answer` with what was kept of `object` besides its bytes.
pub(super) fn attributed(mut answer: Answer, object: &ObjectState) -> Answer {
    if let Some(kind) = &object.attributes.content_type {
        answer = answer.with("content-type", kind);
    }
    let kept = &object.attributes;
    let headers = [
        ("cache-control", &kept.headers.cache_control),
        ("content-disposition", &kept.headers.content_disposition),
        ("content-encoding", &kept.headers.content_encoding),
        ("content-language", &kept.headers.content_language),
        ("x-amz-storage-class", &kept.storage_class),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            answer = answer.with(name, value);
        }
    }
    if !kept.tags.is_empty() {
        answer = answer.with("x-amz-tagging-count", kept.tags.len().to_string());
    }
    for (name, value) in &kept.metadata {
        answer = answer.with(format!("{METADATA}{name}"), value);
    }
    answer
}
