//! Worksets over real HTTP: what is sent, and which region is asked next.
#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has to fail")]

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Output},
    thread::{self, JoinHandle},
};

const WORKSET: &str = r#"{"served_by":"us-east-1","workset":{"tenant":"lab","id":"ws-001","bucket":"my-bucket","prefix":"run/",
    "state":"ready","priority":"normal","type":"ruo","created_ms":1,"updated_ms":1,"version":1,"written_in":"us-west-2"}}"#;

const DOWN: &str = r#"{"title":"not available","detail":"writes are moving"}"#;

/// An API that gives `replies` in turn, and then the requests that it got.
fn serve(replies: &'static [(u16, &'static str)]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let replies = replies.iter();
    (endpoint, thread::spawn(move || replies.map(|reply| answer(&listener, *reply)).collect()))
}

fn answer(listener: &TcpListener, (status, body): (u16, &str)) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let request = request(&mut stream);
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).unwrap();
    request
}

/// One request, head and body.
fn request(stream: &mut TcpStream) -> String {
    let (mut got, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut buffer).unwrap();
        got.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        let Some((head, body)) = got.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return got;
        }
    }
}

fn sealane(west: &str, east: &str, arguments: &str) -> Output {
    let table = "dynamodb: 'http://127.0.0.1:1'";
    let config = format!(
        "{{primary_region: us-west-2, security: {{allow_local_endpoints: true}}, health: {{voters_min: 1}}, load_balancing: {{strategy: priority}}, regions: [\
         {{name: us-west-2, priority: 1, bucket: bucket-a, endpoints: {{{table}, api: '{west}'}}}}, \
         {{name: us-east-1, priority: 2, bucket: bucket-b, endpoints: {{{table}, api: '{east}'}}}}]}}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealane"));
    command.args(arguments.split_whitespace()).env_clear().env("SEALANE_CONFIG", config);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command.env("SEALANE_TOKEN", "secret").env("AWS_EC2_METADATA_DISABLED", "true");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_read_that_one_region_cannot_serve_is_served_by_the_next() {
    let (west, west_log) = serve(&[(503, DOWN)]);
    let (east, east_log) = serve(&[(200, WORKSET)]);
    let output = sealane(&west, &east, "worksets get ws-001");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    assert!(stdout.contains("ws-001  ready") && stdout.ends_with("served by us-east-1\n"), "{stdout}");
    for request in [west_log, east_log].map(|log| log.join().unwrap().remove(0).to_lowercase()) {
        assert!(request.starts_with("get /v1/worksets/ws-001 http/1.1"), "{request}");
        assert!(request.contains("authorization: bearer secret"), "{request}");
    }
}

