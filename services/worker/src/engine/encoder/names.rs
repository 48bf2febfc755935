//! What each family calls its weights. A new family of BERT's shape is a new arm here.

use super::config::Family;

/// The parts of one layer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Query,
    Key,
    Value,
    Attended,
    AttendedNorm,
    Widen,
    Narrow,
    NarrowNorm,
}

/// The name of `part` of the layer `index`.
pub(super) fn of_layer(family: Family, index: usize, part: Part) -> String {
    match family {
        Family::Bert | Family::Roberta => format!("encoder.layer.{index}.{}", bert(part)),
        Family::DistilBert => format!("transformer.layer.{index}.{}", distilbert(part)),
    }
}

fn bert(part: Part) -> &'static str {
    match part {
        Part::Query => "attention.self.query",
        Part::Key => "attention.self.key",
        Part::Value => "attention.self.value",
        Part::Attended => "attention.output.dense",
        Part::AttendedNorm => "attention.output.LayerNorm",
        Part::Widen => "intermediate.dense",
        Part::Narrow => "output.dense",
        Part::NarrowNorm => "output.LayerNorm",
    }
}

fn distilbert(part: Part) -> &'static str {
    match part {
        Part::Query => "attention.q_lin",
        Part::Key => "attention.k_lin",
        Part::Value => "attention.v_lin",
        Part::Attended => "attention.out_lin",
        Part::AttendedNorm => "sa_layer_norm",
        Part::Widen => "ffn.lin1",
        Part::Narrow => "ffn.lin2",
        Part::NarrowNorm => "output_layer_norm",
    }
}

/// The head of a whole text's labels: its dense layer, what is applied to that (`true`: the hyperbolic tangent, `false`: ReLU), and the layer
/// that gives the scores.
pub(super) fn of_sequence_head(family: Family) -> (&'static str, bool, &'static str) {
    match family {
        Family::Bert => ("pooler.dense", true, "classifier"),
        Family::Roberta => ("classifier.dense", true, "classifier.out_proj"),
        Family::DistilBert => ("pre_classifier", false, "classifier"),
    }
}

/// The word embeddings, behind the family's prefix.
pub(super) const WORDS: &str = "embeddings.word_embeddings";

/// The head of a masked language model.
#[derive(Clone, Copy, Debug)]
pub(super) struct VocabularyHead {
    pub(super) dense: &'static str,
    pub(super) norm: &'static str,
    /// The last layer, where it is stored apart from the word embeddings.
    pub(super) score: &'static str,
    /// Its bias, by the names that checkpoints have for it.
    pub(super) biases: [&'static str; 2],
}

pub(super) fn of_vocabulary_head(family: Family) -> VocabularyHead {
    match family {
        Family::Bert => VocabularyHead {
            dense: "cls.predictions.transform.dense",
            norm: "cls.predictions.transform.LayerNorm",
            score: "cls.predictions.decoder",
            biases: ["cls.predictions.bias", "cls.predictions.decoder.bias"],
        },
        Family::Roberta => VocabularyHead {
            dense: "lm_head.dense",
            norm: "lm_head.layer_norm",
            score: "lm_head.decoder",
            biases: ["lm_head.bias", "lm_head.decoder.bias"],
        },
        Family::DistilBert => VocabularyHead {
            dense: "vocab_transform",
            norm: "vocab_layer_norm",
            score: "vocab_projector",
            biases: ["vocab_projector.bias"; 2],
        },
    }
}
