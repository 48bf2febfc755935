//! What lies in the outbox, as far as it is to be found again: letters to somebody, and letters that nobody has taken.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::letters::Outbox;
use crate::{
    error::{Refusal, Result},
    mail,
};

/// The head of a letter has no more bytes than this.
const HEAD: u64 = 1024;

impl Outbox {
    /// The letters to one of these addresses.
    pub(crate) async fn letters_to(&self, addresses: &[String]) -> Result<Vec<PathBuf>> {
        let addresses = addresses.to_vec();
        self.found(move |path| Ok(recipient(path)?.is_some_and(|to| addresses.contains(&to)))).await
    }

    /// Removes the letters to these addresses; gives how many there were.
    pub(crate) async fn forget(&self, addresses: &[String]) -> Result<usize> {
        let mut count = 0;
        // A letter that is laid aside meanwhile is found the next time.
        loop {
            match remove(self.letters_to(addresses).await?).await? {
                0 => return Ok(count),
                more => count += more,
            }
        }
    }

    /// Removes the letters that are older than this; gives how many there were.
    pub(crate) async fn remove_older(&self, before: SystemTime) -> Result<usize> {
        remove(self.found(move |path| Ok(path.metadata()?.modified()? < before)).await?).await
    }

    async fn found(&self, is_wanted: impl Fn(&Path) -> io::Result<bool> + Send + 'static) -> Result<Vec<PathBuf>> {
        let folder = self.folder().to_owned();
        aside(move || {
            let mut found = Vec::new();
            let laid_aside = fs::read_dir(folder.join(mail::ASIDE)).map(Some).or_else(gone)?;
            for entry in fs::read_dir(folder)?.chain(laid_aside.into_iter().flatten()) {
                let path = entry?.path();
                let is_letter = path.extension().is_some_and(|ending| ending == "eml" || ending == "draft");
                // Whatever delivers letters may take one meanwhile.
                if is_letter && is_wanted(&path).or_else(gone)? {
                    found.push(path);
                }
            }
            Ok(found)
        })
        .await
    }
}

/// Nothing, where the file is not there any more.
fn gone<T: Default>(error: io::Error) -> io::Result<T> {
    if error.kind() == io::ErrorKind::NotFound { Ok(T::default()) } else { Err(error) }
}

async fn remove(letters: Vec<PathBuf>) -> Result<usize> {
    aside(move || {
        letters
            .iter()
            .try_fold(0, |count, path| fs::remove_file(path).map(|()| count + 1).or_else(|error| gone::<usize>(error).map(|_| count)))
    })
    .await
}

/// Whom a letter is for, by its head.
pub(crate) fn recipient(path: &Path) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    fs::File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines().take_while(|line| !line.is_empty());
    Ok(lines.find_map(|line| line.strip_prefix("To: ")).map(str::to_owned))
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).and_then(|done| done);
    done.map_err(|error| {
        tracing::error!(%error, "the outbox cannot be looked through");
        Refusal::Fault
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::people::MailSettings;

    fn outbox() -> (tempfile::TempDir, Outbox) {
        let folder = tempfile::tempdir().unwrap();
        let settings = MailSettings { outbox: folder.path().to_owned(), from: "t@localhost".to_owned(), link: None, smtp: None };
        (folder, Outbox::open(settings).unwrap())
    }

    #[tokio::test]
    async fn letters_are_found_by_whom_they_are_for_and_no_other_is_removed() {
        let (folder, outbox) = outbox();
        outbox.notice("one", "ada@example.org", "Hello", "To: bob@example.org\r\n").await.unwrap();
        outbox.notice("two", "bob@example.org", "Hello", "ada@example.org\r\n").await.unwrap();
        fs::write(folder.path().join("ada.txt"), "To: ada@example.org").unwrap();
        let ada = ["ada@example.org".to_owned()];
        assert_eq!(outbox.letters_to(&ada).await.unwrap().len(), 1);
        assert_eq!((outbox.forget(&ada).await.unwrap(), outbox.forget(&ada).await.unwrap()), (1, 0));
        assert_eq!(outbox.letters_to(&["bob@example.org".to_owned()]).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn letters_that_nobody_takes_are_removed_when_they_are_old() {
        let (_folder, outbox) = outbox();
        outbox.notice("one", "ada@example.org", "Hello", "").await.unwrap();
        assert_eq!(outbox.remove_older(SystemTime::now() - Duration::from_secs(3600)).await.unwrap(), 0);
        assert_eq!(outbox.remove_older(SystemTime::now() + Duration::from_secs(3600)).await.unwrap(), 1);
    }
}
