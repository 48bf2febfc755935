//! `torchmesh.accounts.v1.BillingService`.

mod documents;
mod invoices;
mod money;
mod payments;
mod plans;
mod spending;
pub(super) mod told;

use tonic::{Request, Response, Status};
use torchmesh_api::accounts::v1::{
    self as api,
    billing_service_server::{BillingService, BillingServiceServer},
};

use super::{
    Ground,
    call::{Call, answer},
};
use crate::{
    access::{Act, Asker},
    clock::now_ms,
    error::Result,
    tenants::Tenant,
};

/// See the module.
#[derive(Debug, Clone)]
pub struct BillingDesk(Ground);

impl BillingDesk {
    /// The service.
    pub fn service(ground: Ground) -> BillingServiceServer<Self> {
        BillingServiceServer::new(Self(ground))
    }

    /// The tenant that is named, if whoever asks may see what it is billed.
    async fn billed<T>(&self, call: &Call<T>, named: &str) -> Result<Tenant> {
        self.may_see(&call.asker).await?;
        call.asker.tenant(&self.0.store, named).await
    }

    /// Refuses whoever may not see what is billed, and everybody where nothing is sold.
    async fn may_see(&self, asker: &Asker) -> Result<()> {
        asker.may(Act::SeeBilling)?;
        let mut connection = self.0.store.reads()?.acquire().await?;
        self.0.billing.sold(&mut connection).await.map(|_| ())
    }
}

#[tonic::async_trait]
impl BillingService for BillingDesk {
    async fn list_plans(&self, request: Request<api::ListPlansRequest>) -> std::result::Result<Response<api::ListPlansResponse>, Status> {
        answer(self.list_plans_asked(self.0.call(request).await?).await)
    }

    async fn list_prices(
        &self,
        request: Request<api::ListPricesRequest>,
    ) -> std::result::Result<Response<api::ListPricesResponse>, Status> {
        answer(self.list_prices_asked(self.0.call(request).await?).await)
    }

    async fn get_subscription(
        &self,
        request: Request<api::GetSubscriptionRequest>,
    ) -> std::result::Result<Response<api::GetSubscriptionResponse>, Status> {
        answer(self.get_subscription_asked(self.0.call(request).await?).await)
    }

    async fn subscribe(&self, request: Request<api::SubscribeRequest>) -> std::result::Result<Response<api::SubscribeResponse>, Status> {
        answer(self.subscribe_asked(self.0.call(request).await?).await)
    }

    async fn cancel_subscription(
        &self,
        request: Request<api::CancelSubscriptionRequest>,
    ) -> std::result::Result<Response<api::CancelSubscriptionResponse>, Status> {
        answer(self.cancel_subscription_asked(self.0.call(request).await?).await)
    }

    async fn redeem_coupon(
        &self,
        request: Request<api::RedeemCouponRequest>,
    ) -> std::result::Result<Response<api::RedeemCouponResponse>, Status> {
        answer(self.redeem_coupon_asked(self.0.call(request).await?).await)
    }

    async fn update_billing_profile(
        &self,
        request: Request<api::UpdateBillingProfileRequest>,
    ) -> std::result::Result<Response<api::UpdateBillingProfileResponse>, Status> {
        answer(self.update_billing_profile_asked(self.0.call(request).await?).await)
    }

    async fn preview_invoice(
        &self,
        request: Request<api::PreviewInvoiceRequest>,
    ) -> std::result::Result<Response<api::PreviewInvoiceResponse>, Status> {
        answer(self.preview_invoice_asked(self.0.call(request).await?).await)
    }

    async fn issue_invoices(
        &self,
        request: Request<api::IssueInvoicesRequest>,
    ) -> std::result::Result<Response<api::IssueInvoicesResponse>, Status> {
        answer(self.issue_invoices_asked(self.0.call(request).await?).await)
    }

    async fn list_invoices(
        &self,
        request: Request<api::ListInvoicesRequest>,
    ) -> std::result::Result<Response<api::ListInvoicesResponse>, Status> {
        answer(self.list_invoices_asked(self.0.call(request).await?).await)
    }

