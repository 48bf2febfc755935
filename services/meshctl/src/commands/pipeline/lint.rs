//! `meshctl pipeline lint`: every mistake of every file, in one report.

use std::collections::BTreeMap;

use serde::Serialize;
use torchmesh_api::inference::{ModelMetadataResponse, model_metadata_response::TensorMetadata};
use torchmesh_pipeline::{
    Plan, Problems, Signature, TensorType,
    check::Known,
    kind::{Named, content},
    spec::Target,
    together::Together,
};

use super::{
    files::{Found, find},
    metadata,
};
use crate::{
    cli::LintArgs,
    client::Caller,
    error::{FAILED, Failure, Result, USAGE},
    home::Home,
    output::{Colour, Screen},
};

/// What is to be said of one file.
#[derive(Debug, Serialize)]
struct Line {
    path: String,
    pipeline: String,
    mistakes: Vec<Mistake>,
    /// What it takes and gives, where that is known.
    inputs: Vec<String>,
    outputs: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Mistake {
    field: String,
    message: String,
}

/// Checks, and fails when anything is wrong.
pub(super) async fn lint(args: &LintArgs, home: &Home, screen: &Screen) -> Result<()> {
    let found = find(&args.paths)?;
    let (mut lines, mut together) = (Vec::with_capacity(found.len()), Together::default());
    for Found { name, path, text } in found {
        let mut line = Line {
            path: path.display().to_string(),
            pipeline: name.to_string(),
            mistakes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        match Plan::parse(&text) {
            Ok(plan) => together.add(name, plan),
            Err(problems) => line.mistakes = mistakes(problems),
        }
        lines.push(line);
    }
    if !args.offline {
        let known = ask(&together, args, home).await?;
        for (name, checked) in
            together.check(&|target| known.get(target).cloned().unwrap_or_else(|| Known::Not("was not asked".to_owned())))
        {
            let name = name.to_string();
            for line in lines.iter_mut().filter(|line| line.pipeline == name) {
                match &checked {
                    Ok(signature) => (line.inputs, line.outputs) = (told(&signature.inputs), told(&signature.outputs)),
                    Err(problems) => line.mistakes = mistakes(problems.clone()),
                }
            }
        }
    }
    screen.show(&lines, || text(&lines, screen))?;
    match lines.iter().map(|line| line.mistakes.len()).sum() {
        0 => Ok(()),
        1 => Err(Failure::new(USAGE, "1 mistake")),
        count => Err(Failure::new(USAGE, format!("{count} mistakes"))),
    }
}

fn mistakes(problems: Problems) -> Vec<Mistake> {
    problems.0.into_iter().map(|problem| Mistake { field: problem.field, message: problem.message }).collect()
}

fn told(all: &[Named]) -> Vec<String> {
    all.iter().map(|named| format!("{} {}", named.name, named.kind)).collect()
}

/// What the models of the mesh take and give.
async fn ask(together: &Together, args: &LintArgs, home: &Home) -> Result<BTreeMap<Target, Known>> {
    let others = together.others();
    let mut known = BTreeMap::new();
    if others.is_empty() {
        return Ok(known);
    }
    let caller = Caller::connect(&args.client, home).await.map_err(|failure| {
        let help = "--offline checks what can be seen without the models";
        Failure { help: Some(failure.help.map_or_else(|| help.to_owned(), |before| format!("{before}; {help}"))), ..failure }
    })?;
    for target in others {
        let version = target.version.map(|version| version.to_string()).unwrap_or_default();
        let answer = match metadata(&caller, target.model.as_str(), &version).await {
            Ok(metadata) => described(metadata).unwrap_or_else(|| Known::Not("has a tensor of an unknown datatype".to_owned())),
            Err(status) if matches!(status.code(), tonic::Code::Unauthenticated | tonic::Code::PermissionDenied) => {
                return Err(status.into());
            }
            Err(status) if status.message().is_empty() => return Err(Failure::new(FAILED, status.code().description())),
            Err(status) => Known::Not(format!("is not there: {}", status.message())),
        };
        known.insert(target, answer);
    }
    Ok(known)
}

fn described(metadata: ModelMetadataResponse) -> Option<Known> {
    let named = |tensor: TensorMetadata| Some(Named::new(tensor.name, TensorType::new(tensor.datatype.parse().ok()?, tensor.shape)));
    let all = |tensors: Vec<TensorMetadata>| tensors.into_iter().map(named).collect::<Option<Vec<_>>>();
    let tensors = Signature { inputs: all(metadata.inputs)?, outputs: all(metadata.outputs)? };
    Some(Known::of(tensors, content(&metadata.properties)))
}

fn text(lines: &[Line], screen: &Screen) -> String {
    lines.iter().map(|line| paragraph(line, screen)).collect::<Vec<_>>().join("\n")
}

fn paragraph(line: &Line, screen: &Screen) -> String {
    let (colour, word) = if line.mistakes.is_empty() { (Colour::Green, "good") } else { (Colour::Red, "wrong") };
    let mistakes = line.mistakes.iter().map(|Mistake { field, message }| format!("  {field}: {message}"));
    let told = [("takes", &line.inputs), ("gives", &line.outputs)].into_iter().filter(|(_, tensors)| !tensors.is_empty());
    let told = told.map(|(word, tensors)| format!("  {word} {}", tensors.join(", ")));
    let head = format!("{} {}", screen.paint(colour, word), line.path);
    [head].into_iter().chain(mistakes).chain(told).collect::<Vec<_>>().join("\n")
}
