//! Documents as CSV (RFC 4180), one row a line. Column names are the same in every language.

use crate::{
    invoice::{Invoice, Item, Line},
    note::CreditNote,
    period::Period,
    statement::Statement,
};

/// A cell: what we made ourselves, or a text of others.
enum Cell<'a> {
    Own(String),
    Text(&'a str),
}

/// An invoice's lines, each with the invoice's number.
pub fn invoice_csv(invoice: &Invoice) -> String {
    let columns = "invoice,tenant,line,plan,kind,model,unit,price,correction,tier_above,tier_up_to,from,to,quantity,unit_price,per,amount,discount,net,tax,partner,\
                   platform_share,payable,currency,batch";
    let line_row = |line: &Line| {
        let of = about(&line.item);
        let number = |number: Option<u64>| Cell::Own(number.map(|number| number.to_string()).unwrap_or_default());
        let money = |amount: crate::Money| Cell::Own(amount.number());
        let some = |amount: Option<crate::Money>| Cell::Own(amount.map(crate::Money::number).unwrap_or_default());
        let time = |at: Option<crate::Moment>| Cell::Own(at.map(|at| at.to_string()).unwrap_or_default());
        let cut = line.partner.as_ref();
        row([
            Cell::Text(&invoice.number),
            Cell::Text(&invoice.tenant),
            Cell::Own(line.number.to_string()),
            Cell::Text(&line.plan),
            Cell::Own(of.kind.to_owned()),
            Cell::Text(of.model),
            Cell::Own(of.unit.to_owned()),
            Cell::Text(of.price),
            Cell::Text(of.correction),
            number(of.tier.map(|tier| tier.above)),
            number(of.tier.and_then(|tier| tier.up_to)),
            time(of.time.map(|time| time.start)),
            time(of.time.map(|time| time.end)),
            Cell::Own(line.quantity.to_string()),
            some(line.unit_price.map(|price| price.price)),
            number(line.unit_price.map(|price| price.per)),
            money(line.amount),
            money(line.discount),
            money(line.net),
            money(line.tax),
            Cell::Text(cut.map_or("", |cut| &cut.partner)),
            some(cut.map(|cut| cut.platform)),
            some(cut.map(|cut| cut.payable)),
            Cell::Own(invoice.currency.to_string()),
            Cell::Own(if of.batch { "true" } else { "" }.to_owned()),
        ])
    };
    file(columns, invoice.lines.iter().map(line_row))
}

/// A credit note's lines.
pub fn note_csv(note: &CreditNote) -> String {
    let rows = note.lines.iter().map(|line| {
        let own = [line.line.to_string(), line.net.number(), line.tax.number(), note.currency.to_string()].map(Cell::Own);
        row([Cell::Text(&note.number), Cell::Text(&note.invoice), Cell::Text(&note.tenant)].into_iter().chain(own))
    });
    file("credit_note,invoice,tenant,line,net,tax,currency", rows)
}

/// A statement's lines.
pub fn statement_csv(statement: &Statement) -> String {
    let rows = statement.lines.iter().map(|line| {
        let own = [line.unit.to_string(), line.quantity.to_string(), line.gross.number(), line.platform.number(), line.payable.number()];
        let own = own.into_iter().chain([statement.currency.to_string()]).map(Cell::Own);
        row([Cell::Text(&statement.number), Cell::Text(&statement.partner), Cell::Text(&line.model)].into_iter().chain(own))
    });
    file("statement,partner,model,unit,quantity,gross,platform_share,payable,currency", rows)
}

/// What a line is for, by column.
#[derive(Default)]
struct About<'a> {
    kind: &'static str,
    model: &'a str,
    unit: &'static str,
    price: &'a str,
    correction: &'a str,
    tier: Option<crate::price::TierRange>,
    time: Option<Period>,
    batch: bool,
}

fn about(item: &Item) -> About<'_> {
    match item {
        Item::Fee { time, .. } => About { kind: "fee", time: Some(*time), ..About::default() },
        Item::Seats { time, .. } => About { kind: "seats", time: Some(*time), ..About::default() },
        Item::Trial { time } => About { kind: "trial", time: Some(*time), ..About::default() },
        Item::Included { model, unit } => About { kind: "included", model, unit: unit.name(), ..About::default() },
        Item::NotCharged { model, unit } => About { kind: "not_charged", model, unit: unit.name(), ..About::default() },
        Item::Usage { model, unit, price, correction, tier, batch } => {
            let correction = correction.as_deref().unwrap_or_default();
            About { kind: "usage", model, unit: unit.name(), price, correction, tier: *tier, time: None, batch: *batch }
        }
        Item::Minimum => About { kind: "minimum", ..About::default() },
    }
}

fn file(columns: &str, rows: impl Iterator<Item = String>) -> String {
    std::iter::once(format!("{columns}\r\n")).chain(rows).collect()
}

fn row<'a>(cells: impl IntoIterator<Item = Cell<'a>>) -> String {
    let cells: Vec<_> = cells.into_iter().map(quoted).collect();
    format!("{}\r\n", cells.join(","))
}

fn quoted(cell: Cell<'_>) -> String {
    let text = match cell {
        Cell::Own(text) => return text,
        // A spreadsheet would take such a text for a formula and run it.
        Cell::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Cell::Text(text) => text.to_owned(),
    };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
