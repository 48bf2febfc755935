mod kinds;

use proptest::prelude::*;

use super::*;

fn all() -> Kinds {
    Kind::ALL.into_iter().collect()
}

/// The values of one kind in a text.
fn found(kind: Kind, text: &str) -> Vec<&str> {
    Finder::new(text, [kind].into_iter().collect()).map(|found| &text[found.range]).collect()
}

/// Text of what values are made of, so that many nearly are.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[0-9]{1,5}",
        "[-+.@ /():_%']",
        "[a-zA-Zé日]{1,3}",
        Just("ada@example.org".to_owned()),
        Just("4111111111111111".to_owned()),
        Just("+49 30 1234567".to_owned()),
        Just("DE89 3704 0044 0532 0130 00".to_owned()),
        Just("536-22-1234".to_owned()),
        Just("2001:db8::1".to_owned()),
        Just("11010519491231002X".to_owned()),
        Just("\u{a0}".to_owned()),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn values_are_in_order_and_never_within_a_character(text in prop_oneof![any::<String>(), nearly()]) {
        let mut last = 0;
        for found in Finder::new(&text, all()) {
            prop_assert!(last <= found.range.start && found.range.start < found.range.end);
            prop_assert!(text.get(found.range.clone()).is_some());
            last = found.range.end;
        }
    }

    #[test]
    fn what_has_neither_digits_nor_an_at_has_none(text in "[^0-9@:]*") {
        prop_assert_eq!(Finder::new(&text, all()).next(), None);
    }

    #[test]
    fn a_value_is_found_wherever_it_stands_alone(before in "[a-z ,;]{0,8}", after in "[ ,;)]?") {
        for (kind, value) in [
            (Kind::Email, "ada@example.org"), (Kind::Phone, "+49 30 1234567"), (Kind::Card, "4111 1111 1111 1111"), (Kind::Iban, "DE89370400440532013000"),
            (Kind::UsSsn, "536-22-1234"), (Kind::CnId, "11010519491231002X"), (Kind::BrCpf, "529.982.247-25"), (Kind::Ip, "203.0.113.7"),
        ] {
            let text = format!("{before} {value}{after}");
            prop_assert_eq!(found(kind, &text), [value]);
        }
    }
}

#[test]
fn the_work_is_the_lengths_times_a_constant_whatever_the_text() {
    const LENGTH: usize = 1 << 20;
    for piece in [
        "1",
        "a",
        "@",
        "a@",
        "a@a",
        "a@b.",
        "1 ",
        "12-",
        "1.1.",
        "+1",
        "+49 ",
        "(1) ",
        "a:",
        "::",
        "1:",
        "4111 ",
        "DE89 ",
        "DE89",
        ".a@",
        "-",
        "é@é",
        "a@a.aa",
        "f",
        "01 ",
        "415-555-2671-",
        "4111111111111111",
        "xn--",
        "%'+-._",
    ] {
        let text = piece.repeat(LENGTH / piece.len());
        let mut finder = Finder::new(&text, all());
        finder.by_ref().for_each(drop);
        assert!(finder.looks() <= 100 * LENGTH, "{piece:?}: {} looks for each byte", finder.looks() / LENGTH);
    }
}
