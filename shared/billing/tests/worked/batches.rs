//! What lines of batches cost.

use torchmesh_billing::{
    Invoice, Usage,
    invoice::{Item, Line},
};

use crate::desk::{Desk, SOLD, eur, lines, said, start};

/// `SOLD`, with batches at half of every price.
fn halved() -> String {
    SOLD.replace("    rate = [", "    batch = \"50%\"\n    rate = [")
}

fn on(sold: &str, plan: &str) -> Desk {
    Desk::sold(sold).change("2026-06-01", start(plan, 1))
}

fn prompt(prompt_tokens: u64) -> Usage {
    Usage { prompt_tokens, ..Usage::default() }
}

fn items(items: u64) -> Usage {
    Usage { items, ..Usage::default() }
}

/// What is charged, of batches and of other calls.
fn in_batches(invoice: &Invoice) -> Vec<Option<bool>> {
    let batch = |line: &Line| if let Item::Usage { batch, .. } = line.item { Some(batch) } else { None };
    invoice.lines.iter().map(batch).collect()
}

#[test]
fn batches_are_lines_of_their_own_at_their_share_of_the_price() {
    // 2 × 0.50; 100,000 × 0.25 ÷ 1,000,000 is 0.025, which is 0.02; 1 × 1.50.
    let both = Usage { prompt_tokens: 2_000_000, completion_tokens: 1_000_000, ..Usage::default() };
    let desk = on(&halved(), "payg").batched("2026-06-01", "text", prompt(100_000)).used("2026-06-02", "text", both);
    let invoice = desk.invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(2_000_000, "1.00"), (100_000, "0.02"), (1_000_000, "1.50")]));
    assert_eq!(in_batches(&invoice), [Some(false), Some(true), Some(false)]);
    let price = invoice.lines[1].unit_price.unwrap();
    assert_eq!((price.price, price.per), (eur("0.25"), 1_000_000));
}

#[test]
fn graduated_tiers_count_both_and_batches_behind_the_calls_of_the_same_time() {
    // 600 × 0.01; then 400 are left of the first tier, × 0.005, and 200 × 0.0025: though the batch came first.
    let desk = on(&halved(), "payg").batched("2026-06-02", "image", items(600)).items("2026-06-20", 600);
    let invoice = desk.invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(600, "6.00"), (400, "2.00"), (200, "0.50")]));
    assert_eq!(in_batches(&invoice), [Some(false), Some(true), Some(true)]);
}

#[test]
fn a_volume_price_is_that_of_the_tier_which_both_reach_together() {
    // Together 600,001 ms: 5 minutes × 0.03, and 5.00001… minutes × 0.015 = 0.0750002…, which is 0.08.
    let heard = |audio_ms| Usage { audio_ms, ..Usage::default() };
    let desk = on(&halved(), "payg").used("2026-06-02", "audio", heard(300_000)).batched("2026-06-03", "audio", heard(300_001));
    assert_eq!(lines(&desk.invoice("2026-06-01")), said(&[(300_000, "0.15"), (300_001, "0.08")]));
}

#[test]
fn what_is_included_covers_calls_before_batches_which_are_cheaper() {
    // 300 are included: the 200 that would cost 0.01, and 100 of those that cost 0.005. The other 100 are 0.50.
    let desk = on(&halved(), "basic").batched("2026-06-02", "image", items(200)).items("2026-06-20", 200);
    let invoice = desk.invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(1, "30.00"), (200, "0.00"), (100, "0.00"), (100, "0.50")]));
}

#[test]
fn a_corrected_price_keeps_its_share() {
    let fix = "[[correction]]\nid = \"fix\"\nprice = \"text\"\nknown = \"2026-06-20\"\n\
               rate = [{ unit = \"prompt_tokens\", per = 1_000_000, price = \"0.40\" }]\n";
    let invoice = on(&format!("{}{fix}", halved()), "payg").batched("2026-06-02", "text", prompt(1_000_000)).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(1_000_000, "0.20")]));
}

#[test]
fn a_partner_gets_its_part_of_what_batches_cost() {
    // 100 × 0.015 = 1.50, of which 15% are 0.225, which is 0.22.
    let calls = Usage { calls: 100, ..Usage::default() };
    let invoice = on(&halved(), "payg").batched("2026-06-02", "labs-7b", calls).invoice("2026-06-01");
    let cut = invoice.lines[0].partner.as_ref().unwrap();
    assert_eq!((invoice.lines[0].amount, cut.platform, cut.payable), (eur("1.50"), eur("0.22"), eur("1.28")));
}

/// An invoice as it was before batches had a price.
const BEFORE: &str = r#"
    {"number":"acme-2026-06-01","tenant":"acme","currency":"EUR","period":{"start":"2026-06-01T00:00:00Z","end":"2026-07-01T00:00:00Z"},
    "issued":"2026-07-01T01:00:00Z","replaces":null,"lines":[
    {"number":1,"plan":"basic","item":{"kind":"fee","time":{"start":"2026-06-01T00:00:00Z","end":"2026-07-01T00:00:00Z"},"seconds":2592000,"of":2592000},
    "quantity":1,"unit_price":{"price":"30.00 EUR","per":1},"amount":"30.00 EUR","discount":"0.00 EUR","net":"30.00 EUR","tax":"5.70 EUR","partner":null},
    {"number":2,"plan":"basic","item":{"kind":"included","model":"image","unit":"items"},
    "quantity":300,"unit_price":null,"amount":"0.00 EUR","discount":"0.00 EUR","net":"0.00 EUR","tax":"0.00 EUR","partner":null},
    {"number":3,"plan":"basic","item":{"kind":"usage","model":"image","unit":"items","price":"image","correction":null,"tier":{"above":0,"up_to":1000}},
    "quantity":100,"unit_price":{"price":"0.01 EUR","per":1},"amount":"1.00 EUR","discount":"0.00 EUR","net":"1.00 EUR","tax":"0.19 EUR","partner":null},
    {"number":4,"plan":"basic","item":{"kind":"usage","model":"text","unit":"prompt_tokens","price":"text","correction":null,"tier":null},
    "quantity":2000000,"unit_price":{"price":"0.50 EUR","per":1000000},"amount":"1.00 EUR","discount":"0.00 EUR","net":"1.00 EUR","tax":"0.19 EUR","partner":null}],
    "subtotal":"32.00 EUR","discounts":[],"net":"32.00 EUR","tax_name":"VAT","tax_rate":"19%","tax":"6.08 EUR","total":"38.08 EUR","credits":[],"due":"38.08 EUR"}
"#;

#[test]
fn where_batches_have_no_price_of_their_own_an_invoice_is_what_it_was_to_the_byte() {
    let before: String = BEFORE.lines().map(str::trim).collect();
    let desk = on(SOLD, "basic").taxed("19%").items("2026-06-02", 100).batched("2026-06-03", "image", items(300));
    let invoice = desk.used("2026-06-04", "text", prompt(1_500_000)).batched("2026-06-04", "text", prompt(500_000)).invoice("2026-06-01");
    assert_eq!(invoice.to_json().unwrap(), before);
    assert_eq!(serde_json::from_str::<Invoice>(&before).unwrap(), invoice);
}
