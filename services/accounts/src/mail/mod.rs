//! Delivers what lies in the outbox, by SMTP (RFC 5321), where `mail.smtp` says to whom.
//!
//! The folder is the queue: a letter is removed when the server has taken it, so that none is lost whoever is killed when, and one may come twice, with the same Message-ID. A letter that is
//! refused for good is laid aside in the folder `refused`; a server that is away, or that does not let us in, is no fault of the letters, and they wait.

mod connect;
mod metrics;
mod settings;
#[cfg(test)]
mod tests;
mod turn;

use std::{fs::File, path::PathBuf, time::Duration};

use tokio::time::sleep;
use torchmesh_runtime::lifecycle::Drain;

pub use metrics::MailMetrics;
pub use settings::{Security, SmtpSettings};

pub(crate) use self::turn::ASIDE;
use self::turn::{Turn, Went};

/// How often it is looked at whether there are letters.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a server is left alone that does not answer as one should: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// Delivers until the process drains. Of several processes with one folder, one does.
pub async fn attend(folder: PathBuf, settings: SmtpSettings, metrics: MailMetrics, drain: Drain) {
    let Some(_held) = alone(&folder, &drain).await else { return };
    let mut turn = Turn::new(folder, settings, metrics);
    let mut pause = PAUSE.0;
    while !drain.is_draining() {
        let rest = match turn.take().await {
            Went::Well => {
                pause = PAUSE.0;
                LOOK_EVERY
            }
            Went::Away(why) => {
                let rest = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                tracing::warn!(why, pause_s = rest.as_secs_f64(), "letters wait: the server of mail.smtp does not take them");
                pause = (pause * 2).min(PAUSE.1);
                rest
            }
        };
        tokio::select! {
            () = sleep(rest) => {}
            () = drain.draining() => {}
        }
    }
}

/// The lock of the folder; waits while another process has it.
async fn alone(folder: &std::path::Path, drain: &Drain) -> Option<File> {
    let path = folder.join("delivery.lock");
    while !drain.is_draining() {
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        match file.map(|file| (file.try_lock().is_ok(), file)) {
            Ok((true, file)) => return Some(file),
            Ok((false, _)) => {}
            Err(error) => tracing::error!(%error, "mail.outbox: its lock cannot be opened, and no letter is delivered"),
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = drain.draining() => {}
        }
    }
    None
}
