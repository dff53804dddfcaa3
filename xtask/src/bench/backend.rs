//! AWS with next to nothing in it: no objects, no alarms, and of all rows only the record of the active region,
//! steady, so that nobody waits for a move. It answers at once, so that what is measured is the function.

use super::http::{Request, reply};
use crate::cloud::region::PRIMARY;
use sealane::{failover::Record, time::Timestamp};
use serde_json::json;
use std::{
    borrow::Cow,
    io::{self, BufReader},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

/// Opens the backend on a free port and returns the port. It ends with the process.
///
/// # Errors
/// When there is no free port.
pub fn open() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the function's business.
            thread::spawn(move || drop(conversation(&stream)));
        }
    });
    Ok(port)
}

fn conversation(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::new(stream);
    let mut replies = stream;
    while let Some(request) = Request::read(&mut requests)? {
        let (status, headers, body) = answer(&request);
        reply(&mut replies, status, headers, &body)?;
    }
    Ok(())
}

type Headers = &'static [(&'static str, &'static str)];

const JSON: Headers = &[("content-type", "application/x-amz-json-1.0")];
const CBOR: Headers = &[("content-type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")];

/// Status, headers and body for what was asked.
fn answer(request: &Request) -> (u16, Headers, Cow<'static, [u8]>) {
    if let Some(target) = request.header("x-amz-target") {
        let listing = target.ends_with(".Query") || target.ends_with(".Scan");
        let none: &[u8] = if listing { br#"{"Items":[],"Count":0,"ScannedCount":0}"# } else { b"{}" };
        let about_record = target.ends_with(".GetItem") && holds(&request.body, b"\"assignment\"");
        return (200, JSON, if about_record { record() } else { none.into() });
    }
    if request.path.contains("/operation/DescribeAlarms") {
        // An empty map in CBOR: no alarm is known.
        return (200, CBOR, Cow::Borrowed(&[0xa0]));
    }
    match request.method.as_str() {
        "PUT" => (200, &[("etag", "\"d41d8cd98f00b204e9800998ecf8427e\"")], Cow::Borrowed(b"")),
        "GET" if request.path.starts_with("/v1/live") => (200, JSON, Cow::Borrowed(br#"{"status":"live"}"#)),
        _ => {
            let none = Cow::Borrowed(&b"<Error><Code>NoSuchKey</Code></Error>"[..]);
            (404, &[("content-type", "application/xml")], none)
        }
    }
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|part| part == text)
}

/// The row of the control table that says where work is.
fn record() -> Cow<'static, [u8]> {
    let Ok(active) = PRIMARY.parse() else { return Cow::Borrowed(b"{}") };
    let body = json!(Record::first(active, Timestamp::default())).to_string();
    let (pk, sk) = (json!({ "S": "assignment" }), json!({ "S": "current" }));
    let row = json!({ "Item": { "pk": pk, "sk": sk, "v": { "N": "1" }, "body": { "S": body } } });
    row.to_string().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str, target: Option<&str>) -> (u16, Cow<'static, [u8]>) {
        let headers = target.map(|target| ("x-amz-target".to_owned(), target.to_owned()));
        let request = Request {
            method: method.into(),
            path: path.into(),
            headers: headers.into_iter().collect(),
            body: Vec::new(),
        };
        let (status, _, body) = answer(&request);
        (status, body)
    }

    #[test]
    fn tables_have_no_rows_and_buckets_no_objects() {
        assert_eq!(asked("POST", "/", Some("DynamoDB_20120810.GetItem")), (200, Cow::Borrowed(&b"{}"[..])));
        let (status, rows) = asked("POST", "/", Some("DynamoDB_20120810.Query"));
        assert!(status == 200 && rows.starts_with(b"{\"Items\":[]"));
        assert_eq!(asked("GET", "/bucket/key", None).0, 404);
        assert_eq!(asked("PUT", "/bucket/key", None).0, 200);
    }
}
