//! A model archive of TorchServe (`.mar`) with a TorchScript model.

use std::{
    io::{Read, Seek},
    path::Path,
};

use serde::Deserialize;
use torchmesh_api::ids::{ModelName, ModelVersion};
use zip::{ZipArchive, result::ZipError};

use super::{Description, Refused, Tensor};

const MANIFEST: &str = "MAR-INF/MANIFEST.json";
/// The longest `MANIFEST.json` that is read, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// The most files of an archive.
const MAX_FILES: usize = 10_000;

/// What an archive says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Archive {
    /// The model.
    pub description: Description,
    /// Its version, made a whole number.
    pub version: u64,
    /// The artefact's name in the archive.
    pub artefact: String,
    /// The other files that go with the version: all but the handler's code.
    pub extras: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    model: Entry,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    model_name: String,
    serialized_file: Option<String>,
    #[serde(default)]
    handler: String,
    model_file: Option<String>,
    #[serde(default)]
    model_version: String,
    requirements_file: Option<String>,
    config_file: Option<String>,
}

/// Reads an archive. `inputs` and `outputs` say what the model takes and returns, where its handler does not.
pub fn describe<R: Read + Seek>(archive: &mut ZipArchive<R>, inputs: &[Tensor], outputs: &[Tensor]) -> Result<Archive, Refused> {
    if archive.len() > MAX_FILES {
        return Err(Refused::new("the archive", format!("has {} files, more than {MAX_FILES}", archive.len())));
    }
    let model = read_manifest(archive)?.model;
    ModelName::parse(&model.model_name).map_err(|error| Refused::new("model.modelName", error.to_string()))?;
    if let Some(file) = &model.model_file {
        let reason = format!("{file:?} is Python code that builds the model; trace or script it, and archive the TorchScript file");
        return Err(Refused::new("model.modelFile", reason));
    }
    let Some(artefact) = model.serialized_file.clone().filter(|file| is_plain(file)) else {
        return Err(Refused::new("model.serializedFile", "must name the TorchScript file in the archive"));
    };
    is_torchscript(archive, &artefact)?;
    let mut made = Description { name: model.model_name.clone(), ..Description::default() };
    made.manifest.task = "tensor";
    made.manifest.artefact = (artefact != "model.pt").then(|| artefact.clone());
    (made.manifest.inputs, made.manifest.outputs) = tensors(&model.handler, inputs, outputs, &mut made)?;
    let version = version(&model.model_version, &mut made);
    let extras = extras(archive, &model, &artefact, &mut made);
    Ok(Archive { description: made, version, artefact, extras })
}

fn read_manifest<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<Manifest, Refused> {
    let file = archive.by_name(MANIFEST).map_err(|error| match error {
        ZipError::FileNotFound => Refused::new(MANIFEST, "is missing: this is no archive of TorchServe's"),
        error => Refused::new(MANIFEST, error.to_string()),
    })?;
    let mut text = Vec::new();
    file.take(MAX_MANIFEST).read_to_end(&mut text).map_err(|error| Refused::new(MANIFEST, error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| Refused::new(MANIFEST, error.to_string()))
}

/// A name of a file beside the others, without a path.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.len() <= 255
        && !name.contains(['/', '\\', ':'])
        && !name.chars().any(char::is_control)
}

/// A TorchScript file is a zip with its constants in it; a state dictionary has none.
fn is_torchscript<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str) -> Result<(), Refused> {
    let field = || format!("model.serializedFile ({name})");
    let mut file = archive.by_name(name).map_err(|error| Refused::new(field(), error.to_string()))?;
    // Every member of a zip announces its name in front of its bytes: the name is looked for without unpacking the weights into memory.
    let needle = b"/constants.pkl";
    let (mut block, mut kept) = (vec![0; 1 << 16], 0);
    loop {
        let count = file.read(&mut block[kept..]).map_err(|error| Refused::new(field(), error.to_string()))?;
        if count == 0 {
            let reason = "is no TorchScript file; trace or script the model, and archive that";
            return Err(Refused::new(field(), reason));
        }
        let end = kept + count;
        if block[..end].windows(needle.len()).any(|window| window == needle) {
            return Ok(());
        }
        let tail = end.saturating_sub(needle.len() - 1);
        block.copy_within(tail..end, 0);
        kept = end - tail;
    }
}