#[test]
fn a_write_that_got_no_answer_is_looked_up_first() {
    let (west, west_log) = serve(&[(503, DOWN)]);
    let (east, east_log) = serve(&[(200, WORKSET)]);
    let arguments = "worksets register --id ws-001 --bucket my-bucket --prefix run/ --output json";
    let output = sealane(&west, &east, arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["workset"]["id"], "ws-001");
    let write = west_log.join().unwrap().remove(0);
    assert!(
        write.starts_with("POST /v1/worksets HTTP/1.1") && write.contains("idempotency-key: "),
        "{write}"
    );
    assert!(write.ends_with(r#"{"bucket":"my-bucket","id":"ws-001","prefix":"run/"}"#), "{write}");
    assert!(east_log.join().unwrap()[0].starts_with("GET /v1/worksets/ws-001"));
}

#[test]
fn a_write_that_nobody_can_look_up_ends_with_its_own_exit_code() {
    let (west, _) = serve(&[(503, DOWN)]);
    let (east, _) = serve(&[(503, DOWN)]);
    let output = sealane(&west, &east, "worksets register --id ws-001 --bucket my-bucket --prefix run/");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("us-west-2 server error 503 (writes are moving)"), "{stderr}");
}

#[test]
fn a_refusal_is_told_as_the_api_tells_it() {
    let (west, _) = serve(&[(404, r#"{"title":"no such workset","detail":"there is no workset `ws-001`"}"#)]);
    let output = sealane(&west, "http://127.0.0.1:1", "worksets get ws-001");
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("refused the call with status 404: there is no workset `ws-001`"), "{stderr}");
}

#[test]
fn a_claim_is_sent_with_its_key_and_shows_the_lock() {
    const CLAIMED: &str = r#"{"served_by":"us-west-2","workset":{"id":"ws-001","state":"ready"},"lock":{"owner":"ada","token":7,"expires_ms":9}}"#;
    let (west, _) = serve(&[(503, DOWN)]);
    let (east, east_log) = serve(&[(201, CLAIMED)]);
    let output = sealane(&west, &east, "worksets claim --priority urgent --lease 30m");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    assert!(stdout.contains("token: 7") && stdout.contains("id: ws-001"), "{stdout}");
    let request = east_log.join().unwrap().remove(0);
    assert!(
        request.starts_with("POST /v1/worksets:claim HTTP/1.1") && request.contains("idempotency-key: "),
        "{request}"
    );
    assert!(request.ends_with(r#"{"lease_s":1800,"priority":"urgent"}"#), "{request}");
}

#[test]
fn a_query_shows_what_it_finds_and_a_wrong_one_is_refused_before_any_call() {
    let (west, _) = serve(&[(200, WORKSET)]);
    let output = sealane(&west, "http://127.0.0.1:1", "worksets get ws-001 --query workset.[id,state]");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown, serde_json::json!(["ws-001", "ready"]));
    let refused =
        sealane("http://127.0.0.1:1", "http://127.0.0.1:1", "worksets get ws-001 --query workset.[");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
}

#[test]
fn an_amendment_names_the_version_that_it_was_decided_on() {
    let (west, log) = serve(&[(200, WORKSET), (200, WORKSET)]);
    let output = sealane(&west, "http://127.0.0.1:1", "worksets amend ws-001 --priority low --lock-token 7");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let request = log.join().unwrap().remove(1);
    assert!(request.starts_with("PATCH /v1/worksets/ws-001 HTTP/1.1"), "{request}");
    assert!(
        request.contains("if-match: \"1-us-west-2\"") && request.ends_with(r#"{"priority":"low","token":7}"#),
        "{request}"
    );
}

/// The token of a lock is not the token of the caller.
#[test]
fn a_lock_is_given_back_by_its_own_token() {
    const FREE: &str = r#"{"served_by":"us-west-2","id":"ws-001","lock":null,"token_last":7}"#;
    let (west, log) = serve(&[(200, FREE)]);
    let output = sealane(&west, "http://127.0.0.1:1", "worksets release ws-001 --lock-token 7 --output json");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let request = log.join().unwrap().remove(0);
    assert!(request.to_lowercase().contains("authorization: bearer secret"), "{request}");
    assert!(request.ends_with(r#"{"token":7}"#), "{request}");
}

#[test]
fn a_failed_run_is_reported_with_its_kind_and_the_token_of_its_lock() {
    let (west, log) = serve(&[(200, WORKSET), (200, WORKSET)]);
    let arguments =
        "worksets transition ws-001 --to error --category transient --details lost --lock-token 7";
    let output = sealane(&west, "http://127.0.0.1:1", arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let request = log.join().unwrap().remove(1);
    let sent = r#"{"error":{"category":"transient","details":"lost"},"if_version":1,"to":"error","token":7}"#;
    let body: serde_json::Value = serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body, serde_json::from_str::<serde_json::Value>(sent).unwrap());
    let half = sealane(&west, "http://127.0.0.1:1", "worksets transition ws-001 --to error --category data");
    assert_eq!(half.status.code(), Some(2), "{}", text(&half.stderr));
}
