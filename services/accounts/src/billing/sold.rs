//! What is sold: `billing.toml`, as it was accepted.
//!
//! What counts is in the database: the last text of the file that could take the place of the one before. So all processes sell the same, and what was sold before a restart is known after it.

use std::{fs, path::Path, sync::Arc};

use sqlx::{AnyConnection, Row as _};
use tokio::sync::watch;
use torchmesh_billing::{Catalogue, Currency, file};

use super::{BillingSettings, moment};
use crate::{
    access::Asker,
    error::{Refusal, Result},
    store::{Change, Store, Told},
};

/// What was sold from a revision on.
#[derive(Debug)]
pub struct Sold {
    /// Which.
    revision: i64,
    /// The file's text.
    content: String,
    /// What it says.
    pub catalogue: Catalogue,
    /// What everything is billed in.
    pub currency: Currency,
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Billing {
    settings: Arc<BillingSettings>,
    known: watch::Sender<Option<Arc<Sold>>>,
}

/// The text of a file and what it says.
pub(super) fn read(path: &Path) -> std::result::Result<(String, Catalogue), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let catalogue = file::read(&text).map_err(|problems| format!("{} has mistakes:\n{problems}", path.display()))?;
    Ok((text, catalogue))
}

impl Billing {
    /// By these settings; what is sold is read when it is asked for.
    pub fn new(settings: BillingSettings) -> Self {
        Self { settings: Arc::new(settings), known: watch::Sender::new(None) }
    }

    /// The settings.
    pub fn settings(&self) -> &BillingSettings {
        &self.settings
    }

    /// What is sold now.
    ///
    /// Error: nothing is.
    pub async fn sold(&self, connection: &mut AnyConnection) -> Result<Arc<Sold>> {
        if self.settings.file.is_none() {
            return Err(Refusal::State(
                "nothing is sold here; set billing.file of the accounts to a billing.toml (docs/billing.md)".to_owned(),
            ));
        }
        let waits = || Refusal::State("what is sold has not been taken over yet, or cannot be; the accounts' log says why".to_owned());
        self.last(connection).await?.ok_or_else(waits)
    }

    /// The same; none, where nothing is sold.
    pub async fn sold_if_any(&self, connection: &mut AnyConnection) -> Result<Option<Arc<Sold>>> {
        if self.settings.file.is_none() { Ok(None) } else { self.last(connection).await }
    }

    /// What was accepted last.
    async fn last(&self, connection: &mut AnyConnection) -> Result<Option<Arc<Sold>>> {
        let row = sqlx::query("SELECT COALESCE(MAX(revision), 0) AS revision FROM billing_files").fetch_one(&mut *connection).await?;
        let revision: i64 = row.try_get("revision")?;
        let known = self.known.borrow().clone();
        if let Some(known) = known.filter(|known| known.revision == revision) {
            return Ok(Some(known));
        }
        if revision == 0 {
            return Ok(None);
        }
        let row = sqlx::query("SELECT content FROM billing_files WHERE revision = $1").bind(revision).fetch_one(&mut *connection).await?;
        let content: String = row.try_get("content")?;
        let catalogue = file::read(&content).map_err(|problems| {
            tracing::error!(%problems, "what was accepted as sold cannot be read any more");
            Refusal::Fault
        })?;
        let currency = catalogue.currency.ok_or(Refusal::Fault)?;
        let sold = Arc::new(Sold { revision, content, catalogue, currency });
        self.known.send_replace(Some(Arc::clone(&sold)));
        Ok(Some(sold))
    }

    /// Takes the file over as what is sold from now on, if it may take the last one's place. Gives whether it is another one.
    ///
    /// Error: what stands against it, all of it; nothing has changed then.
    pub async fn take_over(&self, store: &Store, now: i64) -> std::result::Result<bool, String> {
        let Some(path) = &self.settings.file else { return Ok(false) };
        let (text, catalogue) = read(path)?;
        // First without keeping anybody waiting: most of the time nothing has changed.
        let last = async { self.last(&mut *store.reads()?.acquire().await?).await };
        if !may_follow(last.await.map_err(told)?.as_deref(), &text, &catalogue, now)? {
            return Ok(false);
        }
        let mut change = Change::begin(store, &Asker::Itself, now).await.map_err(told)?;
        let last = self.last(change.connection()).await.map_err(told)?;
        if !may_follow(last.as_deref(), &text, &catalogue, now)? {
            return Ok(false);
        }
        let row = sqlx::query("INSERT INTO billing_files (revision, accepted_ms, content) VALUES ($1, $2, $3)");
        let row = row.bind(change.revision()).bind(now).bind(text);
        row.execute(change.connection()).await.map_err(|error| told(error.into()))?;
        let detail = format!("{} prices, {} plans", catalogue.prices.versions().count(), catalogue.plans.len());
        change
            .commit(Told { tenant_id: "", subject: "billing.file", what: "what is sold changed", detail: &detail })
            .await
            .map_err(told)?;
        Ok(true)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn told(refusal: Refusal) -> String {
    format!("the database refused it ({refusal:?}); it is tried again")
}

/// Whether this text is another one than the last, and may follow it.
fn may_follow(last: Option<&Sold>, text: &str, catalogue: &Catalogue, now: i64) -> std::result::Result<bool, String> {
    let Some(last) = last else { return Ok(true) };
    if last.content == text {
        return Ok(false);
    }
    let at = moment(now).map_err(told)?;
    last.catalogue.may_become(catalogue, at).map(|()| true).map_err(|against| format!("  {}", against.join("\n  ")))
}
