use super::*;
use crate::{
    Anchor, Bill, Change, Heading, Ledger, Rollup, Subscription, SubscriptionEvent, Tenant, Usage, file, invoice::invoice,
    statement::StatementLine, unit::Unit,
};

const SOLD: &str = r#"
    currency = "EUR"
    [[price]]
    id = "p"
    model = "*"
    from = "2026-01-01"
    rate = [{ unit = "items", per = 1000, mode = "graduated", tiers = [{ up_to = 10, price = "1.00" }, { price = "0.50" }] }]
    [[plan]]
    id = "pro"
    kind = "subscription"
    fee = "10.00"
"#;

/// An invoice with a model whose name is an attack on whoever shows it.
fn made(model: &str) -> Invoice {
    let at = "2026-01-01".parse().unwrap();
    let start = Change::Start { plan: "pro".into(), seats: 1, trial_until: None };
    let subscription = Subscription::new(Anchor::Calendar, [SubscriptionEvent { id: "a".into(), at, change: start }]).unwrap();
    let usage = [Rollup::event(at, model, Usage { items: 30, ..Usage::default() })];
    let period = Anchor::Calendar.period(at).unwrap();
    let tenant = Tenant { id: "acme, \"Inc\"".into(), currency: "EUR".parse().unwrap(), tax: None };
    let (catalogue, ledger) = (file::read(SOLD).unwrap(), Ledger::default());
    let bill = Bill {
        number: "2026-1",
        tenant: &tenant,
        period,
        issued: period.end,
        catalogue: &catalogue,
        subscription: &subscription,
        usage: &usage,
        grants: &[],
        ledger: &ledger,
    };
    invoice(&bill).unwrap()
}

#[test]
fn a_page_escapes_what_others_wrote() {
    let attack = "<script>alert('1')</script>&\"\u{7}";
    let look = Look { issuer: attack, recipient: "Acme\n<b>Street 1</b>", note: attack, ..Look::default() };
    let note = CreditNote::whole(&made(attack), &[], Heading { number: "N", issued: crate::Moment::FIRST, reason: attack }).unwrap();
    for html in [invoice_html(&made(attack), &look), note_html(&note, &look)] {
        assert!(html.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains('\u{7}'), "{html}");
    }
}

#[test]
fn a_page_is_whole_in_itself_and_says_what_its_cells_are() {
    let html = invoice_html(&made("bert"), &Look::default());
    for part in [
        "<!doctype html>",
        "<html lang=\"en\">",
        "<title>Invoice 2026-1</title>",
        "<main>",
        "<caption>",
        "<th scope=\"col\"",
        "<th scope=\"row\"",
        "@media print",
    ] {
        assert!(html.contains(part), "{part:?} is missing in {html}");
    }
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import"] {
        assert!(!html.contains(outside), "{outside:?} is in {html}");
    }
    assert!(
        html.contains("bert: items, tier 1 to 10") && html.contains("bert: items, tier from 11") && html.contains("1.00 EUR / 1,000"),
        "{html}"
    );
}

#[test]
fn labels_are_english_or_chinese() {
    let look = Look { language: Language::Chinese, ..Look::default() };
    let html = invoice_html(&made("bert"), &look);
    for part in ["<html lang=\"zh-CN\">", "账单 2026-1", "应付金额", "bert：条目，第 1 至 10 档", "pro：固定费用，2026-01-01 – 2026-01-31<"]
    {
        assert!(html.contains(part), "{part:?} is missing in {html}");
    }
    assert!(!html.contains("Subtotal"));
}

