//! What this process logs, as a function does that is set to the most verbose level.

use std::{
    io::{self, Write},
    sync::{Mutex, Once},
};

use sealane::lambda::init_log_to;
use tracing::level_filters::LevelFilter;

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static BEGUN: Once = Once::new();

struct Captured;

impl Write for Captured {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOGGED.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From now on everything that is logged is kept, of all tests.
pub(crate) fn capture() {
    BEGUN.call_once(|| init_log_to(LevelFilter::TRACE, false, || Captured));
    tracing::trace!(target: "workset_api", "as verbose as can be");
}

/// All that was logged since.
pub(crate) fn logged() -> String {
    String::from_utf8(LOGGED.lock().unwrap().clone()).unwrap()
}
