//! The arguments of the commands that read what the gateway has written down.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `meshctl usage`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl usage                             what was used of the mesh in the home folder, by day, tenant and model
  meshctl usage --output json               for a script
  meshctl usage /var/lib/torchmesh/metering

docs/metering.md says what is counted.")]
pub(crate) struct UsageArgs {
    /// Folders and files to read (default: the home folder's `metering`)
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// `meshctl audit`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl audit verify .torchmesh/metering/audit/*.jsonl
  meshctl audit verify                      the log of the mesh in the home folder

Exit codes: 0 the log is whole; 1 it is not, and the first broken record is named.")]
pub(crate) struct AuditArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) what: AuditCommand,
}

/// What to do with the audit log.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AuditCommand {
    /// Say whether the log is as it was written: nothing changed, removed, put in, moved or cut off
    Verify {
        /// Its files, or the folder that they are in (default: the home folder's `metering/audit`)
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}