#[test]
fn a_part_of_a_period_is_said_in_days_or_seconds() {
    let mut line = made("bert").lines.remove(0);
    let said = |line: &crate::invoice::Line| [Language::English, Language::Chinese].map(|language| labels::line(line, language));
    let period = |start: &str, end: &str| crate::Period { start: start.parse().unwrap(), end: end.parse().unwrap() };
    line.item = crate::invoice::Item::Fee { time: period("2026-01-11", "2026-02-01"), seconds: 21 * 86_400, of: 31 * 86_400 };
    assert_eq!(said(&line), ["pro: fee, 2026-01-11 – 2026-01-31 (21 of 31 days)", "pro：固定费用，2026-01-11 – 2026-01-31（21/31 天）"]);
    line.item = crate::invoice::Item::Fee { time: period("2026-01-31T23:00:00Z", "2026-02-01"), seconds: 3600, of: 31 * 86_400 };
    assert_eq!(said(&line)[0], "pro: fee, 2026-01-31T23:00:00Z – 2026-02-01T00:00:00Z (3,600 of 2,678,400 s)");
}

#[test]
fn thousands_have_a_comma() {
    assert_eq!([0_i128, 999, 1000, -1_234_567].map(labels::grouped), ["0", "999", "1,000", "-1,234,567"]);
}

#[test]
fn a_line_of_batches_says_so_in_every_form() {
    let mut invoice = made("bert");
    let line = &mut invoice.lines[1];
    if let crate::invoice::Item::Usage { batch, .. } = &mut line.item {
        *batch = true;
    }
    let said = |language| labels::line(line, language);
    assert_eq!(said(Language::English), "bert: items, in batches, tier 1 to 10");
    assert_eq!(said(Language::Chinese), "bert：条目，批处理，第 1 至 10 档");
    let csv = invoice_csv(&invoice);
    let ends: Vec<_> = csv.lines().map(|row| row.rsplit(',').next().unwrap().to_owned()).collect();
    assert_eq!(ends, ["batch", "", "true", ""], "{csv}");
    let json = invoice.to_json().unwrap();
    assert_eq!(json.matches("\"batch\":true").count(), 1, "{json}");
    assert_eq!(serde_json::from_str::<Invoice>(&json).unwrap(), invoice);
    assert!(!invoice_pdf(&invoice, &Look::default()).unwrap().is_empty());
}

#[test]
fn a_csv_quotes_what_it_must_and_is_no_formula() {
    let csv = invoice_csv(&made("=1+1,\"x\""));
    let rows: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(rows.len(), 5, "{csv}");
    assert!(
        rows[2].starts_with(
            "2026-1,\"acme, \"\"Inc\"\"\",2,pro,usage,\"'=1+1,\"\"x\"\"\",items,p,,0,10,,,10,1.00,1000,0.01,0.00,0.01,0.00,,,,EUR"
        ),
        "{csv}"
    );
    let columns = |row: &str| row.split(',').count();
    assert_eq!(columns(rows[0]), columns(rows[1]) - 1, "{csv}");
}

#[test]
fn a_statement_is_written_with_its_sums() {
    let eur = |text: &str| format!("{text} EUR").parse().unwrap();
    let line = StatementLine {
        model: "labs-7b".into(),
        unit: Unit::Calls,
        quantity: 1000,
        gross: eur("2.00"),
        platform: eur("0.40"),
        payable: eur("1.60"),
    };
    let statement = Statement {
        number: "S-1".into(),
        partner: "labs".into(),
        currency: "EUR".parse().unwrap(),
        period: Anchor::Calendar.period("2026-01-01".parse().unwrap()).unwrap(),
        lines: vec![line],
        opening: eur("5.00"),
        earned: eur("1.60"),
        paid: eur("6.00"),
        closing: eur("0.60"),
    };
    assert!(statement_csv(&statement).ends_with("\r\nS-1,labs,labs-7b,calls,1000,2.00,0.40,1.60,EUR\r\n"));
    let html = statement_html(&statement, &Look::default());
    assert!(html.contains("Partner statement S-1") && html.contains("-6.00 EUR") && html.contains("0.60 EUR"), "{html}");
}

#[test]
fn json_reads_back_to_the_same_bytes() {
    let invoice = made("bert");
    let text = invoice.to_json().unwrap();
    let read: Invoice = serde_json::from_str(&text).unwrap();
    assert_eq!(read.to_json().unwrap(), text);
    assert_eq!(read, invoice);
}
