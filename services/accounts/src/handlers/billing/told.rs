//! What is billed, as messages.

use torchmesh_api::accounts::v1 as api;
use torchmesh_billing::{
    CreditNote, Currency, Invoice, Money, Period, Statement,
    catalogue::Catalogue,
    credit::CreditGrant,
    invoice::{Item, Line},
    ledger::What,
    plan::{Plan, PlanKind},
    price::{PriceVersion, Rate, Scheme},
};

use crate::{
    access::Asker,
    billing::{BudgetTold, CreditLeft, Held, InvoiceState, Kept, Posted, ms},
    error::Result,
    tenants::Tenant,
};

pub(super) fn money(amount: Money) -> api::Money {
    api::Money { amount: amount.number(), currency: amount.currency().to_string() }
}

pub(super) fn period(period: Period) -> api::BillingPeriod {
    api::BillingPeriod { start_unix_ms: ms(period.start), end_unix_ms: ms(period.end) }
}

pub(super) fn plan(plan: &Plan) -> api::BillingPlan {
    let (kind, fee, least_seats, share) = match &plan.kind {
        PlanKind::Subscription { fee, .. } => (api::PlanKind::Subscription, Some(*fee), 0, String::new()),
        PlanKind::PayPerUse => (api::PlanKind::PayPerUse, None, 0, String::new()),
        PlanKind::Freemium { .. } => (api::PlanKind::Freemium, None, 0, String::new()),
        PlanKind::Bundle { seat, least_seats, .. } => (api::PlanKind::Bundle, Some(*seat), *least_seats, String::new()),
        PlanKind::Partner { fee, platform_share } => (api::PlanKind::Partner, Some(*fee), 0, platform_share.to_string()),
    };
    let included = plan.allowances().iter().map(|one| api::PlanAllowance {
        units: one.units.iter().map(|unit| unit.name().to_owned()).collect(),
        models: one.models.to_string(),
        quantity: one.quantity,
    });
    api::BillingPlan {
        id: plan.id.clone(),
        kind: kind.into(),
        price_list: plan.list.clone(),
        fee: fee.map(money),
        least_seats,
        included: included.collect(),
        stops: plan.stops(),
        minimum: plan.minimum.map(money),
        platform_share: share,
    }
}

/// A price, with what was corrected of it by `at`, until another one of the same list and models takes over.
pub(in crate::handlers) fn price(
    catalogue: &Catalogue,
    version: &PriceVersion,
    currency: Currency,
    at: torchmesh_billing::Moment,
) -> api::Price {
    let same = |other: &&PriceVersion| other.list == version.list && other.models == version.models && other.from > version.from;
    let until = catalogue.prices.versions().filter(same).map(|other| other.from).min();
    let corrected = catalogue.prices.corrections().filter(|one| one.version == version.id && one.known <= at);
    let rates = corrected.max_by_key(|one| (one.known, one.id.clone())).map_or(&version.rates, |one| &one.rates);
    let claims = |partner: &&torchmesh_billing::plan::Partner| partner.models.contains(&version.models);
    api::Price {
        id: version.id.clone(),
        list: version.list.clone(),
        models: version.models.to_string(),
        from_unix_ms: ms(version.from),
        until_unix_ms: until.map(ms).unwrap_or_default(),
        currency: currency.to_string(),
        units: rates.iter().map(|(unit, rate)| unit_price(unit.name(), rate)).collect(),
        partner: catalogue.partners.values().find(claims).map(|partner| partner.id.clone()).unwrap_or_default(),
        batch: version.batch.map(|share| share.to_string()).unwrap_or_default(),
    }
}

fn unit_price(unit: &str, rate: &Rate) -> api::UnitPrice {
    let tier = |up_to: Option<u64>, price: Money| api::PriceTier { up_to: up_to.unwrap_or_default(), amount: price.number() };
    let tiers = match rate.scheme() {
        Scheme::Flat(price) => vec![tier(None, *price)],
        Scheme::Graduated(tiers) | Scheme::Volume(tiers) => tiers.iter().map(|one| tier(one.up_to, one.price)).collect(),
    };
    api::UnitPrice { unit: unit.to_owned(), per: rate.per(), tiers, volume: matches!(rate.scheme(), Scheme::Volume(_)) }
}

