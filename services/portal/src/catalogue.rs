//! The models that somebody may see: those whose listing is for them, and those that nobody has written a listing for.
//!
//! The gateway tells which models there are, and the accounts what is said of them to whoever looks. A model that has a listing which is not for them does not exist for them. Which models have none can be told
//! with the operators' token alone; without it, what is listed is all that is shown.

use torchmesh_api::accounts::v1::{GetListingRequest, ListListingsRequest, Listing};

use crate::{
    fail::{Answer, Fail},
    upstream::Described,
    visit::{Person, Visit},
};

/// As many as a page shows.
const SHOWN: i32 = 60;

/// A model as somebody sees it: it has a listing, or is there to be called, or both.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// What is said of it.
    pub listing: Option<Listing>,
    /// What the gateway knows of it; none, while nobody serves it.
    pub served: Option<Described>,
}

impl Model {
    fn of(name: &str, listing: Option<Listing>, served: &[Described]) -> Self {
        Self { name: name.to_owned(), listing, served: served.iter().find(|model| model.name == name).cloned() }
    }

    /// Whether a version of it can be called.
    pub fn is_ready(&self) -> bool {
        self.served.as_ref().is_some_and(Described::is_ready)
    }

    /// What it is for: as it is served, else as its listing says.
    pub fn task(&self) -> &str {
        let served = self.served.as_ref().map_or("", |served| &served.task);
        if served.is_empty() { self.listing.as_ref().map_or("", |listing| &listing.task) } else { served }
    }
}

/// What is looked for, and from where on.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// A task; all when empty.
    pub task: String,
    /// Words.
    pub words: String,
    /// Behind this place.
    pub after: String,
}

impl Search {
    /// Whether a model without a listing is one that is looked for.
    fn finds(&self, model: &Described) -> bool {
        let said = format!("{} {}", model.name, model.task).to_lowercase();
        let words = self.words.to_lowercase();
        (self.task.is_empty() || self.task == model.task) && words.split_whitespace().all(|word| said.contains(word))
    }
}

fn token(visit: &Visit) -> Option<&str> {
    visit.person().map(Person::token)
}

/// A page of what is looked for, and the place that the next one begins behind. Models without a listing are on the last page.
pub async fn search(visit: &Visit, search: &Search) -> Answer<(Vec<Model>, String)> {
    let accounts = &visit.app().accounts;
    let served = visit.app().gateway.catalogue().await?;
    let asked = ListListingsRequest {
        task: search.task.clone(),
        words: search.words.clone(),
        page_size: SHOWN,
        page_token: search.after.clone(),
        ..Default::default()
    };
    let told = accounts.listings(token(visit)).list_listings(accounts.ask(asked)).await?.into_inner();
    let mut models: Vec<Model> = told.listings.into_iter().map(|one| Model::of(&one.model.clone(), Some(one), &served)).collect();
    if told.next_page_token.is_empty()
        && let Some(listed) = accounts.listed().await?
    {
        let others = served.iter().filter(|model| !listed.contains(&model.name) && search.finds(model));
        models.extend(others.map(|model| Model::of(&model.name, None, &served)));
    }
    Ok((models, told.next_page_token))
}

/// One model, if whoever looks may see it.
pub async fn find(visit: &Visit, name: &str) -> Answer<Model> {
    let accounts = &visit.app().accounts;
    let served = visit.app().gateway.catalogue().await?;
    let asked = GetListingRequest { model: name.to_owned() };
    match accounts.listings(token(visit)).get_listing(accounts.ask(asked)).await {
        Ok(told) => Ok(Model::of(name, told.into_inner().listing, &served)),
        Err(status) if status.code() == tonic::Code::NotFound => {
            let model = Model::of(name, None, &served);
            if model.served.is_none() || accounts.is_listed(name).await? { Err(Fail::absent()) } else { Ok(model) }
        }
        Err(status) => Err(status.into()),
    }
}

/// The models that whoever looks may see, as the gateway knows them: what examples name, and what can be tried.
pub async fn served(visit: &Visit) -> Answer<Vec<Described>> {
    let accounts = &visit.app().accounts;
    let (served, shown, listed) = tokio::join!(visit.app().gateway.catalogue(), accounts.shown(token(visit)), accounts.listed());
    let (served, shown, listed) = (served?, shown?, listed?);
    let is_there = |name: &String| shown.contains(name) || listed.as_ref().is_some_and(|listed| !listed.contains(name));
    Ok(served.iter().filter(|model| is_there(&model.name)).cloned().collect())
}
