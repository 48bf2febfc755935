//! `/console/billing`: the plan, what is spent so far, and invoices.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{
    BillingPeriod, BillingPlan, CancelSubscriptionRequest, GetBalanceRequest, GetBalanceResponse, GetSubscriptionRequest, Invoice,
    ListInvoicesRequest, ListPlansRequest, Money, PreviewInvoiceRequest, SubscribeRequest, Subscription,
};

use super::{
    super::{Page, Place, encoded, parts, see_other},
    coupons::{self, Coupon},
    invoices,
};
use crate::{
    fail::{Answer, Fail, where_on},
    figures,
    guard::Sent,
    visit::{Person, Visit},
};

/// As many as are shown.
const SHOWN: i32 = 100;

/// What a tenant is subscribed to; nothing, where nothing is sold.
pub(super) async fn subscription(visit: &Visit, person: &Person) -> Answer<Option<Subscription>> {
    let accounts = &visit.app().accounts;
    let told = accounts.billing(person.token()).get_subscription(accounts.ask(GetSubscriptionRequest::default())).await;
    where_on(told.map(|told| told.into_inner().subscription)).map(Option::flatten)
}

/// What this period has cost so far, where it costs anything and the member may know.
pub(super) async fn spend(visit: &Visit, person: &Person) -> Answer<Option<String>> {
    if !person.may_see_bills() {
        return Ok(None);
    }
    Ok(preview(visit, person).await?.map(|invoice| amount(&invoice.total, &invoice.currency)))
}

pub(super) async fn preview(visit: &Visit, person: &Person) -> Answer<Option<Invoice>> {
    let accounts = &visit.app().accounts;
    let told = accounts.billing(person.token()).preview_invoice(accounts.ask(PreviewInvoiceRequest::default())).await;
    where_on(told.map(|told| told.into_inner().invoice)).map(Option::flatten)
}

pub(in crate::pages) fn amount(amount: &str, currency: &str) -> String {
    format!("{amount} {currency}")
}

pub(in crate::pages) fn money(money: Option<&Money>) -> Option<String> {
    money.map(|money| amount(&money.amount, &money.currency))
}

pub(in crate::pages) fn period(period: Option<&BillingPeriod>) -> String {
    // The last day is the one before the end.
    period.map_or_else(String::new, |period| format!("{} – {}", figures::day(period.start_unix_ms), figures::day(period.end_unix_ms - 1)))
}

/// What the page is made of.
struct Account {
    subscription: Subscription,
    plans: Vec<BillingPlan>,
    preview: Option<Invoice>,
    invoices: Vec<Invoice>,
    balance: Option<GetBalanceResponse>,
}

async fn read(visit: &Visit, person: &Person, subscription: Subscription) -> Answer<Account> {
    let accounts = &visit.app().accounts;
    let billing = || accounts.billing(person.token());
    let (mut plans, mut invoices, mut balance) = (billing(), billing(), billing());
    let (preview, plans, invoices, balance) = tokio::join!(
        preview(visit, person),
        plans.list_plans(accounts.ask(ListPlansRequest {})),
        invoices.list_invoices(accounts.ask(ListInvoicesRequest { page_size: SHOWN, ..Default::default() })),
        balance.get_balance(accounts.ask(GetBalanceRequest::default())),
    );
    Ok(Account {
        subscription,
        plans: plans?.into_inner().plans,
        preview: preview?,
        invoices: invoices?.into_inner().invoices,
        balance: where_on(balance.map(tonic::Response::into_inner))?,
    })
}

/// The page.
pub async fn show(visit: Visit, person: Person) -> Answer {
    if !person.may_see_bills() {
        return Err(Fail::new(StatusCode::FORBIDDEN));
    }
    let Some(subscription) = subscription(&visit, &person).await? else {
        let body = html! {
            (parts::head(visit.say("billing.title"), "", html! {}))
            (parts::empty(visit.say("billing.free"), html! { a.button href="/console/usage" { (visit.say("nav.usage")) } }))
        };
        return Ok(Page::new(Place::Billing, visit.say("billing.title"), body).answer(&visit));
    };
    shown(&visit, &person, subscription, &Coupon::default()).await
}

/// The page of somebody who is sold something, with a coupon that was not taken.
pub(super) async fn shown(visit: &Visit, person: &Person, subscription: Subscription, coupon: &Coupon<'_>) -> Answer {
    let account = read(visit, person, subscription).await?;
    Ok(page(visit, &account, coupon))
}

