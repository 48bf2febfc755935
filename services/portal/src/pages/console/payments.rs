//! Payments of an invoice at a payment processor: what there is of them, and the way there.

use axum::extract::Path;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{BeginPaymentRequest, ListPaymentsRequest, ListPaymentsResponse, PaymentAtProcessor, PaymentState};

use super::{
    super::{parts, see_other},
    billing::{amount, invoice_path},
};
use crate::{
    fail::{Answer, where_on},
    figures,
    guard::Sent,
    visit::{Person, Visit},
};

/// The payments of an invoice; none, where nobody takes any.
pub(super) async fn of(visit: &Visit, person: &Person, invoice: String) -> Answer<ListPaymentsResponse> {
    let accounts = &visit.app().accounts;
    let asked = ListPaymentsRequest { invoice, ..Default::default() };
    let told = accounts.billing(person.token()).list_payments(accounts.ask(asked)).await;
    Ok(where_on(told.map(tonic::Response::into_inner))?.unwrap_or_default())
}

/// What leads to the processor, where there is one and something is to be paid.
pub(super) fn button(visit: &Visit, number: &str, paid: &ListPaymentsResponse) -> Markup {
    html! {
        @if let Some(payable) = &paid.payable {
            form method="post" action={ (invoice_path(number)) "/pay" } {
                (parts::csrf(visit))
                button type="submit" { (visit.texts().fill("billing.pay", &[("amount", &amount(&payable.amount, &payable.currency))])) }
            }
        }
    }
}

/// The payments that were begun.
pub(super) fn table(visit: &Visit, payments: &[PaymentAtProcessor]) -> Markup {
    if payments.is_empty() {
        return html! {};
    }
    let list = parts::scroll(
        visit.say("billing.payments"),
        html! {
            table {
                thead { tr {
                    @for head in ["billing.begun", "billing.state"] { th scope="col" { (visit.say(head)) } }
                    th.number scope="col" { (visit.say("billing.amount")) }
                } }
                tbody {
                    @for payment in payments {
                        @let money = payment.received.as_ref().or(payment.amount.as_ref());
                        tr {
                            th scope="row" { (figures::minute(payment.begun_unix_ms)) }
                            td { (state(visit, payment)) }
                            td.number { @if let Some(money) = money { (amount(&money.amount, &money.currency)) } }
                        }
                    }
                }
            }
        },
    );
    html! { section { h2 { (visit.say("billing.payments")) } (list) } }
}

fn state(visit: &Visit, payment: &PaymentAtProcessor) -> Markup {
    match payment.state() {
        PaymentState::Begun => parts::badge("waiting", visit.say("payment.begun")),
        PaymentState::Waiting => parts::badge("waiting", visit.say("payment.waiting")),
        PaymentState::Booked => parts::badge("good", visit.say("payment.booked")),
        PaymentState::Failed => parts::badge("bad", visit.say("payment.failed")),
        PaymentState::Expired => parts::badge("plain", visit.say("payment.expired")),
        PaymentState::Unspecified => html! {},
    }
}

/// Sends the payer to the processor.
pub async fn pay(visit: Visit, person: Person, Path(invoice): Path<String>, _sent: Sent) -> Answer {
    let accounts = &visit.app().accounts;
    let told = accounts.billing(person.token()).begin_payment(accounts.ask(BeginPaymentRequest { invoice })).await?;
    Ok(see_other(&told.into_inner().url))
}
