//! `/console/statements`: what a partner's models brought in, month by month.

use axum::extract::Path;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{
    DocumentFormat, GetBalanceRequest, GetStatementRequest, GetStatementResponse, ListStatementsRequest, Statement,
};

use super::{
    super::{Page, Place, encoded, parts},
    billing::{amount, money, period},
    invoices::{attachment, downloads, format_of, language},
};
use crate::{
    fail::{Answer, Fail, where_on},
    figures::{self, DAY_MS},
    visit::{Person, Visit},
};

/// As many months as are shown.
const SHOWN: i32 = 24;

fn path(number: &str) -> String {
    format!("/console/statements/{}", encoded(number))
}

/// The list.
pub async fn list(visit: Visit, person: Person) -> Answer {
    let accounts = &visit.app().accounts;
    let (mut billing, mut balance) = (accounts.billing(person.token()), accounts.billing(person.token()));
    let (told, balance) = tokio::join!(
        billing.list_statements(accounts.ask(ListStatementsRequest { page_size: SHOWN, ..Default::default() })),
        balance.get_balance(accounts.ask(GetBalanceRequest::default())),
    );
    let statements = where_on(told.map(|told| told.into_inner().statements))?;
    let payable = where_on(balance)?.and_then(|told| told.into_inner().partner_payable);
    let title = visit.say("statements.title");
    let body = html! {
        p.crumb { a href="/console/billing" { (visit.say("billing.title")) } }
        (parts::head(title, visit.say("statements.lead"), html! {}))
        @match statements.as_deref() {
            None => (parts::empty(visit.say("billing.free"), html! {})),
            Some([]) => (parts::empty(visit.say("statements.none"), html! {})),
            Some(statements) => {
                @if let Some(payable) = money(payable.as_ref()) { dl.tiles { div.tile { dt { (visit.say("statements.payable")) } dd { (payable) } } } }
                (table(&visit, statements))
            }
        }
    };
    Ok(Page::new(Place::Billing, title, body).answer(&visit))
}

const SUMS: [&str; 4] = ["statements.opening", "statements.earned", "statements.paid", "statements.closing"];

fn sums(statement: &Statement) -> [&str; 4] {
    [&statement.opening, &statement.earned, &statement.paid, &statement.closing]
}

fn table(visit: &Visit, statements: &[Statement]) -> Markup {
    parts::scroll(
        visit.say("statements.title"),
        html! {
            table {
                thead { tr {
                    @for head in ["billing.number", "billing.period"] { th scope="col" { (visit.say(head)) } }
                    @for head in SUMS { th.number scope="col" { (visit.say(head)) } }
                } }
                tbody {
                    @for statement in statements {
                        tr {
                            th.mono scope="row" { a href=(path(&statement.number)) { (statement.number) } }
                            td { (period(statement.period.as_ref())) }
                            @for sum in sums(statement) { td.number { (amount(sum, &statement.currency)) } }
                        }
                    }
                }
            }
        },
    )
}

/// The moment that the month of a number such as `ST-labs-2026-11` begins; nothing, where it has none that has begun.
fn month(number: &str, now: i64) -> Option<i64> {
    let day = format!("{}-01", number.get(number.len().checked_sub(7)?..)?);
    let begin = figures::end_of_day(&day)? - DAY_MS;
    (figures::day(begin) == day && (1..=now).contains(&begin)).then_some(begin)
}

/// The statement of a number, which has to be the member's own tenant's: a month alone is everybody's.
async fn get(visit: &Visit, person: &Person, number: &str, format: DocumentFormat) -> Answer<(Statement, GetStatementResponse)> {
    let month_unix_ms = month(number, figures::now_ms()).ok_or_else(Fail::absent)?;
    let accounts = &visit.app().accounts;
    let asked = GetStatementRequest { month_unix_ms, format: format.into(), language: language(visit, format), ..Default::default() };
    let mut told =
        where_on(accounts.billing(person.token()).get_statement(accounts.ask(asked)).await)?.ok_or_else(Fail::absent)?.into_inner();
    let statement = told.statement.take().filter(|statement| statement.number == number).ok_or_else(Fail::absent)?;
    Ok((statement, told))
}

/// One of them.
pub async fn show(visit: Visit, person: Person, Path(number): Path<String>) -> Answer {
    let (statement, _) = get(&visit, &person, &number, DocumentFormat::Unspecified).await?;
    let title = visit.texts().fill("statements.one", &[("number", &statement.number)]);
    let body = html! {
        p.crumb { a href="/console/statements" { (visit.say("statements.title")) } }
        (parts::head(&title, &period(statement.period.as_ref()), downloads(&path(&statement.number))))
        dl.tiles { @for (name, sum) in SUMS.into_iter().zip(sums(&statement)) { div.tile { dt { (visit.say(name)) } dd { (amount(sum, &statement.currency)) } } } }
        section { h2 { (visit.say("billing.lines")) } (lines(&visit, &statement)) }
    };
    Ok(Page::new(Place::Billing, title, body).answer(&visit))
}

fn lines(visit: &Visit, statement: &Statement) -> Markup {
    if statement.lines.is_empty() {
        return parts::empty(visit.say("statements.nothing"), html! {});
    }
    parts::scroll(
        visit.say("billing.lines"),
        html! {
            table {
                thead { tr {
                    @for head in ["models.name", "listing.unit"] { th scope="col" { (visit.say(head)) } }
                    @for head in ["billing.quantity", "statements.gross", "statements.platform", "statements.yours"] { th.number scope="col" { (visit.say(head)) } }
                } }
                tbody {
                    @for line in &statement.lines {
                        tr {
                            th.mono scope="row" { (line.model) }
                            td { (line.unit) }
                            td.number { (figures::grouped(line.quantity)) }
                            @for sum in [&line.gross, &line.platform, &line.payable] { td.number { (sum) } }
                        }
                    }
                }
            }
        },
    )
}

/// The same as a document.
pub async fn download(visit: Visit, person: Person, Path((number, format)): Path<(String, String)>) -> Answer {
    let (_, told) = get(&visit, &person, &number, format_of(&format)?).await?;
    Ok(attachment(told.document.ok_or_else(Fail::absent)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_its_month_and_nothing_that_is_none_or_has_not_begun() {
        let now = figures::end_of_day("2026-11-26").unwrap();
        assert_eq!(month("ST-labs-2026-11", now).map(figures::day).as_deref(), Some("2026-11-01"));
        for number in
            ["", "2026", "ST-labs-2026-12", "ST-labs-2026-13", "ST-labs-1969-12", "ST-labs-026-011", "ST-labs-+026-11", "ST-labs-2026-1é"]
        {
            assert_eq!(month(number, now), None, "{number}");
        }
    }
}
