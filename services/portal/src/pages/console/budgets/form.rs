//! `/console/budgets/{name}`: what a budget is, to be changed.

use axum::{extract::Path, response::Response};
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{Budget, Money, SetBudgetRequest};

use super::{
    find,
    parts::{self, Field},
    path, set,
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    pages::{Page, Place, see_other},
    visit::{Person, Visit},
};

/// What is in the form.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) name: String,
    limit: String,
    thresholds: String,
}

impl Filled {
    /// As it was typed.
    pub(super) fn typed(sent: &Sent, name: &str) -> Self {
        Self { name: name.to_owned(), limit: sent.text("limit").to_owned(), thresholds: sent.text("thresholds").to_owned() }
    }

    fn kept(budget: &Budget) -> Self {
        let thresholds = budget.thresholds.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        Self { name: budget.name.clone(), limit: budget.limit.clone().unwrap_or_default().amount, thresholds }
    }

    /// As the accounts are asked for it, in the currency that everything is billed in.
    pub(super) fn asked(&self, visit: &Visit) -> Answer<SetBudgetRequest> {
        let thresholds = percents(&self.thresholds);
        let thresholds = thresholds.ok_or_else(|| Fail::new(StatusCode::BAD_REQUEST).saying(visit.say("budgets.thresholds_wrong")))?;
        let limit = Some(Money { amount: self.limit.clone(), currency: String::new() });
        Ok(SetBudgetRequest { name: self.name.clone(), limit, thresholds, ..Default::default() })
    }
}

/// Whole percents with commas or blanks between; nothing, where one is none.
fn percents(text: &str) -> Option<Vec<u32>> {
    let words = text.split([',', ' ', '，']).map(|word| word.trim_end_matches(['%', '％'])).filter(|word| !word.is_empty());
    words.map(|word| word.parse().ok()).collect()
}

/// The form; of a new one with its name.
pub(super) fn shown(visit: &Visit, action: &str, filled: &Filled, is_new: bool) -> Markup {
    let limit = Field { inputmode: "decimal", ..Field::text("limit", visit.say("budgets.limit"), &filled.limit) };
    html! {
        form method="post" action=(action) {
            (parts::csrf(visit))
            @if is_new { (Field::text("name", visit.say("keys.name"), &filled.name).hint(visit.say("budgets.name_hint")).show()) }
            (limit.hint(visit.say("budgets.limit_hint")).show())
            (Field::text("thresholds", visit.say("budgets.thresholds"), &filled.thresholds).optional().hint(visit.say("budgets.thresholds_hint")).show())
            div.actions {
                button.primary type="submit" { (visit.say("budgets.set")) }
                @if !is_new { a.button href="/console/budgets" { (visit.say("form.cancel")) } }
            }
        }
    }
}

/// The page of one.
pub async fn show(visit: Visit, person: Person, Path(name): Path<String>) -> Answer {
    let budget = find(&visit, &person, &name).await?;
    Ok(page(&visit, &Filled::kept(&budget), None))
}

fn page(visit: &Visit, filled: &Filled, fail: Option<&Fail>) -> Response {
    let body = html! {
        p.crumb { a href="/console/budgets" { (visit.say("budgets.title")) } }
        section.form {
            h1 { (filled.name) }
            (parts::wrong(visit, fail))
            (shown(visit, &path(&filled.name), filled, false))
        }
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Budgets, &filled.name, body).status(status).answer(visit)
}

/// Changes one that there is.
pub async fn change(visit: Visit, person: Person, Path(name): Path<String>, sent: Sent) -> Answer {
    let budget = find(&visit, &person, &name).await?;
    let filled = Filled::typed(&sent, &budget.name);
    match set(&visit, &person, &filled).await {
        Ok(()) => Ok(see_other("/console/budgets?told=budget")),
        Err(fail) if fail.is_about_the_form() => Ok(page(&visit, &filled, Some(&fail))),
        Err(fail) => Err(fail),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_percent_is_no_threshold() {
        assert_eq!((percents("80%, 100"), percents("50，90％"), percents(" ")), (Some(vec![80, 100]), Some(vec![50, 90]), Some(vec![])));
        for wrong in ["most", "-5", "80.5", "80; 100", "99999999999"] {
            assert_eq!(percents(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_the_form_shows_is_read_as_it_was(thresholds in prop::collection::vec(any::<u32>(), 0..20)) {
            let filled = Filled::kept(&Budget { thresholds: thresholds.clone(), ..Default::default() });
            prop_assert_eq!(percents(&filled.thresholds), Some(thresholds));
        }
    }
}
