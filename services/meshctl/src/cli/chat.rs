//! The arguments of the command that talks to a language model.

use clap::Args;

use super::ClientArgs;

/// `meshctl chat`.
#[derive(Debug, Clone, Args)]
#[command(
    mut_arg("timeout", |timeout| timeout.default_value("10m")),
    after_help = "\
Examples:
  meshctl chat smollm \"Why is the sky blue?\"                 one answer, as it is written
  meshctl chat smollm                                        a conversation: /reset begins anew, /quit ends it
  meshctl chat smollm --system \"You are a pirate.\" --temperature 0.8
  git diff | meshctl chat smollm -                           standard input is the message
  meshctl chat smollm \"Name a colour.\" --output json         the whole answer with its usage and times, for a script

Ctrl-C stops an answer of a conversation, and not the conversation."
)]
pub(crate) struct ChatArgs {
    /// The model, one of the task generate that has a chat template
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// What to say; - reads it from standard input; left out: a conversation
    #[arg(value_name = "PROMPT")]
    pub(crate) prompt: Option<String>,
    /// What the model is told before everything else
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// 0: the likeliest token each time; up to 2: more and more by chance (default: the model's own)
    #[arg(long, value_name = "X")]
    pub(crate) temperature: Option<f32>,
    /// Only the likeliest tokens that together have this probability (default: the model's own)
    #[arg(long, value_name = "X")]
    pub(crate) top_p: Option<f32>,
    /// Tokens of an answer at most (default: as many as there is room for)
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u32>,
    /// The same seed gives the same answer again
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The model's version (default: the one that the mesh chooses)
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) version: String,
    /// Where and who
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
