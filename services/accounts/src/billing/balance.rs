//! What a tenant owes, and what is left of its credit.

use torchmesh_billing::{Account, Moment, Money, credit::CreditGrant};

use super::{Billing, books, credit};
use crate::{error::Result, store::Store, tenants::Tenant};

/// Credit, and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditLeft {
    /// The credit.
    pub grant: CreditGrant,
    /// How much of it is left.
    pub left: Money,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// What the tenant owes; less than nothing: it has paid too much.
    pub owed: Money,
    /// Credit of which something is left, in the order in which it is used.
    pub credits: Vec<CreditLeft>,
    /// All that is left of it.
    pub credit_left: Money,
    /// What is owed to the tenant as a partner.
    pub partner_payable: Money,
}

/// The balance of a tenant.
pub async fn balance(billing: &Billing, store: &Store, tenant: &Tenant) -> Result<Balance> {
    let mut connection = store.reads()?.acquire().await?;
    let currency = billing.sold(&mut connection).await?.currency;
    let ledger = books::of_tenant(&mut connection, &tenant.id).await?;
    let mut grants = credit::grants(&mut connection, &tenant.id, &tenant.name).await?;
    grants.sort_by_key(|grant| (grant.expires.unwrap_or(Moment::LAST), grant.granted, grant.id.clone()));
    let mut credits = Vec::new();
    for grant in grants {
        let left = ledger.balance(&grant.account(), currency, Moment::LAST)?.negated();
        if !left.is_zero() {
            credits.push(CreditLeft { grant, left });
        }
    }
    let partner = Account::PartnerPayable(tenant.name.clone());
    let as_partner = books::of_account(&mut connection, &partner).await?;
    Ok(Balance {
        owed: ledger.balance(&Account::Receivable(tenant.name.clone()), currency, Moment::LAST)?,
        credit_left: Money::sum(currency, credits.iter().map(|credit| credit.left))?,
        credits,
        partner_payable: as_partner.balance(&partner, currency, Moment::LAST)?.negated(),
    })
}
