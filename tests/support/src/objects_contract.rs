//! What every [`Objects`] must do. Run on memory and on S3 of the local cloud.

use bytes::Bytes;
use sealane::{
    checksum::Checksum,
    ports::{Attributes, CopySource, Headers, Objects, ObjectsError, Onto, Part},
};

/// The smallest part that S3 takes anywhere but at the end.
const PART: usize = 5 << 20;

/// Runs every rule, each under a key of its own below `scope`; copies go from `near` to `far`.
pub async fn keeps(near: &impl Objects, far: &impl Objects, scope: &str) {
    a_put_is_read_back(near, &format!("{scope}/put")).await;
    a_wrong_checksum_is_refused(near, &format!("{scope}/wrong")).await;
    parts_make_the_whole(near, &format!("{scope}/parts")).await;
    parts_are_joined_on_top_of_what_was_seen(near, &format!("{scope}/onto")).await;
    an_abort_leaves_nothing(near, &format!("{scope}/abort")).await;
    open_uploads_are_listed(near, &format!("{scope}/open")).await;
    what_is_not_there_is_missing(near, &format!("{scope}/none")).await;
    a_copy_is_pinned(near, far, &format!("{scope}/copy me+ü")).await;
    versions_are_listed_newest_first(near, &format!("{scope}/versions")).await;
    one_version_is_removed(near, &format!("{scope}/remove")).await;
}

fn attributes() -> Attributes {
    let metadata = [("sealane-upload".to_owned(), "u1".to_owned())].into();
    Attributes {
        content_type: Some("text/plain".to_owned()),
        headers: Headers { cache_control: Some("max-age=60".to_owned()), ..Headers::default() },
        metadata,
        ..Attributes::default()
    }
}

async fn a_put_is_read_back(bucket: &impl Objects, key: &str) {
    let body = Bytes::from_static(b"twelve bytes");
    let stored = bucket.put(key, body.clone(), Checksum::of(&body), &attributes()).await.unwrap();
    let head = bucket.head(key, stored.version_id.as_deref()).await.unwrap().unwrap();
    assert_eq!((head.size_bytes, &head.attributes), (12, &attributes()));
    assert_eq!(head.version_id, stored.version_id);
    assert!(head.checksum.is_none_or(|c| c == Checksum::of(&body)));
    assert_eq!(bucket.read(key, None, 0..100).await.unwrap(), body);
    assert_eq!(bucket.read(key, None, 7..12).await.unwrap(), "bytes");
    assert_eq!(bucket.read(key, stored.version_id.as_deref(), 7..10).await.unwrap(), "byt");
}

async fn a_wrong_checksum_is_refused(bucket: &impl Objects, key: &str) {
    let sent = bucket.put(key, Bytes::from_static(b"one"), Checksum::of(b"two"), &attributes()).await;
    assert!(matches!(sent, Err(ObjectsError::Mismatch { .. })), "{sent:?}");
    assert_eq!(bucket.head(key, None).await.unwrap(), None);
}

async fn versions_are_listed_newest_first(bucket: &impl Objects, prefix: &str) {
    let (key, after) = (format!("{prefix}/a"), format!("{prefix}/a+"));
    let mut ids = Vec::new();
    for (key, body) in [(&key, "1"), (&key, "22"), (&key, "333"), (&after, "x")] {
        let body = Bytes::from_static(body.as_bytes());
        let stored = bucket.put(key, body.clone(), Checksum::of(&body), &attributes()).await.unwrap();
        ids.push(stored.version_id.unwrap_or_else(|| "null".to_owned()));
    }
    let told = async |prefix: &str, after: Option<&str>, most: u16| {
        let page = bucket.list_versions(prefix, after, most).await.unwrap();
        assert!(page.entries.iter().all(|listed| !listed.is_marker));
        (page.entries.into_iter().map(|v| (v.version_id, v.size_bytes)).collect::<Vec<_>>(), page.more)
    };
    let all = [(2, 3), (1, 2), (0, 1), (3, 1)].map(|(place, size): (usize, u64)| (ids[place].clone(), size));
    assert_eq!(told(&key, None, 100).await, (all.to_vec(), false));
    assert_eq!(told(&key, None, 2).await, (all[..2].to_vec(), true));
    assert_eq!(told(prefix, Some(&key), 100).await, (all[3..].to_vec(), false));
}

async fn one_version_is_removed(bucket: &impl Objects, key: &str) {
    let put = async |body: &'static [u8]| {
        let stored = bucket.put(key, Bytes::from_static(body), Checksum::of(body), &attributes()).await;
        stored.unwrap().version_id.unwrap()
    };
    let (first, second) = (put(b"first").await, put(b"second").await);
    for _ in 0..2 {
        bucket.remove(key, &second).await.unwrap();
    }
    assert_eq!(bucket.read(key, None, 0..9).await.unwrap(), "first");
    bucket.remove(key, &first).await.unwrap();
    assert_eq!(bucket.head(key, None).await.unwrap(), None);
}

async fn begin_with_parts(bucket: &impl Objects, key: &str, bodies: &[Bytes]) -> (String, Vec<Part>) {
    let upload = bucket.begin(key, &attributes()).await.unwrap();
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(bodies) {
        parts.push(bucket.put_part(key, &upload, number, body.clone(), Checksum::of(body)).await.unwrap());
    }
    (upload, parts)
}

