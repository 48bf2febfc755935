//! What can be typed, and the help that teaches it.

mod accounts;
mod billing;
mod chat;
mod keys;
mod listings;
mod operators;
mod pipelines;
mod privacy;
mod records;
mod repository;
mod senses;
mod texts;
mod tls;
mod webhooks;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use self::{
    accounts::{AccountsArgs, AccountsCommand, By as UsageBy, KeyCommand, MemberCommand, Role as AccountsRole, TenantCommand, day},
    billing::{
        Anchor as BillingAnchor, BudgetCommand, CreditCommand, DocumentArgs, Format as DocumentFormat, InvoiceCommand, PaymentArgs,
        PaymentCommand, PlanCommand, ProfileArgs, StatementCommand, SubscribeArgs, SubscriptionCommand,
    },
    chat::ChatArgs,
    keys::{CreateArgs, KeysArgs, KeysCommand, Which},
    listings::{ListingCommand, ListingState},
    operators::{RolloutArgs, RolloutCommand, RouteArgs, RouteCommand, RouterArgs, StartArgs, TopArgs},
    pipelines::{CallArgs, LintArgs, PipelineArgs, PipelineCommand, RunArgs, TraceArgs},
    privacy::{EraseCommand, ExportCommand, Sure, To as ExportTo},
    records::{AuditArgs, AuditCommand, UsageArgs},
    repository::{ImportArgs, PullArgs},
    senses::{ListenArgs, SeeArgs},
    texts::{ClassifyArgs, EntitiesArgs, ExplainArgs, FillArgs, RerankArgs, TextModelArgs},
    tls::TlsArgs,
    webhooks::{DeliveryState as WebhookDeliveryState, WebhookCommand},
};

const ABOUT: &str = "Starts and stops a local mesh, and asks it things.";

const EXAMPLES: &str = "\
Examples:
  meshctl up                                   start the mesh here; Ctrl-C stops it
  meshctl up --detach && meshctl status        start it in the background and look at it
  meshctl embed \"A man is eating food.\"        one text to one vector
  meshctl chat smollm \"Why is the sky blue?\"   what a language model says, as it says it
  meshctl models --output json                 for a script
  meshctl down                                 stop the mesh that runs in the background

Exit codes: 0 done; 1 failed; 64 wrong arguments or settings; 69 no mesh answers; 74 a file cannot be read or written; \
77 the key is missing or refused.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "meshctl", version, about = ABOUT, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 120)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Form of the result
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: Output,
    /// The mesh's home folder: its key, addresses, logs and models
    #[arg(long, global = true, env = "TORCHMESH_HOME", default_value = ".torchmesh", value_name = "DIR")]
    pub(crate) home: PathBuf,
}

/// Form of the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Tables and sentences, for people
    #[default]
    Table,
    /// One JSON value on standard output, for scripts
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the local mesh: router, gateway and workers
    Up(UpArgs),
    /// Stop the local mesh, letting calls in flight finish
    Down(DownArgs),
    /// Show the services of the local mesh
    Status,
    /// List the models, their versions and their states
    Models(ClientArgs),
    /// Show and change which version of a model answers
    Route(RouteArgs),
    /// Let a new version of a model take over step by step, and go back by itself when it does not do well
    Rollout(RolloutArgs),
    /// Check, draw and call pipelines: models chained into one call
    Pipeline(PipelineArgs),
    /// List the workers as a router sees them
    Endpoints(RouterArgs),
    /// Make, list, rotate and revoke the keys of those who may call
    Keys(KeysArgs),
    /// Tenants, their members and keys, what they have used and what it costs, where the accounts service runs
    Accounts(AccountsArgs),
    /// Show what goes on: each version's calls, latency, errors and share
    Top(TopArgs),
    /// Sum up what was used, by day, tenant and model
    Usage(UsageArgs),
    /// Check the audit log
    Audit(AuditArgs),
    /// Talk to a language model
    Chat(ChatArgs),
    /// Turn texts into vectors
    Embed(EmbedArgs),
    /// Fetch a model from its source: a hub, an object store, a web server
    Pull(PullArgs),
    /// Take over models of Triton or TorchServe
    Import(ImportArgs),
    /// Give texts labels
    Classify(ClassifyArgs),
    /// Find names, places and the like in texts
    Entities(EntitiesArgs),
    /// Order documents by how well they answer a query
    Rerank(RerankArgs),
    /// Find what may stand where a text has a mask
    Fill(FillArgs),
    /// Show which words of a text speak for its label
    Explain(ExplainArgs),
    /// Say what is in images, and where
    See(SeeArgs),
    /// Say where in a recording somebody speaks
    Listen(ListenArgs),
    /// Compile a model ahead of time, so that it may run faster; needs a Python with torch
    Compile(CompileArgs),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Become PROGRAM, which ends when its parent does.
    #[command(name = crate::launch::COMMAND, hide = true)]
    Child(crate::launch::ChildArgs),
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  meshctl completions bash > ~/.local/share/bash-completion/completions/meshctl
  meshctl completions zsh > ~/.zfunc/_meshctl
  meshctl completions fish > ~/.config/fish/completions/meshctl.fish";

const UP_EXAMPLES: &str = "\
Examples:
  meshctl up                         in the foreground; Ctrl-C drains gateway, router, workers
  meshctl up --detach                return when the mesh is ready; `meshctl down` stops it
  meshctl up --workers 2             two workers, so that one may fail
  meshctl up --set worker.threads=1  one setting of a service
  TORCHMESH_GATEWAY_ADDR=127.0.0.1:9000 meshctl up

A mesh.toml says the same and more. Each table is a service; what is in it, apart from `instances`,
are that service's own settings:

  [gateway]
  addr = \"127.0.0.1:9000\"
  [worker]
  instances = 2
  [worker.telemetry]
  log = \"debug\"";

