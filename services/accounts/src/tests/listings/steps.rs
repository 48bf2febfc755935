//! How listings go on, and two who change one at once.

use super::{DAY, Market, NOW, content, member};
use crate::{
    access::{Asker, Role},
    changes,
    error::Refusal,
    listings::{self, Filter, State, Step, Version},
    page::Page,
};

#[tokio::test]
async fn a_provider_writes_and_submits_and_an_operator_publishes_what_they_have_read() {
    let market = Market::open().await;
    let draft = market.create(&market.owner(), "labs-7b", "", None).await.unwrap();
    let submitted = market.step(&market.owner(), "labs-7b", Step::Publish).await.unwrap();
    assert_eq!((submitted.standing.state, submitted.standing.submitted_ms), (State::Draft, Some(NOW)));
    assert!(submitted.revision > draft.revision);
    let changed = market.change(&market.owner(), "labs-7b", submitted.revision, "Something else.").await.unwrap();
    let publish = async |revision| listings::step(&market.store, &Asker::Operator, ("labs-7b", revision), Step::Publish, "", NOW).await;
    assert!(matches!(publish(submitted.revision).await, Err(Refusal::Stale(_))), "what was read is not what it says now");
    let published = publish(changed.revision).await.unwrap();
    assert_eq!((published.standing.state, published.standing.submitted_ms), (State::Published, None));
    assert!(matches!(publish(0).await, Err(Refusal::State(_))));
    let gone = listings::delete(&market.store, &Asker::Operator, ("labs-7b", 0), NOW).await;
    assert!(matches!(gone, Err(Refusal::State(_))), "what was published is not removed");
    let written = changes::list(&market.store, Some(&market.labs), &Page::of(100, "").unwrap()).await.unwrap();
    let what: Vec<_> = written.iter().map(|change| (&*change.what, &*change.actor)).collect();
    assert_eq!(
        what[..4],
        [
            ("listing published", "operator"),
            ("listing changed", "member:m"),
            ("listing submitted", "member:m"),
            ("listing created", "member:m")
        ]
    );
}

#[tokio::test]
async fn of_two_editors_at_once_one_is_told_to_read_again_and_nothing_is_lost() {
    let market = Market::open().await;
    let read = market.published("labs-7b", "labs", &[]).await;
    let (owner, admin) = (market.owner(), member(&market.labs, Role::Admin));
    let (one, other) = tokio::join!(
        market.change(&owner, "labs-7b", read.revision, "The owner's."),
        market.change(&admin, "labs-7b", read.revision, "The admin's.")
    );
    let refused = if one.is_ok() { &other } else { &one };
    assert!(one.is_ok() != other.is_ok() && matches!(refused, Err(Refusal::Stale(_))), "{one:?} {other:?}");
    let kept = one.or(other).unwrap();
    assert_eq!(market.find(&owner, "labs-7b").await.unwrap(), kept);
    assert!(matches!(market.change(&owner, "labs-7b", 0, "whatever it is").await, Err(Refusal::Invalid(_))));
}

#[tokio::test]
async fn a_change_takes_the_place_of_all_that_was_said() {
    let market = Market::open().await;
    let read = market.published("labs-7b", "labs", &[]).await;
    let version =
        |version: &str, days: i64| Version { version: version.to_owned(), day_ms: NOW - NOW % DAY + days * DAY, text: "new".to_owned() };
    let mut said = content("Better.");
    said.versions = vec![version("1", 0), version("2", 1)];
    said.texts.push(listings::Text { language: "zh".to_owned(), summary: "更好。".to_owned(), ..listings::Text::default() });
    let changed = listings::change(&market.store, &market.owner(), ("labs-7b", read.revision), &said, None, NOW).await.unwrap();
    assert_eq!(changed.content.versions.iter().map(|one| &*one.version).collect::<Vec<_>>(), ["2", "1"], "the newest first");
    assert_eq!(changed.content.texts, said.texts);
    let less = market.change(&market.owner(), "labs-7b", changed.revision, "Less.").await.unwrap();
    assert!(less.content.versions.is_empty() && less.content.texts.len() == 1);
}

#[tokio::test]
async fn a_model_is_retired_when_its_day_has_come_and_then_it_is_in_no_list() {
    let market = Market::open().await;
    market.published("labs-7b", "labs", &[]).await;
    for (days, by) in [(29, market.owner()), (0, Asker::Operator), (-1, Asker::Operator), (4000, Asker::Operator)] {
        assert!(matches!(market.deprecate(&by, "labs-7b", days, "").await, Err(Refusal::Invalid(_))), "in {days} days, by {by:?}");
    }
    market.deprecate(&market.owner(), "labs-7b", 40, "").await.unwrap();
    assert!(matches!(market.deprecate(&market.owner(), "labs-7b", 39, "").await, Err(Refusal::Invalid(_))), "a promise is kept");
    market.deprecate(&market.owner(), "labs-7b", 41, "").await.unwrap();
    assert!(matches!(market.step(&market.owner(), "labs-7b", Step::Retire).await, Err(Refusal::Denied(_))));
    listings::look(&market.store, NOW + 41 * DAY - 1).await.unwrap();
    let state = async || market.find(&Asker::Anybody, "labs-7b").await.unwrap().standing;
    assert_eq!(state().await.state, State::Deprecated);
    listings::look(&market.store, NOW + 41 * DAY).await.unwrap();
    assert_eq!((state().await.state, state().await.retires_ms), (State::Retired, Some(NOW + 41 * DAY)));
    assert!(market.names(&Asker::Anybody, Filter::default()).await.is_empty());
    let asked_for = Filter { state: Some(State::Retired), ..Filter::default() };
    assert_eq!(market.names(&Asker::Anybody, asked_for).await, ["labs-7b"]);
    let read = market.find(&Asker::Operator, "labs-7b").await.unwrap();
    assert!(matches!(market.change(&Asker::Operator, "labs-7b", read.revision, "again").await, Err(Refusal::State(_))));
}
