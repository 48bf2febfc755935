//! `meshctl import`: models of Triton and TorchServe.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::Serialize;
use torchmesh_api::ids::{ModelName, ModelVersion};
use zip::ZipArchive;

use crate::{
    cli::ImportArgs,
    error::{FAILED, Failure, Result, USAGE},
    home::Home,
    import::{Content, Description, Note, Refused, install, torchserve, triton},
    output::{Colour, Screen},
};

/// A model that can be imported.
struct Candidate {
    description: Description,
    from: String,
    versions: Vec<(u64, Vec<(String, Content)>)>,
}

/// What became of one.
#[derive(Debug, Serialize)]
struct Imported {
    model: String,
    from: String,
    versions: Vec<u64>,
    /// Whether it was written; not in a dry run.
    written: bool,
    manifest: String,
    notes: Vec<Note>,
}

/// Reads everything, then writes everything.
pub(crate) fn import(args: &ImportArgs, home: &Home, screen: &Screen) -> Result<()> {
    let mut candidates = candidates(args)?;
    if let Some(name) = &args.name {
        ModelName::parse(name).map_err(|error| Failure::new(USAGE, error.to_string()))?;
        match candidates.as_mut_slice() {
            [only] => only.description.name.clone_from(name),
            more => return Err(Failure::new(USAGE, format!("--name is for one model, and these are {}", more.len()))),
        }
    }
    let models = args.models.clone().unwrap_or_else(|| home.models());
    let mut imported = Vec::with_capacity(candidates.len());
    for Candidate { description, from, versions } in candidates {
        let manifest = description.text(&from).map_err(|refused| failure(&from, &refused))?;
        if !args.dry_run {
            install(&models, &description.name, &manifest, &versions)?;
        }
        let versions = versions.into_iter().map(|(version, _)| version).collect();
        let Description { name, notes, .. } = description;
        imported.push(Imported { model: name, from, versions, written: !args.dry_run, manifest, notes });
    }
    screen.show(&imported, || text(&imported, screen))
}

fn candidates(args: &ImportArgs) -> Result<Vec<Candidate>> {
    let source = &args.source;
    let metadata = fs::metadata(source).map_err(|error| Failure::file("read", source, &error))?;
    if metadata.is_file() {
        return Ok(vec![of_archive(args)?]);
    }
    if source.join(triton::FILE_NAME).is_file() {
        return Ok(vec![of_triton(source, args.link)?]);
    }
    let mut folders: Vec<PathBuf> = listed(source)?.into_iter().filter(|folder| folder.join(triton::FILE_NAME).is_file()).collect();
    folders.sort();
    if folders.is_empty() {
        let problem = format!("{} has no {} and no folder with one", source.display(), triton::FILE_NAME);
        return Err(Failure::new(USAGE, problem).help("name a Triton repository, a model's folder of it, or a .mar file"));
    }
    folders.iter().map(|folder| of_triton(folder, args.link)).collect()
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>());
    entries.map_err(|error| Failure::file("list", folder, &error))
}

fn of_triton(folder: &Path, link: bool) -> Result<Candidate> {
    let config = folder.join(triton::FILE_NAME);
    let read = || {
        let mut text = String::new();
        File::open(&config)?.take(triton::MAX_CONFIG).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error: io::Error| Failure::file("read", &config, &error))?;
    let name = fs::canonicalize(folder).ok().and_then(|folder| Some(folder.file_name()?.to_str()?.to_owned())).unwrap_or_default();
    let mut description = triton::describe(&text, &name).map_err(|refused| failure(&config.display().to_string(), &refused))?;
    let artefact = description.manifest.artefact.clone().unwrap_or_else(|| "model.pt".to_owned());
    let mut versions = Vec::new();
    let mut all = listed(folder)?;
    all.sort();
    for path in all.iter().filter(|path| path.is_dir()) {
        let number = path.file_name().and_then(|name| name.to_str()).and_then(ModelVersion::parse);
        let shown = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(number) = number else {
            description.note(shown, "is left out: the name of a version is a whole number from 1");
            continue;
        };
        if !path.join(&artefact).is_file() {
            let refused = Refused::new(format!("{shown}/{artefact}"), "is missing");
            return Err(failure(&config.display().to_string(), &refused));
        }
        let mut files = Vec::new();
        collect(path, "", link, &mut files)?;
        versions.push((number.get(), files));
    }
    if versions.is_empty() {
        return Err(failure(&folder.display().to_string(), &Refused::new("versions", "there is no version folder, such as 1")));
    }
    Ok(Candidate { description, from: config.display().to_string(), versions })
}

/// Every file of a version, by its name relative to it.
fn collect(folder: &Path, below: &str, link: bool, files: &mut Vec<(String, Content)>) -> Result<()> {
    /// Deeper than any model's files; a link that leads back into its own folder ends here.
    const DEPTH: usize = 8;
    for path in listed(folder)? {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name else { return Err(Failure::new(FAILED, format!("{} has a name that is no text", path.display()))) };
        let name = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        if path.is_dir() {
            if name.split('/').count() > DEPTH {
                return Err(Failure::new(FAILED, format!("{} is nested deeper than {DEPTH} folders", path.display())));
            }
            collect(&path, &name, link, files)?;
        } else {
            files.push((name, if link { Content::Link(path) } else { Content::Copy(path) }));
        }
    }
    Ok(())
}

fn of_archive(args: &ImportArgs) -> Result<Candidate> {
    let path = &args.source;
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    let mut archive = ZipArchive::new(file).map_err(|error| failure(&shown, &Refused::new("the archive", error.to_string())))?;
    let read = torchserve::describe(&mut archive, &args.inputs, &args.outputs).map_err(|refused| failure(&shown, &refused))?;
    let files = [&read.artefact].into_iter().chain(&read.extras);
    let files = files.map(|name| (name.clone(), Content::Member(path.clone(), name.clone()))).collect();
    Ok(Candidate { description: read.description, from: shown, versions: vec![(args.version.unwrap_or(read.version), files)] })
}

fn failure(from: &str, refused: &Refused) -> Failure {
    Failure::new(FAILED, format!("{from} cannot be imported: {refused}"))
}

fn text(imported: &[Imported], screen: &Screen) -> String {
    let one = |imported: &Imported| {
        let versions: Vec<_> = imported.versions.iter().map(ToString::to_string).collect();
        let done = if imported.written { "is imported" } else { "would be imported" };
        let mut text = format!("{} {done} from {}: version {}", imported.model, imported.from, versions.join(", "));
        for Note { field, note } in &imported.notes {
            text.push_str("\n  ");
            text.push_str(&screen.paint(Colour::Yellow, field));
            text.push_str(": ");
            text.push_str(note);
        }
        if !imported.written {
            text.push_str("\n\n");
            text.push_str(imported.manifest.trim_end());
        }
        text
    };
    imported.iter().map(one).collect::<Vec<_>>().join("\n\n")
}
