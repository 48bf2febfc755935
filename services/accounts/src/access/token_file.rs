//! A token in a file: whoever can read the file may do what the token allows.

use std::{fs, path::PathBuf};

use crate::secrets;

/// What is shorter could be guessed.
const SHORTEST: usize = 24;

/// See the module.
#[derive(Debug, Clone)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// The token in this file, if it is one.
    ///
    /// Error: what is wrong with it.
    pub fn open(path: PathBuf) -> Result<Self, String> {
        read(&path).map(|_| Self(path))
    }

    /// The token as the file says it now.
    ///
    /// Error: what is wrong with the file.
    pub(crate) fn read(&self) -> Result<String, String> {
        read(&self.0)
    }

    /// Whether this is the token. The file is read each time, so that the token can be changed while the process runs.
    pub fn is(&self, shown: &str) -> bool {
        match read(&self.0) {
            Ok(token) => secrets::same(&token, shown),
            Err(error) => {
                tracing::error!(error, "a token cannot be read; nobody is let in with it");
                false
            }
        }
    }
}

fn read(path: &PathBuf) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let token = text.trim();
    if token.len() < SHORTEST || token.chars().any(char::is_whitespace) {
        return Err(format!("{}: must hold a token of at least {SHORTEST} characters without blanks", path.display()));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_what_the_file_says_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(TokenFile::open(path.clone()).unwrap_err().contains("token"), "there is no file");
        fs::write(&path, "short").unwrap();
        assert!(TokenFile::open(path.clone()).unwrap_err().contains("24"));
        fs::write(&path, "0123456789012345678901234\n").unwrap();
        let token = TokenFile::open(path.clone()).unwrap();
        assert!(token.is("0123456789012345678901234") && !token.is("012345678901234567890123") && !token.is(""));
        fs::write(&path, "another0another0another0another0").unwrap();
        assert!(!token.is("0123456789012345678901234") && token.is("another0another0another0another0"));
    }
}
