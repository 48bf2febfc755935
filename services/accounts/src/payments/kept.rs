//! Payments as they are kept: the table `payments`.

use std::fmt;

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};
use torchmesh_billing::Money;

use super::Payments;
use crate::{
    billing::{self, Kept},
    error::{Refusal, Result},
    page::Page,
    store::{Change, Store, Told},
    tenants::Tenant,
};

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentState {
    /// The payer was sent to the processor.
    Begun,
    /// The payer has done what they can.
    Waiting,
    /// The money is in the ledger.
    Booked,
    /// It was refused, or did not come.
    Failed,
    /// The payer did not pay in time.
    Expired,
}

impl PaymentState {
    const ALL: [Self; 5] = [Self::Begun, Self::Waiting, Self::Booked, Self::Failed, Self::Expired];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Waiting => "waiting",
            Self::Booked => "booked",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// Whether more may become of it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Begun | Self::Waiting)
    }
}

/// A payment that was begun at a processor.
#[derive(Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub id: String,
    /// Whose.
    pub tenant_id: String,
    /// The number of the invoice.
    pub invoice: String,
    /// The processor's name.
    pub processor: String,
    /// The processor's name for it; empty: it has not answered yet.
    pub session: String,
    /// Where the payer is sent.
    pub url: String,
    /// Where it stands.
    pub state: PaymentState,
    /// What was asked for.
    pub amount: Money,
    /// What came.
    pub received: Option<Money>,
    /// The ledger's entry.
    pub entry: String,
    /// The processor's id of the money that came.
    pub money: String,
    /// What was given back of it.
    pub refunded: Option<Money>,
    /// When it was begun.
    pub begun_ms: i64,
    /// When the state last changed.
    pub changed_ms: i64,
}

impl fmt::Debug for Payment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever has the address can pay.
        let mut shown = f.debug_struct("Payment");
        shown.field("id", &self.id).field("invoice", &self.invoice).field("state", &self.state);
        shown.field("amount", &self.amount).field("received", &self.received).finish_non_exhaustive()
    }
}

impl Payment {
    /// Whether what came is not what was asked for.
    pub fn differs(&self) -> bool {
        self.received.is_some_and(|received| received != self.amount)
    }

    /// Writes it down as begun.
    pub(super) async fn insert(&self, change: &mut Change, next_ms: i64) -> Result<()> {
        let row = "INSERT INTO payments (id, tenant_id, invoice, processor, state, amount, begun_ms, changed_ms, next_ms) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)";
        let row =
            sqlx::query(row).bind(self.id.clone()).bind(self.tenant_id.clone()).bind(self.invoice.clone()).bind(self.processor.clone());
        let row = row.bind(self.state.as_str()).bind(self.amount.to_string()).bind(self.begun_ms).bind(next_ms);
        row.execute(change.connection()).await?;
        Ok(())
    }

    /// Writes down where it stands now, which may be what came.
    pub(super) async fn set(&mut self, change: &mut Change, state: PaymentState) -> Result<()> {
        (self.state, self.changed_ms) = (state, change.now());
        let row = sqlx::query("UPDATE payments SET state = $2, changed_ms = $3, received = $4, entry = $5, money = $6 WHERE id = $1");
        let received = self.received.map(|received| received.to_string()).unwrap_or_default();
        let row = row.bind(self.id.clone()).bind(state.as_str()).bind(self.changed_ms).bind(received).bind(self.entry.clone());
        let row = row.bind(self.money.clone());
        row.execute(change.connection()).await?;
        Ok(())
    }

    /// Writes down that so much more was given back, or less. Only what is of the currency that came can be counted with it.
    pub(super) async fn gave_back(&mut self, change: &mut Change, more: Money) -> Result<()> {
        let sum = self.refunded.unwrap_or(Money::zero(more.currency())).plus(more)?;
        (self.refunded, self.changed_ms) = (Some(sum).filter(|sum| !sum.is_zero()), change.now());
        let text = self.refunded.map(|refunded| refunded.to_string()).unwrap_or_default();
        let row = sqlx::query("UPDATE payments SET refunded = $2, changed_ms = $3 WHERE id = $1").bind(self.id.clone());
        row.bind(text).bind(self.changed_ms).execute(change.connection()).await?;
        Ok(())
    }

    /// Makes the change happen, as one of this payment.
    pub(super) async fn commit(&self, change: Change, what: &str) -> Result<()> {
        let mut detail = format!("{} {}", self.invoice, self.amount);
        if let Some(received) = self.received.filter(|_| self.differs()) {
            detail = format!("{detail}, but {received} came");
        }
        if let Some(refunded) = self.refunded {
            detail = format!("{detail}, {refunded} of it given back");
        }
        change.commit(Told { tenant_id: &self.tenant_id, subject: &self.id, what, detail: &detail }).await
    }
}

const SELECTED: &str = "SELECT id, tenant_id, invoice, processor, session, url, state, amount, received, entry, money, refunded, begun_ms, changed_ms FROM payments";

