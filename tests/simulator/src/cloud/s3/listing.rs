//! What a bucket holds, told in pages.

use std::time::Duration;

use super::{super::EPOCH_MS, Answer, Asked, Cloud, S3Error, lock, xml};

/// Objects on one page of a listing.
const KEYS_A_PAGE: usize = 1000;

impl Cloud {
    /// The open uploads below a prefix, with the time of the simulated world's beginning for all.
    pub(super) fn uploads(&self, asked: &Asked) -> Result<(String, Answer), S3Error> {
        let prefix = asked.of_query("prefix").unwrap_or_default();
        let buckets = lock(&self.0.buckets);
        let open = buckets.get(&asked.bucket)?.open(prefix);
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
        let rows = open.iter().map(|(key, id)| {
            let key = escaped(key);
            format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>")
        });
        let rows: String = rows.collect();
        let body = format!(
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{rows}</ListMultipartUploadsResult>"
        );
        Ok((format!("{} uploads", open.len()), xml(body)))
    }

    /// Versions and delete markers in the order of a listing, their times in whole seconds as S3 has them.
    pub(super) fn versions(&self, asked: &Asked) -> Result<(String, Answer), S3Error> {
        let (prefix, after) = (asked.of_query("prefix").unwrap_or_default(), asked.of_query("key-marker"));
        let most = asked.of_query("max-keys").and_then(|n| n.parse().ok()).unwrap_or(KEYS_A_PAGE);
        let buckets = lock(&self.0.buckets);
        let shown = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let keys = buckets.get(&asked.bucket)?.all().iter().filter(|(key, _)| shown(key));
        let mut all = keys.flat_map(|(key, versions)| {
            let newest = versions.len().saturating_sub(1);
            versions.iter().enumerate().rev().map(move |(place, version)| (key, version, place == newest))
        });
        let mut body = String::from("<ListVersionsResult>");
        for (key, version, is_latest) in all.by_ref().take(most.min(KEYS_A_PAGE)) {
            let key = key.replace('&', "&amp;").replace('<', "&lt;");
            let (kind, size) = if version.is_marker {
                ("DeleteMarker", String::new())
            } else {
                ("Version", format!("<Size>{}</Size>", version.body.len()))
            };
            body += &format!(
                "<{kind}><Key>{key}</Key><VersionId>{}</VersionId><IsLatest>{is_latest}</IsLatest>\
                 <LastModified>{}</LastModified>{size}</{kind}>",
                version.version_id,
                second(version.at),
            );
        }
        let more = all.next().is_some();
        Ok((
            format!("more {more}"),
            xml(format!("{body}<IsTruncated>{more}</IsTruncated></ListVersionsResult>")),
        ))
    }
}

/// A moment since the start, without its part of a second.
fn second(at: Duration) -> String {
    let whole = i64::try_from(EPOCH_MS / 1_000 + at.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(whole).map(|at| at.to_string()).unwrap_or_default()
}
