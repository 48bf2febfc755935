//! Invoices, credit notes and statements.

use torchmesh_api::accounts::v1::{self as api, NotIssued};

use super::{
    super::call::Call,
    BillingDesk,
    documents::{Source, document},
    told,
};
use crate::{
    billing::{self, NewNote},
    error::{Refusal, Result},
    page::Page,
    tenants,
};

/// The most invoices of one page: each may have thousands of lines, and all of them are read.
const MOST_INVOICES: i64 = 100;

impl BillingDesk {
    pub(super) async fn issue_invoices_asked(&self, call: Call<api::IssueInvoicesRequest>) -> Result<api::IssueInvoicesResponse> {
        self.may_see(&call.asker).await?;
        call.asker.is_operator()?;
        let page = Page::of(call.asked.page_size, &call.asked.page_token)?;
        let (tenants, next_page_token) = if call.asked.tenant.is_empty() {
            let mut tenants = tenants::list(&self.0.store, &call.asker, &page).await?;
            let next = page.cut(&mut tenants, |tenant| tenant.name.clone());
            (tenants, next)
        } else {
            (vec![call.asker.tenant(&self.0.store, &call.asked.tenant).await?], String::new())
        };
        let mut answer = api::IssueInvoicesResponse { next_page_token, ..Default::default() };
        for tenant in tenants {
            let until = call.asked.until_unix_ms;
            match billing::issue(&self.0.billing, &self.0.store, &call.asker, &tenant, until, call.now).await {
                Ok(issued) => {
                    for made in &issued {
                        answer.issued.push(told::invoice(&tenant.id, made, false)?);
                    }
                }
                // One tenant's mistake keeps nobody else's invoice back.
                Err(Refusal::State(reason)) => {
                    answer.not_issued.push(NotIssued { tenant_id: tenant.id, tenant: tenant.name, reason });
                }
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(answer)
    }

    pub(super) async fn list_invoices_asked(&self, call: Call<api::ListInvoicesRequest>) -> Result<api::ListInvoicesResponse> {
        let tenant = self.billed(&call, &call.asked.tenant).await?;
        let page = Page::of(call.asked.page_size, &call.asked.page_token)?.at_most(MOST_INVOICES);
        let mut kept = billing::list_invoices(&self.0.store, &tenant, &page).await?;
        let next_page_token = page.cut(&mut kept, |kept| kept.sequence.to_string());
        let invoices = kept.iter().map(|kept| told::kept(kept, false)).collect::<Result<_>>()?;
        Ok(api::ListInvoicesResponse { invoices, next_page_token })
    }

    pub(super) async fn get_invoice_asked(&self, call: Call<api::GetInvoiceRequest>) -> Result<api::GetInvoiceResponse> {
        self.may_see(&call.asker).await?;
        let kept = billing::find_invoice(&self.0.store, &call.asker, &call.asked.number).await?;
        let document = document(&Source::Invoice(&kept), call.asked.format, &call.asked.language)?;
        Ok(api::GetInvoiceResponse { invoice: Some(told::kept(&kept, true)?), document })
    }

    pub(super) async fn reissue_invoice_asked(&self, call: Call<api::ReissueInvoiceRequest>) -> Result<api::ReissueInvoiceResponse> {
        self.may_see(&call.asker).await?;
        let made = billing::reissue(&self.0.billing, &self.0.store, &call.asker, &call.asked.number, call.now).await?;
        let kept = billing::find_invoice(&self.0.store, &call.asker, &made.number).await?;
        Ok(api::ReissueInvoiceResponse { invoice: Some(told::kept(&kept, true)?) })
    }

    pub(super) async fn credit_invoice_asked(&self, call: Call<api::CreditInvoiceRequest>) -> Result<api::CreditInvoiceResponse> {
        self.may_see(&call.asker).await?;
        let asked = &call.asked;
        let lines: Vec<(u32, String)> = asked.lines.iter().map(|line| (line.line, line.net.clone())).collect();
        let new = NewNote { id: &asked.id, lines: &lines, reason: &asked.reason };
        let note = billing::credit(&self.0.store, &call.asker, &asked.number, new, call.now).await?;
        // What is owed is less now. The note is there, whatever becomes of this.
        if let Ok(Some(tenant)) = tenants::find(&self.0.store, &note.tenant).await {
            billing::check_stops_or_later(&self.0.billing, &self.0.store, &tenant, call.now).await;
        }
        Ok(api::CreditInvoiceResponse { credit_note: Some(told::note(&note)) })
    }

    pub(super) async fn get_credit_note_asked(&self, call: Call<api::GetCreditNoteRequest>) -> Result<api::GetCreditNoteResponse> {
        self.may_see(&call.asker).await?;
        let note = billing::find_note(&self.0.store, &call.asker, &call.asked.number).await?;
        let kept = billing::find_invoice(&self.0.store, &call.asker, &note.note.invoice).await?;
        let document = document(&Source::Note(&note, &kept), call.asked.format, &call.asked.language)?;
        Ok(api::GetCreditNoteResponse { credit_note: Some(told::note(&note.note)), document })
    }

    pub(super) async fn list_statements_asked(&self, call: Call<api::ListStatementsRequest>) -> Result<api::ListStatementsResponse> {
        let tenant = self.billed(&call, &call.asked.tenant).await?;
        let page = Page::of(call.asked.page_size, &call.asked.page_token)?;
        let (made, next_page_token) = billing::statements(&self.0.billing, &self.0.store, &tenant, &page, call.now).await?;
        Ok(api::ListStatementsResponse { statements: made.iter().map(|made| told::statement(made, false)).collect(), next_page_token })
    }

    pub(super) async fn get_statement_asked(&self, call: Call<api::GetStatementRequest>) -> Result<api::GetStatementResponse> {
        let tenant = self.billed(&call, &call.asked.tenant).await?;
        let made = billing::statement(&self.0.billing, &self.0.store, &tenant, call.asked.month_unix_ms).await?;
        let source = Source::Statement(&made, &self.0.billing.settings().issuer, &tenant);
        let document = document(&source, call.asked.format, &call.asked.language)?;
        Ok(api::GetStatementResponse { statement: Some(told::statement(&made, true)), document })
    }
}
