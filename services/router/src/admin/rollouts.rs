//! What operators ask of rollouts.

use tonic::Status;
use torchmesh_api::{
    admin::v1::{ChangeRolloutRequest, Rollout as Told, RolloutCommand, RolloutEvent},
    ids::{ModelName, ModelVersion},
};

use super::{ROUTES, status};
use crate::{
    conduct::{Book, BookError, Entry},
    rollout::{Command, Plan, Rollout, Stage},
    routes::{Routes, read},
    store::{Store, now_ms},
    table::{SharedTable, Table},
};

/// Begins one, if nothing speaks against it.
pub(super) async fn start(store: &Store, table: &SharedTable, plan: &str) -> Result<Told, Status> {
    let text = store.read(ROUTES).await.map_err(status)?.map_or_else(String::new, |document| document.text);
    let routes = read::parse(&text).map_err(|problems| Status::failed_precondition(format!("the routes are wrong\n{problems}")))?;
    let plan: toml::Table = toml::from_str(plan).map_err(|error| wrong(&format!("  plan: {error}")))?;
    let book = Book::new(store.clone());
    let last = match plan.get("model").and_then(toml::Value::as_str).map(ModelName::parse) {
        Some(Ok(model)) => under_way(&book, &model).await?,
        // The plan is refused below.
        _ => None,
    };
    let plan = read_plan(plan, &routes, &table.load())?;
    for version in [plan.from, plan.to] {
        if table.load().ready(plan.model.as_str(), Some(version)).is_none() {
            return Err(Status::failed_precondition(table.load().missing(plan.model.as_str(), Some(version)).message));
        }
    }
    let rollout = Rollout::start(plan, now_ms());
    Book::routed(&text, &rollout).map_err(refused)?;
    match book.begin(rollout, last.as_ref()).await.map_err(status)? {
        Some(entry) => {
            // The leader does it at its next look; until then the newest version might have calls that nobody wanted it to have.
            book.route(&entry.rollout).await.map_err(refused)?;
            Ok(told(&entry.rollout))
        }
        None => Err(Status::aborted("somebody else has begun a rollout of it at the same moment")),
    }
}

/// The last rollout of a model, which must have ended.
async fn under_way(book: &Book, model: &ModelName) -> Result<Option<Entry>, Status> {
    let last = book.entry(model).await.map_err(status)?;
    if last.as_ref().is_some_and(|last| !last.settled) {
        let message = format!("{model} has a rollout under way; `meshctl rollout abort {model}` ends it");
        return Err(Status::failed_precondition(message));
    }
    Ok(last)
}

fn wrong(problems: &str) -> Status {
    Status::invalid_argument(format!("the plan is wrong\n{problems}"))
}

/// The plan, with the version that answers now where none is named.
fn read_plan(mut plan: toml::Table, routes: &Routes, table: &Table) -> Result<Plan, Status> {
    if !plan.contains_key("from")
        && let Some(model) = plan.get("model").and_then(toml::Value::as_str)
        && let Some(answers) = answers_all(model, routes, table)
    {
        plan.insert("from".to_owned(), answers.to_string().into());
    }
    Plan::parse(plan).map_err(|problems| wrong(&problems.to_string()))
}

/// The version that has all calls of a model, if there is one.
fn answers_all(model: &str, routes: &Routes, table: &Table) -> Option<ModelVersion> {
    let name = ModelName::parse(model).ok()?;
    let Some(route) = routes.get(&name) else {
        let newest = table.ready(model, None)?;
        return ModelVersion::parse(newest.version.to_str().ok()?);
    };
    let mut whole = route.shares.iter().filter(|(to, weight)| to.model == name && *weight >= 100.0);
    whole.find_map(|(to, _)| to.version)
}

/// Pauses, resumes or aborts one.
pub(super) async fn change(store: &Store, request: &ChangeRolloutRequest) -> Result<Told, Status> {
    let command = match request.command() {
        RolloutCommand::Pause => Command::Pause,
        RolloutCommand::Resume => Command::Resume,
        RolloutCommand::Abort => Command::Abort,
        RolloutCommand::Unspecified => return Err(Status::invalid_argument("command: must be pause, resume or abort")),
    };
    let model = ModelName::parse(&request.model).map_err(|error| Status::invalid_argument(format!("model: {error}")))?;
    let book = Book::new(store.clone());
    // The leader writes every few seconds: once more is enough.
    for _ in 0..5 {
        let entry = book.entry(&model).await.map_err(status)?;
        let mut entry = entry.ok_or_else(|| Status::not_found(format!("{model} has had no rollout")))?;
        entry.rollout.command(now_ms(), command).map_err(|refused| Status::failed_precondition(refused.to_string()))?;
        if book.replace(&mut entry).await.map_err(status)? {
            if entry.rollout.has_ended() {
                book.route(&entry.rollout).await.map_err(refused)?;
            }
            return Ok(told(&entry.rollout));
        }
    }
    Err(Status::aborted("the rollout changes too fast; try again"))
}

/// The last rollout of each model.
pub(super) async fn list(store: &Store) -> Result<Vec<Told>, Status> {
    let entries = Book::new(store.clone()).entries().await.map_err(status)?;
    Ok(entries.iter().map(|entry| told(&entry.rollout)).collect())
}

fn refused(error: BookError) -> Status {
    match error {
        BookError::Store(error) => status(error),
        BookError::Route(_) | BookError::Wrong(_) => Status::failed_precondition(error.to_string()),
    }
}

fn told(rollout: &Rollout) -> Told {
    let stage = match rollout.stage {
        Stage::Running => "running",
        Stage::Paused => "paused",
        Stage::Promoted => "promoted",
        Stage::RolledBack => "rolled_back",
        Stage::Aborted => "aborted",
    };
    let event = |event: &crate::rollout::Event| RolloutEvent { at_ms: event.at_ms, said: event.said.clone() };
    Told {
        model: rollout.plan.model.to_string(),
        from: rollout.plan.from.to_string(),
        to: rollout.plan.to.to_string(),
        stage: stage.to_owned(),
        percent: rollout.wanted().percent,
        steps: rollout.plan.steps.clone(),
        missing: rollout.missing.clone(),
        events: rollout.events.iter().map(event).collect(),
    }
}
