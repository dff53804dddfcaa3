use proptest::prelude::*;

use super::*;
use crate::{aws::errors::Failure, checksum::Checksum, ports::Silence};

fn said(document: &str) -> Said {
    Said { headers: Headers::new(), document: document.to_owned() }
}

const HEADER: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

#[test]
fn the_upload_that_was_begun_is_named() {
    let document = |id: &str| {
        said(&format!(
            "{HEADER}<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket>\
             <Key>&lt;UploadId&gt;no&lt;/UploadId&gt;</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        ))
    };
    assert_eq!(document("u.1_&amp;-").upload().unwrap(), "u.1_&-");
    for silent in [document(""), said(""), said("<Other><UploadId>u</UploadId></Other>")] {
        assert!(silent.upload().is_err(), "{silent:?}");
    }
}

#[test]
fn a_page_of_parts_says_whether_another_follows() {
    let sum = Checksum::of(b"part");
    let part = format!(
        "<Part><PartNumber>7</PartNumber><LastModified>2026</LastModified><ETag>&quot;e&quot;</ETag><Size>9</Size>\
         <ChecksumCRC64NVME>{sum}</ChecksumCRC64NVME></Part>"
    );
    let page = |truncated: bool, marker: &str| {
        let head = format!(
            "<NextPartNumberMarker>{marker}</NextPartNumberMarker><IsTruncated>{truncated}</IsTruncated>"
        );
        said(&format!("{HEADER}<ListPartsResult>{head}{part}<Part/></ListPartsResult>")).parts().unwrap()
    };
    let first = Part { number: 7, etag: "\"e\"".to_owned(), size_bytes: 9, checksum: Some(sum) };
    let found = page(true, "7");
    assert_eq!((&found.parts[0], found.parts.len(), found.next.as_deref()), (&first, 2, Some("7")));
    assert_eq!(page(false, "7").next, None);
}

#[test]
fn a_completion_is_one_when_its_document_ends_well() {
    let whole =
        "\n  <CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag></CompleteMultipartUploadResult>";
    assert_eq!(said(whole).completed().unwrap().as_deref(), Some("\"e-2\""));
    for cut in ["", "   ", &whole[..whole.len() - 1]] {
        let fault = said(cut).completed().unwrap_err();
        assert_eq!(fault.failure(), Failure::NoAnswer(Silence::NoConnection), "{cut}");
    }
}

#[test]
fn versions_of_the_key_are_listed_and_of_no_other() {
    let version = |kind: &str, key: &str, id: &str| {
        format!("<{kind}><Key>{key}</Key><VersionId>{id}</VersionId></{kind}>")
    };
    let listed = [
        version("Version", "a &amp; b", "v3"),
        version("DeleteMarker", "a &amp; b", "v2"),
        version("Version", "a &amp; b", "v1"),
        version("Version", "a &amp; bc", "v0"),
    ];
    let document = said(&format!("{HEADER}<ListVersionsResult>{}</ListVersionsResult>", listed.concat()));
    assert_eq!(document.versions("a & b").unwrap(), ["v3", "v1"]);
}

#[test]
fn a_query_is_escaped() {
    assert_eq!(
        query(&[("versions", ""), ("prefix", "a/b c&d=\u{fc}")]),
        "versions&prefix=a%2Fb%20c%26d%3D%C3%BC"
    );
}

proptest! {
    /// What the store is told to join is what it reads, whatever its tags hold.
    #[test]
    fn parts_to_be_joined_read_back(etags in proptest::collection::vec("[ -~]{1,12}", 1..5)) {
        let part = |(n, etag): (usize, &String)| Part {
            number: u32::try_from(n).unwrap() + 1,
            etag: etag.trim().to_owned(),
            size_bytes: 0,
            checksum: (n % 2 == 0).then(|| Checksum::of(etag.as_bytes())),
        };
        let parts: Vec<_> = etags.iter().enumerate().map(part).collect();
        let mut read = Vec::new();
        said(&joined(&parts)).each("CompleteMultipartUpload", |tag| {
            read.push(super::part(tag)?);
            Ok(())
        }).unwrap();
        for part in &mut read {
            part.etag = part.etag.trim().to_owned();
        }
        prop_assert_eq!(read, parts);
    }

    /// No document makes a reader panic.
    #[test]
    fn odd_documents_are_refused(text in "(<ListPartsResult>|<Part>|</Part>|<Size>|<|>|&[a-z]{0,3};?|\\PC){0,12}") {
        let odd = said(&text);
        let _ = (odd.parts(), odd.upload(), odd.completed(), odd.versions("k"), odd.head());
    }
}
