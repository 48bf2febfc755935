//! Credit, payments and the ledger.

use torchmesh_api::accounts::v1 as api;

use super::{super::call::Call, BillingDesk, told};
use crate::{
    access::Asker,
    billing::{self, NewCredit, Payment, PaymentKind},
    error::{Refusal, Result},
    page::Page,
};

fn kind(said: i32) -> Result<PaymentKind> {
    match api::PaymentKind::try_from(said) {
        Ok(api::PaymentKind::Received) => Ok(PaymentKind::Received),
        Ok(api::PaymentKind::Refunded) => Ok(PaymentKind::Refunded),
        Ok(api::PaymentKind::PartnerPaid) => Ok(PaymentKind::PartnerPaid),
        _ => Err(Refusal::Invalid("kind: must be received, refunded or partner paid".to_owned())),
    }
}

/// An amount that was asked for, as text.
pub(super) fn said<'a>(field: &str, amount: Option<&'a api::Money>) -> Result<(&'a str, &'a str)> {
    let amount = amount.ok_or_else(|| Refusal::Invalid(format!("{field}: must be said, such as \"10.00\"")))?;
    Ok((&amount.amount, &amount.currency))
}

impl BillingDesk {
    pub(super) async fn add_credit_asked(&self, call: Call<api::AddCreditRequest>) -> Result<api::AddCreditResponse> {
        let (asked, tenant) = (&call.asked, self.billed(&call, &call.asked.tenant).await?);
        let amount = said("amount", asked.amount.as_ref())?;
        let new = NewCredit { id: &asked.id, amount, bought: asked.bought, expires_ms: asked.expires_unix_ms };
        let grant = billing::add_credit(&self.0.billing, &self.0.store, &call.asker, &tenant, new, call.now).await?;
        let balance = billing::balance(&self.0.billing, &self.0.store, &tenant).await?;
        let left = balance.credits.iter().find(|credit| credit.grant.id == grant.id).map(|credit| credit.left);
        let left = left.unwrap_or(torchmesh_billing::Money::zero(grant.amount.currency()));
        Ok(api::AddCreditResponse { credit: Some(told::credit(&grant, left)) })
    }

    pub(super) async fn record_payment_asked(&self, call: Call<api::RecordPaymentRequest>) -> Result<api::RecordPaymentResponse> {
        let (asked, tenant) = (&call.asked, self.billed(&call, &call.asked.tenant).await?);
        let paid = Payment { id: &asked.id, kind: kind(asked.kind)?, amount: said("amount", asked.amount.as_ref())? };
        let posted = billing::pay(&self.0.billing, &self.0.store, &call.asker, &tenant, paid, call.now).await?;
        Ok(api::RecordPaymentResponse { entry: Some(told::entry(&posted, &call.asker, Some(&tenant))) })
    }

    pub(super) async fn get_balance_asked(&self, call: Call<api::GetBalanceRequest>) -> Result<api::GetBalanceResponse> {
        let tenant = self.billed(&call, &call.asked.tenant).await?;
        let balance = billing::balance(&self.0.billing, &self.0.store, &tenant).await?;
        Ok(api::GetBalanceResponse {
            owed: Some(told::money(balance.owed)),
            credit_left: Some(told::money(balance.credit_left)),
            credits: balance.credits.iter().map(told::credit_left).collect(),
            partner_payable: Some(told::money(balance.partner_payable)),
        })
    }

    pub(super) async fn list_ledger_asked(&self, call: Call<api::ListLedgerRequest>) -> Result<api::ListLedgerResponse> {
        let all = call.asker == Asker::Operator && call.asked.tenant.is_empty();
        self.may_see(&call.asker).await?;
        let tenant = if all { None } else { Some(self.billed(&call, &call.asked.tenant).await?) };
        let page = Page::of(call.asked.page_size, &call.asked.page_token)?;
        let mut posted = billing::ledger(&self.0.store, tenant.as_ref(), &page).await?;
        let next_page_token = page.cut(&mut posted, |posted| posted.sequence.to_string());
        let entries = posted.iter().map(|posted| told::entry(posted, &call.asker, tenant.as_ref())).collect();
        Ok(api::ListLedgerResponse { entries, next_page_token })
    }
}
