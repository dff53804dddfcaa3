//! What every function's main needs: the log, the loop of the runtime, and one
//! place where a failure is logged and turned into a reply.

mod log;

use std::{error::Error, future::Future, io::Write, iter};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};

pub use log::{init_log, init_log_to};

/// Prints lines that CloudWatch reads as metrics.
pub fn print_metrics(lines: &[String]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        // A log that cannot be written must not fail the work that it reports.
        let _lost = writeln!(out, "{line}");
    }
}

/// Takes events from the Lambda runtime until the sandbox ends.
///
/// A failure is logged once, here, with all its causes, and its message reaches
/// the caller of the function whole.
///
/// # Errors
/// When the runtime itself cannot be reached.
pub async fn serve<I, O, E, F>(mut flow: impl FnMut(LambdaEvent<I>) -> F) -> Result<(), lambda_runtime::Error>
where
    I: DeserializeOwned,
    O: Serialize,
    E: Error + 'static,
    F: Future<Output = Result<O, E>>,
{
    lambda_runtime::run(service_fn(move |event: LambdaEvent<I>| {
        // Boxed: a flow is a deep future, and the runtime wraps it many times over.
        let replied = Box::pin(flow(event));
        async move {
            replied.await.map_err(|error| {
                let error_message = chain(&error);
                tracing::error!(error = error_message, "invocation failed");
                Diagnostic { error_type: std::any::type_name::<E>().to_owned(), error_message }
            })
        }
    }))
    .await
}

/// The messages of `error` and all its sources, outermost first.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
