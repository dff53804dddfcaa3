//! A store of objects on loopback: as much of S3 as the command line asks for, over real connections.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use sealane::checksum::Checksum;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) open: BTreeMap<String, Open>,
    /// Numbers of the parts that arrived, in the order of their arrival.
    pub(crate) arrived: Vec<u32>,
    /// How often the parts of an upload were listed.
    pub(crate) listings: usize,
    /// Storage classes that were asked for.
    pub(crate) classes: Vec<String>,
    /// KMS keys that were named.
    pub(crate) kms_keys: Vec<String>,
    /// After this many parts every further one is kept waiting.
    pub(crate) stalls_after: Option<usize>,
    /// After this many reads every further one is refused with 500.
    pub(crate) reads_left: Option<usize>,
    pub(crate) flips_bits: bool,
    /// Keys of the objects that were put whole, in the order of their arrival.
    pub(crate) puts: Vec<String>,
    /// After this many of them every further one is kept waiting.
    pub(crate) puts_max: Option<usize>,
    /// Puts that are kept waiting now.
    pub(crate) waiting: usize,
    /// The next answers that break off.
    pub(crate) cuts: Vec<Cut>,
    serial: u64,
}

/// What is asked of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Put,
    Part,
    Complete,
    Get,
    Other,
}

/// Where an answer breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    StatusLine,
    Body,
}

/// One answer that breaks off, whose connection is closed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) ask: Ask,
    pub(crate) place: Place,
    /// Whether the store does what it is asked.
    pub(crate) carries_out: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) version: String,
}

#[derive(Debug, Default)]
pub(crate) struct Open {
    pub(crate) key: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) parts: BTreeMap<u32, Vec<u8>>,
}

/// A bucket that answers on loopback until the test ends.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

struct Asked {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Store {
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let served = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&served);
                thread::spawn(move || serve(&stream, &state));
            }
        });
        Self { url, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits until `ready`, for a generous time.
    pub(crate) fn wait(&self, ready: impl Fn(&State) -> bool) {
        for _ in 0..1_200 {
            if ready(&self.state()) {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "another process is waited for")]
            thread::sleep(Duration::from_millis(25));
        }
        panic!("what was waited for did not happen: {:?}", self.state().arrived);
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(asked) = read(&mut reader) {
        let is_head = asked.method == "HEAD";
        let cut = taken(&mut state.lock().unwrap(), asked.ask());
        let answer = match cut {
            Some(Cut { carries_out: false, .. }) => pretended(),
            _ => act(&asked, state),
        };
        if let Some(Cut { place, .. }) = cut {
            return break_off(writer, &answer, place);
        }
        let mut text = format!("HTTP/1.1 {} X\r\n", answer.status);
        for (name, value) in &answer.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !is_head {
            text += &format!("content-length: {}\r\n", answer.body.len());
        }
        let body: &[u8] = if is_head { &[] } else { &answer.body };
        if writer.write_all(format!("{text}\r\n").as_bytes()).and_then(|()| writer.write_all(body)).is_err() {
            return;
        }
    }
}

impl Asked {
    fn ask(&self) -> Ask {
        let has = |name: &str| self.query.contains_key(name);
        match self.method.as_str() {
            "PUT" if has("partNumber") => Ask::Part,
            "PUT" => Ask::Put,
            "POST" if has("uploadId") => Ask::Complete,
            "GET" if self.query.keys().all(|name| name == "versionId" || name == "x-id") => Ask::Get,
            _ => Ask::Other,
        }
    }
}

/// The next cut of answers of this kind.
fn taken(state: &mut State, ask: Ask) -> Option<Cut> {
    let next = state.cuts.iter().position(|cut| cut.ask == ask)?;
    Some(state.cuts.remove(next))
}

/// How an answer begins that would say that all is well.
fn pretended() -> Answer {
    Answer { status: 200, headers: vec![("etag".to_owned(), "\"e\"".to_owned())], body: Vec::new() }
}

