//! The model repository on disk: `<models_dir>/<name>/model.toml` and `<models_dir>/<name>/<version>/`, and what of it is fetched.

mod stamp;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use torchmesh_api::ids::{ModelName, ModelVersion};
use torchmesh_fetch::{Shelf, Source};

pub(super) use self::stamp::Stamp;
use crate::manifest::{FILE_NAME, Manifest, Problems, Published, Sources, lacking};

/// The version of a model whose folder is the published directory itself.
const ONLY_VERSION: &str = "1";
/// The longest manifest, in bytes: far more than one needs.
const MAX_MANIFEST: u64 = 1 << 20;

/// Where models are.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    /// `models_dir`.
    pub(super) folder: PathBuf,
    /// `models_cache`: what is fetched, a folder for each model.
    pub(super) cache: PathBuf,
    /// Folders whose names no model can have, which were logged.
    passed_over: Arc<Mutex<BTreeSet<String>>>,
}

impl Repository {
    pub(super) fn new(folder: &Path, cache: &Path) -> Self {
        Self { folder: folder.to_owned(), cache: cache.to_owned(), passed_over: Arc::default() }
    }
}

/// A model's folder.
#[derive(Debug)]
pub(super) struct Found {
    /// The folder's name.
    pub(super) name: ModelName,
    /// The versions that are served, in rising order.
    pub(super) versions: Vec<FoundVersion>,
    /// Why its folder cannot be looked into, if so; nothing is known of its versions then.
    pub(super) unreadable: Option<String>,
}

impl Found {
    /// What there is to say of a model without a version.
    pub(super) fn trouble(&self) -> Option<String> {
        let name = &self.name;
        let none = || format!("{name} has no version folder; make one that is named by a whole number, such as {name}/1");
        self.versions.is_empty().then(|| self.unreadable.clone().unwrap_or_else(none))
    }
}

/// A version's folder.
#[derive(Debug)]
pub(super) struct FoundVersion {
    /// The folder's name.
    pub(super) version: ModelVersion,
    /// Where it is.
    pub(super) folder: PathBuf,
    /// What it is, or the reason (every mistake) why it cannot be served.
    pub(super) content: Result<Content, String>,
    /// Changes with every file of the version and of the model.
    pub(super) stamp: Stamp,
}

/// What a version is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Files that are there, and the manifest they are served by.
    Here(Arc<Manifest>),
    /// Files that are not there as their source has them.
    Elsewhere(Wanted),
}

/// What has to be fetched before it is served, and to where.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// From where.
    pub(super) source: Source,
    /// To where.
    pub(super) shelf: Shelf,
}

