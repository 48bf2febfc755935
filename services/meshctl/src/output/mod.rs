//! What is shown: tables for people, JSON for scripts, and progress while something takes time.

mod fetching;
mod progress;
mod table;

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

pub(crate) use self::{
    fetching::Fetching,
    progress::{JsonLines, Progress},
    table::{ago, short, table},
};
use crate::{
    cli::Output,
    error::{FAILED, Failure, Result},
};

/// Where results go, and in which form.
#[derive(Debug)]
pub(crate) struct Screen {
    form: Output,
    colour: bool,
}

/// A colour for a word, where colours are wanted at all.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Colour {
    /// As it should be.
    Green,
    /// Not yet, or not quite.
    Yellow,
    /// Wrong.
    Red,
    /// Less important than the rest.
    Dim,
}

impl Screen {
    /// Colours are used on a terminal only, and not when `NO_COLOR` is set.
    pub(crate) fn new(form: Output) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { form, colour: !refused && std::io::stdout().is_terminal() && std::io::stderr().is_terminal() }
    }

    /// For a test: a table without colours, wherever the test runs.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { form: Output::Table, colour: false }
    }

    /// Whether a script reads.
    pub(crate) fn is_json(&self) -> bool {
        self.form == Output::Json
    }

    /// The text in the colour, or as it is.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Red => 31,
            Colour::Dim => 2,
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Shows a result: `value` to a script, `text` to a person.
    pub(crate) fn show(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        let shown = match self.form {
            Output::Table => text(),
            Output::Json => serde_json::to_string_pretty(value).map_err(|error| Failure::new(FAILED, error.to_string()))?,
        };
        match writeln!(std::io::stdout(), "{shown}") {
            // The reader has had enough (`| head`).
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(FAILED, format!("cannot write: {error}"))),
            _ => Ok(()),
        }
    }

    /// Says something beside the result, on standard error.
    pub(crate) fn note(&self, text: &str) {
        // Nowhere is left to say it.
        let _ = writeln!(std::io::stderr(), "{}", self.paint(Colour::Dim, text));
    }

    /// Says something that is wrong and does not stop the command, on standard error.
    pub(crate) fn warn(&self, text: &str) {
        // Nowhere is left to say it.
        let _ = writeln!(std::io::stderr(), "{}", self.paint(Colour::Yellow, text));
    }

    /// Shows a failure: to a person on standard error, to a script on standard output as well, as one JSON value.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.is_json() {
            let value = serde_json::json!({ "error": failure.problem, "help": failure.help, "code": failure.code });
            let _ = writeln!(std::io::stdout(), "{value}");
        }
        let text = failure.to_string();
        let (label, rest) = text.split_at("error:".len());
        let _ = writeln!(std::io::stderr(), "{}{rest}", self.paint(Colour::Red, label));
    }
}
