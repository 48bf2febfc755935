//! How a command fails: what is wrong, what to do about it, and an exit code that a script can tell apart.

use std::fmt;

use tonic::{Code, Status};

/// The command could not do what was asked, for a reason that is not one of those below.
pub(crate) const FAILED: u8 = 1;
/// Wrong arguments or wrong settings (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// No mesh is running, or it does not answer (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// A file of ours cannot be read or written (`EX_IOERR`).
pub(crate) const IO: u8 = 74;
/// The key is missing or not accepted (`EX_NOPERM`).
pub(crate) const NOT_ALLOWED: u8 = 77;

/// The outcome of a command.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What is wrong.
    pub(crate) problem: String,
    /// What to do about it, where that is known.
    pub(crate) help: Option<String>,
    /// The exit code.
    pub(crate) code: u8,
}

impl Failure {
    /// A failure without advice.
    pub(crate) fn new(code: u8, problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), help: None, code }
    }

    /// Adds advice.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds advice where there is none.
    #[must_use]
    pub(crate) fn otherwise(self, help: impl Into<String>) -> Self {
        if self.help.is_some() { self } else { self.help(help) }
    }

    /// A file could not be read or written.
    pub(crate) fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(IO, format!("cannot {what} {}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.problem)?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// A call that the mesh refused: its own message is made for callers, so it is shown as it came.
impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let said = if status.message().is_empty() { status.code().description() } else { status.message() };
        let failure = |code| Self::new(code, said);
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => failure(NOT_ALLOWED)
                .help("give a key with --key-file FILE or in TORCHMESH_KEY; a local mesh writes one to dev.key in its home"),
            Code::Unavailable => failure(UNAVAILABLE)
                .help("`meshctl models` says which models are ready, and why not; `meshctl status` shows what is running"),
            Code::NotFound => failure(FAILED).help("`meshctl models` lists the models"),
            Code::InvalidArgument => failure(USAGE),
            _ => failure(FAILED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_keeps_the_meshs_own_words() {
        let failure = Failure::from(Status::not_found("there is no model minilmm"));
        assert_eq!(failure.to_string(), "error: there is no model minilmm\nhelp: `meshctl models` lists the models");
    }

    #[test]
    fn a_script_can_tell_a_bad_key_from_a_mesh_that_is_away() {
        assert_eq!(Failure::from(Status::unauthenticated("x")).code, NOT_ALLOWED);
        assert_eq!(Failure::from(Status::unavailable("x")).code, UNAVAILABLE);
    }
}
