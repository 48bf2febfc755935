//! One turn: every letter that is due is sent, the oldest first.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use lettre::{
    Address,
    address::Envelope,
    transport::smtp::{Error, client::AsyncSmtpConnection},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::{
    MailMetrics, SmtpSettings,
    connect::{connect, silent, told},
};
use crate::people::recipient;

/// A letter that is older is laid aside: most of what is in them is good no more.
const OLD: Duration = Duration::from_secs(2 * 86_400);
/// How long a letter is left alone that the server does not take now: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));
/// Answers that are no letter's fault: the server closes the connection (RFC 5321, section 3.8), or wants us to sign in, or otherwise (RFC 4954, section 6).
const OURS: [u16; 5] = [421, 530, 534, 535, 538];
/// The folder, in the outbox, of letters that are not sent any more.
pub(crate) const ASIDE: &str = "refused";

/// How a turn went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Went {
    /// Whatever was due was sent, laid aside, or has a time when it is due again.
    Well,
    /// The server is not there, or does not let us in; why.
    Away(String),
}

/// What is known of the letters from one turn to the next.
pub(super) struct Turn {
    folder: PathBuf,
    settings: SmtpSettings,
    metrics: MailMetrics,
    /// When those are due again that the server did not take, and how long they were left alone.
    later: HashMap<PathBuf, (Instant, Duration)>,
}

/// A letter in the outbox.
struct Letter {
    path: PathBuf,
    written: SystemTime,
}

/// What became of a letter.
enum Fate {
    Sent,
    Refused(String),
    Later(String),
}

impl Turn {
    pub(super) fn new(folder: PathBuf, settings: SmtpSettings, metrics: MailMetrics) -> Self {
        Self { folder, settings, metrics, later: HashMap::new() }
    }

    pub(super) async fn take(&mut self) -> Went {
        let letters = match self.waiting().await {
            Ok(letters) => letters,
            Err(error) => return Went::Away(format!("the outbox cannot be read: {error}")),
        };
        self.later.retain(|path, _| letters.iter().any(|letter| letter.path == *path));
        let now = Instant::now();
        let due: Vec<_> = letters.into_iter().filter(|letter| self.later.get(&letter.path).is_none_or(|(at, _)| *at <= now)).collect();
        if due.is_empty() {
            return Went::Well;
        }
        self.send(due).await.map_or_else(Went::Away, |()| Went::Well)
    }

    /// Over one connection, as long as it lasts: it is given up with each letter that is not taken.
    async fn send(&mut self, due: Vec<Letter>) -> Result<(), String> {
        let mut open = None;
        for letter in due {
            let mut connection = match open.take() {
                Some(connection) => connection,
                None => connect(&self.settings).await?,
            };
            if self.deliver(&mut connection, letter).await? && !connection.has_broken() {
                open = Some(connection);
            }
        }
        if let Some(mut connection) = open {
            let _ = timeout(self.settings.timeout, connection.quit()).await;
        }
        Ok(())
    }

    /// Sends a letter and removes it, or leaves it as it is to be left; gives whether another may go over this connection. Error: none is to be sent now.
    async fn deliver(&mut self, connection: &mut AsyncSmtpConnection, letter: Letter) -> Result<bool, String> {
        let path = letter.path.clone();
        let read =
            spawn_blocking(move || Ok::<_, io::Error>((recipient(&path)?, fs::read(&path)?))).await.map_err(|error| error.to_string())?;
        let (to, text) = match read {
            Ok((to, text)) => (to, text),
            // Whoever it is to was erased meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(format!("a letter cannot be read: {error}")),
        };
        let fate = match envelope(&self.settings.from, to.as_deref()) {
            Ok(envelope) => match timeout(self.settings.timeout, connection.send(&envelope, &text)).await {
                Ok(answer) => fate(answer)?,
                Err(_) => Fate::Later(silent(self.settings.timeout)),
            },
            Err(why) => Fate::Refused(why),
        };
        let clean = !matches!(fate, Fate::Later(_));
        self.done(letter, fate).await.map_err(|error| format!("the outbox cannot be changed: {error}"))?;
        Ok(clean)
    }

