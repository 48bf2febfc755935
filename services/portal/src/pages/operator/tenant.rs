//! `GET /operator/tenants/{tenant}`: what one is subscribed to, has used and owes.

use axum::extract::Path;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{
    GetBalanceRequest, GetBalanceResponse, GetSubscriptionRequest, Invoice, ListInvoicesRequest, ListTenantsRequest, PreviewInvoiceRequest,
    Subscription, Tenant, UsageBy, UsageSum,
};

use super::{
    super::{
        Page, Place,
        console::{
            billing::{amount, money, period},
            invoices,
            sums::By,
            usage,
        },
        parts,
    },
    tenants::{SHOWN, state},
};
use crate::{
    fail::{Answer, Fail, where_on},
    figures,
    upstream::Used,
    visit::{Operator, Visit},
};

/// As many invoices as are shown.
const INVOICES: i32 = 24;

/// What it is billed, where anything is sold.
struct Account {
    subscription: Subscription,
    balance: GetBalanceResponse,
    preview: Option<Invoice>,
    invoices: Vec<Invoice>,
}

/// The tenant of a name or an id.
async fn find(visit: &Visit, named: &str) -> Answer<Tenant> {
    let accounts = &visit.app().accounts;
    let (mut operator, mut page_token) = (accounts.operator()?, String::new());
    loop {
        let asked = accounts.ask(ListTenantsRequest { page_size: SHOWN, page_token });
        let told = operator.list_tenants(asked).await?.into_inner();
        if let Some(tenant) = told.tenants.into_iter().find(|tenant| tenant.name == named || tenant.id == named) {
            return Ok(tenant);
        }
        page_token = told.next_page_token;
        if page_token.is_empty() {
            return Err(Fail::absent());
        }
    }
}

async fn billed(visit: &Visit, tenant: &str) -> Answer<Option<Account>> {
    let accounts = &visit.app().accounts;
    let tenant = || tenant.to_owned();
    let asked = accounts.ask(GetSubscriptionRequest { tenant: tenant() });
    let Some(subscription) = where_on(accounts.billing_of_all()?.get_subscription(asked).await)? else { return Ok(None) };
    let (mut balance, mut preview, mut invoices) = (accounts.billing_of_all()?, accounts.billing_of_all()?, accounts.billing_of_all()?);
    let (balance, preview, invoices) = tokio::join!(
        balance.get_balance(accounts.ask(GetBalanceRequest { tenant: tenant() })),
        preview.preview_invoice(accounts.ask(PreviewInvoiceRequest { tenant: tenant() })),
        invoices.list_invoices(accounts.ask(ListInvoicesRequest { tenant: tenant(), page_size: INVOICES, ..Default::default() })),
    );
    Ok(Some(Account {
        subscription: subscription.into_inner().subscription.unwrap_or_default(),
        balance: balance?.into_inner(),
        // Of who is subscribed to nothing there is none.
        preview: where_on(preview)?.and_then(|told| told.into_inner().invoice),
        invoices: invoices?.into_inner().invoices,
    }))
}

async fn used(visit: &Visit, tenant: &str) -> Answer<Vec<UsageSum>> {
    let from_ms = figures::month_of(figures::now_ms());
    let used = Used { from_ms, by: vec![UsageBy::Model], tenant: tenant.to_owned() };
    visit.app().accounts.usage_of_all(&used).await
}

/// The page.
pub async fn show(visit: Visit, _who: Operator, Path(named): Path<String>) -> Answer {
    let tenant = find(&visit, &named).await?;
    let (account, sums) = tokio::join!(billed(&visit, &tenant.id), used(&visit, &tenant.id));
    let (account, sums) = (account?, sums?);
    let lead = if tenant.display_name == tenant.name { "" } else { &tenant.display_name };
    let (colour, word) = state(&tenant);
    let body = html! {
        p.crumb { a href="/operator/tenants" { (visit.say("nav.tenants")) } }
        (parts::head(&tenant.name, lead, parts::badge(colour, visit.say(word))))
        @if let Some(account) = &account { (tiles(&visit, account)) } @else { div.notice { p { (visit.say("billing.free")) } } }
        section { p.faint { (visit.say("tenants.month")) } (usage::table(&visit, By::Model, &sums)) }
        @if let Some(account) = &account {
            section { h2 { (visit.say("billing.invoices")) } (invoices::table(&visit, &account.invoices, |number| html! { (number) })) }
        }
    };
    Ok(Page::new(Place::Tenants, &tenant.name, body).answer(&visit))
}

fn tiles(visit: &Visit, account: &Account) -> Markup {
    let subscription = &account.subscription;
    let plan = if subscription.plan.is_empty() { visit.say("billing.no_plan") } else { &subscription.plan };
    let sums = [
        ("figure.spend", account.preview.as_ref().map(|invoice| amount(&invoice.total, &invoice.currency))),
        ("billing.owed", money(account.balance.owed.as_ref())),
        ("billing.credit", money(account.balance.credit_left.as_ref())),
        ("tenants.payable", money(account.balance.partner_payable.as_ref())),
    ];
    html! {
        @if !subscription.stopped.is_empty() { div.notice.bad { p { (subscription.stopped) } } }
        dl.tiles {
            div.tile { dt { (visit.say("billing.plan")) } dd { (plan) span.more { (period(subscription.period.as_ref())) } } }
            @for (name, sum) in sums { @if let Some(sum) = sum { div.tile { dt { (visit.say(name)) } dd { (sum) } } } }
        }
    }
}
