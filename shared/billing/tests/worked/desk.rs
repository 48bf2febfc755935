//! A tenant, what it subscribed to, used and paid, and its invoice.

use torchmesh_billing::{
    Anchor, Bill, BillingError, Catalogue, Change, Entry, Invoice, Ledger, Moment, Money, Period, Rollup, Subscription, SubscriptionEvent,
    Tax, Tenant, Usage, When, credit::CreditGrant, file, invoice,
};

/// Prices and plans of most tests. January 2026 has 31 days, June has 30.
pub(crate) const SOLD: &str = r#"
    currency = "EUR"
    [[price]]
    id = "text"
    model = "text"
    from = "2026-01-01"
    rate = [{ unit = "prompt_tokens", per = 1_000_000, price = "0.50" }, { unit = "completion_tokens", per = 1_000_000, price = "1.50" }]
    [[price]]
    id = "image"
    model = "image"
    from = "2026-01-01"
    rate = [{ unit = "items", mode = "graduated", tiers = [{ up_to = 1000, price = "0.01" }, { price = "0.005" }] }]
    [[price]]
    id = "audio"
    model = "audio"
    from = "2026-01-01"
    rate = [{ unit = "audio_ms", per = 60_000, mode = "volume", tiers = [{ up_to = 600_000, price = "0.06" }, { price = "0.03" }] }]
    [[price]]
    id = "labs"
    model = "labs-*"
    from = "2026-01-01"
    rate = [{ unit = "calls", price = "0.03" }]

    [[plan]]
    id = "basic"
    kind = "subscription"
    fee = "30.00"
    included = [{ units = ["items"], quantity = 300 }]
    [[plan]]
    id = "pro"
    kind = "subscription"
    fee = "90.00"
    included = [{ units = ["tokens"], quantity = 3_000_000 }]
    [[plan]]
    id = "payg"
    kind = "pay_per_use"
    [[plan]]
    id = "least"
    kind = "pay_per_use"
    minimum = "10.00"
    [[plan]]
    id = "free"
    kind = "freemium"
    free = [{ units = ["items"], quantity = 100 }]
    beyond = "stop"
    [[plan]]
    id = "free-then-charged"
    kind = "freemium"
    free = [{ units = ["items"], quantity = 100 }]
    beyond = "charge"
    [[plan]]
    id = "team"
    kind = "bundle"
    seat = "10.00"
    included = [{ units = ["items"], quantity = 300 }]
    [[plan]]
    id = "partner"
    kind = "partner"
    fee = "0"
    platform_share = "15%"

    [[coupon]]
    code = "TENTH"
    share = "10%"
    [[coupon]]
    code = "FIVE"
    amount = "5.00"
    periods = 2
    [[coupon]]
    code = "OVER"
    share = "50%"
    expires = "2026-06-01"

    [[partner]]
    id = "labs"
    models = ["labs-*"]
    terms = [{ from = "2026-01-01", plan = "partner" }]
"#;

pub(crate) struct Desk {
    pub(crate) catalogue: Catalogue,
    pub(crate) tenant: Tenant,
    pub(crate) anchor: Anchor,
    pub(crate) events: Vec<SubscriptionEvent>,
    pub(crate) usage: Vec<Rollup>,
    pub(crate) grants: Vec<CreditGrant>,
    pub(crate) ledger: Ledger,
}

pub(crate) fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

pub(crate) fn eur(text: &str) -> Money {
    format!("{text} EUR").parse().unwrap()
}

impl Desk {
    /// A tenant who subscribed to a plan at an instant, with one seat.
    pub(crate) fn on(plan: &str, from: &str) -> Self {
        Self::sold(SOLD).change(from, start(plan, 1))
    }

