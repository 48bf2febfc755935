//! How a tenant is billed.

use sqlx::{AnyConnection, Row as _};
use torchmesh_billing::{Anchor, Moment, Tax};

use crate::{
    access::{Act, Asker},
    error::{Refusal, Result},
    store::{Change, Store, Told},
    tenants::{self, Tenant},
};

/// The longest text of a recipient.
const LONGEST: usize = 2000;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Who stands on invoices; the tenant's display name when empty.
    pub recipient: String,
    /// What it is taxed; none: nothing.
    pub tax: Option<Tax>,
    /// Whether months begin with the first subscription; otherwise they are the calendar's.
    pub from_sign_up: bool,
    /// Whether its calls stop when its credit is used up.
    pub prepaid: bool,
}

impl Profile {
    /// Where the months of a tenant begin that first subscribed then.
    pub fn anchor(&self, first: Moment) -> Anchor {
        if self.from_sign_up { Anchor::From(first) } else { Anchor::Calendar }
    }
}

/// What is to be changed; what is none stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.UpdateBillingProfileRequest`")]
pub struct NewProfile {
    pub recipient: Option<String>,
    pub tax_name: Option<String>,
    pub tax_rate: Option<String>,
    pub from_sign_up: Option<bool>,
    pub prepaid: Option<bool>,
}

impl NewProfile {
    /// Whether it changes what a member may not.
    fn is_for_operators(&self) -> bool {
        self.tax_name.is_some() || self.tax_rate.is_some() || self.from_sign_up.is_some() || self.prepaid.is_some()
    }

    fn over(self, old: Profile) -> Result<Profile> {
        let recipient = self.recipient.unwrap_or(old.recipient);
        if recipient.len() > LONGEST || recipient.chars().any(|c| c.is_control() && c != '\n') {
            return Err(Refusal::Invalid(format!("recipient: must have at most {LONGEST} characters, in lines")));
        }
        let (name, rate) = old.tax.map_or_else(|| (String::new(), "0%".to_owned()), |tax| (tax.name, tax.rate.to_string()));
        let (name, rate) = (self.tax_name.unwrap_or(name), self.tax_rate.unwrap_or(rate));
        if name.len() > 64 || name.chars().any(char::is_control) {
            return Err(Refusal::Invalid("tax_name: must have at most 64 characters".to_owned()));
        }
        let rate = rate.parse().map_err(|error| Refusal::Invalid(format!("tax_rate: {error}")))?;
        Ok(Profile {
            recipient,
            tax: (!name.is_empty()).then_some(Tax { name, rate }),
            from_sign_up: self.from_sign_up.unwrap_or(old.from_sign_up),
            prepaid: self.prepaid.unwrap_or(old.prepaid),
        })
    }
}

/// The profile of a tenant; one that says nothing, where none was set.
pub async fn read(connection: &mut AnyConnection, tenant_id: &str) -> Result<Profile> {
    let query = sqlx::query("SELECT recipient, tax_name, tax_rate, from_sign_up, prepaid FROM billing_profiles WHERE tenant_id = $1");
    let Some(row) = query.bind(tenant_id.to_owned()).fetch_optional(connection).await? else { return Ok(Profile::default()) };
    let (name, rate): (String, String) = (row.try_get("tax_name")?, row.try_get("tax_rate")?);
    let rate = rate.parse().map_err(|_| Refusal::Fault)?;
    Ok(Profile {
        recipient: row.try_get("recipient")?,
        tax: (!name.is_empty()).then_some(Tax { name, rate }),
        from_sign_up: row.try_get::<i64, _>("from_sign_up")? != 0,
        prepaid: row.try_get::<i64, _>("prepaid")? != 0,
    })
}

/// Changes the profile of a tenant.
pub async fn update(store: &Store, asker: &Asker, tenant: &Tenant, new: NewProfile, now: i64) -> Result<()> {
    asker.may(Act::ChangeBilling)?;
    if new.is_for_operators() {
        asker.is_operator()?;
    }
    let mut change = Change::begin(store, asker, now).await?;
    tenants::refuse_erased(change.connection(), &tenant.id).await?;
    let old = read(change.connection(), &tenant.id).await?;
    let profile = new.over(old.clone())?;
    if profile.from_sign_up != old.from_sign_up {
        let query = sqlx::query("SELECT id FROM subscription_changes WHERE tenant_id = $1 LIMIT 1").bind(tenant.id.clone());
        if query.fetch_optional(change.connection()).await?.is_some() {
            return Err(Refusal::State("anchor: the tenant has subscribed before, and its months stay as they are".to_owned()));
        }
    }
    let row = "INSERT INTO billing_profiles (tenant_id, recipient, tax_name, tax_rate, from_sign_up, prepaid) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (tenant_id) DO UPDATE SET recipient = excluded.recipient, tax_name = excluded.tax_name, tax_rate = excluded.tax_rate, \
               from_sign_up = excluded.from_sign_up, prepaid = excluded.prepaid";
    let (name, rate) = profile.tax.as_ref().map_or_else(Default::default, |tax| (tax.name.clone(), tax.rate.to_string()));
    let rate = if rate.is_empty() { "0%".to_owned() } else { rate };
    let row = sqlx::query(row).bind(tenant.id.clone()).bind(profile.recipient).bind(name.clone()).bind(rate.clone());
    let row = row.bind(i64::from(profile.from_sign_up)).bind(i64::from(profile.prepaid));
    row.execute(change.connection()).await?;
    let detail = format!("{} {name} {rate}{}", tenant.name, if profile.prepaid { " prepaid" } else { "" });
    change.commit(Told { tenant_id: &tenant.id, subject: &tenant.id, what: "billing profile changed", detail: &detail }).await
}
