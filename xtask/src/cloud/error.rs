//! Why the local cloud could not be brought up, down or asked.

use std::io;

/// What failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The operating system refused.
    #[error("{doing} failed")]
    Io {
        /// What was tried, such as "opening `x`".
        doing: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A step failed for a reason that is explained elsewhere.
    #[error("{what} ({remedy})")]
    Failed {
        /// What happened.
        what: String,
        /// Where to look or what to do.
        remedy: String,
    },
}

impl CloudError {
    /// A failed step.
    #[must_use]
    pub const fn failed(what: String, remedy: String) -> Self {
        Self::Failed { what, remedy }
    }
}

/// Adds what was being done to an error of the operating system.
pub trait Doing<T> {
    /// The same result, saying what was tried.
    ///
    /// # Errors
    /// The error that was there, named.
    fn doing(self, what: impl Into<String>) -> Result<T, CloudError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl Into<String>) -> Result<T, CloudError> {
        self.map_err(|source| CloudError::Io { doing: what.into(), source })
    }
}
