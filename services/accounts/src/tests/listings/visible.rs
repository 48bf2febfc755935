//! What somebody may not see does not exist.

use super::{Market, NOW, content, is_absent, member};
use crate::{
    access::{Asker, Role},
    error::Refusal,
    listings::{self, Audience, Filter, State, Step},
    page::Page,
};

#[tokio::test]
async fn a_draft_is_there_for_operators_and_for_owners_and_admins_of_its_provider() {
    let market = Market::open().await;
    market.create(&market.owner(), "labs-7b", "", None).await.unwrap();
    for sees in [Asker::Operator, market.owner(), member(&market.labs, Role::Admin)] {
        assert_eq!(market.find(&sees, "labs-7b").await.unwrap().standing.state, State::Draft);
    }
    let others = [Role::Developer, Role::Billing, Role::Viewer].map(|role| member(&market.labs, role));
    for asker in others.into_iter().chain([member(&market.acme, Role::Owner), Asker::Anybody]) {
        assert!(is_absent(market.find(&asker, "labs-7b").await), "{asker:?}");
        assert!(is_absent(market.change(&asker, "labs-7b", 1, "mine").await), "{asker:?}");
        assert!(is_absent(market.step(&asker, "labs-7b", Step::Publish).await), "{asker:?}");
        assert!(is_absent(market.deprecate(&asker, "labs-7b", 60, "").await), "{asker:?}");
        assert!(is_absent(market.step(&asker, "labs-7b", Step::Retire).await), "{asker:?}");
        assert!(is_absent(listings::delete(&market.store, &asker, ("labs-7b", 0), NOW).await), "{asker:?}");
        for state in [None, Some(State::Draft)] {
            assert!(market.names(&asker, Filter { state, ..Filter::default() }).await.is_empty(), "{asker:?}");
        }
        for words in ["labs", "model"] {
            assert!(market.names(&asker, Filter { words: words.to_owned(), ..Filter::default() }).await.is_empty(), "{asker:?}");
        }
    }
}

#[tokio::test]
async fn what_is_published_for_a_tenant_is_there_for_that_one_and_for_the_provider() {
    let market = Market::open().await;
    market.published("labs-7b", "labs", &["acme"]).await;
    market.published("open", "", &[]).await;
    let names = async |asker: &Asker| market.names(asker, Filter::default()).await;
    for sees in [member(&market.acme, Role::Viewer), member(&market.labs, Role::Viewer), Asker::Operator] {
        assert_eq!(names(&sees).await, ["labs-7b", "open"], "{sees:?}");
        assert!(market.find(&sees, "labs-7b").await.is_ok());
    }
    for stranger in [member(&market.bolt, Role::Owner), Asker::Anybody] {
        assert_eq!(names(&stranger).await, ["open"]);
        assert!(is_absent(market.find(&stranger, "labs-7b").await));
        assert!(is_absent(market.deprecate(&stranger, "labs-7b", 60, "").await));
        assert!(is_absent(market.change(&stranger, "labs-7b", 1, "mine").await));
    }
    let seen = member(&market.acme, Role::Owner);
    assert!(matches!(market.change(&seen, "labs-7b", 1, "mine").await, Err(Refusal::Denied(_))), "whoever sees it may not change it");
    assert!(matches!(market.deprecate(&seen, "open", 60, "").await, Err(Refusal::Denied(_))));
    assert!(matches!(market.change(&market.owner(), "open", 1, "mine").await, Err(Refusal::Denied(_))), "the platform's is nobody else's");
}

