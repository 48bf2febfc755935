use proptest::prelude::*;

use super::*;

fn problems(text: &str) -> Vec<String> {
    read(text)
        .err()
        .map(|found| found.0.into_iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect())
        .unwrap_or_default()
}

const WRONG: &str = r#"
        currency = "EURO"
        [[price]]
        id = "a"
        model = "a*b"
        from = "2026-02-30"
        rate = [{ unit = "token", price = "1.00 EUR" }, { unit = "calls", per = 0, price = "1 EUR" }, { unit = "items", tiers = [{ price = "-1 EUR" }] }]
        [[correction]]
        id = "c"
        price = "nothing"
        known = 2026-02-01
        [[plan]]
        id = "p"
        kind = "gift"
        list = "none"
        [[plan]]
        id = "f"
        kind = "freemium"
        beyond = "cry"
        colour = "red"
        [[plan]]
        id = "s"
        kind = "subscription"
        fee = "1.001 EUR"
        included = [{ units = ["tok"], quantity = "many" }]
        [[coupon]]
        code = "X"
        share = "20%"
        amount = "1.00 EUR"
        periods = 0
        [[partner]]
        id = "x"
        models = []
        terms = [{ from = "2026-01-01", plan = "p" }]
        "#;

const PLACES: [&str; 20] = [
    "currency: \"EURO\" is no currency",
    "price[0].model: \"a*b\" names no models",
    "price[0].from: must be a time",
    "price[0].rate[0].unit: \"token\" is no unit",
    "price[0].rate[1].per: per must be at least 1",
    "price[0].rate[2].tiers[0].price: must not be less than 0",
    "price[0].rate[2].mode: must be \"graduated\"",
    "correction[0].price: there is no price \"nothing\"",
    "plan[0].kind: must be \"subscription\"",
    "plan[0].list: there is no [[price]] in the list \"none\"",
    "plan[1].free: must have at least one",
    "plan[1].beyond: must be \"stop\" or \"charge\"",
    "plan[1].colour: is not a setting here",
    "plan[2].fee: 1.001 EUR has a part of the currency's smallest unit",
    "plan[2].included[0].units: \"tok\" is no unit",
    "plan[2].included[0].quantity: must be a whole number",
    "coupon[0].share: say one of share",
    "coupon[0].periods: must be at least 1",
    "partner[0].models: must name at least one",
    "partner[0].terms[0].plan: there is no plan \"p\" of the kind \"partner\"",
];

#[test]
fn every_mistake_is_named_with_its_place() {
    let found = problems(WRONG);
    for place in PLACES {
        assert!(found.iter().any(|problem| problem.starts_with(place)), "{place:?} is not among {found:#?}");
    }
}

#[test]
fn a_share_for_batches_is_read_and_a_wrong_one_is_named_with_the_remedy() {
    let price = |batch: &str, rate: &str| format!("[[price]]\nid='a'\nmodel='*'\nfrom='2026-01-01'\nbatch='{batch}'\nrate=[{rate}]\n");
    let (rate, odd) = ("{unit='calls',price='0.15'}", "{unit='calls',per=9000000000000000000,price='0.000000000001'}");
    let of = |text: &str| read(&format!("currency='EUR'\n{text}"));
    let read = of(&price("50%", rate)).unwrap();
    assert_eq!(read.prices.versions().next().unwrap().batch.map(|share| share.to_string()).as_deref(), Some("50%"));
    let said = |text: &str| of(text).unwrap_err().to_string();
    assert!(said(&price("half", rate)).contains("price[0].batch: \"half\" is no share; write one from \"0%\" to \"100%\""));
    let told = said(&price("0.1%", odd));
    assert!(
        told.contains("price[0].batch: 0.1% of what calls cost by \"a\" cannot be said exactly; give that price fewer digits"),
        "{told}"
    );
    let correction = format!("[[correction]]\nid='c'\nprice='a'\nknown='2026-02-01'\nrate=[{odd}]\n");
    let told = said(&(price("0.1%", rate) + &correction));
    assert!(told.contains("correction[0].rate: 0.1% of what calls cost by \"c\" cannot be said exactly"), "{told}");
    let told = said(&(price("0.1%", rate) + &correction.replace("rate=", "batch='50%'\nrate=")));
    assert!(told.contains("correction[0].batch: is not a setting here"), "{told}");
}

#[test]
fn what_is_there_twice_is_a_mistake() {
    let price = "[[price]]\nid='a'\nmodel='*'\nfrom='2026-01-01'\nrate=[{unit='calls',price='1'},{unit='calls',price='2'}]\n";
    let other = "[[price]]\nid='b'\nmodel='*'\nfrom='2026-01-01'\n";
    let plan = "[[plan]]\nid='p'\nkind='pay_per_use'\n";
    let coupon = "[[coupon]]\ncode='C'\nshare='5%'\n";
    let found = problems(&format!("currency='EUR'\n{price}{other}{plan}{plan}{coupon}{coupon}")).join("\n");
    for place in [
        "price[0].rate[1].unit: calls has a price already",
        "price[1].id: \"b\" has",
        "plan[1].id: \"p\" is there twice",
        "coupon[1].code: ",
    ] {
        assert!(found.contains(place), "{place:?} is not in {found}");
    }
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    assert!(problems("currency = = 1")[0].starts_with("the file: TOML parse error at line 1"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}", value in "[0-9A-Za-z.*%\"' -]{0,20}") {
        let _ = read(&text);
        let _ = read(&format!("currency='EUR'\n[[price]]\nid='a'\nmodel='*'\nfrom='2026-01-01'\nrate=[{{unit='calls',price='{value}'}}]"));
        let _ = read(&format!("currency='EUR'\n[[coupon]]\ncode='a'\nshare={value}\n[[plan]]\nid=1\nkind='bundle'\nseat='{value}'\nincluded=[{value}]"));
    }
}
