//! A tenant that lives through twelve months.

use torchmesh_billing::{
    Anchor, Bill, Catalogue, Change, CreditNote, Currency, Entry, Heading, Invoice, Ledger, Moment, Money, Period, Rollup, Subscription,
    SubscriptionEvent, Tax, Tenant, Usage, When, credit::CreditGrant, credit::expire, file, invoice, price::Correction, price::Rate,
    reissue,
};

use crate::story::{Deed, Month};

const SOLD: &str = include_str!("sold.toml");
const PLANS: [&str; 7] = ["basic", "least", "payg", "free", "charged", "team", "publisher"];
const COUPONS: [&str; 4] = ["TENTH", "FIVE", "OVER", "ALL"];
const MODELS: [&str; 5] = ["text", "image", "audio", "labs-7b", "labs-1b"];
const PRICES: [&str; 4] = ["text", "image", "labs", "others"];
const DAY: u64 = 86_400_000;

/// An invoice, and when.
pub(crate) struct Issued {
    pub(crate) invoice: Invoice,
}

pub(crate) struct Life {
    pub(crate) catalogue: Catalogue,
    pub(crate) tenant: Tenant,
    pub(crate) anchor: Anchor,
    pub(crate) subscription: Subscription,
    pub(crate) usage: Vec<Rollup>,
    pub(crate) grants: Vec<CreditGrant>,
    pub(crate) ledger: Ledger,
    pub(crate) issued: Vec<Issued>,
    pub(crate) notes: Vec<CreditNote>,
    count: u32,
}

pub(crate) fn eur(cents: i128) -> Money {
    Money::from_minor("EUR".parse::<Currency>().unwrap(), cents).unwrap()
}

impl Life {
    /// Lives through the months, and lets `check` look after every entry.
    pub(crate) fn live(months: &[Month], from_sign_up: bool, check: impl Fn(&Self)) -> Self {
        let start: Moment = "2026-01-31T09:30:00Z".parse().unwrap();
        let anchor = if from_sign_up { Anchor::From(start) } else { Anchor::Calendar };
        let change = Change::Start { plan: "basic".into(), seats: 2, trial_until: None };
        let event = SubscriptionEvent { id: "start".into(), at: start, change };
        let tax = Some(Tax { name: "VAT".into(), rate: "19%".parse().unwrap() });
        let mut life = Self {
            catalogue: file::read(SOLD).unwrap_or_else(|problems| panic!("{problems}")),
            tenant: Tenant { id: "acme".into(), currency: "EUR".parse().unwrap(), tax },
            anchor,
            subscription: Subscription::new(anchor, [event]).unwrap(),
            usage: Vec::new(),
            grants: Vec::new(),
            ledger: Ledger::default(),
            issued: Vec::new(),
            notes: Vec::new(),
            count: 0,
        };
        let mut period = anchor.period(start).unwrap();
        for month in months {
            life.month(month, period, start, &check);
            period = anchor.next(&period).unwrap();
        }
        life
    }

    /// The bill of an invoice that was issued, by all that is known at the end.
    pub(crate) fn bill<'a>(&'a self, issued: &'a Issued) -> Bill<'a> {
        let invoice = &issued.invoice;
        self.bill_of(&invoice.number, invoice.period, invoice.issued)
    }

    fn bill_of<'a>(&'a self, number: &'a str, period: Period, issued: Moment) -> Bill<'a> {
        Bill {
            number,
            tenant: &self.tenant,
            period,
            issued,
            catalogue: &self.catalogue,
            subscription: &self.subscription,
            usage: &self.usage,
            grants: &self.grants,
            ledger: &self.ledger,
        }
    }

    fn month(&mut self, month: &Month, period: Period, start: Moment, check: &impl Fn(&Self)) {
        let mut deeds: Vec<_> = month.deeds.iter().map(|(ms, deed)| (period.start.later(*ms).max(start), deed)).collect();
        deeds.sort_by_key(|(at, _)| *at);
        for (at, deed) in deeds {
            self.deed(deed, at);
            check(self);
        }
        let number = self.id("I");
        let made = invoice(&self.bill_of(&number, period, period.end.later(3_600_000))).unwrap();
        self.post(made.entry().unwrap());
        self.issued.push(Issued { invoice: made });
        check(self);
        self.correct(month, period);
        check(self);
        self.settle(month, period);
        check(self);
    }