    async fn get_invoice(
        &self,
        request: Request<api::GetInvoiceRequest>,
    ) -> std::result::Result<Response<api::GetInvoiceResponse>, Status> {
        answer(self.get_invoice_asked(self.0.call(request).await?).await)
    }

    async fn reissue_invoice(
        &self,
        request: Request<api::ReissueInvoiceRequest>,
    ) -> std::result::Result<Response<api::ReissueInvoiceResponse>, Status> {
        answer(self.reissue_invoice_asked(self.0.call(request).await?).await)
    }

    async fn credit_invoice(
        &self,
        request: Request<api::CreditInvoiceRequest>,
    ) -> std::result::Result<Response<api::CreditInvoiceResponse>, Status> {
        answer(self.credit_invoice_asked(self.0.call(request).await?).await)
    }

    async fn get_credit_note(
        &self,
        request: Request<api::GetCreditNoteRequest>,
    ) -> std::result::Result<Response<api::GetCreditNoteResponse>, Status> {
        answer(self.get_credit_note_asked(self.0.call(request).await?).await)
    }

    async fn add_credit(&self, request: Request<api::AddCreditRequest>) -> std::result::Result<Response<api::AddCreditResponse>, Status> {
        answer(self.add_credit_asked(self.0.call(request).await?).await)
    }

    async fn record_payment(
        &self,
        request: Request<api::RecordPaymentRequest>,
    ) -> std::result::Result<Response<api::RecordPaymentResponse>, Status> {
        answer(self.record_payment_asked(self.0.call(request).await?).await)
    }

    async fn begin_payment(
        &self,
        request: Request<api::BeginPaymentRequest>,
    ) -> std::result::Result<Response<api::BeginPaymentResponse>, Status> {
        answer(self.begin_payment_asked(self.0.call(request).await?).await)
    }

    async fn list_payments(
        &self,
        request: Request<api::ListPaymentsRequest>,
    ) -> std::result::Result<Response<api::ListPaymentsResponse>, Status> {
        answer(self.list_payments_asked(self.0.call(request).await?).await)
    }

    async fn take_payment_notice(
        &self,
        request: Request<api::TakePaymentNoticeRequest>,
    ) -> std::result::Result<Response<api::TakePaymentNoticeResponse>, Status> {
        answer(self.take_payment_notice_asked(&request.into_inner(), now_ms()).await)
    }

    async fn get_balance(
        &self,
        request: Request<api::GetBalanceRequest>,
    ) -> std::result::Result<Response<api::GetBalanceResponse>, Status> {
        answer(self.get_balance_asked(self.0.call(request).await?).await)
    }

    async fn list_ledger(
        &self,
        request: Request<api::ListLedgerRequest>,
    ) -> std::result::Result<Response<api::ListLedgerResponse>, Status> {
        answer(self.list_ledger_asked(self.0.call(request).await?).await)
    }

    async fn set_budget(&self, request: Request<api::SetBudgetRequest>) -> std::result::Result<Response<api::SetBudgetResponse>, Status> {
        answer(self.set_budget_asked(self.0.call(request).await?).await)
    }

    async fn list_budgets(
        &self,
        request: Request<api::ListBudgetsRequest>,
    ) -> std::result::Result<Response<api::ListBudgetsResponse>, Status> {
        answer(self.list_budgets_asked(self.0.call(request).await?).await)
    }

    async fn list_statements(
        &self,
        request: Request<api::ListStatementsRequest>,
    ) -> std::result::Result<Response<api::ListStatementsResponse>, Status> {
        answer(self.list_statements_asked(self.0.call(request).await?).await)
    }

    async fn get_statement(
        &self,
        request: Request<api::GetStatementRequest>,
    ) -> std::result::Result<Response<api::GetStatementResponse>, Status> {
        answer(self.get_statement_asked(self.0.call(request).await?).await)
    }
}