#[tokio::test]
async fn a_successor_that_somebody_may_not_see_is_none_for_them() {
    let market = Market::open().await;
    market.published("old", "", &[]).await;
    market.published("secret", "", &["acme"]).await;
    let refused = market.deprecate(&Asker::Operator, "old", 60, "old").await;
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "a model is not its own successor");
    market.deprecate(&Asker::Operator, "old", 60, "secret").await.unwrap();
    let successor = async |asker: &Asker| market.find(asker, "old").await.unwrap().successor;
    assert_eq!(successor(&member(&market.acme, Role::Viewer)).await, "secret");
    for stranger in [member(&market.bolt, Role::Owner), Asker::Anybody] {
        assert_eq!(successor(&stranger).await, "");
        let listed = listings::list(&market.store, &stranger, &Filter::default(), &Page::of(10, "").unwrap()).await.unwrap();
        assert_eq!(listed.iter().map(|listing| (&*listing.model, &*listing.successor)).collect::<Vec<_>>(), [("old", "")]);
    }
    market.published("labs-1", "labs", &[]).await;
    let refused = market.deprecate(&market.owner(), "labs-1", 60, "secret").await;
    assert_eq!(refused, market.deprecate(&market.owner(), "labs-1", 60, "nothing").await, "as what does not exist");
    assert!(matches!(refused, Err(Refusal::Invalid(_))));
}

#[tokio::test]
async fn nobody_takes_the_name_of_somebody_elses_model_and_operators_say_who_sees_what() {
    let market = Market::open().await;
    for (asker, model) in [
        (market.owner(), "smollm2"),
        (member(&market.acme, Role::Owner), "labs-7b"),
        (member(&market.labs, Role::Developer), "labs-7b"),
        (Asker::Anybody, "labs-7b"),
    ] {
        assert!(matches!(market.create(&asker, model, "", None).await, Err(Refusal::Denied(_))), "{asker:?} {model}");
    }
    assert!(matches!(market.create(&member(&market.acme, Role::Owner), "labs-7b", "labs", None).await, Err(Refusal::Absent(_))));
    let audience = Audience { everyone: false, tenants: vec!["acme".to_owned()] };
    assert!(matches!(market.create(&market.owner(), "labs-7b", "", Some(&audience)).await, Err(Refusal::Denied(_))));
    let made = market.create(&market.owner(), "labs-7b", "", None).await.unwrap();
    assert!(matches!(market.create(&market.owner(), "labs-7b", "", None).await, Err(Refusal::Exists(_))));
    let changed = listings::change(&market.store, &market.owner(), ("labs-7b", made.revision), &content("s"), Some(&audience), NOW).await;
    assert!(matches!(changed, Err(Refusal::Denied(_))), "{changed:?}");
    let unknown = Audience { everyone: false, tenants: vec!["nobody".to_owned()] };
    let changed = listings::change(&market.store, &Asker::Operator, ("labs-7b", made.revision), &content("s"), Some(&unknown), NOW).await;
    assert!(matches!(changed, Err(Refusal::Invalid(_))), "{changed:?}");
}

#[tokio::test]
async fn lists_come_in_pages_and_are_searched_by_words_that_mean_nothing_else() {
    let market = Market::open().await;
    for at in 0..7 {
        market.published(&format!("m{at}"), "", &[]).await;
    }
    let draft = market.find(&Asker::Operator, "m3").await.unwrap();
    market.change(&Asker::Operator, "m3", draft.revision, "100% of_it \\ WRITES").await.unwrap();
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = Page::of(3, &token).unwrap();
        let mut rows = listings::list(&market.store, &Asker::Anybody, &Filter::default(), &page).await.unwrap();
        token = page.cut(&mut rows, |listing| listing.model.clone());
        seen.extend(rows.into_iter().map(|listing| listing.model));
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (0..7).map(|at| format!("m{at}")).collect::<Vec<_>>());
    for (words, found) in
        [("writes", 1), ("100% WRITES", 1), ("%", 1), ("_", 1), ("\\", 1), ("' OR '1'='1", 0), ("generate m", 7), ("writes m4", 0)]
    {
        let filter = Filter { words: words.to_owned(), ..Filter::default() };
        assert_eq!(market.names(&Asker::Anybody, filter).await.len(), found, "{words:?}");
    }
    assert!(market.names(&Asker::Anybody, Filter { task: "embed".to_owned(), ..Filter::default() }).await.is_empty());
}
