//! What can be typed about webhooks: below `meshctl accounts webhook`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::keys::span;

/// `meshctl accounts webhook`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl accounts webhook add https://example.org/hooks --tenant acme --event invoice.issued --event calls.stopped > hooks.secret
  meshctl accounts webhook test 0197…a1                          sends webhook.test to it
  meshctl accounts webhook deliveries 0197…a1 --state dead       what was given up, with the last answer's status
  meshctl accounts webhook redeliver --dead-of 0197…a1           all of that again, with the ids that it had
  meshctl accounts webhook rotate 0197…a1 --overlap 24h > hooks.secret     both secrets sign for a day
  meshctl accounts webhook enable 0197…a1                        after it was switched off because it failed

Without --tenant a webhook is the operators' own, which is told what happens to every tenant. The accounts need webhooks.key_file.
docs/webhooks.md has the events, and how a receiver verifies them.")]
pub(crate) struct WebhookArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) what: WebhookCommand,
}

/// What to do with webhooks.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Register an address, and print the secret that messages are signed with; nobody shows it again
    Add {
        /// Where messages are sent; begins with https://
        url: String,
        /// Whose it is (default: the operators', told of every tenant)
        #[arg(long, default_value = "", hide_default_value = true)]
        tenant: String,
        /// What it is told of, such as invoice.issued (default: everything); may be repeated
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// What it is for, for people
        #[arg(long, default_value = "", hide_default_value = true)]
        description: String,
    },
    /// List the keys that secrets are sealed with, and which of them can be taken out of the file
    Keys,
    /// List webhooks, without their secrets
    List {
        /// Of this tenant only (default: everybody's)
        #[arg(long, default_value = "", hide_default_value = true)]
        tenant: String,
    },
    /// Change where a webhook is, or what it is told of; what is not said stays
    Update {
        /// Its id
        id: String,
        /// Where messages are sent
        #[arg(long)]
        url: Option<String>,
        /// What it is told of, in place of what it was; may be repeated, and '*' is everything
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// What it is for, for people
        #[arg(long)]
        description: Option<String>,
    },
    /// Tell a webhook again what happens, and send what has waited
    Enable {
        /// Its id
        id: String,
    },
    /// Tell a webhook nothing, until it is enabled
    Disable {
        /// Its id
        id: String,
    },
    /// Remove a webhook, with its deliveries
    Remove {
        /// Its id
        id: String,
    },
    /// Make a new secret, and print it
    Rotate {
        /// The webhook's id
        id: String,
        /// How long the old secret signs too
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = span)]
        overlap: Duration,
    },
    /// Send an event webhook.test to a webhook
    Test {
        /// Its id
        id: String,
    },
    /// List what was sent to a webhook, or is to be, the newest first
    Deliveries {
        /// The webhook's id
        id: String,
        /// Those in this state only
        #[arg(long, value_enum)]
        state: Option<DeliveryState>,
        /// So many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=1000))]
        limit: i32,
    },
    /// Send something again, with the id that it had
    Redeliver {
        /// The delivery's id
        #[arg(required_unless_present = "dead_of", conflicts_with = "dead_of")]
        delivery: Option<String>,
        /// All that was given up of this webhook
        #[arg(long, value_name = "WEBHOOK")]
        dead_of: Option<String>,
    },
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeliveryState {
    /// It was not sent yet, or is sent again
    Waiting,
    /// The receiver took it
    Delivered,
    /// It was given up
    Dead,
}
