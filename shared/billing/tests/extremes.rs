//! Numbers at the end of what fits: everything is answered or refused, and nothing panics.

use proptest::prelude::*;
use torchmesh_billing::{
    Account, Anchor, Bill, BillingError, Change, CreditNote, Entry, Heading, Ledger, Moment, Money, Period, Rollup, StatementOf,
    Subscription, SubscriptionEvent, Tax, Tenant, Usage, When, boundaries, budget::Budget, credit::CreditGrant, credit::expire, file,
    invoice, ledger::What, reissue, render, statement,
};

/// Any number, and often one at an end.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..1_000_000_u64, 1 => any::<u64>(), 1 => 0..3_u64, 1 => (u64::MAX - 2)..=u64::MAX, 1 => Just(1 << 63)]
}

fn moment() -> impl Strategy<Value = Moment> {
    let around = 1_767_225_600_000_u64..1_800_000_000_000;
    prop_oneof![3 => around, 1 => prop_oneof![0..253_402_300_800_000_u64, Just(0), Just(253_402_300_799_999)]]
        .prop_map(|ms| Moment::from_unix_ms(ms).unwrap())
}

fn usage() -> impl Strategy<Value = Usage> {
    [(); 7].map(|()| number()).prop_map(|[calls, prompt_tokens, cached_tokens, completion_tokens, items, audio_ms, compute_us]| Usage {
        calls,
        prompt_tokens,
        cached_tokens: cached_tokens.min(prompt_tokens),
        completion_tokens,
        items,
        audio_ms,
        compute_us,
    })
}

fn change() -> impl Strategy<Value = Change> {
    let plan = || prop::sample::select(vec!["fee", "bundle", "free", "least", "missing"]).prop_map(str::to_owned);
    let when = || any::<bool>().prop_map(|end| if end { When::PeriodEnd } else { When::Now });
    prop_oneof![
        (plan(), any::<u32>(), prop::option::of(moment())).prop_map(|(plan, seats, trial_until)| Change::Start {
            plan,
            seats,
            trial_until
        }),
        (plan(), when()).prop_map(|(plan, when)| Change::Plan { plan, when }),
        any::<u32>().prop_map(|seats| Change::Seats { seats }),
        when().prop_map(|when| Change::Cancel { when }),
        Just(Change::Keep),
        Just(Change::Coupon { code: "OFF".into() }),
    ]
}

