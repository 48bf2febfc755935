//! The marketplace.

use serde::Serialize;
use torchmesh_api::accounts::v1::{self as api, listing_service_client::ListingServiceClient};

use super::{Accounts, listing_file::ListingFile, moment, refused};
use crate::{
    cli::{ListingCommand, ListingState},
    error::Result,
    output::{Screen, short, table},
};

impl Accounts {
    fn listings(&self) -> ListingServiceClient<tonic::transport::Channel> {
        ListingServiceClient::new(self.channel.clone())
    }
}

#[derive(Serialize)]
struct Listing {
    model: String,
    state: &'static str,
    submitted: bool,
    provider: String,
    task: String,
    texts: Vec<Text>,
    versions: Vec<Edition>,
    everyone: bool,
    tenants: Vec<String>,
    published: String,
    deprecated: String,
    retires: String,
    successor: String,
    revision: i64,
    price: String,
    figures: Vec<Figures>,
}

#[derive(Serialize)]
struct Text {
    language: String,
    summary: String,
    description: String,
    terms: String,
}

#[derive(Serialize)]
struct Edition {
    version: String,
    day: String,
    text: String,
}

#[derive(Serialize)]
struct Figures {
    days: i32,
    calls_at_least: i64,
    p50_us: i64,
    p99_us: i64,
    available_ppm: Option<i32>,
}

impl From<Option<api::Listing>> for Listing {
    fn from(told: Option<api::Listing>) -> Self {
        let told = told.unwrap_or_default();
        let state = match told.state() {
            api::ListingState::Draft => "draft",
            api::ListingState::Published => "published",
            api::ListingState::Deprecated => "deprecated",
            api::ListingState::Retired => "retired",
            api::ListingState::Unspecified => "unknown",
        };
        let audience = told.audience.unwrap_or_default();
        let text = |api::ListingText { language, summary, description, terms }| Text { language, summary, description, terms };
        let version = |one: api::ListingVersion| Edition { version: one.version, day: moment(one.day_unix_ms), text: one.text };
        let figures = |of: api::ListingFigures| Figures {
            days: of.days,
            calls_at_least: of.calls_at_least,
            p50_us: of.p50_us,
            p99_us: of.p99_us,
            available_ppm: of.available_ppm,
        };
        Self {
            state,
            submitted: told.submitted_unix_ms > 0,
            texts: told.texts.into_iter().map(text).collect(),
            versions: told.versions.into_iter().map(version).collect(),
            everyone: audience.everyone,
            tenants: audience.tenants,
            published: moment(told.published_unix_ms),
            deprecated: moment(told.deprecated_unix_ms),
            retires: moment(told.retires_unix_ms),
            price: told.price.map(|price| price.id).unwrap_or_default(),
            figures: told.figures.into_iter().map(figures).collect(),
            model: told.model,
            provider: told.provider,
            task: told.task,
            successor: told.successor,
            revision: told.revision,
        }
    }
}

impl Listing {
    fn summary(&self) -> &str {
        self.texts.first().map_or("", |text| &text.summary)
    }

    fn row(&self) -> [String; 6] {
        let state = if self.submitted { "draft, submitted" } else { self.state };
        let provider = if self.provider.is_empty() { "-" } else { &self.provider };
        [self.model.clone(), state.to_owned(), provider.to_owned(), self.task.clone(), self.retires.clone(), short(self.summary(), 50)]
    }

    /// All of it, for people.
    fn whole(&self) -> String {
        let whom = if self.everyone { "everyone".to_owned() } else { format!("the provider, {}", self.tenants.join(", ")) };
        let mut lines: Vec<String> = [
            ("state", self.state),
            ("provider", if self.provider.is_empty() { "the platform" } else { &self.provider }),
            ("task", &self.task),
            ("seen by", &whom),
            ("published", &self.published),
            ("deprecated", &self.deprecated),
            ("retires", &self.retires),
            ("successor", if self.successor.is_empty() { "-" } else { &self.successor }),
            ("price", if self.price.is_empty() { "-" } else { &self.price }),
            ("revision", &self.revision.to_string()),
        ]
        .map(|(name, value)| format!("{name:<12}{value}"))
        .into();
        for of in &self.figures {
            lines.push(format!("{:<12}{}", format!("{} days", of.days), of.shown()));
        }
        for text in &self.texts {
            lines.push(format!("\n[{}] {}\n{}\n{}", text.language, text.summary, text.description, text.terms).trim_end().to_owned());
        }
        for version in &self.versions {
            lines.push(format!("\n{} ({})\n{}", version.version, version.day, version.text));
        }
        format!("{}\n{}", self.model, lines.join("\n"))
    }
}

