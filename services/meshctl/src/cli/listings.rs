//! What can be typed about the marketplace: below `meshctl accounts listing`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::accounts::day;

/// `meshctl accounts listing`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl accounts listing create smollm2.toml                   a draft, which nobody sees yet
  meshctl accounts listing publish smollm2
  meshctl accounts listing update smollm2.toml                   what the file says takes the place of what was said
  meshctl accounts listing deprecate smollm2 --retire-on 2027-03-01 --successor smollm3
  meshctl accounts listing list --state deprecated
  meshctl accounts listing show smollm2 --output json

A file says:
  model = \"smollm2\"
  task = \"generate\"
  [en]
  summary = \"A small model that chats.\"
  [[version]]
  version = \"1\"
  day = \"2026-11-27\"
  text = \"The first one.\"

docs/marketplace.md says what else it may say, and what becomes of calls.")]
pub(crate) struct ListingArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) what: ListingCommand,
}

/// What to do with listings.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ListingCommand {
    /// Make a draft of what a file says
    Create {
        /// TOML, or JSON when its name ends with .json
        file: PathBuf,
    },
    /// Put what a file says in the place of what was said
    Update {
        /// TOML, or JSON when its name ends with .json
        file: PathBuf,
        /// Only if the listing's revision is this (default: whatever it is)
        #[arg(long)]
        revision: Option<i64>,
    },
    /// Show a draft to those whom it is for
    Publish {
        /// The model
        model: String,
        /// Only if the listing's revision is this (default: whatever it is)
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        revision: i64,
    },
    /// Say when a model is retired, and tell the tenants that used it within the last 30 days
    Deprecate {
        /// The model
        model: String,
        /// The day of UTC at whose beginning it is retired, as 2027-03-01
        #[arg(long, value_name = "DAY", value_parser = day)]
        retire_on: i64,
        /// The model to use instead
        #[arg(long, value_name = "MODEL", default_value = "", hide_default_value = true)]
        successor: String,
    },
    /// Retire a deprecated model before its day
    Retire {
        /// The model
        model: String,
    },
    /// Remove a draft
    Remove {
        /// The model
        model: String,
    },
    /// Show all that is said of a model, and what was measured of it
    Show {
        /// The model
        model: String,
    },
    /// List the listings by the names of their models
    List {
        /// In this state only
        #[arg(long, value_enum)]
        state: Option<ListingState>,
        /// Of this task only
        #[arg(long, default_value = "", hide_default_value = true)]
        task: String,
        /// Those that have all of these words in name, task or summary
        #[arg(long, default_value = "", hide_default_value = true)]
        words: String,
    },
}

/// Where a listing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListingState {
    /// It is being written
    Draft,
    /// It is shown
    Published,
    /// It is shown with the day on which it ends
    Deprecated,
    /// It has ended
    Retired,
}