async fn parts_make_the_whole(bucket: &impl Objects, key: &str) {
    let bodies = [Bytes::from(vec![1; PART]), Bytes::from(vec![2; PART]), Bytes::from_static(b"end")];
    let whole = bodies.concat();
    let (upload, parts) = begin_with_parts(bucket, key, &bodies).await;
    let listed: Vec<u64> = bucket.parts(key, &upload).await.unwrap().iter().map(|p| p.size_bytes).collect();
    assert_eq!(listed, [PART as u64, PART as u64, 3]);
    let stored =
        bucket.complete(key, &upload, &parts, Some(Checksum::of(&whole)), &Onto::Anything).await.unwrap();
    let head = bucket.head(key, stored.version_id.as_deref()).await.unwrap().unwrap();
    assert_eq!(head.size_bytes, whole.len() as u64);
    assert!(head.checksum.is_none_or(|c| c == Checksum::of(&whole)));
    assert_eq!(head.attributes, attributes());
    let edge = PART as u64;
    assert_eq!(bucket.read(key, None, edge - 1..edge + 1).await.unwrap().as_ref(), [1, 2]);
}

/// A completion that is refused leaves what the key holds, and its upload with its parts.
async fn parts_are_joined_on_top_of_what_was_seen(bucket: &impl Objects, key: &str) {
    let (upload, parts) = begin_with_parts(bucket, key, &[Bytes::from_static(b"joined")]).await;
    let join = async |onto: &Onto| bucket.complete(key, &upload, &parts, None, onto).await;
    let refused = async |onto: &Onto| {
        let answer = join(onto).await;
        assert!(matches!(answer, Err(ObjectsError::Mismatch { .. })), "{onto:?}: {answer:?}");
    };
    refused(&Onto::Tag("\"00000000000000000000000000000000\"".to_owned())).await;
    let put = async |body: &'static [u8]| {
        let body = Bytes::from_static(body);
        bucket.put(key, body.clone(), Checksum::of(&body), &attributes()).await.unwrap().etag.unwrap()
    };
    let seen = put(b"seen").await;
    refused(&Onto::Nothing).await;
    let newer = put(b"newer").await;
    refused(&Onto::Tag(seen)).await;
    assert_eq!(bucket.read(key, None, 0..9).await.unwrap(), "newer");
    assert_eq!(bucket.parts(key, &upload).await.unwrap().len(), 1);
    join(&Onto::Tag(newer)).await.unwrap();
    assert_eq!(bucket.read(key, None, 0..9).await.unwrap(), "joined");
}

async fn an_abort_leaves_nothing(bucket: &impl Objects, key: &str) {
    let (upload, parts) = begin_with_parts(bucket, key, &[Bytes::from_static(b"end")]).await;
    bucket.abort(key, &upload).await.unwrap();
    bucket.abort(key, &upload).await.unwrap();
    let late = bucket.complete(key, &upload, &parts, None, &Onto::Anything).await;
    assert!(matches!(late, Err(ObjectsError::Missing { .. })), "{late:?}");
    assert_eq!(bucket.head(key, None).await.unwrap(), None);
}

async fn open_uploads_are_listed(bucket: &impl Objects, key: &str) {
    let (first, second) = (format!("{key}/1"), format!("{key}/2"));
    let (one, _) = begin_with_parts(bucket, &first, &[Bytes::from_static(b"end")]).await;
    let two = bucket.begin(&second, &attributes()).await.unwrap();
    let listed = async |prefix: &str| {
        let open = bucket.uploads(prefix).await.unwrap();
        open.into_iter().map(|open| (open.key, open.upload)).collect::<Vec<_>>()
    };
    assert_eq!(
        listed(&format!("{key}/")).await,
        [(first.clone(), one.clone()), (second.clone(), two.clone())]
    );
    assert_eq!(listed(&second).await, [(second.clone(), two.clone())]);
    bucket.abort(&first, &one).await.unwrap();
    bucket.abort(&second, &two).await.unwrap();
    assert_eq!(listed(&format!("{key}/")).await, []);
}

async fn what_is_not_there_is_missing(bucket: &impl Objects, key: &str) {
    assert_eq!(bucket.head(key, None).await.unwrap(), None);
    let read = bucket.read(key, None, 0..1).await;
    assert!(matches!(read, Err(ObjectsError::Missing { .. })), "{read:?}");
}

async fn a_copy_is_pinned(near: &impl Objects, far: &impl Objects, key: &str) {
    let body = Bytes::from_static(b"first");
    let first = near.put(key, body.clone(), Checksum::of(&body), &attributes()).await.unwrap();
    let source = CopySource {
        bucket: near.bucket().to_owned(),
        key: key.to_owned(),
        version_id: first.version_id,
        etag: first.etag,
    };
    let marked = Attributes {
        metadata: [("sealane-origin".to_owned(), "us-west-2/v1".to_owned())].into(),
        ..attributes()
    };
    far.copy(&source, key, &marked, &Onto::Nothing).await.unwrap();
    assert_eq!(far.read(key, None, 0..9).await.unwrap(), body);
    assert_eq!(far.head(key, None).await.unwrap().unwrap().attributes, marked);
    let upload = far.begin(key, &marked).await.unwrap();
    let part = far.copy_part(&source, key, &upload, 1, 1..4).await.unwrap();
    let onto = Onto::Tag(far.head(key, None).await.unwrap().unwrap().etag.unwrap());
    far.complete(key, &upload, &[part], None, &onto).await.unwrap();
    assert_eq!(far.read(key, None, 0..9).await.unwrap(), "irs");
    let stale = CopySource { etag: Some("\"00000000000000000000000000000000\"".to_owned()), ..source };
    let onto = Onto::Tag(far.head(key, None).await.unwrap().unwrap().etag.unwrap());
    let refused = far.copy(&stale, key, &marked, &onto).await;
    assert!(matches!(refused, Err(ObjectsError::Mismatch { .. })), "{refused:?}");
}
