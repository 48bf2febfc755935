//! What a tenant is subscribed to: changes that are written down, and what holds because of them.

use sqlx::{AnyConnection, Row as _};
use torchmesh_billing::{
    Anchor, Change as Altered, Moment, Period, Subscription, SubscriptionEvent, When, plan::Plan, subscription::State,
};

use super::{Billing, Profile, moment, ms, profile, stops};
use crate::{
    access::{Act, Asker},
    error::{Refusal, Result},
    store::{Change, Store, Told},
    tenants::Tenant,
    webhooks::{self, Event},
};

/// The most seats.
const MOST_SEATS: u32 = 1_000_000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The plan's id.
    pub plan: &'a str,
    /// How many seats; as before when 0.
    pub seats: u32,
    /// When another plan holds.
    pub when: When,
    /// When it was asked for; now when 0.
    pub at_ms: i64,
    /// Until when the trial of a new subscription lasts; none when 0.
    pub trial_until_ms: i64,
}

/// What holds for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What it is subscribed to now; none: nothing.
    pub state: Option<State>,
    /// The period that it is now.
    pub period: Period,
    /// What holds from the period's end on, where that is something else.
    pub next: Option<Option<State>>,
    /// The coupons that were redeemed.
    pub coupons: Vec<String>,
    /// How it is billed.
    pub profile: Profile,
    /// In which currency.
    pub currency: String,
}

/// The subscription of a tenant; none, where nothing was ever subscribed to.
pub(super) async fn load(connection: &mut AnyConnection, tenant_id: &str, profile: &Profile) -> Result<Option<Subscription>> {
    let query = sqlx::query("SELECT id, at_ms, change FROM subscription_changes WHERE tenant_id = $1 ORDER BY at_ms, id");
    let mut events = Vec::new();
    for row in query.bind(tenant_id.to_owned()).fetch_all(connection).await? {
        let (id, change): (String, String) = (row.try_get("id")?, row.try_get("change")?);
        events.push(SubscriptionEvent { id, at: moment(row.try_get("at_ms")?)?, change: serde_json::from_str(&change)? });
    }
    let Some(first) = events.first().map(|event| event.at) else { return Ok(None) };
    Ok(Some(Subscription::new(profile.anchor(first), events)?))
}

/// What holds for a tenant now.
pub async fn held(billing: &Billing, store: &Store, tenant: &Tenant, now: i64) -> Result<Held> {
    let mut connection = store.reads()?.acquire().await?;
    let sold = billing.sold(&mut connection).await?;
    let profile = profile::read(&mut connection, &tenant.id).await?;
    let (at, currency) = (moment(now)?, sold.currency.to_string());
    let Some(subscription) = load(&mut connection, &tenant.id, &profile).await? else {
        let period = Anchor::Calendar.period(at)?;
        return Ok(Held { state: None, period, next: None, coupons: Vec::new(), profile, currency });
    };
    let period = subscription.anchor().period(at)?;
    let (state, later) = (subscription.state(at)?, subscription.state(period.end)?);
    let next = (state != later).then_some(later);
    let coupon = |event: &SubscriptionEvent| match &event.change {
        Altered::Coupon { code } => Some(code.clone()),
        _ => None,
    };
    let mut coupons: Vec<String> = subscription.events().iter().filter_map(coupon).collect();
    coupons.sort();
    coupons.dedup();
    Ok(Held { state, period, next, coupons, profile, currency })
}

/// A change that is being made to a subscription.
struct Changing {
    change: Change,
    tenant: Tenant,
    profile: Profile,
    subscription: Option<Subscription>,
    at: Moment,
    made: Vec<String>,
}