/// `meshctl up`.
#[derive(Debug, Clone, Args)]
#[command(after_help = UP_EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that people type")]
pub(crate) struct UpArgs {
    /// Run in the background; return when the mesh is ready
    #[arg(long, short)]
    pub(crate) detach: bool,
    /// What to run and with which settings (default: one gateway, one router, one worker)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How many workers; overrides the file
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) workers: Option<u32>,
    /// Run the accounts too: tenants, members and keys in a database (a table [accounts] in the file does the same)
    #[arg(long)]
    pub(crate) accounts: bool,
    /// Run the portal too, the web pages of the mesh, and the accounts with it (a table [portal] in the file does the same)
    #[arg(long)]
    pub(crate) portal: bool,
    /// One setting of one service, for example worker.threads=1; overrides file and environment; may be repeated
    #[arg(long = "set", value_name = "SERVICE.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Give up when the mesh is not ready after so long, for example 90s
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Folder of the services' programs (default: the one that meshctl is in)
    #[arg(long, value_name = "DIR", env = "TORCHMESH_BIN_DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// Report progress as JSON lines: how the background process talks to the `up --detach` that started it
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub(crate) in_background: bool,
}

const DOWN_EXAMPLES: &str = "\
Examples:
  meshctl down             drain and stop; a mesh that is not running is fine
  meshctl down --now       do not wait for calls in flight";

/// `meshctl down`.
#[derive(Debug, Clone, Args)]
#[command(after_help = DOWN_EXAMPLES)]
pub(crate) struct DownArgs {
    /// Cut calls in flight
    #[arg(long)]
    pub(crate) now: bool,
}

/// Where the mesh is, and who asks.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The gateway: --gateway, else TORCHMESH_GATEWAY_ADDR, else the mesh that runs from the home folder,
else 127.0.0.1:8080. The key: --key-file, else TORCHMESH_KEY, else dev.key in the home folder. It is
never an argument, since every user of the machine can read arguments.")]
pub(crate) struct ClientArgs {
    /// The gateway, as HOST:PORT, or https://HOST
    #[arg(long, value_name = "ADDR", env = "TORCHMESH_GATEWAY_ADDR")]
    pub(crate) gateway: Option<String>,
    /// File that holds the API key
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// By TLS
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

const EMBED_EXAMPLES: &str = "\
Examples:
  meshctl embed \"A man is eating food.\"
  meshctl embed \"A man is eating food.\" \"A man is eating bread.\"   and how alike they are
  meshctl embed - < texts.txt                                     one text a line
  meshctl embed \"Hello\" --output json                             every number";

/// `meshctl embed`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EMBED_EXAMPLES)]
pub(crate) struct EmbedArgs {
    /// The texts; - reads them from standard input, one a line
    #[arg(required = true, value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
    /// The model
    #[arg(long, default_value = "minilm")]
    pub(crate) model: String,
    /// The model's version (default: the one that the mesh chooses)
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) version: String,
    /// Cut off the end of a text that is too long, instead of refusing it
    #[arg(long)]
    pub(crate) truncate: bool,
    /// How many numbers of each vector to show in the table
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) values: usize,
    /// Where and who
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

const COMPILE_EXAMPLES: &str = "\
Examples:
  meshctl compile minilm                            beside its highest version: model.pt2
  meshctl compile minilm --version 2 --cpu x86-64-v3    to run on every processor with AVX2
  meshctl compile detector --program detector.pt2   from what torch.export saved

The package is checked against the model's own answers before it is put there. A worker uses it where it fits and is faster, and
says so in its log and in the model's metadata. Serving needs no Python.";

/// `meshctl compile`.
#[derive(Debug, Clone, Args)]
#[command(after_help = COMPILE_EXAMPLES)]
pub(crate) struct CompileArgs {
    /// The model: a folder of the model repository
    pub(crate) model: String,
    /// Its version (default: the highest)
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<String>,
    /// The Python to use (default: the first with the right torch of TORCHMESH_PYTHON, ~/.cache/torchmesh/compile-venv, python3)
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    /// The least processor that has to run it (default: this machine's)
    #[arg(long, value_name = "LEVEL", value_parser = ["x86-64-v2", "x86-64-v3", "x86-64-v4"])]
    pub(crate) cpu: Option<String>,
    /// A program that torch.export saved, to compile in place of the version's own file
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// How far its answers may be from the model's, against the largest value (default: 0.0001; 0.05 for bf16 and fp16)
    #[arg(long, value_name = "X")]
    pub(crate) tolerance: Option<f32>,
    /// The model repository (default: models in the home folder)
    #[arg(long, value_name = "DIR")]
    pub(crate) models_dir: Option<PathBuf>,
    /// Folder of the services' programs (default: the one that meshctl is in)
    #[arg(long, value_name = "DIR", env = "TORCHMESH_BIN_DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
}

/// Reads `250ms`, `30s`, `2m`: the same form as in the settings.
fn duration(text: &str) -> Result<Duration, String> {
    use torchmesh_runtime::config::FromSetting as _;
    Duration::from_setting(&toml::Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_people_type_shows_what_it_is_for() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
        }
    }

    #[test]
    fn no_argument_takes_a_key() {
        let whole = Cli::command();
        for command in whole.get_subcommands() {
            let mut taken = command.get_arguments().map(|argument| argument.get_id().as_str());
            assert!(taken.all(|id| id != "key" && id != "api_key" && id != "token"), "{}", command.get_name());
        }
    }

    #[test]
    fn times_are_read_as_in_the_settings() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("30").unwrap_err().contains("duration"));
    }
}
