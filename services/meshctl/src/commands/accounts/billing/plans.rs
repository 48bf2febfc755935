//! Plans, prices and subscriptions.

use serde::Serialize;
use torchmesh_api::accounts::v1::{self as api, BillingAnchor, ChangeWhen};

use super::{Accounts, moment, refused, shown};
use crate::{
    cli::{BillingAnchor as Anchor, PlanCommand, ProfileArgs, SubscribeArgs, SubscriptionCommand},
    error::Result,
    output::{Screen, table},
};

#[derive(Serialize)]
struct Plan {
    id: String,
    kind: String,
    list: String,
    fee: String,
    minimum: String,
    included: Vec<String>,
    stops: bool,
}

impl From<api::BillingPlan> for Plan {
    fn from(told: api::BillingPlan) -> Self {
        let included = told.included.iter().map(|one| format!("{} {} of {}", one.quantity, one.units.join("+"), one.models));
        Self {
            kind: told.kind().as_str_name().trim_start_matches("PLAN_KIND_").to_lowercase(),
            fee: shown(told.fee.as_ref()),
            minimum: shown(told.minimum.as_ref()),
            included: included.collect(),
            stops: told.stops,
            id: told.id,
            list: told.price_list,
        }
    }
}

#[derive(Serialize)]
struct Price {
    id: String,
    list: String,
    models: String,
    unit: String,
    costs: String,
    from: String,
    until: String,
    partner: String,
    batch: String,
}

impl Price {
    /// One for each unit.
    fn of(told: &api::Price) -> Vec<Self> {
        let costs = |unit: &api::UnitPrice| {
            let tier = |tier: &api::PriceTier| match tier.up_to {
                0 => tier.amount.clone(),
                up_to => format!("{} up to {up_to}", tier.amount),
            };
            let tiers: Vec<String> = unit.tiers.iter().map(tier).collect();
            format!("{} {} for {}", tiers.join(", "), told.currency, unit.per)
        };
        let one = |unit: &api::UnitPrice| Self {
            id: told.id.clone(),
            list: told.list.clone(),
            models: told.models.clone(),
            unit: unit.unit.clone(),
            costs: costs(unit),
            from: moment(told.from_unix_ms),
            until: moment(told.until_unix_ms),
            partner: told.partner.clone(),
            batch: told.batch.clone(),
        };
        told.units.iter().map(one).collect()
    }
}

/// Lists plans and prices.
pub(crate) async fn plans(accounts: &Accounts, command: &PlanCommand, screen: &Screen) -> Result<()> {
    match command {
        PlanCommand::List => {
            let told = accounts.billing().list_plans(accounts.request(api::ListPlansRequest {})).await.map_err(refused)?;
            let plans: Vec<Plan> = told.into_inner().plans.into_iter().map(Plan::from).collect();
            let row = |plan: &Plan| {
                let included = plan.included.join("; ");
                [plan.id.clone(), plan.kind.clone(), plan.fee.clone(), plan.minimum.clone(), plan.list.clone(), included]
            };
            screen.show(&plans, || table(["plan", "kind", "fee", "minimum", "prices", "included"], plans.iter().map(row)))
        }
        PlanCommand::Prices { list } => {
            let asked = api::ListPricesRequest { list: list.clone().unwrap_or_default() };
            let told = accounts.billing().list_prices(accounts.request(asked)).await.map_err(refused)?.into_inner().prices;
            let prices: Vec<Price> = told.iter().flat_map(Price::of).collect();
            let row = |price: &Price| {
                let [list, models, unit, costs] = [&price.list, &price.models, &price.unit, &price.costs].map(Clone::clone);
                let batch = if price.batch.is_empty() { "100%" } else { &price.batch };
                [list, models, unit, costs, batch.to_owned(), price.from.clone(), price.until.clone(), price.id.clone()]
            };
            screen.show(&prices, || table(["list", "models", "unit", "price", "batches", "from", "until", "id"], prices.iter().map(row)))
        }
    }
}

#[derive(Serialize)]
struct Subscription {
    plan: String,
    seats: u32,
    period_from: String,
    period_to: String,
    changes: String,
    next_plan: String,
    trial_until: String,
    coupons: Vec<String>,
    recipient: String,
    tax: String,
    prepaid: bool,
    currency: String,
    stopped: String,
}

