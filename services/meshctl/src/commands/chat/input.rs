//! What is typed in a conversation.

use rustyline::{DefaultEditor, error::ReadlineError};

use crate::error::{FAILED, Failure, Result};

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// Something to say.
    Said(String),
    /// Nothing.
    Nothing,
    /// To forget what was said.
    Reset,
    /// To end.
    Quit,
    /// What can be typed.
    Help,
    /// A command that there is not.
    Unknown(String),
}

impl Typed {
    pub(super) fn of(line: &str) -> Self {
        match line.trim() {
            "" => Self::Nothing,
            "/reset" => Self::Reset,
            "/quit" | "/exit" => Self::Quit,
            "/help" | "/?" => Self::Help,
            // A path or a formula may begin with a slash too: a command is one word.
            line if line.starts_with('/') && line[1..].chars().all(|letter| letter.is_ascii_lowercase()) => Self::Unknown(line.to_owned()),
            line => Self::Said(line.to_owned()),
        }
    }
}

/// Reads lines from the terminal, with editing and with the lines before.
#[derive(Debug)]
pub(super) struct Lines(Option<DefaultEditor>);

impl Lines {
    pub(super) fn new() -> Result<Self> {
        DefaultEditor::new().map(|editor| Self(Some(editor))).map_err(|error| unreadable(&error))
    }

    /// The next line. Ctrl-C empties it, Ctrl-D ends.
    pub(super) async fn next(&mut self, prompt: &'static str) -> Result<Typed> {
        let Some(mut editor) = self.0.take() else { return Ok(Typed::Quit) };
        // On a thread of its own: the connection must be answered while somebody thinks.
        let read = tokio::task::spawn_blocking(move || {
            let line = editor.readline(prompt);
            if let Ok(line) = &line {
                // Only said where there is no memory.
                let _ = editor.add_history_entry(line);
            }
            (editor, line)
        });
        let (editor, line) = read.await.map_err(|error| Failure::new(FAILED, format!("cannot read what is typed: {error}")))?;
        self.0 = Some(editor);
        match line {
            Ok(line) => Ok(Typed::of(&line)),
            Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
            Err(ReadlineError::Eof) => Ok(Typed::Quit),
            Err(error) => Err(unreadable(&error)),
        }
    }
}

fn unreadable(error: &ReadlineError) -> Failure {
    Failure::new(FAILED, format!("cannot read what is typed: {error}")).help("give the message: meshctl chat MODEL PROMPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_what_is_said() {
        assert_eq!(Typed::of("  "), Typed::Nothing);
        assert_eq!(Typed::of("/reset "), Typed::Reset);
        assert_eq!(Typed::of("/quit"), Typed::Quit);
        assert_eq!(Typed::of("/rest"), Typed::Unknown("/rest".to_owned()));
        for said in ["quit", "/etc/hosts has what in it?", "/2 of it", "a /quit"] {
            assert_eq!(Typed::of(said), Typed::Said(said.to_owned()));
        }
    }
}