/// Looks through the repository. Folders that begin with a dot are passed over; one whose name no model can have is logged, once.
pub(super) fn scan(repository: &Repository) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for name in folders(&repository.folder)? {
        match ModelName::parse(&name) {
            Ok(parsed) => found.extend(look_into(parsed, repository)),
            Err(_) if name.starts_with('.') => {}
            Err(error) => {
                if repository.passed_over.lock().insert(name.clone()) {
                    tracing::warn!(folder = name, %error, "a folder of the model repository is passed over");
                }
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// A model's folder; `None` if it is gone by now.
fn look_into(name: ModelName, repository: &Repository) -> Option<Found> {
    let folder = repository.folder.join(name.as_str());
    let names = match folders(&folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            let unreadable = Some(format!("the folder {name} cannot be looked into: {error}"));
            return Some(Found { name, versions: Vec::new(), unreadable });
        }
    };
    let text = read_manifest(&name, &folder);
    let declared = match &text {
        Ok(Some(text)) => Sources::parse(text).map_err(|problems| wrong(&name, &problems)),
        Ok(None) | Err(_) => Ok(Sources::default()),
    };
    let model = LookedInto { shelf: Shelf::new(&folder, repository.cache.join(name.as_str())), name, folder, text, declared };
    let versions = model.versions(&names);
    Some(Found { name: model.name, versions, unreadable: None })
}

/// A model's folder and what its manifest says.
struct LookedInto {
    name: ModelName,
    folder: PathBuf,
    text: Result<Option<String>, String>,
    declared: Result<Sources, String>,
    shelf: Shelf,
}

impl LookedInto {
    /// The versions that `versions` of the manifest lets through, in rising order.
    fn versions(&self, folders: &[String]) -> Vec<FoundVersion> {
        let sources = self.declared.clone().unwrap_or_default();
        let local: BTreeSet<_> = folders.iter().filter_map(|name| ModelVersion::parse(name)).collect();
        let mut all: BTreeSet<_> = local.iter().copied().chain(sources.all.iter().map(|source| source.version)).collect();
        // One that lacks something is one too, which says what.
        let published = all.is_empty() && (Published::read(&self.folder).says_all() || lacking(&self.folder).is_some());
        if published {
            all.extend(ModelVersion::parse(ONLY_VERSION));
        }
        let of_model = Stamp::of_model(&self.folder);
        let found = |version: ModelVersion| {
            let source = sources.all.iter().find(|source| source.version == version);
            let own = self.folder.join(version.to_string());
            let folder = if published { self.folder.clone() } else { source.map_or(own, |source| self.shelf.version(source)) };
            let content = match source {
                Some(_) if local.contains(&version) => Err(two_places(&self.name, version)),
                _ => self.content(source, &folder),
            };
            let stamp = of_model.of_version(&folder);
            FoundVersion { version, folder, content, stamp }
        };
        all.iter().filter(|version| sources.versions.has(**version, &all)).map(|version| found(*version)).collect()
    }

    fn content(&self, source: Option<&Source>, folder: &Path) -> Result<Content, String> {
        let Self { name, text, declared, shelf, .. } = self;
        let text = text.as_ref().map_err(Clone::clone)?.as_deref();
        declared.as_ref().map_err(Clone::clone)?;
        if let Some(source) = source.filter(|source| !shelf.has(source)) {
            return match text.and_then(Manifest::problems_now) {
                Some(problems) => Err(wrong(name, &problems)),
                None => Ok(Content::Elsewhere(Wanted { source: source.clone(), shelf: shelf.clone() })),
            };
        }
        let published = Published::read(folder);
        let Some(text) = text.or_else(|| published.says_all().then_some("")) else {
            return Err(lacking(folder).unwrap_or_else(|| format!("{name}/{FILE_NAME} is missing: it says what the model is")));
        };
        Manifest::parse(text, &published).map(|manifest| Content::Here(Arc::new(manifest))).map_err(|problems| wrong(name, &problems))
    }
}

/// The text of a model's manifest, if it has one.
fn read_manifest(name: &ModelName, folder: &Path) -> Result<Option<String>, String> {
    let read = || {
        let mut text = String::new();
        File::open(folder.join(FILE_NAME))?.take(MAX_MANIFEST + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) if text.len() as u64 > MAX_MANIFEST => Err(format!("{name}/{FILE_NAME} is longer than 1 MiB, which is no manifest")),
        Ok(text) => Ok(Some(text)),
        Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{name}/{FILE_NAME} cannot be read: {error}")),
    }
}

/// The folder and the manifest of one version, the highest unless `version` says which; the error says what is wrong.
pub(crate) fn version_of(
    models_dir: &Path,
    name: &ModelName,
    version: Option<ModelVersion>,
) -> Result<(ModelVersion, PathBuf, Arc<Manifest>), String> {
    let repository = Repository::new(models_dir, &models_dir.join(".cache"));
    let shown = models_dir.join(name.as_str());
    let found = look_into(name.clone(), &repository).ok_or_else(|| format!("{} is not there", shown.display()))?;
    if let Some(trouble) = found.trouble() {
        return Err(trouble);
    }
    let wanted = found.versions.into_iter().rev().find(|found| version.is_none_or(|version| found.version == version));
    let found = wanted.ok_or_else(|| format!("{} has no such version", shown.display()))?;
    match found.content? {
        Content::Here(manifest) => Ok((found.version, found.folder, manifest)),
        Content::Elsewhere(_) => Err(format!("version {} of {name} has not been fetched yet", found.version)),
    }
}

fn wrong(name: &ModelName, problems: &Problems) -> String {
    format!("{name}/{FILE_NAME} is wrong\n{problems}")
}

fn two_places(name: &ModelName, version: ModelVersion) -> String {
    format!("{name}/{FILE_NAME} has a [[source]] for version {version}, and there is a folder {name}/{version} too; remove one of them")
}

/// The names of the folders in a folder; links to folders count.
fn folders(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
