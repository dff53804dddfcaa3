//! CloudWatch's protocol, RPC with CBOR, as far as the failover handler speaks it.

use aws_smithy_cbor::{Decoder, Encoder, data::Type};
use bytes::Bytes;

use super::{Cloud, answer::Answer, network::Link, serve::Served};

/// The one operation that is answered.
const DESCRIBE: &str = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms";

/// The names that a request lists; `None` when it asks for anything else.
fn names(body: &[u8]) -> Option<Vec<String>> {
    let mut decoder = Decoder::new(body);
    let mut names = None;
    let pairs = decoder.map().ok()?;
    let mut seen = 0;
    loop {
        let done = match pairs {
            Some(count) => seen == count,
            None => decoder.datatype().ok()? == Type::Break,
        };
        if done {
            return names;
        }
        seen += 1;
        if decoder.str().ok()? != "AlarmNames" {
            return None;
        }
        let count = decoder.list().ok()??;
        let listed: Option<Vec<String>> = (0..count).map(|_| decoder.string().ok()).collect();
        names = Some(listed?);
    }
}

impl Cloud {
    pub(super) fn serve_cloudwatch(&self, link: &Link, request: &http::Request<Bytes>) -> Served {
        let asked = (request.uri().path() == DESCRIBE).then(|| names(request.body())).flatten();
        let Some(asked) = asked else {
            let answer = Answer { status: 400, ..Answer::ok("") };
            let (key, result) = (request.uri().path().to_owned(), "refused".to_owned());
            return Served { operation: "call", key, result, answer: Some(answer) };
        };
        let found: Vec<_> =
            asked.iter().filter_map(|name| Some((name, self.alarm_state(link.to, name)?))).collect();
        let mut body = Encoder::new(Vec::new());
        body.map(1).str("MetricAlarms").array(found.len());
        for (name, state) in &found {
            body.map(2).str("AlarmName").str(name).str("StateValue").str(state.as_str());
        }
        let result = found.iter().map(|(_, state)| state.as_str()).collect::<Vec<_>>().join(" ");
        let answer = Answer::ok(body.into_writer());
        let answer = answer.with("smithy-protocol", "rpc-v2-cbor").with("content-type", "application/cbor");
        Served { operation: "describe", key: asked.join(","), result, answer: Some(answer) }
    }
}
