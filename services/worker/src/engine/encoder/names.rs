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
        Family::Bert | Family::Roberta | Family::Electra => format!("encoder.layer.{index}.{}", bert(part)),
        Family::MpNet => format!("encoder.layer.{index}.{}", mpnet(part)),
        Family::Albert => format!("encoder.albert_layer_groups.0.albert_layers.{index}.{}", albert(part)),
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

fn mpnet(part: Part) -> &'static str {
    match part {
        Part::Query => "attention.attn.q",
        Part::Key => "attention.attn.k",
        Part::Value => "attention.attn.v",
        Part::Attended => "attention.attn.o",
        Part::AttendedNorm => "attention.LayerNorm",
        Part::Widen | Part::Narrow | Part::NarrowNorm => bert(part),
    }
}

fn albert(part: Part) -> &'static str {
    match part {
        Part::Query => "attention.query",
        Part::Key => "attention.key",
        Part::Value => "attention.value",
        Part::Attended => "attention.dense",
        Part::AttendedNorm => "attention.LayerNorm",
        Part::Widen => "ffn",
        Part::Narrow => "ffn_output",
        Part::NarrowNorm => "full_layer_layer_norm",
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

/// What a head of a whole text's labels applies to its dense layer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Squash {
    Tanh,
    Relu,
    Gelu,
}

/// The head of a whole text's labels: its dense layer, what is applied to that, and the layer that gives the scores.
pub(super) fn of_sequence_head(family: Family) -> (&'static str, Squash, &'static str) {
    match family {
        Family::Bert => ("pooler.dense", Squash::Tanh, "classifier"),
        Family::Roberta | Family::MpNet => ("classifier.dense", Squash::Tanh, "classifier.out_proj"),
        Family::DistilBert => ("pre_classifier", Squash::Relu, "classifier"),
        Family::Albert => ("pooler", Squash::Tanh, "classifier"),
        Family::Electra => ("classifier.dense", Squash::Gelu, "classifier.out_proj"),
    }
}

/// The word embeddings, behind the family's prefix.
pub(super) const WORDS: &str = "embeddings.word_embeddings";
/// The layer that widens embeddings to what the layers work on, in ALBERT and in ELECTRA.
pub(super) fn of_projection(family: Family) -> &'static str {
    if family == Family::Albert { "encoder.embedding_hidden_mapping_in" } else { "embeddings_project" }
}

/// What each head adds for the distance of two tokens, by kind of distance.
pub(super) const DISTANCES: &str = "encoder.relative_attention_bias.weight";

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
        Family::Roberta | Family::MpNet => VocabularyHead {
            dense: "lm_head.dense",
            norm: "lm_head.layer_norm",
            score: "lm_head.decoder",
            biases: ["lm_head.bias", "lm_head.decoder.bias"],
        },
        Family::Albert => VocabularyHead {
            dense: "predictions.dense",
            norm: "predictions.LayerNorm",
            score: "predictions.decoder",
            biases: ["predictions.bias", "predictions.decoder.bias"],
        },
        Family::Electra => VocabularyHead {
            dense: "generator_predictions.dense",
            norm: "generator_predictions.LayerNorm",
            score: "generator_lm_head",
            biases: ["generator_lm_head.bias"; 2],
        },
        Family::DistilBert => VocabularyHead {
            dense: "vocab_transform",
            norm: "vocab_layer_norm",
            score: "vocab_projector",
            biases: ["vocab_projector.bias"; 2],
        },
    }
}