impl Figures {
    fn shown(&self) -> String {
        let ms = |us: i64| if us == 0 { "-".to_owned() } else { format!("{}.{} ms", us / 1000, us % 1000 / 100) };
        let share = self.available_ppm.map_or_else(|| "-".to_owned(), |ppm| format!("{}.{:02}%", ppm / 10_000, ppm / 100 % 100));
        format!("p50 {}, p99 {}, answered {share}, at least {} calls", ms(self.p50_us), ms(self.p99_us), self.calls_at_least)
    }
}

/// Makes, changes and lists listings, and has them go on.
pub(super) async fn listings(accounts: &Accounts, command: &ListingCommand, screen: &Screen) -> Result<()> {
    let mut client = accounts.listings();
    let listing = match command {
        ListingCommand::List { state, task, words } => return list(accounts, *state, task, words, screen).await,
        ListingCommand::Remove { model } => {
            let asked = api::DeleteListingRequest { model: model.clone(), revision: 0 };
            client.delete_listing(accounts.request(asked)).await.map_err(refused)?;
            return screen.show(&serde_json::json!({ "model": model, "removed": true }), || format!("the draft of {model} is removed"));
        }
        ListingCommand::Show { model } => {
            let listing = Listing::from(read(accounts, model).await?);
            return screen.show(&listing, || listing.whole());
        }
        ListingCommand::Create { file } => {
            let file = ListingFile::read(file)?;
            let (model, provider, said) = (file.model.clone(), file.provider.clone(), file.said()?);
            let (task, texts, versions, audience) = (said.task, said.texts, said.versions, said.audience);
            let asked = api::CreateListingRequest { model, provider, task, texts, versions, audience };
            client.create_listing(accounts.request(asked)).await.map_err(refused)?.into_inner().listing
        }
        ListingCommand::Update { file, revision } => {
            let file = ListingFile::read(file)?;
            let (model, said) = (file.model.clone(), file.said()?);
            let revision = match revision {
                Some(revision) => *revision,
                None => read(accounts, &model).await?.unwrap_or_default().revision,
            };
            let (task, texts, versions, audience) = (said.task, said.texts, said.versions, said.audience);
            let asked = api::UpdateListingRequest { model, revision, task, texts, versions, audience };
            client.update_listing(accounts.request(asked)).await.map_err(refused)?.into_inner().listing
        }
        ListingCommand::Publish { model, revision } => {
            let asked = api::PublishListingRequest { model: model.clone(), revision: *revision };
            client.publish_listing(accounts.request(asked)).await.map_err(refused)?.into_inner().listing
        }
        ListingCommand::Deprecate { model, retire_on, successor } => {
            let (model, successor) = (model.clone(), successor.clone());
            let asked = api::DeprecateListingRequest { model, revision: 0, retires_unix_ms: *retire_on, successor };
            client.deprecate_listing(accounts.request(asked)).await.map_err(refused)?.into_inner().listing
        }
        ListingCommand::Retire { model } => {
            let asked = api::RetireListingRequest { model: model.clone(), revision: 0 };
            client.retire_listing(accounts.request(asked)).await.map_err(refused)?.into_inner().listing
        }
    };
    let listing = Listing::from(listing);
    screen.show(&listing, || format!("{} is {}, of revision {}", listing.model, listing.state, listing.revision))
}

async fn read(accounts: &Accounts, model: &str) -> Result<Option<api::Listing>> {
    let asked = accounts.request(api::GetListingRequest { model: model.to_owned() });
    Ok(accounts.listings().get_listing(asked).await.map_err(refused)?.into_inner().listing)
}

async fn list(accounts: &Accounts, state: Option<ListingState>, task: &str, words: &str, screen: &Screen) -> Result<()> {
    let state = match state {
        None => api::ListingState::Unspecified,
        Some(ListingState::Draft) => api::ListingState::Draft,
        Some(ListingState::Published) => api::ListingState::Published,
        Some(ListingState::Deprecated) => api::ListingState::Deprecated,
        Some(ListingState::Retired) => api::ListingState::Retired,
    };
    let (mut all, mut page_token) = (Vec::<Listing>::new(), String::new());
    loop {
        let (task, words) = (task.to_owned(), words.to_owned());
        let asked = api::ListListingsRequest { task, words, state: state.into(), page_size: 1000, page_token, ..Default::default() };
        let page = accounts.listings().list_listings(accounts.request(asked)).await.map_err(refused)?.into_inner();
        all.extend(page.listings.into_iter().map(|told| Listing::from(Some(told))));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    screen.show(&all, || table(["model", "state", "provider", "task", "retires", "summary"], all.iter().map(Listing::row)))
}