    pub(crate) fn sold(text: &str) -> Self {
        Self {
            catalogue: file::read(text).unwrap_or_else(|problems| panic!("{problems}")),
            tenant: Tenant { id: "acme".into(), currency: "EUR".parse().unwrap(), tax: None },
            anchor: Anchor::Calendar,
            events: Vec::new(),
            usage: Vec::new(),
            grants: Vec::new(),
            ledger: Ledger::default(),
        }
    }

    pub(crate) fn change(mut self, when: &str, change: Change) -> Self {
        let id = format!("change-{:03}", self.events.len());
        self.events.push(SubscriptionEvent { id, at: at(when), change });
        self
    }

    pub(crate) fn coupon(self, when: &str, code: &str) -> Self {
        self.change(when, Change::Coupon { code: code.into() })
    }

    pub(crate) fn taxed(mut self, rate: &str) -> Self {
        self.tenant.tax = Some(Tax { name: "VAT".into(), rate: rate.parse().unwrap() });
        self
    }

    pub(crate) fn used(mut self, when: &str, model: &str, usage: Usage) -> Self {
        self.usage.push(Rollup::event(at(when), model, usage));
        self
    }

    pub(crate) fn batched(mut self, when: &str, model: &str, usage: Usage) -> Self {
        self.usage.push(Rollup::batched(at(when), model, usage));
        self
    }

    pub(crate) fn items(self, when: &str, items: u64) -> Self {
        self.used(when, "image", Usage { items, ..Usage::default() })
    }

    pub(crate) fn credit(mut self, id: &str, amount: &str, expires: Option<&str>) -> Self {
        let grant = CreditGrant {
            id: id.into(),
            tenant: "acme".into(),
            amount: eur(amount),
            granted: at("2026-01-01"),
            expires: expires.map(at),
            bought: true,
        };
        self.ledger.append(grant.entry().unwrap()).unwrap();
        self.grants.push(grant);
        self
    }

    pub(crate) fn period(&self, when: &str) -> Period {
        self.anchor.period(at(when)).unwrap()
    }

    pub(crate) fn subscription(&self) -> Subscription {
        Subscription::new(self.anchor, self.events.clone()).unwrap()
    }

    /// Calls `with` with the bill of the period that `when` lies in, issued an hour after its end.
    pub(crate) fn bill<T>(&self, when: &str, with: impl FnOnce(&Bill<'_>) -> T) -> T {
        let (period, subscription) = (self.period(when), self.subscription());
        with(&Bill {
            number: &format!("acme-{}", period.start.date()),
            tenant: &self.tenant,
            period,
            issued: period.end.later(3_600_000),
            catalogue: &self.catalogue,
            subscription: &subscription,
            usage: &self.usage,
            grants: &self.grants,
            ledger: &self.ledger,
        })
    }

    pub(crate) fn try_invoice(&self, when: &str) -> Result<Invoice, BillingError> {
        self.bill(when, invoice)
    }

    pub(crate) fn invoice(&self, when: &str) -> Invoice {
        self.try_invoice(when).unwrap()
    }

    /// The invoice, posted.
    pub(crate) fn issue(&mut self, when: &str) -> Invoice {
        let made = self.invoice(when);
        self.post(made.entry().unwrap());
        made
    }

    pub(crate) fn post(&mut self, entry: Option<Entry>) {
        if let Some(entry) = entry {
            self.ledger.append(entry).unwrap();
        }
    }
}

pub(crate) fn start(plan: &str, seats: u32) -> Change {
    Change::Start { plan: plan.into(), seats, trial_until: None }
}

pub(crate) fn to(plan: &str, when: When) -> Change {
    Change::Plan { plan: plan.into(), when }
}

/// Quantities and amounts of the lines.
pub(crate) fn lines(invoice: &Invoice) -> Vec<(u64, String)> {
    invoice.lines.iter().map(|line| (line.quantity, line.amount.number())).collect()
}

pub(crate) fn said(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
    lines.iter().map(|(quantity, amount)| (*quantity, (*amount).to_owned())).collect()
}
