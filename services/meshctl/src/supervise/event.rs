//! What happens while a mesh runs, as far as somebody wants to hear of it.

use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// Something happened. As JSON these are also how `up --detach` follows the process in the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// These instances are being started.
    Starting {
        /// Their names.
        instances: Vec<String>,
    },
    /// An instance listens and is loading.
    Listening {
        /// Its name.
        instance: String,
    },
    /// An instance takes calls.
    Ready {
        /// Its name.
        instance: String,
        /// How long that took since its process was started.
        after_ms: u64,
    },
    /// An instance that took calls stopped taking them, and still runs.
    NotReady {
        /// Its name.
        instance: String,
    },
    /// An instance ended although nobody stopped it.
    Exited {
        /// Its name.
        instance: String,
        /// How it ended.
        how: String,
        /// When it is started again.
        retry_ms: u64,
        /// Where its output is.
        log: String,
    },
    /// Something went wrong that the mesh lives with; it is tried again.
    Trouble {
        /// What is wrong.
        problem: String,
    },
    /// Everything is ready: the mesh can be used.
    Up,
    /// The mesh could not be started; nothing of it is left.
    Failed {
        /// What is wrong.
        problem: String,
        /// What to do.
        help: Option<String>,
        /// The exit code.
        code: u8,
    },
    /// A service is being stopped; its calls in flight may finish.
    Stopping {
        /// Its name.
        service: String,
    },
    /// Nothing is left running.
    Stopped,
}

impl From<Failure> for Event {
    fn from(Failure { problem, help, code }: Failure) -> Self {
        Self::Failed { problem, help, code }
    }
}

/// Somebody who wants to hear.
pub(crate) trait Listener {
    /// Takes one event.
    fn hear(&mut self, event: &Event);
}
