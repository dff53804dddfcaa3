//! What is kept of an object besides its bytes, as requests to make one say it.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ports::{Attributes, Tags};

/// Sets on a request that makes an object what is kept besides its bytes.
macro_rules! described {
    ($attributes:expr, $request:expr) => {{
        let kept: &$crate::ports::Attributes = $attributes;
        $request
            .set_content_type(kept.content_type.clone())
            .set_cache_control(kept.headers.cache_control.clone())
            .set_content_disposition(kept.headers.content_disposition.clone())
            .set_content_encoding(kept.headers.content_encoding.clone())
            .set_content_language(kept.headers.content_language.clone())
            .set_storage_class(kept.storage_class.as_deref().map(aws_sdk_s3::types::StorageClass::from))
            .set_metadata(Some(kept.metadata.clone().into_iter().collect()))
            .set_tagging($crate::aws::described::tagging(&kept.tags))
    }};
}

pub(super) use described;

/// Tags as their header wants them.
pub(super) fn tagging(tags: &Tags) -> Option<String> {
    let pair = |(name, value): (&String, &String)| {
        format!(
            "{}={}",
            utf8_percent_encode(name, NON_ALPHANUMERIC),
            utf8_percent_encode(value, NON_ALPHANUMERIC)
        )
    };
    (!tags.is_empty()).then(|| tags.iter().map(pair).collect::<Vec<_>>().join("&"))
}

/// The same as headers, and the key that encrypts it.
pub(super) fn headers(
    attributes: &Attributes,
    kms: Option<&String>,
) -> impl Iterator<Item = (String, String)> {
    let Attributes { content_type, headers, storage_class, metadata, tags } = attributes;
    let named = [
        ("content-type", content_type.clone()),
        ("cache-control", headers.cache_control.clone()),
        ("content-disposition", headers.content_disposition.clone()),
        ("content-encoding", headers.content_encoding.clone()),
        ("content-language", headers.content_language.clone()),
        ("x-amz-storage-class", storage_class.clone()),
        ("x-amz-tagging", tagging(tags)),
        ("x-amz-server-side-encryption", kms.map(|_| "aws:kms".to_owned())),
        ("x-amz-server-side-encryption-aws-kms-key-id", kms.cloned()),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let metadata = metadata.iter().map(|(name, value)| (format!("x-amz-meta-{name}"), value.clone()));
    named.chain(metadata)
}
