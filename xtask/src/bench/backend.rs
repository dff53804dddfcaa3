//! AWS with nothing in it: tables without rows, buckets without objects, no alarms. It answers at once, so that
//! what is measured is the function.

use super::http::{Request, reply};
use std::{
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
        reply(&mut replies, status, headers, body)?;
    }
    Ok(())
}

type Headers = &'static [(&'static str, &'static str)];

const JSON: Headers = &[("content-type", "application/x-amz-json-1.0")];
const CBOR: Headers = &[("content-type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")];

/// Status, headers and body for what was asked.
fn answer(request: &Request) -> (u16, Headers, &'static [u8]) {
    if let Some(target) = request.header("x-amz-target") {
        let rows = target.ends_with(".Query") || target.ends_with(".Scan");
        return (200, JSON, if rows { br#"{"Items":[],"Count":0,"ScannedCount":0}"# } else { b"{}" });
    }
    if request.path.contains("/operation/DescribeAlarms") {
        // An empty map in CBOR: no alarm is known.
        return (200, CBOR, &[0xa0]);
    }
    match request.method.as_str() {
        "PUT" => (200, &[("etag", "\"d41d8cd98f00b204e9800998ecf8427e\"")], b""),
        "GET" if request.path.starts_with("/v1/live") => (200, JSON, br#"{"status":"live"}"#),
        _ => (404, &[("content-type", "application/xml")], b"<Error><Code>NoSuchKey</Code></Error>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str, target: Option<&str>) -> (u16, &'static [u8]) {
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
        assert_eq!(asked("POST", "/", Some("DynamoDB_20120810.GetItem")), (200, &b"{}"[..]));
        let (status, rows) = asked("POST", "/", Some("DynamoDB_20120810.Query"));
        assert!(status == 200 && rows.starts_with(b"{\"Items\":[]"));
        assert_eq!(asked("GET", "/bucket/key", None).0, 404);
        assert_eq!(asked("PUT", "/bucket/key", None).0, 200);
    }
}
