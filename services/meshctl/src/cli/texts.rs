//! The arguments of the commands that ask models of text.

use clap::Args;

use super::ClientArgs;

/// What the commands on models of text have in common.
#[derive(Debug, Clone, Args)]
pub(crate) struct TextModelArgs {
    /// The model's version (default: the one that the mesh chooses)
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) version: String,
    /// Cut off the end of a text that is too long, whatever the model does else
    #[arg(long)]
    pub(crate) truncate: bool,
    /// Where and who
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `meshctl classify`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl classify \"You have won a prize, click here now!\"
  meshctl classify - < texts.txt --output json                    one text a line; every score")]
pub(crate) struct ClassifyArgs {
    /// The texts; - reads them from standard input, one a line
    #[arg(required = true, value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
    /// The model
    #[arg(long = "model", default_value = "spam", value_name = "MODEL")]
    pub(crate) name: String,
    /// How many labels of each text; 0: all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) top: u32,
    /// Version, truncation, mesh
    #[command(flatten)]
    pub(crate) model: TextModelArgs,
}

/// `meshctl entities`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl entities --model ner \"Anna lives in Paris.\"")]
pub(crate) struct EntitiesArgs {
    /// The texts; - reads them from standard input, one a line
    #[arg(required = true, value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
    /// The model, one of the task token-classify
    #[arg(long = "model", value_name = "MODEL")]
    pub(crate) name: String,
    /// Version, truncation, mesh
    #[command(flatten)]
    pub(crate) model: TextModelArgs,
}

/// `meshctl rerank`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl rerank --model cross \"Who eats?\" \"A man eats.\" \"It rains.\"")]
pub(crate) struct RerankArgs {
    /// What the documents are to answer
    #[arg(value_name = "QUERY")]
    pub(crate) query: String,
    /// The documents; - reads them from standard input, one a line
    #[arg(required = true, value_name = "DOCUMENT")]
    pub(crate) documents: Vec<String>,
    /// The model, one of the task rerank
    #[arg(long = "model", value_name = "MODEL")]
    pub(crate) name: String,
    /// How many documents; 0: all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) top: u32,
    /// Version, truncation, mesh
    #[command(flatten)]
    pub(crate) model: TextModelArgs,
}

/// `meshctl fill`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl fill --model bert \"Paris is the [MASK] of France.\"")]
pub(crate) struct FillArgs {
    /// The texts, with the model's mask token in them; - reads them from standard input, one a line
    #[arg(required = true, value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
    /// The model, one of the task fill
    #[arg(long = "model", value_name = "MODEL")]
    pub(crate) name: String,
    /// How many tokens for each mask
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) top: u32,
    /// Version, truncation, mesh
    #[command(flatten)]
    pub(crate) model: TextModelArgs,
}

/// `meshctl explain`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl explain \"You have won a prize, click here now!\" --label spam")]
pub(crate) struct ExplainArgs {
    /// The text
    #[arg(value_name = "TEXT")]
    pub(crate) text: String,
    /// The model, one of the task classify
    #[arg(long = "model", default_value = "spam", value_name = "MODEL")]
    pub(crate) name: String,
    /// The label to explain (default: the one with the highest score)
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) label: String,
    /// Steps of the integration; 0: the model's own number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) steps: u32,
    /// Version, truncation, mesh
    #[command(flatten)]
    pub(crate) model: TextModelArgs,
}
