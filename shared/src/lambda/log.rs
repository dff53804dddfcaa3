//! The log of a function, and how much of it there is.
//!
//! The level that is set goes for what Sealane says by itself, which names no secret at any level. Of
//! other crates nothing below `INFO` is written, whatever is set: the runtime prints whole events with the
//! caller's token, and clients print requests.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::edge;

/// The crates whose lines are written at the level that is set.
const OWN: [&str; 5] = ["sealane", "health_prober", "upload_orchestrator", "workset_api", "failover_handler"];

/// Starts the log: a line an outcome on standard output, which Lambda keeps.
///
/// `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, is one level, such as `DEBUG`; `INFO` if neither is set. With
/// `AWS_LAMBDA_LOG_FORMAT=JSON` each line is an object.
pub fn init_log() {
    let said = edge::variable("AWS_LAMBDA_LOG_LEVEL").or_else(|| edge::variable("RUST_LOG"));
    let is_json = edge::variable("AWS_LAMBDA_LOG_FORMAT").is_some_and(|f| f.eq_ignore_ascii_case("json"));
    init_log_to(level(said.as_deref()), is_json, std::io::stdout);
}

/// As [`init_log`], by arguments and into `writer`.
pub fn init_log_to<W>(level: LevelFilter, is_json: bool, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_target(false).without_time().with_writer(writer);
    let filtered = tracing_subscriber::registry().with(filter(level));
    // Fails where a log was started before, which then is the one.
    let _started = match is_json {
        true => filtered.with(lines.json()).try_init(),
        false => filtered.with(lines).try_init(),
    };
}

fn filter(level: LevelFilter) -> Targets {
    let others = Targets::new().with_default(level.min(LevelFilter::INFO));
    others.with_targets(OWN.map(|name| (name, level)))
}

/// The level that a variable names; `INFO` for what is none.
fn level(said: Option<&str>) -> LevelFilter {
    said.and_then(|said| said.trim().parse().ok()).unwrap_or(LevelFilter::INFO)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn no_level_makes_other_crates_tell_what_they_send() {
        for said in ["trace", "TRACE", "debug", "INFO", "warn", "off", "sealane=trace", ""] {
            let level = level(Some(said));
            let filter = filter(level);
            for other in ["lambda_runtime::layers", "aws_sigv4::http_request", "hyper", "aws_smithy_runtime"]
            {
                assert!(!filter.would_enable(other, &Level::DEBUG), "{said} {other}");
                assert_eq!(
                    filter.would_enable(other, &Level::INFO),
                    level >= LevelFilter::INFO,
                    "{said} {other}"
                );
            }
            let own = filter.would_enable("workset_api::dress", &Level::TRACE);
            assert_eq!(own, said.eq_ignore_ascii_case("trace"), "{said}");
        }
        assert_eq!((level(None), level(Some("loud"))), (LevelFilter::INFO, LevelFilter::INFO));
    }
}
