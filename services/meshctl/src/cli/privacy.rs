//! What can be typed about what is kept of somebody.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Whose document is written.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ExportCommand {
    /// Everything about a tenant
    Tenant {
        /// Its name or id
        tenant: String,
        /// Leave the single calls out, which may be many; their sums stay
        #[arg(long)]
        without_usage_events: bool,
        #[command(flatten)]
        to: To,
    },
    /// Everything about a member
    Person {
        /// Their address or id
        member: String,
        #[command(flatten)]
        to: To,
    },
}

/// Where it goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct To {
    /// A new file, for your eyes only (default: standard output)
    #[arg(long = "to", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}
