//! Why a command did not do what it should.

use std::io;
use std::path::PathBuf;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What went wrong has been told already.
    #[error("failed")]
    Told,
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(#[from] duogate_configuration::Error),
    /// A program is not where it should be.
    #[error("{} is missing; build it, or install it beside duogate", .0.display())]
    Missing(PathBuf),
    /// A program ends as soon as it starts.
    #[error("{name} failed {times} times before it was ready, last with {status}")]
    KeepsFailing {
        /// Its name.
        name: &'static str,
        /// How often.
        times: u32,
        /// How it ended.
        status: String,
    },
    /// Nobody answers where Duogate should.
    #[error("cannot reach Duogate at {address}: {source}; is `duogate up` running there?")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server answered, with something else than what was asked for.
    #[error("{0}")]
    Refused(String),
    /// What the user gave makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Failure {
    /// A failure of the system, with what was being done.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}