impl Changing {
    /// Begins one, if whoever asks may, at the moment at which it counts.
    async fn begin(billing: &Billing, store: &Store, asker: &Asker, tenant: &Tenant, at_ms: i64, now: i64) -> Result<Self> {
        asker.may(Act::ChangeBilling)?;
        if !billing.settings().self_service {
            asker.is_operator().map_err(|_| {
                Refusal::Denied("subscriptions are changed by operators here (billing.self_service is false); ask one".to_owned())
            })?;
        }
        if at_ms != 0 {
            asker.is_operator()?;
        }
        if at_ms < 0 || at_ms > now {
            return Err(Refusal::Invalid("at_unix_ms: must not be in the future; 0 is now".to_owned()));
        }
        let mut change = Change::begin(store, asker, now).await?;
        let profile = profile::read(change.connection(), &tenant.id).await?;
        let subscription = load(change.connection(), &tenant.id, &profile).await?;
        let at = moment(if at_ms == 0 { now } else { at_ms })?;
        let query = sqlx::query("SELECT MAX(end_ms) AS last FROM invoices WHERE tenant_id = $1").bind(tenant.id.clone());
        let last: Option<i64> = query.fetch_one(change.connection()).await?.try_get("last")?;
        if last.is_some_and(|last| ms(at) < last) {
            return Err(Refusal::State("at_unix_ms: the period has its invoice; say a time behind it".to_owned()));
        }
        Ok(Self { change, tenant: tenant.clone(), profile, subscription, at, made: Vec::new() })
    }

    fn state(&self) -> Result<Option<State>> {
        Ok(self.subscription.as_ref().map_or(Ok(None), |subscription| subscription.state(self.at))?)
    }

    /// Whether something waits for the period's end.
    fn waits(&self) -> Result<bool> {
        let Some(subscription) = &self.subscription else { return Ok(false) };
        let end = subscription.anchor().period(self.at)?.end;
        Ok(subscription.state(self.at)? != subscription.state(end)?)
    }

    /// Writes a change down, if it can be.
    async fn put(&mut self, altered: Altered) -> Result<()> {
        // In the order in which they were asked for, where the moment is the same.
        let id = format!("{}/{:012}-{}", self.tenant.name, self.change.revision(), self.made.len());
        let event = SubscriptionEvent { id, at: self.at, change: altered };
        let changed = match &self.subscription {
            Some(subscription) => subscription.with(event.clone())?,
            None => Subscription::new(self.profile.anchor(self.at), [event.clone()])?,
        };
        self.made.push(write(&mut self.change, &self.tenant, &event).await?);
        self.subscription = Some(changed);
        Ok(())
    }

    async fn commit(mut self) -> Result<()> {
        let Some(subscription) = self.subscription.as_ref().filter(|_| !self.made.is_empty()) else { return Ok(()) };
        // What was written down for this very moment counts.
        let at = self.at.max(moment(self.change.now())?).later(1);
        let (state, later) = (subscription.state(at)?, subscription.state(subscription.anchor().period(at)?.end)?);
        let event = Event::subscription(state.as_ref(), later.as_ref());
        webhooks::happened(&mut self.change, &self.tenant.id, &event).await?;
        let told =
            Told { tenant_id: &self.tenant.id, subject: &self.tenant.id, what: "subscription changed", detail: &self.made.join(" ") };
        self.change.commit(told).await
    }
}

/// Writes an event down; gives its text.
async fn write(change: &mut Change, tenant: &Tenant, event: &SubscriptionEvent) -> Result<String> {
    let text = serde_json::to_string(&event.change)?;
    let row = sqlx::query("INSERT INTO subscription_changes (id, tenant_id, at_ms, change) VALUES ($1, $2, $3, $4)");
    let row = row.bind(event.id.clone()).bind(tenant.id.clone()).bind(ms(event.at)).bind(text.clone());
    row.execute(change.connection()).await?;
    Ok(text)
}

/// The plan of this id, if it is sold.
fn sold_plan<'a>(catalogue: &'a torchmesh_billing::Catalogue, id: &str) -> Result<&'a Plan> {
    catalogue.plan(id).map_err(|_| Refusal::Invalid(format!("plan: {id:?} is not sold; ListPlans tells those that are")))
}

