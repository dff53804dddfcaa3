//! As much of HTTP/1.1 as the two servers of the benchmark need: whole requests in, whole replies out.

use std::io::{self, BufRead, Read, Write};

/// The largest body that is read.
const BODY_MAX: u64 = 8 << 20;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// The next request of a connection; `None` at its end.
    ///
    /// # Errors
    /// When the connection breaks, or what arrives is no request.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let first = line(from)?;
        if first.is_empty() {
            return Ok(None);
        }
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return Err(io::Error::other(format!("`{first}` begins no request")));
        };
        let mut headers = Vec::new();
        loop {
            let header = line(from)?;
            let Some((name, value)) = header.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self { method, path, headers, body: Vec::new() };
        request.body = request.read_body(from)?;
        Ok(Some(request))
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn read_body(&self, from: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if let Some(length) = self.header("content-length").and_then(|length| length.parse::<u64>().ok()) {
            from.take(length.min(BODY_MAX)).read_to_end(&mut body)?;
            return Ok(body);
        }
        if self.header("transfer-encoding").is_none_or(|how| !how.eq_ignore_ascii_case("chunked")) {
            return Ok(body);
        }
        loop {
            let size = u64::from_str_radix(line(from)?.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(|error| io::Error::other(format!("a chunk without a size: {error}")))?;
            from.take(size.min(BODY_MAX)).read_to_end(&mut body)?;
            let ended = line(from)?;
            if size == 0 {
                // After the last chunk come trailers, and an empty line that may have been read already.
                let mut trailer = ended;
                while !trailer.is_empty() {
                    trailer = line(from)?;
                }
                return Ok(body);
            }
        }
    }
}

/// Sends a reply with these headers beside its length.
///
/// # Errors
/// When the connection breaks.
pub fn reply(to: &mut impl Write, status: u16, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    // One write, so that small replies travel as one packet.
    let mut whole = text.into_bytes();
    whole.extend_from_slice(body);
    to.write_all(&whole)?;
    to.flush()
}

/// A line without its end; empty at the end of the connection.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_requests_follow_each_other_on_one_connection() {
        let mut sent =
            &b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /b?c=d HTTP/1.1\r\nX-Y: z\r\n\r\n"[..];
        let first = Request::read(&mut sent).expect("whole").expect("there");
        assert_eq!(
            (first.method.as_str(), first.path.as_str(), first.body.as_slice()),
            ("POST", "/a", &b"hi"[..])
        );
        let second = Request::read(&mut sent).expect("whole").expect("there");
        assert_eq!((second.path.as_str(), second.header("x-y")), ("/b?c=d", Some("z")));
        assert_eq!(Request::read(&mut sent).expect("whole"), None);
    }

    #[test]
    fn chunks_are_joined() {
        let mut sent = &b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"[..];
        assert_eq!(Request::read(&mut sent).expect("whole").expect("there").body, b"abcde");
        assert_eq!(Request::read(&mut sent).expect("whole").expect("there").method, "GET");
    }
}
