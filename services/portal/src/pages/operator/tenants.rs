//! `/operator/tenants`: who pays.

use std::collections::BTreeMap;

use axum::{extract::Path, response::Response};
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{CreateTenantRequest, ListTenantsRequest, Tenant, TenantState, UpdateTenantRequest, UsageBy};

use super::super::{
    Page, Place, encoded,
    parts::{self, Field},
    see_other,
};
use crate::{
    fail::{Answer, Fail},
    figures,
    guard::Sent,
    upstream::Used,
    visit::{Operator, Visit},
};

/// As many as one answer of the accounts may have.
pub(super) const SHOWN: i32 = 1000;

/// The calls of this month, by tenant.
type Calls = BTreeMap<String, i64>;

async fn read(visit: &Visit) -> Answer<(Vec<Tenant>, Calls)> {
    let accounts = &visit.app().accounts;
    let asked = accounts.ask(ListTenantsRequest { page_size: SHOWN, ..Default::default() });
    let tenants = accounts.operator()?.list_tenants(asked).await?.into_inner().tenants;
    let used = Used { from_ms: figures::month_of(figures::now_ms()), by: vec![UsageBy::Tenant], ..Default::default() };
    let sums = accounts.usage_of_all(&used).await?;
    Ok((tenants, sums.into_iter().map(|sum| (sum.tenant, sum.calls)).collect()))
}

/// The list, and the form that makes one.
pub async fn list(visit: Visit, _who: Operator) -> Answer {
    let (tenants, calls) = read(&visit).await?;
    Ok(page(&visit, &tenants, &calls, &Sent::default(), None))
}

fn page(visit: &Visit, tenants: &[Tenant], calls: &Calls, sent: &Sent, fail: Option<&Fail>) -> Response {
    let heads = ["tenants.name", "tenants.display_name", "models.state", "keys.created"];
    let table = html! {
        table {
            thead { tr {
                @for head in heads { th scope="col" { (visit.say(head)) } }
                th.number scope="col" { (visit.say("tenants.calls")) }
                th scope="col" { span.visually-hidden { (visit.say("keys.actions")) } }
            } }
            tbody { @for tenant in tenants { (row(visit, tenant, calls.get(&tenant.name).copied().unwrap_or_default())) } }
        }
    };
    let body = html! {
        (parts::told(visit))
        (parts::head(visit.say("nav.tenants"), visit.say("tenants.lead"), html! {}))
        (parts::wrong(visit, fail))
        (parts::scroll(visit.say("nav.tenants"), table))
        section.form.card-form {
            h2 { (visit.say("tenants.new")) }
            form.row method="post" action="/operator/tenants" {
                (parts::csrf(visit))
                (Field::text("name", visit.say("tenants.name"), sent.text("name")).show())
                (Field::text("display_name", visit.say("tenants.display_name"), sent.text("display_name")).optional().show())
                button.primary type="submit" { (visit.say("tenants.make")) }
            }
        }
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Tenants, visit.say("nav.tenants"), body).status(status).answer(visit)
}

/// The colour and the text of its state.
pub(super) fn state(tenant: &Tenant) -> (&'static str, &'static str) {
    match tenant.state() {
        TenantState::Active => ("good", "state.active"),
        TenantState::Suspended => ("waiting", "state.suspended"),
        TenantState::Closed | TenantState::Unspecified => ("bad", "state.closed"),
    }
}

fn row(visit: &Visit, tenant: &Tenant, calls: i64) -> Markup {
    let (colour, state) = state(tenant);
    let other = match tenant.state() {
        TenantState::Active => Some(("suspend", "tenants.suspend")),
        TenantState::Suspended => Some(("activate", "tenants.activate")),
        TenantState::Closed | TenantState::Unspecified => None,
    };
    html! {
        tr {
            th.mono scope="row" { a href={ "/operator/tenants/" (encoded(&tenant.id)) } { (tenant.name) } }
            td { (tenant.display_name) }
            td { (parts::badge(colour, visit.say(state))) }
            td { (parts::moment(tenant.created_unix_ms, "")) }
            td.number { (figures::grouped(calls)) }
            td.row-actions {
                @if let Some((word, text)) = other {
                    form.inline method="post" action={ "/operator/tenants/" (encoded(&tenant.id)) "/" (word) } {
                        (parts::csrf(visit))
                        button.small type="submit" { (visit.say(text)) span.visually-hidden { " " (tenant.name) } }
                    }
                }
            }
        }
    }
}

/// Makes one.
pub async fn make(visit: Visit, _who: Operator, sent: Sent) -> Answer {
    let accounts = &visit.app().accounts;
    let asked =
        CreateTenantRequest { name: sent.text("name").to_owned(), display_name: sent.text("display_name").to_owned(), models: None };
    match accounts.operator()?.create_tenant(accounts.ask(asked)).await.map_err(Fail::from) {
        Ok(_) => Ok(see_other("/operator/tenants?told=tenant")),
        Err(fail) if fail.is_about_the_form() => {
            let (tenants, calls) = read(&visit).await?;
            Ok(page(&visit, &tenants, &calls, &sent, Some(&fail)))
        }
        Err(fail) => Err(fail),
    }
}

/// Suspends one, or lets it call again. Closing is for good, and left to `meshctl`.
pub async fn change(visit: Visit, _who: Operator, Path((tenant, word)): Path<(String, String)>, _sent: Sent) -> Answer {
    let (state, told) = match word.as_str() {
        "suspend" => (TenantState::Suspended, "suspended"),
        "activate" => (TenantState::Active, "activated"),
        _ => return Err(Fail::absent()),
    };
    let accounts = &visit.app().accounts;
    let asked = UpdateTenantRequest { tenant, state: state.into(), models: None };
    accounts.operator()?.update_tenant(accounts.ask(asked)).await?;
    Ok(see_other(&format!("/operator/tenants?told={told}")))
}
