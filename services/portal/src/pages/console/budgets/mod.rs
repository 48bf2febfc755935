//! `/console/budgets`: how much a period may cost before somebody is told, and how much of it is spent.

mod form;

pub use form::{change, show};

use axum::{extract::Path, response::Response};
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{BillingPlan, Budget, Invoice, ListBudgetsRequest, ListPlansRequest, SetBudgetRequest, Subscription};

use self::form::Filled;
use super::{
    super::{Page, Place, encoded, parts, see_other},
    billing::{self, amount, money, period},
};
use crate::{
    fail::{Answer, Fail, where_on},
    figures,
    guard::Sent,
    visit::{Person, Visit},
};

/// What the page is made of.
struct Spending {
    subscription: Subscription,
    plans: Vec<BillingPlan>,
    preview: Option<Invoice>,
    budgets: Vec<Budget>,
}

/// Those of the member's tenant; none, where nothing is sold.
async fn all(visit: &Visit, person: &Person) -> Answer<Option<Vec<Budget>>> {
    let accounts = &visit.app().accounts;
    let told = accounts.billing(person.token()).list_budgets(accounts.ask(ListBudgetsRequest::default())).await;
    where_on(told.map(|told| told.into_inner().budgets))
}

/// One that is the member's own tenant's; whatever else there may be does not exist.
async fn find(visit: &Visit, person: &Person, name: &str) -> Answer<Budget> {
    let there = all(visit, person).await?.unwrap_or_default();
    there.into_iter().find(|budget| budget.name == name).ok_or_else(Fail::absent)
}

/// The address of one.
fn path(name: &str) -> String {
    format!("/console/budgets/{}", encoded(name))
}

async fn read(visit: &Visit, person: &Person) -> Answer<Option<Spending>> {
    let accounts = &visit.app().accounts;
    let Some(subscription) = billing::subscription(visit, person).await? else { return Ok(None) };
    let mut plans = accounts.billing(person.token());
    let (plans, preview, budgets) =
        tokio::join!(plans.list_plans(accounts.ask(ListPlansRequest {})), billing::preview(visit, person), all(visit, person));
    let (plans, preview, budgets) = (plans?.into_inner().plans, preview?, budgets?.unwrap_or_default());
    Ok(Some(Spending { subscription, plans, preview, budgets }))
}

/// The list, and the form that sets one.
pub async fn list(visit: Visit, person: Person) -> Answer {
    if !person.may_see_bills() {
        return Err(Fail::new(StatusCode::FORBIDDEN));
    }
    listed(&visit, &person, &Filled::default(), None).await
}

/// The list, with what is in its form and what was wrong.
async fn listed(visit: &Visit, person: &Person, filled: &Filled, fail: Option<&Fail>) -> Answer {
    let Some(spending) = read(visit, person).await? else {
        let body = html! {
            (parts::head(visit.say("budgets.title"), "", html! {}))
            (parts::empty(visit.say("billing.free"), html! { a.button href="/console/usage" { (visit.say("nav.usage")) } }))
        };
        return Ok(Page::new(Place::Budgets, visit.say("budgets.title"), body).answer(visit));
    };
    Ok(page(visit, &spending, filled, fail))
}

fn page(visit: &Visit, spending: &Spending, filled: &Filled, fail: Option<&Fail>) -> Response {
    let body = html! {
        (parts::told(visit))
        (parts::head(visit.say("budgets.title"), visit.say("budgets.lead"), html! {}))
        (parts::wrong(visit, fail))
        (stops(visit, spending))
        @if spending.budgets.is_empty() { (parts::empty(visit.say("budgets.none"), html! {})) } @else { (table(visit, spending)) }
        section.form.card-form {
            h2 { (visit.say("budgets.new")) }
            (form::shown(visit, "/console/budgets", filled, true))
        }
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Budgets, visit.say("budgets.title"), body).status(status).answer(visit)
}

/// Whether, and by what, calls stop: a budget never does that.
fn stops(visit: &Visit, spending: &Spending) -> Markup {
    let subscription = &spending.subscription;
    let is_prepaid = subscription.profile.as_ref().is_some_and(|profile| profile.prepaid);
    let plan_stops = spending.plans.iter().any(|plan| plan.id == subscription.plan && plan.stops);
    html! {
        @if !subscription.stopped.is_empty() { div.notice.bad role="alert" { p { (subscription.stopped) } } }
        div.notice { p {
            (visit.say("budgets.stops_nothing"))
            @if is_prepaid { " " (visit.say("budgets.prepaid")) }
            @if plan_stops { " " (visit.say("budgets.plan_stops")) }
        } }
        @if let Some(preview) = &spending.preview {
            dl.tiles { div.tile {
                dt { (visit.say("budgets.spent")) }
                dd { (amount(&preview.total, &preview.currency)) span.more { (period(preview.period.as_ref())) } }
            } }
        }
    }
}

