//! `meshctl pull`: a model's files, from where its manifest says they are.

use std::{fs, io, path::Path};

use serde::Serialize;
use torchmesh_api::ids::ModelName;
use torchmesh_fetch::{FetchError, Shelf, Source, lock::Locked};

use crate::{
    cli::PullArgs,
    error::{FAILED, Failure, IO, Result, USAGE},
    home::Home,
    output::{Fetching, Screen, table},
};

const MANIFEST: &str = "model.toml";

/// One version.
#[derive(Debug, Serialize)]
struct Pulled {
    model: String,
    version: u64,
    source: String,
    /// The commit, where the source is a hub.
    commit: Option<String>,
    folder: String,
    /// Whether it was not there before.
    fetched: bool,
    files: usize,
    bytes: u64,
}

/// Fetches what the model's manifest names.
pub(crate) async fn pull(args: &PullArgs, home: &Home, screen: &Screen) -> Result<()> {
    let name = ModelName::parse(&args.model).map_err(|error| Failure::new(USAGE, error.to_string()))?;
    let models = args.models.clone().unwrap_or_else(|| home.models());
    let folder = models.join(name.as_str());
    if let Some(url) = &args.from {
        describe(&folder, url, args.version.unwrap_or(1))?;
    }
    let sources = sources(&folder, &name)?;
    let wanted: Vec<_> = sources.into_iter().filter(|source| args.version.is_none_or(|version| source.version.get() == version)).collect();
    if wanted.is_empty() {
        let which = args.version.map_or_else(String::new, |version| format!(" for version {version}"));
        return Err(Failure::new(FAILED, format!("{name}/{MANIFEST} has no [[source]]{which}")).help("name one with --from URL"));
    }
    let shelf = Shelf::new(&folder, args.cache.clone().unwrap_or_else(|| models.join(".cache")).join(name.as_str()));
    let mut pulled = Vec::with_capacity(wanted.len());
    for source in wanted {
        pulled.push(one(&name, &source, &shelf, args.parallel.into(), screen).await?);
    }
    screen.show(&pulled, || text(&pulled))
}

async fn one(name: &ModelName, source: &Source, shelf: &Shelf, parallel: usize, screen: &Screen) -> Result<Pulled> {
    let progress = Fetching::new(screen, &format!("{name} {}", source.version));
    let outcome = torchmesh_fetch::fetch(source, shelf, parallel, &progress).await;
    progress.end();
    let outcome = outcome.map_err(|error| failure(&error))?;
    if let Some(reason) = &outcome.unlocked {
        screen.warn(&format!("model.lock cannot be written ({reason}): the next fetch of {name} is not held against this one"));
    }
    let Locked { commit, files, .. } = outcome.locked;
    Ok(Pulled {
        model: name.to_string(),
        version: source.version.get(),
        source: source.address.to_string(),
        commit,
        folder: outcome.folder.display().to_string(),
        fetched: outcome.fetched,
        files: files.len(),
        bytes: files.values().map(|pin| pin.bytes).sum(),
    })
}

fn failure(error: &FetchError) -> Failure {
    let code = if matches!(error, FetchError::Disk { .. }) { IO } else { FAILED };
    Failure::new(code, error.to_string())
}

/// Writes a manifest that has nothing but a source: what a published model is, its own files say.
fn describe(folder: &Path, url: &str, version: u64) -> Result<()> {
    let version_line = if version == 1 { String::new() } else { format!("version = {version}\n") };
    let text = format!("[[source]]\nurl = {}\n{version_line}", toml::Value::from(url));
    read_sources(&text)?;
    let path = folder.join(MANIFEST);
    fs::create_dir_all(folder).map_err(|error| Failure::file("create", folder, &error))?;
    match fs::File::create_new(&path).and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::read_to_string(&path).is_ok_and(|before| before == text) => {
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Failure::new(USAGE, format!("{} is there already", path.display()))
                .help("add the [[source]] to it, and pull without --from"))
        }
        outcome => outcome.map_err(|error| Failure::file("write", &path, &error)),
    }
}

fn sources(folder: &Path, name: &ModelName) -> Result<Vec<Source>> {
    let path = folder.join(MANIFEST);
    match fs::read_to_string(&path) {
        Ok(text) => read_sources(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::new(FAILED, format!("the model repository has no {name}/{MANIFEST}"))
                .help("say where the model is with --from URL"))
        }
        Err(error) => Err(Failure::file("read", &path, &error)),
    }
}

fn read_sources(text: &str) -> Result<Vec<Source>> {
    let wrong = |problem: String| Failure::new(USAGE, format!("{MANIFEST}: {problem}"));
    let table = text.parse::<toml::Table>().map_err(|error| wrong(error.message().to_owned()))?;
    let Some(value) = table.get("source") else { return Ok(Vec::new()) };
    let (sources, mistakes) = torchmesh_fetch::read(value);
    let said: Vec<_> = mistakes.iter().map(|mistake| format!("{}: {}", mistake.field, mistake.message)).collect();
    if said.is_empty() { Ok(sources) } else { Err(wrong(said.join("; "))) }
}

fn text(pulled: &[Pulled]) -> String {
    let row = |one: &Pulled| {
        let state = if one.fetched { "fetched" } else { "was there" };
        [one.model.clone(), one.version.to_string(), state.to_owned(), one.files.to_string(), one.bytes.to_string(), one.source.clone()]
    };
    table(["model", "version", "state", "files", "bytes", "source"], pulled.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_written_once_and_never_over_another() {
        let folder = tempfile::tempdir().unwrap();
        describe(folder.path(), "hf://a/b", 3).unwrap();
        describe(folder.path(), "hf://a/b", 3).unwrap();
        let name = ModelName::parse("m").unwrap();
        let source = sources(folder.path(), &name).unwrap().remove(0);
        assert_eq!((source.version.get(), source.address.to_string().as_str()), (3, "hf://a/b@main"));
        assert!(describe(folder.path(), "hf://a/c", 3).unwrap_err().problem.contains("is there already"));
        let error = describe(folder.path(), "nonsense", 1).unwrap_err();
        assert!(error.code == USAGE && error.problem.contains("source[0].url"), "{error}");
    }

    #[test]
    fn a_model_without_a_manifest_is_told_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = sources(folder.path(), &ModelName::parse("m").unwrap()).unwrap_err();
        assert!(error.help.unwrap().contains("--from"));
    }
}
