//! A bank's file of payments: CSV as RFC 4180 has it, and what its lines say.

use std::collections::HashMap;

/// The columns, in this order.
const HEADER: [&str; 5] = ["id", "date", "amount", "currency", "reference"];

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paid {
    pub(super) id: String,
    /// As it is written: a decimal number.
    pub(super) amount: String,
    pub(super) currency: String,
    /// The number of the invoice that the reference names.
    pub(super) invoice: String,
}

/// A line, by its number in the file, and what it says or why that is nothing.
pub(super) type Line = (usize, Result<Paid, String>);

/// What a file says.
///
/// Error: it is no such file.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Line>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "must be UTF-8".to_owned())?;
    let mut records = records(text.strip_prefix('\u{feff}').unwrap_or(text)).into_iter();
    let header = records.next().and_then(|(_, record)| record.ok()).unwrap_or_default();
    if !header.iter().map(|name| name.trim()).eq(HEADER) {
        return Err(format!("the first line must be {}", HEADER.join(",")));
    }
    let mut seen = HashMap::new();
    let line = |(number, record): (usize, Result<Vec<String>, String>)| {
        let paid = record.and_then(|record| paid(&record)).and_then(|paid| match seen.insert(paid.id.clone(), number) {
            Some(other) => Err(format!("id: {} is that of line {other}, too", paid.id)),
            None => Ok(paid),
        });
        (number, paid)
    };
    Ok(records.map(line).collect())
}

/// The fields of each record, by the number of the line that it begins on. Lines with nothing on them are none.
fn records(text: &str) -> Vec<(usize, Result<Vec<String>, String>)> {
    let (mut all, mut rest, mut number) = (Vec::new(), text, 1);
    while !rest.is_empty() {
        let (record, length) = record(rest);
        let (whole, next) = rest.split_at(length);
        if !whole.trim().is_empty() {
            all.push((number, record));
        }
        number += whole.matches('\n').count();
        rest = next;
    }
    all
}

/// The first record of a text, and how long it is with the end of its line.
fn record(text: &str) -> (Result<Vec<String>, String>, usize) {
    let (mut fields, mut field, mut quoted, mut was_quoted) = (Vec::new(), String::new(), false, false);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if quoted && chars.next_if(|(_, next)| *next == '"').is_some() => field.push('"'),
            '"' if quoted => quoted = false,
            '"' if field.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            _ if quoted => field.push(c),
            ',' => {
                fields.push(std::mem::take(&mut field));
                was_quoted = false;
            }
            '\n' => {
                fields.push(field);
                return (Ok(fields), at + 1);
            }
            '\r' if chars.peek().is_none_or(|(_, next)| *next == '\n') => {}
            _ if c == '"' || was_quoted => {
                let end = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
                return (Err("a field in quotes must have them around all of it, and twice within".to_owned()), end);
            }
            _ => field.push(c),
        }
    }
    if quoted {
        // Up to the end of its first line only: what follows may be good.
        let end = text.find('\n').map_or(text.len(), |end| end + 1);
        return (Err("a quote is not closed".to_owned()), end);
    }
    fields.push(field);
    (Ok(fields), text.len())
}