    async fn done(&mut self, letter: Letter, fate: Fate) -> io::Result<()> {
        let too_old = letter.written.elapsed().is_ok_and(|age| age > OLD);
        match fate {
            Fate::Sent => {
                self.metrics.sent.inc();
                self.later.remove(&letter.path);
                aside(move || fs::remove_file(&letter.path).or_else(gone)).await
            }
            Fate::Later(why) if !too_old => {
                let pause = self.later.get(&letter.path).map_or(PAUSE.0, |(_, pause)| (*pause * 2).min(PAUSE.1));
                tracing::info!(why, pause_s = pause.as_secs(), "a letter waits: the server does not take it now");
                self.later.insert(letter.path, (Instant::now() + pause, pause));
                Ok(())
            }
            Fate::Refused(why) | Fate::Later(why) => {
                let name = letter.path.file_name().unwrap_or_default().to_owned();
                tracing::error!(why, letter = %name.display(), "a letter is laid aside in the folder refused of mail.outbox; moved back, it is sent again");
                self.metrics.refused.inc();
                self.later.remove(&letter.path);
                let there = self.folder.join(ASIDE);
                aside(move || {
                    fs::create_dir_all(&there)?;
                    fs::rename(&letter.path, there.join(name)).or_else(gone)
                })
                .await
            }
        }
    }

    /// The letters that there are, the oldest first.
    async fn waiting(&self) -> io::Result<Vec<Letter>> {
        let folder = self.folder.clone();
        let letters = aside(move || letters(&folder)).await?;
        let oldest = letters.first().and_then(|letter| letter.written.elapsed().ok()).unwrap_or_default();
        self.metrics.waiting.set(i64::try_from(letters.len()).unwrap_or(i64::MAX));
        self.metrics.oldest.set(oldest.as_secs_f64());
        Ok(letters)
    }
}

fn letters(folder: &Path) -> io::Result<Vec<Letter>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "eml") {
            match path.metadata().and_then(|metadata| metadata.modified()) {
                Ok(written) => found.push(Letter { path, written }),
                Err(error) => gone(error)?,
            }
        }
    }
    found.sort_by(|one, other| (one.written, &one.path).cmp(&(other.written, &other.path)));
    Ok(found)
}

fn envelope(from: &str, to: Option<&str>) -> Result<Envelope, String> {
    let address =
        |what: &str, text: &str| text.parse::<Address>().map_err(|error| format!("{what} is no address that mail can be sent to: {error}"));
    let to = address("its recipient", to.unwrap_or_default())?;
    Envelope::new(Some(address("mail.from", from)?), vec![to]).map_err(|error| error.to_string())
}

/// What an answer means for the letter. Error: it is no answer to the letter, but to us.
fn fate<T>(answer: Result<T, Error>) -> Result<Fate, String> {
    let Err(error) = answer else { return Ok(Fate::Sent) };
    match error.status().map(u16::from) {
        Some(status) if OURS.contains(&status) => Err(code(&error)),
        Some(_) if error.is_permanent() => Ok(Fate::Refused(code(&error))),
        Some(_) => Ok(Fate::Later(code(&error))),
        // The server takes no letters to such an address.
        None if error.is_client() => Ok(Fate::Refused(told(&error))),
        // It broke off in the middle. Whether that was for the letter's sake or not, the others do not wait for it.
        None => Ok(Fate::Later(told(&error))),
    }
}

/// The code of an answer, without its text: that may repeat who the letter is to.
fn code(error: &Error) -> String {
    error.status().map_or_else(|| "refused".to_owned(), |code| format!("answered {code}"))
}

fn gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