fn tensors(handler: &str, inputs: &[Tensor], outputs: &[Tensor], made: &mut Description) -> Result<(Vec<Tensor>, Vec<Tensor>), Refused> {
    let tensor = |name: &str, shape: &[i64]| Tensor { name: name.to_owned(), datatype: "FP32".to_owned(), shape: shape.to_vec() };
    let handler_name = handler.trim_end_matches(".py");
    let note = match handler_name {
        "image_classifier" => {
            "its pre-processing is left out: callers send the pixels, resized to 256, cut to 224, scaled to 0..1 and normalised with ImageNet's mean and deviation; \
             the answer is the logits"
        }
        _ => "its code is left out: what it does before and behind the model has to be done by the caller",
    };
    if !handler.is_empty() {
        made.note("model.handler", format!("{handler:?}: {note}"));
    }
    let (known_in, known_out) = match handler_name {
        "image_classifier" => (vec![tensor("pixels", &[-1, 3, 224, 224])], vec![tensor("logits", &[-1, -1])]),
        _ => (Vec::new(), Vec::new()),
    };
    let choose = |given: &[Tensor], known: Vec<Tensor>, flag: &str, example: &str| {
        let chosen = if given.is_empty() { known } else { given.to_vec() };
        if chosen.is_empty() {
            let reason = format!(
                "a TorchScript file does not say what the model takes and returns: say it with {flag} {example}, once for each, in order"
            );
            return Err(Refused::new("model.serializedFile", reason));
        }
        Ok(chosen)
    };
    Ok((choose(inputs, known_in, "--input", "x:FP32:-1,3,224,224")?, choose(outputs, known_out, "--output-tensor", "y:FP32:-1,1000")?))
}

/// `1.0` is 1; of `2.3` the 2.
fn version(text: &str, made: &mut Description) -> u64 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let parsed = ModelVersion::parse(whole).map(ModelVersion::get);
    let number = parsed.unwrap_or(1);
    if parsed.is_none() || rest.trim_matches('0').chars().any(|c| c != '.') {
        made.note("model.modelVersion", format!("{text:?} becomes {number}: versions are whole numbers from 1; --version chooses another"));
    }
    number
}