/// Begins a subscription, or changes its plan or its seats.
pub async fn subscribe(billing: &Billing, store: &Store, asker: &Asker, tenant: &Tenant, wanted: Wanted<'_>, now: i64) -> Result<()> {
    if wanted.seats > MOST_SEATS {
        return Err(Refusal::Invalid(format!("seats: must be at most {MOST_SEATS}")));
    }
    if wanted.trial_until_ms != 0 {
        asker.may(Act::ChangeBilling)?;
        asker.is_operator()?;
    }
    let mut changing = Changing::begin(billing, store, asker, tenant, wanted.at_ms, now).await?;
    let sold = billing.sold(changing.change.connection()).await?;
    sold_plan(&sold.catalogue, wanted.plan)?;
    match changing.state()? {
        None => {
            if wanted.when == When::PeriodEnd {
                return Err(Refusal::Invalid("when: a subscription begins at once".to_owned()));
            }
            let trial_until = (wanted.trial_until_ms != 0).then(|| moment(wanted.trial_until_ms)).transpose()?;
            changing.put(Altered::Start { plan: wanted.plan.to_owned(), seats: wanted.seats.max(1), trial_until }).await?;
        }
        Some(held) => {
            if wanted.trial_until_ms != 0 {
                return Err(Refusal::State(
                    "trial_until_unix_ms: the tenant is subscribed already; trials are for new subscriptions".to_owned(),
                ));
            }
            if held.plan != wanted.plan {
                changing.put(Altered::Plan { plan: wanted.plan.to_owned(), when: wanted.when }).await?;
            } else if changing.waits()? {
                changing.put(Altered::Keep).await?;
            }
            if wanted.seats != 0 && wanted.seats != held.seats {
                changing.put(Altered::Seats { seats: wanted.seats }).await?;
            }
        }
    }
    changing.commit().await?;
    stops::check_or_later(billing, store, tenant, now).await;
    Ok(())
}

/// Ends a subscription.
pub async fn cancel(billing: &Billing, store: &Store, asker: &Asker, tenant: &Tenant, when: When, at_ms: i64, now: i64) -> Result<()> {
    let mut changing = Changing::begin(billing, store, asker, tenant, at_ms, now).await?;
    if changing.state()?.is_none() {
        return Err(Refusal::State("the tenant is subscribed to nothing".to_owned()));
    }
    changing.put(Altered::Cancel { when }).await?;
    changing.commit().await?;
    stops::check_or_later(billing, store, tenant, now).await;
    Ok(())
}

/// Ends what a tenant is subscribed to at once, as a part of the change that closes it.
pub(crate) async fn end(change: &mut Change, tenant: &Tenant) -> Result<()> {
    let profile = profile::read(change.connection(), &tenant.id).await?;
    let at = moment(change.now())?;
    let Some(subscription) = load(change.connection(), &tenant.id, &profile).await? else { return Ok(()) };
    if subscription.state(at)?.is_none() {
        return Ok(());
    }
    let id = format!("{}/{:012}-closed", tenant.name, change.revision());
    write(change, tenant, &SubscriptionEvent { id, at, change: Altered::Cancel { when: When::Now } }).await?;
    webhooks::happened(change, &tenant.id, &Event::subscription(None, None)).await
}

/// Takes a coupon. One that was taken stays as it is.
pub async fn redeem(billing: &Billing, store: &Store, asker: &Asker, tenant: &Tenant, code: &str, now: i64) -> Result<()> {
    let mut changing = Changing::begin(billing, store, asker, tenant, 0, now).await?;
    let sold = billing.sold(changing.change.connection()).await?;
    // Whether there was one is nobody's to find out.
    let coupon = sold.catalogue.coupon(code).ok().filter(|coupon| coupon.can_be_redeemed(changing.at));
    coupon.ok_or_else(|| Refusal::Invalid("code: is none that can be redeemed".to_owned()))?;
    if changing.state()?.is_none() {
        return Err(Refusal::State("the tenant is subscribed to nothing; a coupon takes something off a subscription".to_owned()));
    }
    let taken = |event: &SubscriptionEvent| matches!(&event.change, Altered::Coupon { code: taken } if taken == code);
    if changing.subscription.as_ref().is_some_and(|subscription| subscription.events().iter().any(taken)) {
        return Ok(());
    }
    changing.put(Altered::Coupon { code: code.to_owned() }).await?;
    changing.commit().await
}
