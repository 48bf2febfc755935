//! Credit that is left, and coupons.

use axum::response::Response;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{Credit, RedeemCouponRequest, Subscription};

use super::{
    super::{
        parts::{self, Field},
        see_other,
    },
    billing::{self, money},
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    visit::{Person, Visit},
};

/// One that was not taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Coupon<'a> {
    code: &'a str,
    pub(super) fail: Option<&'a Fail>,
}

/// Credit, in the order in which it is used.
pub(super) fn credits(visit: &Visit, credits: &[Credit]) -> Markup {
    parts::scroll(
        visit.say("billing.credits"),
        html! {
            table {
                thead { tr {
                    @for head in ["keys.name", "credit.kind", "credit.granted", "credit.expires"] { th scope="col" { (visit.say(head)) } }
                    @for head in ["billing.amount", "credit.left"] { th.number scope="col" { (visit.say(head)) } }
                } }
                tbody {
                    @for credit in credits {
                        tr {
                            th.mono scope="row" { (credit.id) }
                            td { (visit.say(if credit.bought { "credit.bought" } else { "credit.given" })) }
                            td { (parts::day(credit.granted_unix_ms, "")) }
                            td { (parts::moment(credit.expires_unix_ms, visit.say("keys.never"))) }
                            td.number { (money(credit.amount.as_ref()).unwrap_or_default()) }
                            td.number { (money(credit.left.as_ref()).unwrap_or_default()) }
                        }
                    }
                }
            }
        },
    )
}

/// Coupons that were taken, and the form that takes one.
pub(super) fn form(visit: &Visit, subscription: &Subscription, coupon: &Coupon<'_>) -> Markup {
    html! {
        section.form.card-form {
            h2 { (visit.say("billing.coupon")) }
            @if !subscription.coupons.is_empty() { p.faint { (visit.texts().fill("billing.coupons_taken", &[("codes", &subscription.coupons.join(", "))])) } }
            form.row method="post" action="/console/billing/coupon" {
                (parts::csrf(visit))
                (Field::text("code", visit.say("billing.code"), coupon.code).show())
                button.primary type="submit" { (visit.say("billing.redeem")) }
            }
        }
    }
}

/// Where the page with a refused coupon is opened again.
pub async fn begin_again() -> Response {
    see_other("/console/billing")
}

/// Takes a coupon.
pub async fn redeem(visit: Visit, person: Person, sent: Sent) -> Answer {
    let accounts = &visit.app().accounts;
    let asked = RedeemCouponRequest { code: sent.text("code").to_owned(), ..Default::default() };
    let Err(status) = accounts.billing(person.token()).redeem_coupon(accounts.ask(asked)).await else {
        return Ok(see_other("/console/billing?told=coupon"));
    };
    let fail = Fail::from(status);
    if !fail.is_about_the_form() {
        return Err(fail);
    }
    let Some(subscription) = billing::subscription(&visit, &person).await? else { return Err(fail) };
    billing::shown(&visit, &person, subscription, &Coupon { code: sent.text("code"), fail: Some(&fail) }).await
}
