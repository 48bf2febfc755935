//! What is spent so far, and budgets.

use torchmesh_api::accounts::v1 as api;

use super::{super::call::Call, BillingDesk, money::said, told};
use crate::{
    billing::{self, BudgetTold, NewBudget},
    error::Result,
};

impl BillingDesk {
    pub(super) async fn preview_invoice_asked(&self, call: Call<api::PreviewInvoiceRequest>) -> Result<api::PreviewInvoiceResponse> {
        let tenant = self.billed(&call, &call.asked.tenant).await?;
        let made = billing::preview(&self.0.billing, &self.0.store, &tenant, call.now).await?;
        Ok(api::PreviewInvoiceResponse { invoice: Some(told::invoice(&tenant.id, &made, true)?) })
    }

    pub(super) async fn set_budget_asked(&self, call: Call<api::SetBudgetRequest>) -> Result<api::SetBudgetResponse> {
        let (asked, tenant) = (&call.asked, self.billed(&call, &call.asked.tenant).await?);
        let limit = if asked.remove { None } else { Some(said("limit", asked.limit.as_ref())?) };
        let new = NewBudget { name: &asked.name, limit, thresholds: &asked.thresholds };
        let set = billing::set_budget(&self.0.billing, &self.0.store, &call.asker, &tenant, new, call.now).await?;
        let budget = set.map(|budget| told::budget(BudgetTold { budget, told: std::collections::BTreeSet::new() }));
        Ok(api::SetBudgetResponse { budget })
    }

    pub(super) async fn list_budgets_asked(&self, call: Call<api::ListBudgetsRequest>) -> Result<api::ListBudgetsResponse> {
        let tenant = self.billed(&call, &call.asked.tenant).await?;
        let budgets = billing::budgets(&self.0.billing, &self.0.store, &tenant, call.now).await?;
        Ok(api::ListBudgetsResponse { budgets: budgets.into_iter().map(told::budget).collect() })
    }
}
