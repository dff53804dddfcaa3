//! What the exit code says.

use std::process::ExitCode;

/// The exit codes, as `--help` shows them.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done; copies beyond `min_copies` may be owed still
  1  failed
  2  the command line or the configuration does not fit; nothing was done
  3  done, degraded: fewer copies than `min_copies` are verified, and `allow_degraded` accepts that
  4  not known: an answer was lost, and what was asked for may have happened
  130  stopped by Ctrl-C or by the system; an upload says how to go on with it

Credentials come from where the AWS tools look for them: AWS_PROFILE, AWS_ACCESS_KEY_ID and so on.
Latencies are as AWS_REGION measures them if it is configured, else as the primary region does.";

/// The code of a command that was stopped: what shells say of Ctrl-C.
pub(crate) const STOPPED: u8 = 130;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Done,
    /// It is not.
    Failed,
    /// It does not fit, and was not tried.
    Usage,
    /// It is done with fewer copies than wanted, which the settings accept.
    Degraded,
    /// An answer was lost.
    Unknown,
    /// Somebody stopped it.
    Stopped,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0_u8,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Degraded => 3,
            Exit::Unknown => 4,
            Exit::Stopped => STOPPED,
        })
    }
}