pub(super) fn subscription(tenant: &Tenant, held: Held, self_service: bool) -> api::Subscription {
    let anchor = if held.profile.from_sign_up { api::BillingAnchor::SignUp } else { api::BillingAnchor::Calendar };
    let (tax_name, tax_rate) = held.profile.tax.map_or_else(Default::default, |tax| (tax.name, tax.rate.to_string()));
    let (recipient, prepaid) = (held.profile.recipient, held.profile.prepaid);
    let profile = api::BillingProfile { recipient, tax_name, tax_rate, anchor: anchor.into(), prepaid };
    let (plan, seats, trial) = held.state.map_or_else(Default::default, |state| (state.plan, state.seats, state.trial_until));
    api::Subscription {
        tenant_id: tenant.id.clone(),
        plan,
        seats,
        trial_until_unix_ms: trial.map(ms).unwrap_or_default(),
        period: Some(period(held.period)),
        changes_unix_ms: if held.next.is_some() { ms(held.period.end) } else { 0 },
        next_plan: held.next.flatten().map(|state| state.plan).unwrap_or_default(),
        coupons: held.coupons,
        profile: Some(profile),
        currency: held.currency,
        stopped: tenant.stopped.clone(),
        self_service,
    }
}

fn line(line: &Line) -> api::InvoiceLine {
    let (kind, model, unit) = match &line.item {
        Item::Fee { .. } => ("fee", "", ""),
        Item::Seats { .. } => ("seats", "", ""),
        Item::Trial { .. } => ("trial", "", ""),
        Item::Included { model, unit } => ("included", model.as_str(), unit.name()),
        Item::NotCharged { model, unit } => ("not_charged", model.as_str(), unit.name()),
        Item::Usage { model, unit, .. } => ("usage", model.as_str(), unit.name()),
        Item::Minimum => ("minimum", "", ""),
    };
    api::InvoiceLine {
        number: line.number,
        plan: line.plan.clone(),
        kind: kind.to_owned(),
        model: model.to_owned(),
        unit: unit.to_owned(),
        quantity: line.quantity,
        unit_price: line.unit_price.map(|price| price.price.number()).unwrap_or_default(),
        per: line.unit_price.map(|price| price.per).unwrap_or_default(),
        amount: line.amount.number(),
        discount: line.discount.number(),
        net: line.net.number(),
        tax: line.tax.number(),
        partner: line.partner.as_ref().map(|cut| cut.partner.clone()).unwrap_or_default(),
    }
}

/// An invoice that was just made, or is a preview.
pub(super) fn invoice(tenant_id: &str, made: &Invoice, with_lines: bool) -> Result<api::Invoice> {
    let discount = made.subtotal.minus(made.net)?;
    Ok(api::Invoice {
        number: made.number.clone(),
        tenant_id: tenant_id.to_owned(),
        period: Some(period(made.period)),
        issued_unix_ms: ms(made.issued),
        state: if made.number.is_empty() { api::InvoiceState::Unspecified } else { api::InvoiceState::Issued }.into(),
        replaces: made.replaces.clone().unwrap_or_default(),
        currency: made.currency.to_string(),
        subtotal: made.subtotal.number(),
        discount: discount.number(),
        net: made.net.number(),
        tax: made.tax.number(),
        total: made.total.number(),
        credit: made.total.minus(made.due)?.number(),
        due: made.due.number(),
        lines: if with_lines { made.lines.iter().map(line).collect() } else { Vec::new() },
        ..Default::default()
    })
}

pub(super) fn kept(kept: &Kept, with_lines: bool) -> Result<api::Invoice> {
    let state = match kept.state() {
        InvoiceState::Issued => api::InvoiceState::Issued,
        InvoiceState::Replaced => api::InvoiceState::Replaced,
        InvoiceState::PartlyCredited => api::InvoiceState::PartlyCredited,
        InvoiceState::Credited => api::InvoiceState::Credited,
    };
    Ok(api::Invoice {
        state: state.into(),
        replaced_by: kept.replaced_by.clone().unwrap_or_default(),
        credit_notes: kept.notes.iter().map(|kept| note(&kept.note)).collect(),
        sha256: kept.sha256.clone(),
        ..invoice(&kept.tenant_id, &kept.invoice, with_lines)?
    })
}

