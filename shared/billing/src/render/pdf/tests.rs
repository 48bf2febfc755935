use proptest::prelude::*;

use super::*;

fn page(description: &str, rows: usize) -> Page {
    Page {
        title: "Invoice 1".into(),
        facts: vec![("Number", "1".into())],
        columns: vec![("Line", true), ("Description", false), ("Amount", true)],
        rows: (0..rows).map(|row| vec![row.to_string(), description.into(), "1.00 EUR".into()]).collect(),
        sums: vec![("Total".into(), "3.00 EUR".into())],
    }
}

fn count(pdf: &[u8], what: &str) -> usize {
    pdf.windows(what.len()).filter(|part| *part == what.as_bytes()).count()
}

#[test]
fn a_document_is_the_same_bytes_each_time() {
    let look = Look { issuer: "Müller & Söhne\nStraße 1", note: "Pay – please.", ..Look::default() };
    let made = write(&page("bert: items", 3), &look).unwrap();
    assert!(made.starts_with(b"%PDF-1.") && made.ends_with(b"%%EOF"));
    assert_eq!(made, write(&page("bert: items", 3), &look).unwrap());
    assert_eq!((count(&made, "(bert: items) Tj"), count(&made, "/Type /Page\n"), count(&made, "(1 / 1) Tj")), (3, 1, 1));
}

#[test]
fn many_lines_go_over_many_sheets_each_with_the_head_of_the_table() {
    let made = write(&page("bert: items", 200), &Look::default()).unwrap();
    let sheets = count(&made, "/Type /Page\n");
    assert!(sheets > 2);
    assert_eq!((count(&made, "(bert: items) Tj"), count(&made, "(Description) Tj")), (200, sheets));
}

#[test]
fn letters_that_are_not_there_are_refused_and_not_left_out() {
    assert!(matches!(write(&page("模型", 1), &Look::default()), Err(BillingError::NotLatin(text)) if text == "模型"));
    let chinese = Look { language: crate::render::Language::Chinese, issuer: "x", ..Look::default() };
    assert!(write(&page("m", 1), &chinese).is_err());
}

proptest! {
    #[test]
    fn what_is_wrapped_is_all_there_and_no_wider_than_it_may_be(text in "[a-zA-Z ]{0,120}", most in 20.0_f32..300.0) {
        let bytes = latin(&text).unwrap();
        let parts = wrap(&bytes, 8.0, most);
        prop_assert!(parts.iter().all(|part| width::of(part, 8.0, true) <= most * 1.0001));
        let squeezed = |text: &[u8]| text.iter().copied().filter(|byte| *byte != b' ').collect::<Vec<_>>();
        prop_assert_eq!(squeezed(&parts.concat()), squeezed(&bytes));
    }

    #[test]
    fn any_text_becomes_a_document_or_is_refused(text in "\\PC{0,300}", wide in "[W-Z]{0,400}") {
        let look = Look { issuer: &text, ..Look::default() };
        let _ = write(&page(&text, 2), &look);
        prop_assert!(write(&page(&wide, 2), &Look::default()).is_ok());
    }
}