fn read(row: &AnyRow) -> Result<Payment> {
    let (state, amount): (String, String) = (row.try_get("state")?, row.try_get("amount")?);
    let money = |text: &str| text.parse::<Money>().map_err(|_| Refusal::Fault);
    let came = |name: &str| -> Result<Option<Money>> {
        let text: String = row.try_get(name)?;
        if text.is_empty() { Ok(None) } else { money(&text).map(Some) }
    };
    Ok(Payment {
        id: row.try_get("id")?,
        tenant_id: row.try_get("tenant_id")?,
        invoice: row.try_get("invoice")?,
        processor: row.try_get("processor")?,
        session: row.try_get("session")?,
        url: row.try_get("url")?,
        state: PaymentState::ALL.into_iter().find(|known| known.as_str() == state).ok_or(Refusal::Fault)?,
        amount: money(&amount)?,
        received: came("received")?,
        entry: row.try_get("entry")?,
        money: row.try_get("money")?,
        refunded: came("refunded")?,
        begun_ms: row.try_get("begun_ms")?,
        changed_ms: row.try_get("changed_ms")?,
    })
}

/// A payment by its id.
pub(super) async fn by_id(connection: &mut AnyConnection, id: &str) -> Result<Option<Payment>> {
    let query = sqlx::query(AssertSqlSafe(format!("{SELECTED} WHERE id = $1"))).bind(id.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The payment that some money came for.
pub(super) async fn by_money(connection: &mut AnyConnection, money: &str) -> Result<Option<Payment>> {
    let query = sqlx::query(AssertSqlSafe(format!("{SELECTED} WHERE money = $1 ORDER BY id LIMIT 1"))).bind(money.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The payment of an invoice of which more may become.
pub(super) async fn open_of(connection: &mut AnyConnection, invoice: &str) -> Result<Option<Payment>> {
    let query = sqlx::query(AssertSqlSafe(format!("{SELECTED} WHERE invoice = $1 AND state IN ('begun', 'waiting')")));
    query.bind(invoice.to_owned()).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Payments about which the processor is to be asked, those that wait longest first.
pub(super) async fn due(store: &Store, processor: &str, now: i64, most: i64) -> Result<Vec<Payment>> {
    let text = format!("{SELECTED} WHERE state IN ('begun', 'waiting') AND processor = $1 AND next_ms <= $2 ORDER BY next_ms LIMIT $3");
    let query = sqlx::query(AssertSqlSafe(text)).bind(processor.to_owned()).bind(now).bind(most);
    query.fetch_all(store.reads()?).await?.iter().map(read).collect()
}

/// Says when the processor is asked next.
pub(super) async fn ask_at(store: &Store, id: &str, next_ms: i64) -> Result<()> {
    let mut transaction = store.begin().await?;
    sqlx::query("UPDATE payments SET next_ms = $2 WHERE id = $1").bind(id.to_owned()).bind(next_ms).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Writes down where the payer is sent.
pub(super) async fn leads_to(store: &Store, id: &str, session: &str, url: &str) -> Result<()> {
    let mut transaction = store.begin().await?;
    let row = sqlx::query("UPDATE payments SET session = $2, url = $3 WHERE id = $1").bind(id.to_owned());
    row.bind(session.to_owned()).bind(url.to_owned()).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// The payments of a tenant, or of an invoice of its, the newest first.
pub async fn list(store: &Store, tenant: &Tenant, invoice: &str, page: &Page) -> Result<Vec<Payment>> {
    let text = format!("{SELECTED} WHERE tenant_id = $1 AND ($2 = '' OR invoice = $2) AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4");
    let query = sqlx::query(AssertSqlSafe(text)).bind(tenant.id.clone()).bind(invoice.to_owned());
    let query = query.bind(page.after.clone()).bind(page.limit());
    query.fetch_all(store.reads()?).await?.iter().map(read).collect()
}

/// What is to be paid of an invoice still; none, where that is nothing or nobody takes it.
pub async fn payable(payments: &Payments, store: &Store, kept: &Kept) -> Result<Option<Money>> {
    if payments.processor().is_err() {
        return Ok(None);
    }
    let mut connection = store.reads()?.acquire().await?;
    to_pay(&mut connection, kept).await
}

/// The same, within a transaction.
pub(super) async fn to_pay(connection: &mut AnyConnection, kept: &Kept) -> Result<Option<Money>> {
    let query = sqlx::query(AssertSqlSafe(format!("{SELECTED} WHERE invoice = $1 AND state = 'booked'"))).bind(kept.invoice.number.clone());
    let mut received = Money::zero(kept.invoice.currency);
    for row in query.fetch_all(&mut *connection).await? {
        let payment = read(&row)?;
        // What came in another currency paid nothing of it, until somebody says what it was worth.
        let counts = |money: &Money| money.currency() == received.currency();
        if let Some(came) = payment.received.filter(counts) {
            let refunded = payment.refunded.filter(counts).unwrap_or(Money::zero(came.currency()));
            received = received.plus(came)?.minus(refunded)?;
        }
    }
    let left = billing::left_of(connection, kept, received).await?;
    Ok(Some(left).filter(|left| !left.is_zero()))
}
