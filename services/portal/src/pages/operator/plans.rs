//! `GET /operator/plans`: what is sold, as the accounts have taken it from their price list.

use maud::{Markup, html};
use torchmesh_api::accounts::v1::{BillingPlan, ListPlansRequest, ListPricesRequest, PlanKind, Price};

use super::super::{
    Page, Place,
    console::billing::money,
    parts,
    public::offer::{batches, tier, unit},
};
use crate::{
    fail::{Answer, where_on},
    figures,
    visit::{Operator, Visit},
};

/// The page.
pub async fn show(visit: Visit, _who: Operator) -> Answer {
    let accounts = &visit.app().accounts;
    let (mut billing, mut prices) = (accounts.billing_of_all()?, accounts.billing_of_all()?);
    let (plans, prices) = tokio::join!(
        billing.list_plans(accounts.ask(ListPlansRequest {})),
        prices.list_prices(accounts.ask(ListPricesRequest::default())),
    );
    let plans = where_on(plans.map(|told| told.into_inner().plans))?;
    let prices = where_on(prices.map(|told| told.into_inner().prices))?.unwrap_or_default();
    let body = html! {
        (parts::head(visit.say("nav.plans"), visit.say("plans.lead"), html! {}))
        @match &plans {
            None => (parts::empty(visit.say("plans.none"), html! {})),
            Some(plans) => {
                section { h2 { (visit.say("billing.plans")) } (plans_table(&visit, plans)) }
                section { h2 { (visit.say("plans.prices")) } (prices_table(&visit, &prices)) }
            }
        }
    };
    Ok(Page::new(Place::Plans, visit.say("nav.plans"), body).answer(&visit))
}

fn kind<'a>(visit: &'a Visit, plan: &BillingPlan) -> &'a str {
    match plan.kind() {
        PlanKind::Subscription => visit.say("plans.subscription"),
        PlanKind::PayPerUse => visit.say("plans.pay_per_use"),
        PlanKind::Freemium => visit.say("plans.freemium"),
        PlanKind::Bundle => visit.say("plans.bundle"),
        PlanKind::Partner => visit.say("plans.partner"),
        PlanKind::Unspecified => "",
    }
}

fn plans_table(visit: &Visit, plans: &[BillingPlan]) -> Markup {
    let heads = ["billing.plan", "plans.kind", "plans.price_list", "plans.includes", "plans.stops"];
    parts::scroll(
        visit.say("billing.plans"),
        html! {
            table {
                thead { tr {
                    @for head in heads { th scope="col" { (visit.say(head)) } }
                    @for head in ["plans.fee", "plans.minimum"] { th.number scope="col" { (visit.say(head)) } }
                } }
                tbody { @for plan in plans { (plan_row(visit, plan)) } }
            }
        },
    )
}

fn plan_row(visit: &Visit, plan: &BillingPlan) -> Markup {
    let none = || "–".to_owned();
    html! {
        tr {
            th.mono scope="row" { (plan.id) }
            td { (kind(visit, plan)) @if !plan.platform_share.is_empty() { " " span.faint { (visit.texts().fill("plans.share", &[("share", &plan.platform_share)])) } } }
            td.mono { (plan.price_list) }
            td.wrap {
                @for part in &plan.included {
                    p { (visit.texts().fill("billing.included", &[("count", &figures::grouped(i64::try_from(part.quantity).unwrap_or(i64::MAX))), ("units", &part.units.join(", ")), ("models", &part.models)])) }
                }
            }
            td { @if plan.stops { (visit.say("plans.stops_yes")) } @else { (visit.say("plans.stops_no")) } }
            td.number { (money(plan.fee.as_ref()).unwrap_or_else(none)) }
            td.number { (money(plan.minimum.as_ref()).unwrap_or_else(none)) }
        }
    }
}

fn prices_table(visit: &Visit, prices: &[Price]) -> Markup {
    let heads = ["plans.price", "plans.price_list", "keys.models", "plans.from", "plans.until", "listing.provider"];
    parts::scroll(
        visit.say("plans.prices"),
        html! {
            table {
                thead { tr { @for head in heads { th scope="col" { (visit.say(head)) } } th.number scope="col" { (visit.say("listing.price")) } } }
                tbody { @for price in prices { (price_row(visit, price)) } }
            }
        },
    )
}

fn price_row(visit: &Visit, price: &Price) -> Markup {
    let provider = if price.partner.is_empty() { visit.say("listing.platform") } else { &price.partner };
    html! {
        tr {
            th.mono scope="row" { (price.id) }
            td.mono { (price.list) }
            td.mono { (price.models) }
            td { (parts::day(price.from_unix_ms, "–")) }
            td { (parts::day(price.until_unix_ms, "–")) }
            td { (provider) }
            td.number {
                @for one in &price.units { @for step in &one.tiers { p { (unit(visit, &one.unit)) ": " (tier(visit, price, one, step)) } } }
                (batches(visit, price))
            }
        }
    }
}