impl From<Option<api::Subscription>> for Subscription {
    fn from(told: Option<api::Subscription>) -> Self {
        let told = told.unwrap_or_default();
        let (period, profile) = (told.period.unwrap_or_default(), told.profile.unwrap_or_default());
        Self {
            plan: told.plan,
            seats: told.seats,
            period_from: moment(period.start_unix_ms),
            period_to: moment(period.end_unix_ms),
            changes: moment(told.changes_unix_ms),
            next_plan: told.next_plan,
            trial_until: moment(told.trial_until_unix_ms),
            coupons: told.coupons,
            recipient: profile.recipient,
            tax: format!("{} {}", profile.tax_name, profile.tax_rate).trim().to_owned(),
            prepaid: profile.prepaid,
            currency: told.currency,
            stopped: told.stopped,
        }
    }
}

impl Subscription {
    fn rows(&self) -> Vec<[String; 2]> {
        let plan = if self.plan.is_empty() { "none" } else { &self.plan };
        let mut rows = vec![("plan", plan.to_owned()), ("seats", self.seats.to_string())];
        rows.push(("period", format!("{} to {}", self.period_from, self.period_to)));
        if self.changes != "-" {
            let next = if self.next_plan.is_empty() { "ends" } else { &self.next_plan };
            rows.push(("then", format!("{next} at {}", self.changes)));
        }
        if self.trial_until != "-" {
            rows.push(("trial until", self.trial_until.clone()));
        }
        for (name, value) in [("coupons", self.coupons.join(" ")), ("tax", self.tax.clone()), ("recipient", self.recipient.clone())] {
            if !value.is_empty() {
                rows.push((name, value));
            }
        }
        rows.push(("prepaid", if self.prepaid { "yes" } else { "no" }.to_owned()));
        if !self.stopped.is_empty() {
            rows.push(("stopped", self.stopped.clone()));
        }
        rows.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
    }
}

fn show(told: Option<api::Subscription>, screen: &Screen) -> Result<()> {
    let subscription = Subscription::from(told);
    screen.show(&subscription, || table(["what", "is"], subscription.rows()))
}

/// Begins a subscription, or changes it.
pub(crate) async fn subscribe(accounts: &Accounts, args: &SubscribeArgs, screen: &Screen) -> Result<()> {
    let when = if args.at_period_end { ChangeWhen::PeriodEnd } else { ChangeWhen::Now };
    let asked = api::SubscribeRequest {
        tenant: args.tenant.clone(),
        plan: args.plan.clone(),
        seats: args.seats.unwrap_or_default(),
        when: when.into(),
        at_unix_ms: args.at.unwrap_or_default(),
        trial_until_unix_ms: args.trial_until.unwrap_or_default(),
    };
    show(accounts.billing().subscribe(accounts.request(asked)).await.map_err(refused)?.into_inner().subscription, screen)
}

/// Shows, ends and changes what a tenant is subscribed to.
pub(crate) async fn subscriptions(accounts: &Accounts, command: &SubscriptionCommand, screen: &Screen) -> Result<()> {
    let told = match command {
        SubscriptionCommand::Show { tenant } => {
            let asked = accounts.request(api::GetSubscriptionRequest { tenant: tenant.clone() });
            accounts.billing().get_subscription(asked).await.map_err(refused)?.into_inner().subscription
        }
        SubscriptionCommand::Cancel { tenant, now } => {
            let when = if *now { ChangeWhen::Now } else { ChangeWhen::PeriodEnd };
            let asked = api::CancelSubscriptionRequest { tenant: tenant.clone(), when: when.into(), at_unix_ms: 0 };
            accounts.billing().cancel_subscription(accounts.request(asked)).await.map_err(refused)?.into_inner().subscription
        }
        SubscriptionCommand::Coupon { tenant, code } => {
            let asked = accounts.request(api::RedeemCouponRequest { tenant: tenant.clone(), code: code.clone() });
            accounts.billing().redeem_coupon(asked).await.map_err(refused)?.into_inner().subscription
        }
        SubscriptionCommand::Profile(args) => {
            let asked = accounts.request(profile(args));
            accounts.billing().update_billing_profile(asked).await.map_err(refused)?.into_inner().subscription
        }
    };
    show(told, screen)
}

fn profile(args: &ProfileArgs) -> api::UpdateBillingProfileRequest {
    let anchor = match args.anchor {
        None => BillingAnchor::Unspecified,
        Some(Anchor::Calendar) => BillingAnchor::Calendar,
        Some(Anchor::SignUp) => BillingAnchor::SignUp,
    };
    api::UpdateBillingProfileRequest {
        tenant: args.tenant.clone(),
        recipient: args.recipient.clone(),
        tax_name: args.tax_name.clone(),
        tax_rate: args.tax_rate.clone(),
        anchor: anchor.into(),
        prepaid: args.prepaid,
    }
}