pub(super) fn note(note: &CreditNote) -> api::CreditNote {
    api::CreditNote {
        number: note.number.clone(),
        invoice: note.invoice.clone(),
        issued_unix_ms: ms(note.issued),
        reason: note.reason.clone(),
        currency: note.currency.to_string(),
        net: note.net.number(),
        tax: note.tax.number(),
        total: note.total.number(),
    }
}

pub(super) fn credit(grant: &CreditGrant, left: Money) -> api::Credit {
    // Within its tenant; its account has the tenant in front.
    let id = grant.id.split_once('/').map_or(grant.id.as_str(), |(_, id)| id);
    api::Credit {
        id: id.to_owned(),
        amount: Some(money(grant.amount)),
        left: Some(money(left)),
        bought: grant.bought,
        granted_unix_ms: ms(grant.granted),
        expires_unix_ms: grant.expires.map(ms).unwrap_or_default(),
    }
}

pub(super) fn credit_left(credit_left: &CreditLeft) -> api::Credit {
    credit(&credit_left.grant, credit_left.left)
}

/// An entry, as whoever asks may see it: a member sees the accounts of their own tenant.
pub(super) fn entry(posted: &Posted, asker: &Asker, tenant: Option<&Tenant>) -> api::LedgerEntry {
    let (what, about) = match posted.entry.what() {
        What::Invoice(number) => ("invoice", number.as_str()),
        What::CreditNote(number) => ("credit_note", number.as_str()),
        What::Payment => ("payment", ""),
        What::Refund => ("refund", ""),
        What::CreditBought => ("credit_bought", ""),
        What::CreditGiven => ("credit_given", ""),
        What::CreditExpired => ("credit_expired", ""),
        What::PartnerPaid => ("partner_paid", ""),
        What::Reversal(id) => ("reversal", id.as_str()),
    };
    let own = |account: &str| {
        let of = |name: &str| ["receivable/", "partner-payable/"].iter().any(|kind| account.strip_prefix(kind) == Some(name));
        tenant.is_some_and(|tenant| of(&tenant.name) || account.starts_with(&format!("credits/{}/", tenant.name)))
    };
    let all = asker.is_operator().is_ok();
    let postings = posted.entry.postings().iter().map(|posting| (posting.account.to_string(), posting.amount));
    let postings = postings.filter(|(account, _)| all || own(account));
    api::LedgerEntry {
        id: posted.entry.id().to_owned(),
        time_unix_ms: ms(posted.entry.at()),
        what: what.to_owned(),
        about: about.to_owned(),
        postings: postings.map(|(account, amount)| api::LedgerPosting { account, amount: Some(money(amount)) }).collect(),
    }
}

pub(super) fn budget(told: BudgetTold) -> api::Budget {
    api::Budget {
        name: told.budget.id,
        limit: Some(money(told.budget.limit)),
        thresholds: told.budget.thresholds.into_iter().collect(),
        told: told.told.into_iter().collect(),
    }
}

pub(super) fn statement(made: &Statement, with_lines: bool) -> api::Statement {
    let line = |line: &torchmesh_billing::statement::StatementLine| api::StatementLine {
        model: line.model.clone(),
        unit: line.unit.name().to_owned(),
        quantity: i64::try_from(line.quantity).unwrap_or(i64::MAX),
        gross: line.gross.number(),
        platform: line.platform.number(),
        payable: line.payable.number(),
    };
    api::Statement {
        number: made.number.clone(),
        partner: made.partner.clone(),
        currency: made.currency.to_string(),
        period: Some(period(made.period)),
        opening: made.opening.number(),
        earned: made.earned.number(),
        paid: made.paid.number(),
        closing: made.closing.number(),
        lines: if with_lines { made.lines.iter().map(line).collect() } else { Vec::new() },
    }
}
