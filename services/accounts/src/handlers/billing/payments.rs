//! Payments at a payment processor.

use torchmesh_api::accounts::v1 as api;

use super::{super::call::Call, BillingDesk, told};
use crate::{
    billing,
    error::{Refusal, Result},
    page::Page,
    payments::{self, Notice, Payment, PaymentState},
    tenants,
};

/// The longest body of a notice.
const LONGEST: usize = 1 << 20;

fn payment(payment: &Payment) -> api::PaymentAtProcessor {
    let state = match payment.state {
        PaymentState::Begun => api::PaymentState::Begun,
        PaymentState::Waiting => api::PaymentState::Waiting,
        PaymentState::Booked => api::PaymentState::Booked,
        PaymentState::Failed => api::PaymentState::Failed,
        PaymentState::Expired => api::PaymentState::Expired,
    };
    api::PaymentAtProcessor {
        id: payment.id.clone(),
        tenant_id: payment.tenant_id.clone(),
        invoice: payment.invoice.clone(),
        processor: payment.processor.clone(),
        state: state.into(),
        amount: Some(told::money(payment.amount)),
        received: payment.received.map(told::money),
        differs: payment.differs(),
        entry: payment.entry.clone(),
        begun_unix_ms: payment.begun_ms,
        changed_unix_ms: payment.changed_ms,
        refunded: payment.refunded.map(told::money),
    }
}

impl BillingDesk {
    pub(super) async fn begin_payment_asked(&self, call: Call<api::BeginPaymentRequest>) -> Result<api::BeginPaymentResponse> {
        let (ground, asker) = (&self.0, &call.asker);
        let begun = payments::begin(&ground.payments, &ground.billing, &ground.store, asker, &call.asked.invoice, call.now).await?;
        Ok(api::BeginPaymentResponse { payment: Some(payment(&begun)), url: begun.url })
    }

    pub(super) async fn list_payments_asked(&self, call: Call<api::ListPaymentsRequest>) -> Result<api::ListPaymentsResponse> {
        self.may_see(&call.asker).await?;
        let (ground, asked) = (&self.0, &call.asked);
        let page = Page::of(asked.page_size, &asked.page_token)?;
        let kept = match asked.invoice.as_str() {
            "" => None,
            number => Some(billing::find_invoice(&ground.store, &call.asker, number).await?),
        };
        let tenant = match &kept {
            Some(kept) => tenants::find(&ground.store, &kept.tenant_id).await?.ok_or(Refusal::Fault)?,
            None => call.asker.tenant(&ground.store, &asked.tenant).await?,
        };
        let mut listed = payments::list(&ground.store, &tenant, &asked.invoice, &page).await?;
        let next_page_token = page.cut(&mut listed, |payment| payment.id.clone());
        let payable = match &kept {
            Some(kept) => payments::payable(&ground.payments, &ground.store, kept).await?.map(told::money),
            None => None,
        };
        let payments = listed.iter().map(payment).collect();
        Ok(api::ListPaymentsResponse { payments, next_page_token, processor: ground.payments.name().to_owned(), payable })
    }

    pub(super) async fn take_payment_notice_asked(
        &self,
        asked: &api::TakePaymentNoticeRequest,
        now: i64,
    ) -> Result<api::TakePaymentNoticeResponse> {
        if asked.body.len() > LONGEST {
            return Err(Refusal::Invalid("body: must have at most 1 MiB".to_owned()));
        }
        let notice = Notice { body: &asked.body, signature: &asked.signature };
        payments::take_notice(&self.0.payments, &self.0.billing, &self.0.store, notice, now).await?;
        Ok(api::TakePaymentNoticeResponse {})
    }
}
