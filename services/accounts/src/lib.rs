//! The accounts: who the callers are, and what they have used.
//!
//! [`tenants`] have members ([`people`], who may sign in through providers of OpenID Connect: [`oidc`]) and [`credentials`]; what is changed is written down ([`changes`]), and told to the gateways as it happens. What calls have used comes from the
//! gateways and is added up ([`usage`]), and what it costs is invoiced ([`mod@billing`]). Models are shown with what is said of them ([`listings`]). Whoever registers an address is told of what happens ([`webhooks`]).
//! All of it is in the [`store`], and told
//! whole and erased where it is about somebody ([`privacy`]).

pub mod access;
pub mod backup;
pub mod billing;
pub mod changes;
mod clock;
pub mod config;
pub mod credentials;
pub mod error;
pub mod handlers;
mod ids;
pub mod listings;
pub mod mail;
pub mod oidc;
pub mod page;
pub mod payments;
pub mod people;
pub mod privacy;
pub mod sealing;
mod secrets;
pub mod stack;
pub mod store;
pub mod tenants;
pub mod usage;
pub mod webhooks;

#[cfg(test)]
mod tests;

use torchmesh_layers::{observe::CallMetrics, shed::Capacity};
use torchmesh_runtime::{
    grpc,
    process::{Context, StartError},
};

use crate::{
    access::Access,
    billing::Billing,
    config::AccountsConfig,
    handlers::{Accounts, BillingDesk, Ground, Identity, ListingDesk, PrivacyDesk, SignInDesk, UsageQueries, UsageRecorder, WebhookDesk},
    mail::MailMetrics,
    oidc::Providers,
    payments::Payments,
    people::{Outbox, Passwords},
    privacy::Privacy,
    stack::Stack,
    store::Store,
    webhooks::{Courier, Webhooks},
};

/// The services that there are beside those of every process.
const OWN: [&str; 9] = [
    "torchmesh.accounts.v1.AccountsService",
    "torchmesh.accounts.v1.BillingService",
    "torchmesh.accounts.v1.IdentityService",
    "torchmesh.accounts.v1.ListingService",
    "torchmesh.accounts.v1.PrivacyService",
    "torchmesh.accounts.v1.SignInService",
    "torchmesh.accounts.v1.UsageQueryService",
    "torchmesh.accounts.v1.WebhookService",
    "torchmesh.usage.v1.UsageService",
];

/// Joins the parts: gives what makes each data thread's service.
pub fn build(config: AccountsConfig, context: &Context) -> Result<impl Fn(usize) -> Stack + Send + Sync + use<>, StartError> {
    let store = Store::new(&config.database)?;
    context.control.spawn(store.clone().attend(context.readiness.clone()));
    let billing = Billing::new(config.billing);
    let smtp = config.mail.smtp.clone();
    let outbox = Outbox::open(config.mail).map_err(|error| format!("mail.outbox: {error}"))?;
    if let Some(smtp) = smtp {
        let metrics = context.metrics.register(MailMetrics::register);
        context.control.spawn(mail::attend(outbox.folder().to_owned(), smtp, metrics, context.drain.clone()));
    }
    context.control.spawn(billing::attend(billing.clone(), store.clone(), outbox.clone(), context.drain.clone()));
    let payments = Payments::new(config.payments)?;
    context.control.spawn(payments::attend(payments.clone(), billing.clone(), store.clone(), context.drain.clone()));
    let webhooks = context.metrics.register(|registry| Webhooks::new(config.webhooks, registry))?;
    let courier = Courier { webhooks: webhooks.clone(), store: store.clone(), outbox: outbox.clone(), clock: clock::now_ms };
    context.control.spawn(webhooks::attend(courier, context.drain.clone(), context.farewell.wait_for()));
    context.control.spawn(listings::attend(store.clone(), context.drain.clone()));
    let privacy = Privacy::new(store.clone(), billing.clone(), outbox.clone(), config.retention);
    context.control.spawn(privacy::attend(privacy.clone(), context.drain.clone()));
    let ground = Ground {
        access: Access::new(store.clone(), config.operators, config.gateways),
        store,
        passwords: Passwords::new().map_err(|_| "passwords cannot be hashed")?,
        outbox,
        billing,
        payments,
        webhooks,
        privacy,
        providers: Providers::new(config.providers)?,
        sign_up: config.sign_up,
        drain: context.drain.clone(),
    };
    let routes = grpc::standard_routes(context, &OWN)
        .add_service(Accounts::service(ground.clone()))
        .add_service(BillingDesk::service(ground.clone()))
        .add_service(Identity::service(ground.clone()))
        .add_service(ListingDesk::service(ground.clone()))
        .add_service(PrivacyDesk::service(ground.clone()))
        .add_service(SignInDesk::service(ground.clone()))
        .add_service(UsageQueries::service(ground.clone()))
        .add_service(WebhookDesk::service(ground.clone()))
        .add_service(UsageRecorder::service(ground).max_decoding_message_size(config.server.max_message.0));
    let metrics = context.metrics.register(|registry| CallMetrics::register(registry, "accounts"));
    let capacity = Capacity::new(config.max_in_flight);
    Ok(move |_: usize| stack::assemble(routes.clone(), &metrics, &capacity))
}
