//! Listings, as whoever asks may see them.

use std::fmt::Write as _;

use sqlx::{Any, AnyConnection, AssertSqlSafe, Row as _, any::AnyArguments, any::AnyRow, query::Query};

use super::{Content, LANGUAGES, Listing, Provider, Standing, State, Text, Version, content};
use crate::{
    access::{Act, Asker},
    error::{Refusal, Result},
    page::Page,
    store::Store,
};

/// Which of those that there are to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of this task; of all when empty.
    pub task: String,
    /// With all of these words in name, task or summary.
    pub words: String,
    /// In this state.
    pub state: Option<State>,
    /// Those of the asker's own tenant.
    pub own: bool,
}

/// Who looks, as the conditions below have it: the tenant's id, whether its drafts are theirs to see, and whether everything is.
#[derive(Debug, Clone)]
struct Eyes(String, i64, i64);

impl Eyes {
    fn of(asker: &Asker) -> Self {
        match asker {
            Asker::Operator | Asker::Itself => Self(String::new(), 0, 1),
            Asker::Member { tenant_id, role, .. } => Self(tenant_id.clone(), i64::from(role.may(Act::ChangeListings)), 0),
            Asker::Anybody => Self(String::new(), 0, 0),
        }
    }

    fn bind<'q>(&self, query: Query<'q, Any, AnyArguments>) -> Query<'q, Any, AnyArguments> {
        query.bind(self.0.clone()).bind(self.1).bind(self.2)
    }
}

/// Whether a listing is there for whoever looks. `$1` to `$3` are their [`Eyes`].
fn seen(listing: &str) -> String {
    format!(
        "($3 = 1 OR ($2 = 1 AND {listing}.provider_id = $1) OR ({listing}.state <> 'draft' AND ({listing}.everyone = 1 OR {listing}.provider_id = $1 \
         OR EXISTS (SELECT 1 FROM listing_audience a WHERE a.listing_id = {listing}.id AND a.tenant_id = $1))))"
    )
}

/// What a query for listings selects, of those that whoever looks sees; a successor that is not there for them is none.
fn selected() -> String {
    format!(
        "SELECT l.id, l.model, l.provider_id, t.name AS provider, t.display_name AS provider_name, l.state, l.task, l.everyone, l.created_ms, l.submitted_ms, l.published_ms, l.deprecated_ms, \
         l.retires_ms, l.revision, en.summary AS summary_en, zh.summary AS summary_zh, \
         CASE WHEN EXISTS (SELECT 1 FROM listings s WHERE s.model = l.successor AND {}) THEN l.successor ELSE '' END AS successor \
         FROM listings l LEFT JOIN tenants t ON t.id = l.provider_id \
         LEFT JOIN listing_texts en ON en.listing_id = l.id AND en.language = 'en' LEFT JOIN listing_texts zh ON zh.listing_id = l.id AND zh.language = 'zh' WHERE {}",
        seen("s"),
        seen("l")
    )
}

fn read(row: &AnyRow) -> Result<Listing> {
    let provider = match row.try_get::<Option<String>, _>("provider_id")? {
        Some(id) => Some(Provider { id, name: row.try_get("provider")?, display_name: row.try_get("provider_name")? }),
        None => None,
    };
    let mut texts = Vec::new();
    for (language, column) in LANGUAGES.into_iter().zip(["summary_en", "summary_zh"]) {
        if let Some(summary) = row.try_get(column)? {
            texts.push(Text { language: language.to_owned(), summary, ..Text::default() });
        }
    }
    Ok(Listing {
        id: row.try_get("id")?,
        model: row.try_get("model")?,
        provider,
        standing: Standing {
            state: State::parse(row.try_get("state")?).ok_or(Refusal::Fault)?,
            submitted_ms: row.try_get("submitted_ms")?,
            published_ms: row.try_get("published_ms")?,
            deprecated_ms: row.try_get("deprecated_ms")?,
            retires_ms: row.try_get("retires_ms")?,
        },
        content: Content { task: row.try_get("task")?, texts, versions: Vec::new() },
        everyone: row.try_get::<i64, _>("everyone")? == 1,
        tenants: Vec::new(),
        created_ms: row.try_get("created_ms")?,
        successor: row.try_get("successor")?,
        revision: row.try_get("revision")?,
    })
}