fn page(visit: &Visit, account: &Account, coupon: &Coupon<'_>) -> Response {
    let credits = account.balance.as_ref().map(|balance| &*balance.credits).unwrap_or_default();
    let actions = html! {
        a.button href="/console/budgets" { (visit.say("nav.budgets")) }
        a.button href="/console/statements" { (visit.say("statements.title")) }
    };
    let body = html! {
        (parts::told(visit))
        (parts::head(visit.say("billing.title"), visit.say("billing.lead"), actions))
        (parts::wrong(visit, coupon.fail))
        @if !account.subscription.stopped.is_empty() { div.notice.bad role="alert" { p { (account.subscription.stopped) } } }
        (tiles(visit, account))
        section { h2 { (visit.say("billing.so_far")) } @if let Some(preview) = &account.preview { (invoices::lines(visit, preview)) } }
        section { h2 { (visit.say("billing.plans")) } (plans(visit, account)) }
        section { h2 { (visit.say("billing.invoices")) } (invoices::table(visit, &account.invoices, |number| html! { a href=(invoice_path(number)) { (number) } })) }
        @if !credits.is_empty() { section { h2 { (visit.say("billing.credits")) } (coupons::credits(visit, credits)) } }
        @if account.subscription.self_service && !account.subscription.plan.is_empty() { (coupons::form(visit, &account.subscription, coupon)) }
    };
    let status = coupon.fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Billing, visit.say("billing.title"), body).status(status).answer(visit)
}

fn tiles(visit: &Visit, account: &Account) -> Markup {
    let subscription = &account.subscription;
    let none = visit.say("billing.no_plan");
    let plan = if subscription.plan.is_empty() { none } else { &subscription.plan };
    let spent = account.preview.as_ref().map(|invoice| amount(&invoice.total, &invoice.currency));
    let balance = account.balance.as_ref();
    let more = [
        ("billing.credit", balance.and_then(|balance| money(balance.credit_left.as_ref()))),
        ("billing.owed", balance.and_then(|balance| money(balance.owed.as_ref()))),
    ];
    html! {
        dl.tiles {
            div.tile { dt { (visit.say("billing.plan")) } dd { (plan) span.more { (period(subscription.period.as_ref())) } } }
            @if let Some(spent) = spent { div.tile { dt { (visit.say("figure.spend")) } dd { (spent) } } }
            @for (name, value) in more { @if let Some(value) = value { div.tile { dt { (visit.say(name)) } dd { (value) } } } }
        }
        @if subscription.changes_unix_ms > 0 {
            @let next = if subscription.next_plan.is_empty() { none } else { &subscription.next_plan };
            div.notice { p { (visit.texts().fill("billing.changes", &[("day", &figures::day(subscription.changes_unix_ms)), ("plan", next)])) } }
        }
    }
}

fn plans(visit: &Visit, account: &Account) -> Markup {
    let subscription = &account.subscription;
    html! {
        ul.cards {
            @for plan in &account.plans {
                @let here = plan.id == subscription.plan;
                li { div.card {
                    div.card-head { h3 { (plan.id) } @if here { (parts::badge("good", visit.say("billing.yours"))) } }
                    p { (money(plan.fee.as_ref()).map_or_else(|| visit.say("billing.no_fee").to_owned(), |fee| visit.texts().fill("billing.fee", &[("fee", &fee)]))) }
                    @for part in &plan.included {
                        p.faint { (visit.texts().fill("billing.included", &[("count", &figures::grouped(i64::try_from(part.quantity).unwrap_or(i64::MAX))), ("units", &part.units.join(", ")), ("models", &part.models)])) }
                    }
                    @if subscription.self_service { (choice(visit, &plan.id, here)) }
                } }
            }
        }
    }
}

fn choice(visit: &Visit, plan: &str, here: bool) -> Markup {
    let (path, text) = if here { ("/console/billing/cancel", "billing.cancel") } else { ("/console/billing/plan", "billing.choose") };
    html! {
        form method="post" action=(path) {
            (parts::csrf(visit))
            input type="hidden" name="plan" value=(plan);
            button.small type="submit" { (visit.say(text)) span.visually-hidden { " " (plan) } }
        }
    }
}

/// Subscribes to a plan.
pub async fn subscribe(visit: Visit, person: Person, sent: Sent) -> Answer {
    let accounts = &visit.app().accounts;
    let asked = SubscribeRequest { plan: sent.text("plan").to_owned(), ..Default::default() };
    accounts.billing(person.token()).subscribe(accounts.ask(asked)).await?;
    Ok(see_other("/console/billing?told=plan"))
}

/// Ends the subscription, when the period does.
pub async fn cancel(visit: Visit, person: Person, _sent: Sent) -> Answer {
    let accounts = &visit.app().accounts;
    accounts.billing(person.token()).cancel_subscription(accounts.ask(CancelSubscriptionRequest::default())).await?;
    Ok(see_other("/console/billing?told=cancelled"))
}

/// The address of an invoice.
pub(super) fn invoice_path(number: &str) -> String {
    format!("/console/billing/invoices/{}", encoded(number))
}
