//! What can happen, and how it is told: the names and the `data` of docs/webhooks.md.

use serde_json::{Value, json};
use torchmesh_billing::{CreditNote, Invoice, Money, budget::Alert, credit::CreditGrant, subscription::State};

use crate::credentials::Credential;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// An invoice was issued.
    InvoiceIssued = "invoice.issued",
    /// An invoice was issued in the place of another one.
    InvoiceReissued = "invoice.reissued",
    /// A part of an invoice was given back.
    CreditNoteIssued = "credit_note.issued",
    /// Money came.
    PaymentReceived = "payment.received",
    /// Money went back.
    PaymentRefunded = "payment.refunded",
    /// Money went to a partner.
    PartnerPaid = "partner.paid",
    /// Credit was added.
    CreditAdded = "credit.added",
    /// A budget's threshold was reached.
    BudgetReached = "budget.reached",
    /// The tenant's calls are refused.
    CallsStopped = "calls.stopped",
    /// They go on.
    CallsResumed = "calls.resumed",
    /// A subscription began, changed or ended.
    SubscriptionChanged = "subscription.changed",
    /// A credential was made.
    KeyCreated = "key.created",
    /// A credential has another secret.
    KeyRotated = "key.rotated",
    /// A credential has ended.
    KeyRevoked = "key.revoked",
    /// A model that the tenant has used is deprecated, or retired on another day than was told.
    ModelDeprecated = "model.deprecated",
    /// A model that the tenant has used is retired.
    ModelRetired = "model.retired",
    /// Somebody tries a webhook. It comes to that one, whatever it is registered for.
    Test = "webhook.test",
}

/// Something that happened, and what there is to say of it. Amounts are decimal numbers as text, times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// The rest.
    pub data: Value,
}

/// A time in milliseconds since 1970, as texts have it.
pub(super) fn time(ms: i64) -> String {
    torchmesh_ledger::time::rfc3339(u64::try_from(ms).unwrap_or_default())
}

fn moment(at: torchmesh_billing::Moment) -> String {
    torchmesh_ledger::time::rfc3339(at.unix_ms())
}

impl Event {
    /// An invoice that was issued, or reissued.
    pub(crate) fn invoice(made: &Invoice) -> Self {
        let kind = if made.replaces.is_some() { Kind::InvoiceReissued } else { Kind::InvoiceIssued };
        let data = json!({
            "number": made.number,
            "replaces": made.replaces,
            "period_start": moment(made.period.start),
            "period_end": moment(made.period.end),
            "currency": made.currency.to_string(),
            "subtotal": made.subtotal.number(),
            "net": made.net.number(),
            "tax": made.tax.number(),
            "total": made.total.number(),
            "due": made.due.number(),
        });
        Self { kind, data }
    }

    /// A credit note.
    pub(crate) fn note(note: &CreditNote) -> Self {
        let data = json!({
            "number": note.number,
            "invoice": note.invoice,
            "reason": note.reason,
            "currency": note.currency.to_string(),
            "net": note.net.number(),
            "tax": note.tax.number(),
            "total": note.total.number(),
        });
        Self { kind: Kind::CreditNoteIssued, data }
    }

    /// Money that came or went; `id` is whoever's who wrote it down.
    pub(crate) fn payment(kind: Kind, id: &str, amount: Money) -> Self {
        Self { kind, data: json!({ "id": id, "amount": amount.number(), "currency": amount.currency().to_string() }) }
    }

    /// Credit.
    pub(crate) fn credit(id: &str, grant: &CreditGrant) -> Self {
        let data = json!({
            "id": id,
            "amount": grant.amount.number(),
            "currency": grant.amount.currency().to_string(),
            "bought": grant.bought,
            "expires": grant.expires.map(moment),
        });
        Self { kind: Kind::CreditAdded, data }
    }

    /// A budget.
    pub(crate) fn budget(alert: &Alert, spent: &Invoice) -> Self {
        let data = json!({
            "budget": alert.budget,
            "percent": alert.percent,
            "spent": alert.spent.number(),
            "limit": alert.limit.number(),
            "currency": alert.limit.currency().to_string(),
            "period_start": moment(spent.period.start),
        });
        Self { kind: Kind::BudgetReached, data }
    }

    /// Calls that stop, and why; without a reason they go on.
    pub(crate) fn calls(reason: &str) -> Self {
        if reason.is_empty() {
            return Self { kind: Kind::CallsResumed, data: json!({}) };
        }
        Self { kind: Kind::CallsStopped, data: json!({ "reason": reason }) }
    }

    /// What a tenant is subscribed to now, and from its period's end on.
    pub(crate) fn subscription(state: Option<&State>, later: Option<&State>) -> Self {
        let held = |state: Option<&State>| {
            state.map(|state| json!({ "plan": state.plan, "seats": state.seats, "trial_until": state.trial_until.map(moment) }))
        };
        Self { kind: Kind::SubscriptionChanged, data: json!({ "now": held(state), "next_period": held(later) }) }
    }

    /// A credential.
    pub(crate) fn key(kind: Kind, credential: &Credential) -> Self {
        let data = json!({
            "id": credential.id,
            "name": credential.full_name(),
            "kind": credential.kind.as_str(),
            "begins": credential.hint,
            "scopes": credential.scopes.split_whitespace().collect::<Vec<_>>(),
            "expires": credential.expires_ms.map(time),
        });
        Self { kind, data }
    }

    /// A model that is deprecated, or retired; `successor` may be empty.
    pub(crate) fn model(retired: bool, model: &str, retires_ms: i64, successor: &str) -> Self {
        let successor = Some(successor).filter(|successor| !successor.is_empty());
        let kind = if retired { Kind::ModelRetired } else { Kind::ModelDeprecated };
        Self { kind, data: json!({ "model": model, "retires": time(retires_ms), "successor": successor }) }
    }

    /// A try.
    pub(super) fn test() -> Self {
        Self { kind: Kind::Test, data: json!({ "message": "this is a test" }) }
    }
}