/// Prices and plans with such numbers in them; those that cannot be are left to the reader to refuse.
fn sold(price: u64, per: u64, up_to: u64, quantity: u64, fee: u64) -> String {
    let (price, fee) = (price % 1_000_000_000_000_001, fee % 1_000_000_000_000_001);
    let batch = if price.is_multiple_of(2) { "" } else { "batch = \"33.3333%\"" };
    let (per, up_to, quantity) = (per & (u64::MAX >> 1), up_to & (u64::MAX >> 1), quantity & (u64::MAX >> 1));
    format!(
        r#"currency = "EUR"
        [[price]]
        id = "p"
        model = "*"
        from = "1970-01-01"
        {batch}
        rate = [{{ unit = "calls", per = {per}, price = "{price}" }}, {{ unit = "cached_tokens", price = "0.000000000001" }}, {{ unit = "prompt_tokens", price = "0" }},
          {{ unit = "items", per = {per}, mode = "graduated", tiers = [{{ up_to = {up_to}, price = "{price}" }}, {{ price = "0.000000000001" }}] }}]
        [[plan]]
        id = "fee"
        kind = "subscription"
        fee = "{fee}"
        included = [{{ units = ["calls", "items"], quantity = {quantity} }}]
        [[plan]]
        id = "bundle"
        kind = "bundle"
        seat = "{fee}"
        included = [{{ units = ["calls", "items"], quantity = {quantity} }}]
        [[plan]]
        id = "free"
        kind = "freemium"
        free = [{{ units = ["items"], quantity = {quantity} }}]
        beyond = "charge"
        [[plan]]
        id = "least"
        kind = "partner"
        fee = "0"
        platform_share = "33.3333%"
        minimum = "{fee}"
        [[coupon]]
        code = "OFF"
        amount = "{fee}"
        [[partner]]
        id = "x"
        models = ["x"]
        terms = [{{ from = "2026-01-01", plan = "least" }}]"#
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn whatever_is_asked_is_answered_or_refused(
        numbers in [(); 5].map(|()| number()),
        first in moment(),
        changes in prop::collection::vec((moment(), change()), 0..6),
        used in prop::collection::vec((0..2_400_000_000_u64, prop_oneof![9 => 1..2_u64, 1 => any::<u64>()], prop::sample::select(vec!["m", "x", "\u{0}"]), usage(), any::<bool>()), 0..6),
        credits in prop::collection::vec((moment(), 1..=1_000_000_000_000_000_i128, prop::option::of(moment())), 0..3),
        (after, issued, from_first) in (0..90_u64, moment(), any::<bool>()),
    ) {
        let [price, per, up_to, quantity, fee] = numbers;
        let Ok(catalogue) = file::read(&sold(price, per, up_to, quantity, fee)) else { return Ok(()) };
        let at = first.later(after * 86_400_000);
        let anchor = if from_first { Anchor::From(first) } else { Anchor::Calendar };
        let start = Change::Start { plan: "bundle".into(), seats: 2, trial_until: None };
        let mut subscription = Subscription::new(anchor, [SubscriptionEvent { id: "start".into(), at: first, change: start }]).unwrap();
        for (count, (at, change)) in changes.into_iter().enumerate() {
            subscription = subscription.with(SubscriptionEvent { id: count.to_string(), at, change }).unwrap_or(subscription);
        }
        let Ok(period) = anchor.period(at) else { return Ok(()) };
        let usage: Vec<_> = used.into_iter().map(|(offset, ms, model, usage, batch)| {
            let from = period.start.max(first).later(offset);
            Rollup { from, to: from.later(ms), model: model.into(), usage, batch }
        }).collect();
        let currency = "EUR".parse().unwrap();
        let grants: Vec<_> = credits.into_iter().enumerate().map(|(id, (granted, minor, expires))| CreditGrant {
            id: id.to_string(), tenant: "t".into(), amount: Money::from_minor(currency, minor).unwrap(), granted, expires, bought: true,
        }).collect();
        let Ok(ledger) = Ledger::of(grants.iter().map(|grant| grant.entry().unwrap())) else { return Ok(()) };
        let tenant = Tenant { id: "t".into(), currency, tax: Some(Tax { name: "VAT".into(), rate: "100%".parse().unwrap() }) };
        let _ = boundaries(&catalogue, &subscription, &period);
        let bill = Bill { number: "1", tenant: &tenant, period, issued, catalogue: &catalogue, subscription: &subscription, usage: &usage, grants: &grants, ledger: &ledger };
        let Ok(made) = invoice(&bill) else { return Ok(()) };
        let _ = (render::invoice_html(&made, &render::Look::default()), render::invoice_pdf(&made, &render::Look::default()), render::invoice_csv(&made));
        let heading = Heading { number: "n", issued, reason: "" };
        let note = CreditNote::whole(&made, &[], heading);
        let (mut after, notes) = (ledger.clone(), note.into_iter().collect::<Vec<_>>());
        for entry in notes.iter().filter_map(|note| note.entry().unwrap()).chain(made.entry().unwrap()) {
            let _ = after.append(entry);
        }
        let _ = (expire(&grants, &after, at, issued), after.balances(), reissue(&made, &Bill { number: "2", ledger: &after, ..bill }));
        let of = StatementOf { number: "s", partner: "x", currency, period, invoices: std::slice::from_ref(&made), notes: &notes, ledger: &after };
        let _ = statement(&of);
    }

    #[test]
    fn what_was_read_from_anywhere_does_no_harm(minor in -100_000_000_000_000_000_i64..=100_000_000_000_000_000, shares in prop::collection::btree_set(any::<u32>(), 0..5), start in moment(), end in moment()) {
        let amount = Money::from_minor("EUR".parse().unwrap(), minor.into()).unwrap();
        let budget = Budget { id: "b".into(), limit: amount, thresholds: shares.clone() };
        let _ = (budget.due(amount, &shares), Entry::payment("p", start, "t", amount), Entry::refund("p", start, "t", amount));
        let period = Period { start, end };
        let _ = (Subscription::default().stretches(&period), Subscription::default().state(start), period.seconds());
        let text = serde_json::to_string(&(amount, period)).unwrap();
        prop_assert_eq!(serde_json::from_str::<(Money, Period)>(&text).unwrap(), (amount, period));
    }
}

#[test]
fn a_circle_of_reversals_is_refused() {
    let eur = |text: &str| format!("{text} EUR").parse::<Money>().unwrap();
    let payable = Account::PartnerPayable("x".into());
    let at: Moment = "2026-01-05".parse().unwrap();
    let postings = [(payable, eur("1")), (Account::Revenue, eur("-1"))];
    let entry = Entry::new("a", at, What::Reversal("a".into()), postings).unwrap();
    let ledger = Ledger::of([entry]).unwrap();
    let period = Anchor::Calendar.period(at).unwrap();
    let of = StatementOf { number: "s", partner: "x", currency: eur("0").currency(), period, invoices: &[], notes: &[], ledger: &ledger };
    assert!(matches!(statement(&of), Err(BillingError::Unknown { .. })));
}
