//! As much of HTTP as the test needs: a request a connection.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// One request, whole.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// The path as it was sent, still escaped.
    pub(crate) path: String,
    pub(crate) query: String,
    /// By names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What is answered.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Answers on a port of loopback for as long as the process lives; the port.
pub(crate) fn serve(answer: impl Fn(Asked) -> Answer + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                if let Some(asked) = read(&stream) {
                    let is_head = asked.method == "HEAD";
                    let _ = write(&stream, &answer(asked), is_head);
                }
            });
        }
    });
    port
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let (first, headers) = head(&mut reader)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = body(&mut reader, &headers)?;
    Some(Asked { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

fn head(reader: &mut impl std::io::BufRead) -> Option<(String, BTreeMap<String, String>)> {
    let mut lines = reader.lines();
    let first = lines.next()?.ok()?;
    let lines = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
    let pairs = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    });
    Some((first, pairs.collect()))
}

fn body(reader: &mut impl std::io::Read, headers: &BTreeMap<String, String>) -> Option<Vec<u8>> {
    let len: usize = headers.get("content-length").map_or(Some(0), |len| len.parse().ok())?;
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn write(mut stream: &TcpStream, answer: &Answer, is_head: bool) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !answer.headers.iter().any(|(name, _)| name == "content-length") {
        text += &format!("content-length: {}\r\n", answer.body.len());
    }
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    if is_head { Ok(()) } else { stream.write_all(&answer.body) }
}

/// Sends one request, with these headers and no others but `host`; the status and the body of the answer.
pub(crate) fn send(
    method: &str,
    url: &str,
    headers: &BTreeMap<String, String>,
    sent: &[u8],
) -> (u16, String) {
    let (host, target) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let mut text = format!("{method} /{target} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    stream.write_all(sent).unwrap();
    let mut reader = BufReader::new(&stream);
    let (first, headers) = head(&mut reader).unwrap();
    let status = first.split(' ').nth(1).unwrap().parse().unwrap();
    (status, String::from_utf8(body(&mut reader, &headers).unwrap()).unwrap())
}
