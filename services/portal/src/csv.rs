//! Tables for spreadsheets.

/// Lines of RFC 4180. What a spreadsheet would take for a formula has an apostrophe put before it.
pub fn lines(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row.iter().map(|value| cell(value)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn cell(value: &str) -> String {
    let is_number = value.parse::<f64>().is_ok();
    let is_formula = !is_number && value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let value = if is_formula { format!("'{value}") } else { value.to_owned() };
    if value.contains([',', '"', '\r', '\n']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_neither_two_cells_nor_a_formula() {
        let text = lines([
            vec!["a,b".to_owned(), "say \"x\"".to_owned(), "-5".to_owned()],
            vec!["=1+1".to_owned(), "@x".to_owned(), "two\nlines".to_owned()],
        ]);
        assert_eq!(text, "\"a,b\",\"say \"\"x\"\"\",-5\r\n'=1+1,'@x,\"two\nlines\"\r\n");
    }
}
