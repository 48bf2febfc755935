//! The arguments of the commands that ask models of images and of sound.

use std::path::PathBuf;

use clap::Args;

use super::ClientArgs;

/// `meshctl see`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl see cat.png                                   its labels, the best first
  meshctl see *.jpg --top 1 --output json               one label of each
  meshctl see --model detector street.jpg               boxes, where the model finds boxes")]
pub(crate) struct SeeArgs {
    /// The images: JPEG, PNG or WebP files; - reads one from standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The model, one of the task classify-image or detect-objects
    #[arg(long = "model", default_value = "efficientnet-lite0", value_name = "MODEL")]
    pub(crate) name: String,
    /// The model's version (default: the one that the mesh chooses)
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) version: String,
    /// How many labels or boxes of each image; 0: as many as the model's manifest says
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) top: u32,
    /// Leave out what has a lower score (default: as the model's manifest says)
    #[arg(long, value_name = "X")]
    pub(crate) min_score: Option<f32>,
    /// Where and who
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `meshctl listen`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl listen speech.flac                            when somebody speaks
  meshctl listen - --threshold 0.7 < call.wav           the surer parts alone")]
pub(crate) struct ListenArgs {
    /// The recording: a WAV or FLAC file; - reads it from standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The model, one of the task detect-voice
    #[arg(long = "model", default_value = "vad", value_name = "MODEL")]
    pub(crate) name: String,
    /// The model's version (default: the one that the mesh chooses)
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) version: String,
    /// From which probability on it is speech (default: as the model's manifest says)
    #[arg(long, value_name = "X")]
    pub(crate) threshold: Option<f64>,
    /// How long silence has to be to end speech, in milliseconds (default: as the model's manifest says)
    #[arg(long, value_name = "MS")]
    pub(crate) min_silence: Option<u32>,
    /// Where and who
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
