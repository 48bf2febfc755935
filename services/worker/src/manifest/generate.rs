//! The settings of a language model.

/// How a language model writes, and how much of the machine it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateSettings {
    /// `max_tokens`: the longest sequence, prompt and answer together. Default: the model's own limit, but at most 32768; 16 to 1048576.
    pub max_tokens: usize,
    /// `max_new_tokens`: how long an answer is at most when the caller does not say. Default: as long as `max_tokens` leaves room for; at least 1.
    pub max_new_tokens: Option<usize>,
    /// `cache`: bytes for the keys and values of what was read. Default 1GiB, at least 1MiB. Used as sequences grow; what is not in use keeps prefixes.
    pub cache_bytes: usize,
    /// `max_running`: sequences in one step. Default 64, 1 to 1024.
    pub max_running: usize,
    /// `step_tokens`: tokens in one step; a longer prompt is read in several, so that it does not keep others waiting. Default 256, 1 to 8192.
    pub step_tokens: usize,
    /// `share_prefixes`: whether tenants share what was read of equal prompts. Default false: each has its own, and cannot learn from the time that an
    /// answer takes what others have asked.
    pub share_prefixes: bool,
    /// `guesses`: tokens that are guessed from what stands in the sequence already, and read together; the answer is the same with and without. Default
    /// 0: none; at most 16.
    pub guesses: usize,
    /// `chat_template`: a file with a Jinja template, in the version's folder. Default: what the model was published with.
    pub chat_template: Option<String>,
    /// `tools`: how the model writes that it calls a tool: `auto`, `hermes`, `llama3`, `mistral` or `none`. Default `auto`: as its chat template shows.
    pub tools: String,
    /// `instruction`: what is said to the model with each text of a task, with `{text}` where the text goes, for example
    /// `Summarise in one sentence: {text}`. Absent: texts are the prompt as they are.
    pub instruction: Option<String>,
    /// `[sampling]`: what holds where the caller does not say.
    pub sampling: SamplingDefaults,
}

/// How tokens are chosen where the caller does not say. Absent: as the model was published, and else as the API says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SamplingDefaults {
    /// `temperature`: 0 to 2.
    pub temperature: Option<f64>,
    /// `top_k`: 0 to 1000000.
    pub top_k: Option<usize>,
    /// `top_p`: over 0 to 1.
    pub top_p: Option<f64>,
    /// `min_p`: 0 to 1.
    pub min_p: Option<f64>,
    /// `repetition_penalty`: over 0 to 2.
    pub repetition_penalty: Option<f64>,
}
