//! What is asked over gRPC: messages in, messages out, and what is between them decided elsewhere.

mod accounts;
mod billing;
mod call;
mod identity;
mod listings;
mod privacy;
mod read;
mod sign_in;
mod tell;
mod usage;
mod webhooks;

use torchmesh_runtime::lifecycle::Drain;

pub use accounts::Accounts;
pub use billing::BillingDesk;
pub use identity::Identity;
pub use listings::ListingDesk;
pub use privacy::PrivacyDesk;
pub use sign_in::SignInDesk;
pub use usage::{UsageQueries, UsageRecorder};
pub use webhooks::WebhookDesk;

use crate::{
    access::Access,
    billing::Billing,
    oidc::Providers,
    payments::Payments,
    people::{Outbox, Passwords},
    privacy::Privacy,
    store::Store,
    webhooks::Webhooks,
};

/// What the handlers stand on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Where everything is.
    pub store: Store,
    /// Who asks.
    pub access: Access,
    /// Passwords.
    pub passwords: Passwords,
    /// Letters.
    pub outbox: Outbox,
    /// What is sold.
    pub billing: Billing,
    /// Who takes the payers' money.
    pub payments: Payments,
    /// Who is told what happens.
    pub webhooks: Webhooks,
    /// Who is erased.
    pub privacy: Privacy,
    /// Whom members may sign in through.
    pub providers: Providers,
    /// Whether whoever wants to may sign up.
    pub sign_up: bool,
    /// When streams end.
    pub drain: Drain,
}