fn paid(record: &[String]) -> Result<Paid, String> {
    let fields: Vec<&str> = record.iter().map(|field| field.trim()).collect();
    let [id, date, amount, currency, reference] = fields[..] else {
        return Err(format!("must have {} fields, and has {}", HEADER.len(), fields.len()));
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !(1..=64).contains(&id.len()) || !id.chars().all(good) {
        return Err("id: must have 1 to 64 letters, digits, '.', '_' and '-'".to_owned());
    }
    if date.len() != 10 || humantime::parse_rfc3339(&format!("{date}T00:00:00Z")).is_err() {
        return Err("date: must be a day such as 2026-11-26".to_owned());
    }
    check_amount(amount)?;
    if currency.len() != 3 || !currency.chars().all(|c| c.is_ascii_uppercase()) {
        return Err("currency: must be a code such as EUR".to_owned());
    }
    let [id, amount, currency] = [id, amount, currency].map(str::to_owned);
    Ok(Paid { id, amount, currency, invoice: invoice(reference)? })
}

fn check_amount(amount: &str) -> Result<(), String> {
    if amount.starts_with('-') {
        return Err("amount: is less than 0; what went back is written down by `meshctl accounts payment --refund`".to_owned());
    }
    let (whole, part) = amount.split_once('.').unwrap_or((amount, "0"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(part) {
        return Err("amount: must be a number such as 38.84".to_owned());
    }
    if amount.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
        return Err("amount: must be more than 0".to_owned());
    }
    Ok(())
}

/// The number of the one invoice that a text names, such as `INV-000001`, in whatever case.
fn invoice(reference: &str) -> Result<String, String> {
    let words = reference.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').map(|word| word.trim_matches('-').to_ascii_uppercase());
    let is_number = |word: &String| {
        word.strip_prefix("INV-").is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut numbers: Vec<String> = words.filter(is_number).collect();
    numbers.dedup();
    match numbers.len() {
        0 => Err("reference: names no invoice, such as INV-000001".to_owned()),
        1 => Ok(numbers.remove(0)),
        _ => Err(format!("reference: names more than one invoice: {}", numbers.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(lines: &str) -> Vec<Line> {
        read(format!("id,date,amount,currency,reference\n{lines}").as_bytes()).unwrap()
    }

    fn why(line: &str) -> String {
        of(line).remove(0).1.unwrap_err()
    }

    #[test]
    fn a_line_is_a_payment_of_the_invoice_that_its_reference_names() {
        let text = "\u{feff}id,date,amount,currency,reference\r\nb-1,2026-07-02,30.00,EUR,\"Acme, \"\"June\"\"\ninv-000001.\"\r\n\r\nb-2,2026-07-03,5,EUR,INV-000002 INV-000002";
        let paid = |id: &str, amount: &str, invoice: &str| {
            Ok(Paid { id: id.to_owned(), amount: amount.to_owned(), currency: "EUR".to_owned(), invoice: invoice.to_owned() })
        };
        assert_eq!(read(text.as_bytes()).unwrap(), [(2, paid("b-1", "30.00", "INV-000001")), (5, paid("b-2", "5", "INV-000002"))]);
    }

    #[test]
    fn what_is_no_payment_is_told_why() {
        for (line, wanted) in [
            ("b-1,2026-07-02,30.00,EUR", "5 fields, and has 4"),
            ("b 1,2026-07-02,30.00,EUR,INV-000001", "id:"),
            (",2026-07-02,30.00,EUR,INV-000001", "id:"),
            ("b-1,02.07.2026,30.00,EUR,INV-000001", "date:"),
            ("b-1,2026-02-30,30.00,EUR,INV-000001", "date:"),
            ("b-1,2026-07-02,\"30,00\",EUR,INV-000001", "amount: must be a number"),
            ("b-1,2026-07-02,-30.00,EUR,INV-000001", "less than 0"),
            ("b-1,2026-07-02,0.00,EUR,INV-000001", "more than 0"),
            ("b-1,2026-07-02,1e3,EUR,INV-000001", "amount:"),
            ("b-1,2026-07-02,30.00,eur,INV-000001", "currency:"),
            ("b-1,2026-07-02,30.00,EUR,thanks", "names no invoice"),
            ("b-1,2026-07-02,30.00,EUR,XINV-000001", "names no invoice"),
            ("b-1,2026-07-02,30.00,EUR,INV-000001 and INV-000002", "more than one"),
            ("b-1,2026-07-02,30.00,EUR,\"INV-000001\"x", "quotes"),
            ("b-1,2026-07-02,30.00,EUR,\"INV-000001", "not closed"),
        ] {
            assert!(why(line).contains(wanted), "{line}: {}", why(line));
        }
    }

    #[test]
    fn a_line_that_is_wrong_takes_no_other_one_along() {
        let good = "b-2,2026-07-02,1.00,EUR,INV-000001";
        for bad in ["b-1,2026-07-02,30.00,EUR,\"INV-000001", "b-1,\"x\"y,30.00,EUR,INV-000001", "nothing"] {
            let lines = of(&format!("{bad}\n{good}\n"));
            assert_eq!((lines.len(), lines[0].1.is_err(), lines[1].0, lines[1].1.is_ok()), (2, true, 3, true), "{bad}");
        }
    }

    #[test]
    fn the_same_id_twice_is_one_payment_and_a_mistake() {
        let line = "b-1,2026-07-02,1.00,EUR,INV-000001\n";
        let lines = of(&line.repeat(2));
        assert!(lines[0].1.is_ok() && lines[1].1.as_ref().is_err_and(|why| why.contains("line 2")));
    }

    #[test]
    fn another_header_or_another_encoding_is_no_such_file() {
        for text in ["", "id,amount\n", "id;date;amount;currency;reference\n", "b-1,2026-07-02,30.00,EUR,INV-000001\n"] {
            assert!(read(text.as_bytes()).unwrap_err().contains("first line"), "{text}");
        }
        assert!(read(b"\xff\xfe").unwrap_err().contains("UTF-8"));
    }

    proptest! {
        #[test]
        fn whatever_a_file_has_in_it_is_read_to_its_end(text in "[a-c\",\r\n -]{0,60}") {
            let lines = of(&text);
            prop_assert!(lines.iter().all(|(number, _)| (2..=text.lines().count() + 2).contains(number)));
        }

        #[test]
        fn what_was_quoted_comes_out_as_it_was(field in "[a-c\",\r\n ]{0,20}") {
            let (record, length) = record(&format!("x,\"{}\",y\nz", field.replace('"', "\"\"")));
            prop_assert_eq!(record.unwrap(), ["x".to_owned(), field.clone(), "y".to_owned()]);
            prop_assert_eq!(length, field.replace('"', "\"\"").len() + 7);
        }
    }
}