    /// A price was wrong: the invoice is made again.
    fn correct(&mut self, month: &Month, period: Period) {
        let Some((price, micros)) = month.corrected else { return };
        let known = period.end.later(2 * 3_600_000);
        let version = self.catalogue.prices.versions().find(|version| version.id == PRICES[price]).unwrap();
        let amount = Money::from_pico("EUR".parse().unwrap(), i128::from(micros) * 1_000_000).unwrap();
        let rates = version.rates.keys().map(|unit| (*unit, Rate::flat(amount, 1000).unwrap())).collect();
        let (id, version) = (self.id("C"), PRICES[price].to_owned());
        self.catalogue.prices.correct(Correction { id, version, known, rates }).unwrap();
        let number = self.id("I");
        let old = &self.issued.last().unwrap().invoice;
        let made = reissue(old, &self.bill_of(&number, period, known.later(3_600_000))).unwrap();
        self.post(made.reversal);
        self.post(made.entry);
        self.issued.push(Issued { invoice: made.invoice });
    }

    /// A part is paid, a part is given back and refunded, and what has expired goes.
    fn settle(&mut self, month: &Month, period: Period) {
        let at = period.end.later(4 * 3_600_000);
        let last = self.issued.last().unwrap().invoice.clone();
        let part = |amount: Money, percent: u8| eur(amount.minor().unwrap() * i128::from(percent) / 100);
        let id = self.id("P");
        self.post(Entry::payment(&id, at, "acme", part(last.due, month.paid)).ok());
        if let Some((line, percent)) = month.given_back.filter(|_| !last.lines.is_empty()) {
            let line = &last.lines[line % last.lines.len()];
            let number = self.id("N");
            let heading = Heading { number: &number, issued: at, reason: "goodwill" };
            if let Ok(note) = CreditNote::new(&last, &self.notes, heading, &[(line.number, part(line.net, percent))].into()) {
                self.post(note.entry().unwrap());
                self.post(Entry::refund(&number, at.later(1), "acme", note.total).ok());
                self.notes.push(note);
            }
        }
        for entry in expire(&self.grants, &self.ledger, period.end, at).unwrap() {
            self.ledger.append(entry).unwrap();
        }
    }

    fn deed(&mut self, deed: &Deed, at: Moment) {
        let when = |end: bool| if end { When::PeriodEnd } else { When::Now };
        let change = match deed {
            Deed::Plan(plan, end) => Change::Plan { plan: PLANS[*plan].into(), when: when(*end) },
            Deed::Seats(seats) => Change::Seats { seats: *seats },
            Deed::Cancel(end) => Change::Cancel { when: when(*end) },
            Deed::Start(plan, days) => Change::Start { plan: PLANS[*plan].into(), seats: 1, trial_until: Some(at.later(days * DAY)) },
            Deed::Coupon(coupon) => Change::Coupon { code: COUPONS[*coupon].into() },
            Deed::Credit(cents, days, bought) => return self.grant(*cents, *days, *bought, at),
            Deed::Use(model, counts, batch) => return self.r#use(MODELS[*model], counts.map(u64::from), *batch, at),
        };
        let id = self.id("change");
        // What cannot be, such as seats where nothing is subscribed to, is refused and has not happened.
        if let Ok(changed) = self.subscription.with(SubscriptionEvent { id, at, change }) {
            self.subscription = changed;
        }
    }

    fn grant(&mut self, cents: u32, days: Option<u64>, bought: bool, at: Moment) {
        let (id, expires) = (self.id("G"), days.map(|days| at.later(days * DAY)));
        let grant = CreditGrant { id, tenant: "acme".into(), amount: eur(cents.into()), granted: at, expires, bought };
        self.post(grant.entry().ok());
        self.grants.push(grant);
    }

    fn r#use(&mut self, model: &str, [prompt_tokens, completion_tokens, items]: [u64; 3], batch: bool, at: Moment) {
        let usage = Usage {
            calls: items,
            prompt_tokens,
            cached_tokens: prompt_tokens / 3,
            completion_tokens,
            items,
            audio_ms: prompt_tokens,
            compute_us: items,
        };
        self.usage.push(Rollup { batch, ..Rollup::event(at, model, usage) });
    }

    fn post(&mut self, entry: Option<Entry>) {
        if let Some(entry) = entry {
            self.ledger.append(entry).unwrap();
        }
    }

    fn id(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}-{:04}", self.count)
    }
}
