//! `train-head`: a text classifier from labelled texts and a sentence encoder, in seconds and without Python. The encoder stays as it is; what is
//! trained is a linear layer on its vectors.

mod data;
mod logistic;
mod vectors;

use std::{collections::HashMap, fmt, path::PathBuf};

use crate::text::LinearHead;
use data::Labelled;
use logistic::{Example, Model};

/// Trains a linear head on a sentence encoder's vectors
///
/// A fifth of the texts, chosen by what they say, is held out: the accuracy on it is printed and kept in the file. The same texts give the same
/// head.
#[derive(Clone, Debug, clap::Args)]
pub struct TrainHeadArgs {
    /// The encoder's directory: config.json, model.safetensors, tokenizer.json
    pub encoder: PathBuf,
    /// Labelled texts, one JSON object a line: {"text": "…", "label": "…"}
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// The file to write; the worker looks for head.safetensors beside the encoder
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Tokens of each text that are read; fewer are faster
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(8..=512))]
    pub max_tokens: u16,
}

/// Why nothing was trained.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TrainError(String);

/// How good a head is.
#[derive(Clone, Debug, PartialEq)]
struct Report {
    trained: usize,
    held_out: usize,
    /// Held-out texts that were given their label, of all.
    accuracy: f64,
    /// What always saying the most frequent label would come to.
    base_rate: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trained, held_out, accuracy, base_rate } = self;
        let (accuracy, base_rate) = (accuracy * 100.0, base_rate * 100.0);
        write!(f, "trained on {trained} texts; {accuracy:.1} % of {held_out} held-out texts are right (base rate {base_rate:.1} %)")
    }
}

impl TrainHeadArgs {
    /// Does it.
    pub fn run(&self) -> Result<(), TrainError> {
        let Labelled { labels, texts } = data::read(&self.data).map_err(TrainError)?;
        let vectors = vectors::of(&self.encoder, &texts, usize::from(self.max_tokens)).map_err(TrainError)?;
        let examples =
            texts.into_iter().zip(vectors).map(|(text, vector)| Example { held_out: text.held_out(), label: text.label, vector });
        let (model, report) = fit(examples.collect(), labels.len())?;
        let head = LinearHead { labels, weight: model.weight, bias: model.bias };
        let facts =
            HashMap::from([("held_out_accuracy".to_owned(), format!("{:.4}", report.accuracy)), ("report".to_owned(), report.to_string())]);
        let bytes = head.to_bytes(facts).map_err(TrainError)?;
        std::fs::write(&self.out, bytes).map_err(|error| TrainError(format!("{}: {error}", self.out.display())))?;
        println!("{report}");
        Ok(())
    }
}

fn fit(examples: Vec<Example>, labels: usize) -> Result<(Model, Report), TrainError> {
    let (test, train): (Vec<Example>, Vec<Example>) = examples.into_iter().partition(|example| example.held_out);
    if test.is_empty() || train.len() < labels {
        let message = format!("{} texts are too few to train on and to hold some out; give at least a hundred", test.len() + train.len());
        return Err(TrainError(message));
    }
    let model = logistic::fit(&train, labels);
    let right = test.iter().filter(|example| model.predict(&example.vector) == example.label).count();
    let of_label = |label| test.iter().filter(|example| example.label == label).count();
    let most = (0..labels).map(of_label).max().unwrap_or(0);
    let share = |count: usize| count as f64 / test.len() as f64;
    let report = Report { trained: train.len(), held_out: test.len(), accuracy: share(right), base_rate: share(most) };
    Ok((model, report))
}

#[cfg(test)]
mod tests;