/// Sends as much of an answer as a connection that breaks lets through.
fn break_off(mut writer: &TcpStream, answer: &Answer, place: Place) {
    let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = answer.body.len() + 1;
    let whole = format!("HTTP/1.1 {} X\r\n{headers}content-length: {length}\r\n\r\n", answer.status);
    let sent = match place {
        Place::StatusLine => writer.write_all(b"HTTP/1.1 20"),
        Place::Body => writer.write_all(whole.as_bytes()).and_then(|()| writer.write_all(&answer.body)),
    };
    sent.and_then(|()| writer.shutdown(Shutdown::Both)).ok();
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let (method, target) = line.split_once(' ')?;
    let (method, target) = (method.to_owned(), target.split(' ').next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    if header("expect").is_some() {
        let mut stream: &TcpStream = reader.get_ref();
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let length = header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if header("x-amz-decoded-content-length").is_some() {
        body = unchunked(&body);
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let query = pairs.map(|(n, v)| (decoded(n), decoded(v))).collect();
    Some(Asked { method, key: decoded(key), query, headers, body })
}

/// The bytes of a body that was sent in signed chunks with a trailer.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = usize::from_str_radix(head.split(';').next().unwrap(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    body
}

fn act(asked: &Asked, shared: &Mutex<State>) -> Answer {
    let query = |name: &str| asked.query.get(name).cloned();
    let (upload, part) = (query("uploadId"), query("partNumber").and_then(|n| n.parse::<u32>().ok()));
    if part.is_some() {
        stall(shared);
    } else if asked.method == "PUT" {
        hold_up(shared);
    }
    let mut state = shared.lock().unwrap();
    state.serial += 1;
    let serial = state.serial;
    match (asked.method.as_str(), upload, part) {
        ("POST", None, _) => {
            note_headers(&mut state, asked);
            let open = Open { key: asked.key.clone(), headers: kept(asked), parts: BTreeMap::new() };
            state.open.insert(format!("up{serial}"), open);
            xml(format!(
                "<InitiateMultipartUploadResult><UploadId>up{serial}</UploadId></InitiateMultipartUploadResult>"
            ))
        }
        ("PUT", Some(id), Some(number)) => {
            let Some(open) = state.open.get_mut(&id) else { return refused(404, "NoSuchUpload") };
            open.parts.insert(number, asked.body.clone());
            state.arrived.push(number);
            let etag = etag(&asked.body);
            Answer { status: 200, headers: vec![("etag".to_owned(), etag)], body: Vec::new() }
        }
        ("GET", Some(id), _) => {
            state.listings += 1;
            let Some(open) = state.open.get(&id) else { return refused(404, "NoSuchUpload") };
            let row = |(number, body): (&u32, &Vec<u8>)| {
                let (size, sum, etag) = (body.len(), Checksum::of(body), etag(body));
                format!(
                    "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><Size>{size}</Size><ChecksumCRC64NVME>{sum}</ChecksumCRC64NVME></Part>"
                )
            };
            let rows: String = open.parts.iter().map(row).collect();
            xml(format!("<ListPartsResult><IsTruncated>false</IsTruncated>{rows}</ListPartsResult>"))
        }
        ("POST", Some(id), _) => {
            let Some(open) = state.open.remove(&id) else { return refused(404, "NoSuchUpload") };
            let body = open.parts.into_values().flatten().collect();
            store(&mut state, &open.key, body, open.headers)
        }
        ("DELETE", Some(id), _) => {
            state.open.remove(&id);
            Answer { status: 204, headers: Vec::new(), body: Vec::new() }
        }
        ("PUT", None, _) => {
            note_headers(&mut state, asked);
            state.puts.push(asked.key.clone());
            store(&mut state, &asked.key, asked.body.clone(), kept(asked))
        }
        ("GET", None, _) if asked.query.contains_key("uploads") => uploads(&state, asked),
        ("GET" | "HEAD", None, _) => get(&mut state, asked),
        _ => refused(501, "NotImplemented"),
    }
}

fn uploads(state: &State, asked: &Asked) -> Answer {
    let prefix = asked.query.get("prefix").cloned().unwrap_or_default();
    let open = state.open.iter().filter(|(_, open)| open.key.starts_with(&prefix));
    let row = |(id, Open { key, .. }): (&String, &Open)| {
        format!(
            "<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>"
        )
    };
    let rows: String = open.map(row).collect();
    xml(format!(
        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{rows}</ListMultipartUploadsResult>"
    ))
}

/// Keeps a part waiting for as long as the store is told to.
fn stall(shared: &Mutex<State>) {
    wait_while(shared, |state| state.stalls_after.is_some_and(|after| state.arrived.len() >= after));
}

/// Keeps a put waiting for as long as the store is told to.
fn hold_up(shared: &Mutex<State>) {
    shared.lock().unwrap().waiting += 1;
    wait_while(shared, |state| state.puts_max.is_some_and(|most| state.puts.len() >= most));
    shared.lock().unwrap().waiting -= 1;
}

fn wait_while(shared: &Mutex<State>, waits: impl Fn(&State) -> bool) {
    loop {
        let state = shared.lock().unwrap();
        if !waits(&state) {
            return;
        }
        drop(state);
        #[expect(clippy::disallowed_methods, reason = "another process is kept waiting")]
        thread::sleep(Duration::from_millis(25));
    }
}

fn note_headers(state: &mut State, asked: &Asked) {
    let header = |name: &str| asked.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    state.classes.extend(header("x-amz-storage-class"));
    state.kms_keys.extend(header("x-amz-server-side-encryption-aws-kms-key-id"));
}

fn kept(asked: &Asked) -> Vec<(String, String)> {
    let is_kept = |name: &str| name.starts_with("x-amz-meta-") || name == "content-type";
    asked.headers.iter().filter(|(name, _)| is_kept(name)).cloned().collect()
}

fn store(state: &mut State, key: &str, body: Vec<u8>, headers: Vec<(String, String)>) -> Answer {
    let version = format!("v{}", state.serial);
    state.objects.insert(key.to_owned(), Object { body, headers, version: version.clone() });
    let body = "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
    let headers = vec![("x-amz-version-id".to_owned(), version), ("etag".to_owned(), "\"e\"".to_owned())];
    Answer { status: 200, headers, body: body.into() }
}

fn get(state: &mut State, asked: &Asked) -> Answer {
    let flips = state.flips_bits;
    let Some(object) = state.objects.get(&asked.key).cloned() else { return refused(404, "NoSuchKey") };
    if asked.query.get("versionId").is_some_and(|id| *id != object.version) {
        return refused(404, "NoSuchVersion");
    }
    let range = asked.headers.iter().find(|(n, _)| n == "range").map(|(_, v)| v.clone());
    let sum = Checksum::of(&object.body).to_string();
    let mut headers = object.headers;
    headers.push(("x-amz-version-id".to_owned(), object.version));
    headers.push(("etag".to_owned(), "\"e\"".to_owned()));
    headers.push(("x-amz-checksum-crc64nvme".to_owned(), sum));
    if asked.method == "HEAD" {
        headers.push(("content-length".to_owned(), object.body.len().to_string()));
        return Answer { status: 200, headers, body: object.body };
    }
    if state.reads_left == Some(0) {
        return refused(500, "InternalError");
    }
    state.reads_left = state.reads_left.map(|left| left - 1);
    let Some((from, to)) = range.and_then(|r| {
        let (from, to) = r.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()? + 1))
    }) else {
        return Answer { status: 200, headers, body: object.body };
    };
    let to = to.min(object.body.len());
    if from >= to {
        return refused(416, "InvalidRange");
    }
    headers.retain(|(name, _)| name != "x-amz-checksum-crc64nvme");
    headers.push(("content-range".to_owned(), format!("bytes {from}-{}/{}", to - 1, object.body.len())));
    let mut body = object.body[from..to].to_vec();
    if flips {
        body[0] ^= 1;
    }
    Answer { status: 206, headers, body }
}

fn etag(body: &[u8]) -> String {
    format!("\"{}\"", Checksum::of(body))
}

fn xml(body: String) -> Answer {
    let headers = vec![("content-type".to_owned(), "application/xml".to_owned())];
    Answer { status: 200, headers, body: body.into_bytes() }
}

fn refused(status: u16, code: &str) -> Answer {
    Answer { status, ..xml(format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>")) }
}
