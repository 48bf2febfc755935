//! Where everything is kept: SQLite in a file, or PostgreSQL.
//!
//! Both are spoken to in the same words, through `sqlx`'s driver for any database, with the same migrations. What is changed goes through [`Change`], which counts the revision up and writes
//! down who did what; usage goes its own way ([`crate::usage`]), which is its own record.

mod change;
mod open;
mod settings;

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sqlx::{Any, AnyPool, PgPool, Transaction};
use tokio::sync::watch;

pub use change::{Change, Told};
pub(crate) use open::{lock_file, migrations};
pub use settings::{DatabaseSettings, Kind};

use crate::error::{Refusal, Result};

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    /// Of SQLite, the one writer.
    writes: AnyPool,
    reads: AnyPool,
    /// The same database as it speaks to those who know it.
    postgres: Option<PgPool>,
    is_open: AtomicBool,
    /// The last revision that is known to be committed.
    revision: watch::Sender<i64>,
    /// Of SQLite: as long as it is held, nobody puts another database in this one's place.
    _lock: Option<File>,
}

impl Store {
    /// Which database it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// For reading. Refused until the migrations have been applied.
    pub fn reads(&self) -> Result<&AnyPool> {
        self.is_open().then_some(&self.0.reads).ok_or(Refusal::Away)
    }

    /// PostgreSQL itself, where it is that.
    pub fn postgres(&self) -> Option<&PgPool> {
        self.0.postgres.as_ref()
    }

    /// A transaction that will write.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>> {
        if !self.is_open() {
            return Err(Refusal::Away);
        }
        Ok(match self.0.kind {
            // With the lock at once: one that reads first and then wants to write would fail when another has written meanwhile.
            Kind::Sqlite => self.0.writes.begin_with("BEGIN IMMEDIATE").await?,
            Kind::Postgres => self.0.writes.begin().await?,
        })
    }

    /// Has SQLite fold its log into the file: what was deleted stands in the log until then. What cannot be folded now, since somebody reads, is later.
    pub async fn fold_log(&self) {
        if self.0.kind == Kind::Sqlite
            && let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.0.writes).await
        {
            tracing::warn!(%error, "the log of the database could not be folded into its file; what was deleted stands in it for longer");
        }
    }

    /// To be woken when something has changed.
    pub fn revision(&self) -> watch::Receiver<i64> {
        self.0.revision.subscribe()
    }

    fn is_open(&self) -> bool {
        self.0.is_open.load(Ordering::Acquire)
    }

    /// Wakes whoever waits for changes, if the revision is a new one.
    fn tell(&self, revision: i64) {
        self.0.revision.send_if_modified(|known| {
            let is_new = *known < revision;
            *known = revision.max(*known);
            is_new
        });
    }
}