fn table(visit: &Visit, spending: &Spending) -> Markup {
    parts::scroll(
        visit.say("budgets.title"),
        html! {
            table {
                thead { tr {
                    th scope="col" { (visit.say("keys.name")) }
                    th.number scope="col" { (visit.say("budgets.limit")) }
                    @for head in ["budgets.spent", "budgets.thresholds"] { th scope="col" { (visit.say(head)) } }
                    th scope="col" { span.visually-hidden { (visit.say("keys.actions")) } }
                } }
                tbody { @for budget in &spending.budgets { (row(visit, budget, spending.preview.as_ref())) } }
            }
        },
    )
}

fn row(visit: &Visit, budget: &Budget, preview: Option<&Invoice>) -> Markup {
    let limit = budget.limit.as_ref();
    let spent = preview.zip(limit).and_then(|(preview, limit)| figures::percent_of(&preview.total, &limit.amount));
    html! {
        tr {
            th scope="row" { (budget.name) }
            td.number { (money(limit).unwrap_or_default()) }
            td { @match spent { Some(percent) => (share(visit, &budget.name, percent)), None => span.faint { "–" } } }
            td { @for part in &budget.thresholds { (parts::badge(if budget.told.contains(part) { "waiting" } else { "plain" }, &threshold(visit, budget, *part))) " " } }
            td.row-actions {
                a href=(path(&budget.name)) { (visit.say("budgets.change")) span.visually-hidden { " " (budget.name) } }
                a.danger href={ (path(&budget.name)) "/remove" } { (visit.say("budgets.remove")) span.visually-hidden { " " (budget.name) } }
            }
        }
    }
}

fn share(visit: &Visit, name: &str, percent: u32) -> Markup {
    let label = visit.texts().fill("budgets.share", &[("name", name), ("percent", &percent.to_string())]);
    html! { (percent) "%" progress max="100" value=(percent.min(100)) aria-label=(label) {} }
}

/// A part at which a letter goes, and whether it has gone.
fn threshold(visit: &Visit, budget: &Budget, part: u32) -> String {
    let key = if budget.told.contains(&part) { "budgets.told" } else { "budgets.at" };
    visit.texts().fill(key, &[("percent", &part.to_string())])
}

/// Asks the accounts for what was typed.
async fn set(visit: &Visit, person: &Person, filled: &Filled) -> Answer<()> {
    let asked = filled.asked(visit)?;
    let accounts = &visit.app().accounts;
    accounts.billing(person.token()).set_budget(accounts.ask(asked)).await?;
    Ok(())
}

/// Sets a new one: what there is already is changed on its own page, not by mistake.
pub async fn create(visit: Visit, person: Person, sent: Sent) -> Answer {
    let filled = Filled::typed(&sent, sent.text("name"));
    let there = all(&visit, &person).await?.unwrap_or_default();
    let done = if there.iter().any(|budget| budget.name == filled.name) {
        Err(Fail::new(StatusCode::CONFLICT).saying(visit.say("budgets.taken")))
    } else {
        set(&visit, &person, &filled).await
    };
    match done {
        Ok(()) => Ok(see_other("/console/budgets?told=budget")),
        Err(fail) if fail.is_about_the_form() => listed(&visit, &person, &filled, Some(&fail)).await,
        Err(fail) => Err(fail),
    }
}

/// The question before one is removed.
pub async fn removal(visit: Visit, person: Person, Path(name): Path<String>) -> Answer {
    let budget = find(&visit, &person, &name).await?;
    let title = visit.texts().fill("budgets.remove_title", &[("name", &budget.name)]);
    let body = html! {
        p.crumb { a href="/console/budgets" { (visit.say("budgets.title")) } }
        section.form {
            h1 { (title) }
            p.lead { (visit.say("budgets.remove_lead")) }
            form method="post" action={ (path(&name)) "/remove" } {
                (parts::csrf(&visit))
                div.actions { button.danger type="submit" { (visit.say("budgets.remove")) } a.button href="/console/budgets" { (visit.say("form.cancel")) } }
            }
        }
    };
    Ok(Page::new(Place::Budgets, title, body).answer(&visit))
}

/// Removes one.
pub async fn remove(visit: Visit, person: Person, Path(name): Path<String>, _sent: Sent) -> Answer {
    let accounts = &visit.app().accounts;
    let asked = SetBudgetRequest { name, remove: true, ..Default::default() };
    accounts.billing(person.token()).set_budget(accounts.ask(asked)).await?;
    Ok(see_other("/console/budgets?told=unbudgeted"))
}
