//! Which address leads to which page.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::{get, post},
};
use tokio::sync::Semaphore;

use crate::{
    app::Shared,
    assets,
    fail::Fail,
    guard::headers,
    notices,
    pages::{self, console, docs, listings, operator, people, preferences, public, try_it},
    playground,
    visit::{Operator, Person, establish},
};

/// All of them, with what is around them.
pub fn all(app: &Shared) -> Router {
    let (secure, places) = (app.config.is_secure(), Arc::new(Semaphore::new(app.config.limits.max_in_flight)));
    for_everybody()
        .merge(for_members())
        .merge(for_operators())
        .merge(for_scripts())
        .fallback(|| async { Fail::absent() })
        .method_not_allowed_fallback(|| async { Fail::new(http::StatusCode::METHOD_NOT_ALLOWED) })
        .layer(from_fn_with_state(Arc::clone(app), establish))
        .route("/assets/{name}", get(assets::show))
        // Not of a browser's: it has no cookie and no form, and its signature is looked at by the accounts.
        .route("/payments/notices", post(notices::take))
        .layer(from_fn_with_state(places, shed))
        .layer(from_fn(move |request, next| headers::add(secure, request, next)))
        .with_state(Arc::clone(app))
}

fn for_everybody() -> Router<Shared> {
    Router::new()
        .route("/", get(public::home::show))
        .route("/models", get(public::models::list))
        .route("/models/{name}", get(public::models::show))
        .route("/docs", get(docs::index))
        .route("/docs/{topic}", get(docs::client))
        .route("/sign-in", get(people::sign_in::show).post(people::sign_in::send))
        .route("/sign-in/code", get(people::code::begin_again).post(people::code::send))
        .route("/sign-in/with/{provider}", get(people::code::begin_again).post(people::provider::begin))
        .route("/sign-in/with/{provider}/back", get(people::provider::back))
        .route("/sign-out", post(people::sign_in::out))
        .route("/sign-up", get(people::sign_up::show).post(people::sign_up::send))
        .route("/forgotten", get(people::letters::forgotten).post(people::letters::ask))
        .route("/letters/{purpose}", get(people::letters::open).post(people::letters::send))
        .route("/preferences", post(preferences::set))
}

fn for_members() -> Router<Shared> {
    Router::new()
        .route("/console", get(console::overview::show))
        .route("/console/keys", get(console::keys::list).post(console::keys::make))
        .route("/console/keys/new", get(console::keys::begin))
        .route("/console/keys/{id}/rotate", get(console::keys_change::rotation).post(console::keys_change::rotate))
        .route("/console/keys/{id}/revoke", get(console::keys_change::revocation).post(console::keys_change::revoke))
        .route("/console/usage", get(console::usage::show))
        .route("/console/usage.csv", get(console::usage::download))
        .route("/console/billing", get(console::billing::show))
        .route("/console/billing/plan", post(console::billing::subscribe))
        .route("/console/billing/cancel", post(console::billing::cancel))
        .route("/console/billing/coupon", get(console::coupons::begin_again).post(console::coupons::redeem))
        .route("/console/billing/invoices/{number}", get(console::invoices::show))
        .route("/console/billing/invoices/{number}/pay", post(console::payments::pay))
        .route("/console/billing/invoices/{number}/{format}", get(console::invoices::download))
        .merge(for_those_who_pay())
        .route("/console/members", get(console::members::list).post(console::members::invite))
        .route("/console/members/{id}", post(console::members::change))
        .route("/console/members/{id}/remove", get(console::members::removal).post(console::members::remove))
        .route("/console/listings", get(listings::list::<Person>).post(listings::create::<Person>))
        .route("/console/listings/{model}", get(listings::show::<Person>).post(listings::change::<Person>))
        .route("/console/listings/{model}/{step}", post(listings::step::<Person>))
        .merge(for_webhooks())
        .route("/console/changes", get(console::changes::list))
        .route("/console/privacy", get(console::privacy::show).post(console::privacy::erase))
        .route("/console/privacy/person.json", get(console::privacy::person_document))
        .route("/console/privacy/tenant.json", get(console::privacy::tenant_document))
        .route("/console/security", get(console::security::show).post(console::security::enrol))
        .route("/console/security/confirm", get(console::security::begin_again).post(console::security::confirm))
        .route("/console/security/remove", get(console::security::begin_again).post(console::security::remove))
        .route("/playground", get(try_it::show))
}

fn for_those_who_pay() -> Router<Shared> {
    Router::new()
        .route("/console/budgets", get(console::budgets::list).post(console::budgets::create))
        .route("/console/budgets/{name}", get(console::budgets::show).post(console::budgets::change))
        .route("/console/budgets/{name}/remove", get(console::budgets::removal).post(console::budgets::remove))
        .route("/console/statements", get(console::statements::list))
        .route("/console/statements/{number}", get(console::statements::show))
        .route("/console/statements/{number}/{format}", get(console::statements::download))
}

fn for_webhooks() -> Router<Shared> {
    Router::new()
        .route("/console/webhooks", get(console::webhooks::list).post(console::webhooks::create))
        .route("/console/webhooks/new", get(console::webhooks::begin))
        .route("/console/webhooks/{id}", get(console::webhooks::show).post(console::webhooks::change))
        .route("/console/webhooks/{id}/rotate", get(console::webhooks::rotation).post(console::webhooks::rotate))
        .route("/console/webhooks/{id}/remove", get(console::webhooks::removal).post(console::webhooks::remove))
        .route("/console/webhooks/{id}/{step}", get(console::webhooks::begin_again).post(console::webhooks::step))
        .route("/console/webhooks/{id}/deliveries/{delivery}/again", post(console::webhooks::again))
}

fn for_operators() -> Router<Shared> {
    Router::new()
        .route("/operator", get(operator::mesh::show))
        .route("/operator/traffic", get(operator::traffic::show))
        .route("/operator/routes", get(operator::routes::show).post(operator::routes::set))
        .route("/operator/rollouts", get(operator::rollouts::list).post(operator::rollouts::start))
        .route("/operator/rollouts/{model}/{command}", post(operator::rollouts::change))
        .route("/operator/tenants", get(operator::tenants::list).post(operator::tenants::make))
        .route("/operator/tenants/{tenant}", get(operator::tenant::show))
        .route("/operator/tenants/{tenant}/{word}", post(operator::tenants::change))
        .route("/operator/plans", get(operator::plans::show))
        .route("/operator/listings", get(listings::list::<Operator>).post(listings::create::<Operator>))
        .route("/operator/listings/{model}", get(listings::show::<Operator>).post(listings::change::<Operator>))
        .route("/operator/listings/{model}/{step}", post(listings::step::<Operator>))
        .route("/operator/changes", get(operator::changes))
}

fn for_scripts() -> Router<Shared> {
    Router::new()
        .route("/playground/send/chat", post(playground::chat))
        .route("/playground/send/embed", post(playground::embed))
        .route("/playground/send/task/{model}", post(playground::task))
}

/// Refuses what is too much at once, before anybody is asked anything.
async fn shed(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match places.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => pages::busy(),
    }
}