/// The listing of a model, with all that is said, if whoever asks may see it.
pub async fn find(store: &Store, asker: &Asker, model: &str) -> Result<Listing> {
    by_model(&mut *store.reads()?.acquire().await?, asker, model).await
}

pub(super) async fn by_model(connection: &mut AnyConnection, asker: &Asker, model: &str) -> Result<Listing> {
    let text = AssertSqlSafe(format!("{} AND l.model = $4", selected()));
    let row = Eyes::of(asker).bind(sqlx::query(text)).bind(model.to_owned()).fetch_optional(&mut *connection).await?;
    let absent = || Refusal::Absent("there is no such listing".to_owned());
    let mut listing = row.as_ref().map(read).transpose()?.ok_or_else(absent)?;
    listing.content.texts = texts(&mut *connection, &listing.id).await?;
    listing.content.versions = versions(&mut *connection, &listing.id).await?;
    listing.tenants = tenants(connection, &listing.id).await?;
    Ok(listing)
}

async fn texts(connection: &mut AnyConnection, id: &str) -> Result<Vec<Text>> {
    let query = sqlx::query("SELECT language, summary, description, terms FROM listing_texts WHERE listing_id = $1 ORDER BY language");
    let of = |row: &AnyRow| -> Result<Text> {
        Ok(Text {
            language: row.try_get("language")?,
            summary: row.try_get("summary")?,
            description: row.try_get("description")?,
            terms: row.try_get("terms")?,
        })
    };
    query.bind(id.to_owned()).fetch_all(connection).await?.iter().map(of).collect()
}

async fn versions(connection: &mut AnyConnection, id: &str) -> Result<Vec<Version>> {
    let query = sqlx::query("SELECT version, day_ms, text FROM listing_versions WHERE listing_id = $1 ORDER BY day_ms DESC, version DESC");
    let of = |row: &AnyRow| -> Result<Version> {
        Ok(Version { version: row.try_get("version")?, day_ms: row.try_get("day_ms")?, text: row.try_get("text")? })
    };
    query.bind(id.to_owned()).fetch_all(connection).await?.iter().map(of).collect()
}

async fn tenants(connection: &mut AnyConnection, id: &str) -> Result<Vec<String>> {
    let query = "SELECT t.name FROM listing_audience a JOIN tenants t ON t.id = a.tenant_id WHERE a.listing_id = $1 ORDER BY t.name";
    let rows = sqlx::query(query).bind(id.to_owned()).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

/// A word as a pattern has it, in which nothing but itself fits.
fn pattern(word: &str) -> String {
    let plain = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{plain}%")
}

/// Those that whoever asks may see and wants to, by their models' names.
pub async fn list(store: &Store, asker: &Asker, filter: &Filter, page: &Page) -> Result<Vec<Listing>> {
    if filter.own {
        asker.may(Act::ChangeListings)?;
    }
    let (eyes, words) = (Eyes::of(asker), content::words(&filter.words)?);
    let mut text = selected() + " AND l.model > $4";
    let mut values = Vec::new();
    let mut and = |condition: &str, value: String| {
        let _ = write!(text, " AND {}", condition.replace("{}", &format!("${}", values.len() + 6)));
        values.push(value);
    };
    if filter.own {
        and("l.provider_id = {}", eyes.0.clone());
    }
    if !filter.task.is_empty() {
        and("l.task = {}", filter.task.clone());
    }
    match filter.state {
        Some(state) => and("l.state = {}", state.as_str().to_owned()),
        // Whoever has them in hand sees all of them.
        None if filter.own || eyes.2 == 1 => {}
        None => and("(l.state = 'published' OR l.state = {})", State::Deprecated.as_str().to_owned()),
    }
    for word in &words {
        let said = "LOWER(l.model || ' ' || l.task || ' ' || en.summary || ' ' || COALESCE(zh.summary, '')) LIKE {} ESCAPE '\\'";
        and(said, pattern(word));
    }
    text.push_str(" ORDER BY l.model LIMIT $5");
    let query = eyes.bind(sqlx::query(AssertSqlSafe(text))).bind(page.after.clone()).bind(page.limit());
    let rows = values.into_iter().fold(query, Query::bind).fetch_all(store.reads()?).await?;
    rows.iter().map(read).collect()
}
