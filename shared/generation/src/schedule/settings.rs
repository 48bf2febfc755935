//! How a model's sequences are scheduled.

/// How much runs at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Tokens that one step reads at most, over all sequences: 512. A longer prompt is read in parts, and what the running sequences have chosen
    /// goes first. Never less than `max_running`, whatever stands here.
    pub step_tokens: usize,
    /// Sequences that run at once at most: 64; 0 is taken as 1.
    pub max_running: usize,
    /// Sequences that wait for their place at most: 1024. Beyond, a job is refused. Preempted sequences wait too, and are not counted.
    pub max_waiting: usize,
    /// Rows of logits that one step gives at most beyond one a sequence: 64. Guesses and prompts that an author reads take them; a row has as many
    /// floats as the vocabulary has tokens.
    pub extra_rows: usize,
    /// Guessing of the next tokens by what followed the last ones earlier in the same sequence: off. The answers are the same with and without.
    pub lookup: Option<Lookup>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { step_tokens: 512, max_running: 64, max_waiting: 1024, extra_rows: 64, lookup: None }
    }
}

impl Settings {
    /// Made whole: every running sequence has its token in every step.
    pub(crate) fn sound(mut self) -> Self {
        self.max_running = self.max_running.max(1);
        self.step_tokens = self.step_tokens.max(self.max_running);
        self
    }
}

/// How the next tokens are guessed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lookup {
    /// So many of the last tokens are looked for at most: 4. The longest match wins; where this is more than 1, a match of one token is none.
    pub longest_match: usize,
    /// So many tokens are guessed at most: 8.
    pub most_guesses: usize,
}

impl Default for Lookup {
    fn default() -> Self {
        Self { longest_match: 4, most_guesses: 8 }
    }
}