fn extras<R: Read + Seek>(archive: &ZipArchive<R>, model: &Entry, artefact: &str, made: &mut Description) -> Vec<String> {
    let mut extras = Vec::new();
    let mut names: Vec<_> =
        archive.file_names().filter(|name| !name.ends_with('/') && !name.starts_with("MAR-INF/") && *name != artefact).collect();
    names.sort_unstable();
    for name in names {
        let role = |file: &Option<String>| file.as_deref() == Some(name);
        if role(&model.requirements_file) {
            made.note("model.requirementsFile", "is left out: no Python runs here");
        } else if role(&model.config_file) {
            made.note("model.configFile", format!("{name} is not read: its batchSize is batching.max_batch here, maxBatchDelay is batching.max_queue_delay, minWorkers is instances"));
        } else if Path::new(name).extension().is_some_and(|ending| ending == "py") {
            made.note(name, "is left out: no Python runs here");
        } else if !is_plain(name) {
            made.note(name, "is left out: only files beside the model are taken");
        } else {
            if name == "index_to_name.json" {
                made.note(name, "is kept beside the model, but not used: the answer is the tensor, without labels");
            }
            extras.push(name.to_owned());
        }
    }
    extras
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Cursor, Write as _};

    use zip::{ZipWriter, write::FileOptions};

    use super::*;

    /// A zip of these files.
    pub(crate) fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            writer.start_file(*name, FileOptions::default().compression_method(zip::CompressionMethod::Deflated)).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn archive(manifest: &str, files: &[(&str, &[u8])]) -> ZipArchive<Cursor<Vec<u8>>> {
        let all: Vec<_> = [(MANIFEST, manifest.as_bytes())].into_iter().chain(files.iter().copied()).collect();
        ZipArchive::new(Cursor::new(zipped(&all))).unwrap()
    }

    const SCRIPT: (&str, &[u8]) = ("dense.pt", b"PK\x03\x04 dense/constants.pkl rest");

    #[test]
    fn a_classifier_of_images_is_described_and_what_its_handler_did_is_said() {
        let manifest = r#"{"createdOn": "x", "runtime": "python", "archiverVersion": "0.12.0",
            "model": {"modelName": "dense", "serializedFile": "dense.pt", "handler": "image_classifier", "modelVersion": "1.0", "requirementsFile": "requirements.txt"}}"#;
        let mut archive =
            archive(manifest, &[SCRIPT, ("index_to_name.json", b"{}"), ("requirements.txt", b"x"), ("helper.py", b"x"), ("a/b", b"x")]);
        let read = describe(&mut archive, &[], &[]).unwrap();
        assert_eq!((read.version, read.artefact.as_str(), read.extras.as_slice()), (1, "dense.pt", &["index_to_name.json".to_owned()][..]));
        let fields: Vec<_> = read.description.notes.iter().map(|note| note.field.as_str()).collect();
        assert_eq!(fields, ["model.handler", "a/b", "helper.py", "index_to_name.json", "model.requirementsFile"]);
        assert_eq!(read.description.manifest.inputs[0].shape, [-1, 3, 224, 224]);
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_its_field() {
        let model = |fields: &str| format!(r#"{{"model": {{"modelName": "m", {fields}}}}}"#);
        let eager = (r#""serializedFile": "dense.pt", "modelFile": "model.py""#, "model.modelFile");
        let none = (r#""handler": "x.py""#, "model.serializedFile");
        let climbs = (r#""serializedFile": "../dense.pt""#, "model.serializedFile");
        let absent = (r#""serializedFile": "other.pt""#, "model.serializedFile (other.pt)");
        let dictionary = (r#""serializedFile": "state.pt""#, "model.serializedFile (state.pt)");
        let shapes = (r#""serializedFile": "dense.pt", "handler": "custom.py""#, "model.serializedFile");
        for (fields, field) in [eager, none, climbs, absent, dictionary, shapes] {
            let mut archive = archive(&model(fields), &[SCRIPT, ("state.pt", b"PK\x03\x04 state/data.pkl")]);
            assert_eq!(describe(&mut archive, &[], &[]).unwrap_err().field, field);
        }
        let mut broken = archive("{", &[SCRIPT]);
        assert_eq!(describe(&mut broken, &[], &[]).unwrap_err().field, MANIFEST);
    }

    #[test]
    fn the_mark_of_torchscript_is_found_wherever_it_stands() {
        for before in [0, 65_520, 65_530, 65_536, 131_060] {
            let content = [vec![b'x'; before], b"m/constants.pkl".to_vec()].concat();
            let mut archive = archive("{}", &[("m.pt", &content)]);
            is_torchscript(&mut archive, "m.pt").unwrap();
        }
    }

    #[test]
    fn a_version_becomes_a_whole_number_and_says_so() {
        let read = |text: &str| {
            let mut made = Description::default();
            (version(text, &mut made), made.notes.len())
        };
        assert_eq!(
            [read("1.0"), read("3"), read("2.3"), read("0.1"), read("latest"), read("4.0.0")],
            [(1, 0), (3, 0), (2, 1), (1, 1), (1, 1), (4, 0)]
        );
    }
}
