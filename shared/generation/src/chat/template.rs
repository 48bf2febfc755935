//! Conversations as a model reads them.

use std::time::SystemTime;

use minijinja::{
    Environment, ErrorKind, State, UndefinedBehavior, Value,
    syntax::SyntaxConfig,
    value::{Kwargs, Serde},
};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde_json::{Map, json};

use super::{CallFormat, Conversation, calendar, json::dump};
use crate::Refusal;

/// What one rendering may do: some 3 million steps, or 190 MB of text on the way; the longest conversations take a tenth of it.
const FUEL: u64 = 3_000_000;
/// The longest template.
const MAX_BYTES: usize = 1 << 20;
/// How the sentence begins that a template raises; so it is told from other errors.
const RAISED: &str = "the chat template refuses this: ";

/// A model's chat template cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the chat template cannot be read: {why}")]
pub struct TemplateError {
    /// Why, with the line.
    pub why: String,
}

/// A model's chat template.
#[derive(Debug)]
pub struct Template {
    /// The one for conversations without tools, and that for conversations with them; the same where the model has one.
    plain: One,
    tools: Option<One>,
    bos: String,
    eos: String,
}

#[derive(Debug)]
struct One {
    environment: Environment<'static>,
    shows_tools: bool,
    format: Option<CallFormat>,
}

impl Template {
    /// A template by its text, with the names of the tokens that begin and end a text; empty where the model has none.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        Ok(Self { plain: One::new(source)?, tools: None, bos: bos.to_owned(), eos: eos.to_owned() })
    }

    /// The same with another text for conversations that have tools.
    pub fn with_tools(self, source: &str) -> Result<Self, TemplateError> {
        Ok(Self { tools: Some(One::new(source)?), ..self })
    }

    /// The prompt's text. It has the special tokens in it, so the tokenizer adds none. `now` is what `strftime_now` tells, in UTC.
    pub fn render(&self, conversation: &Conversation, now: SystemTime) -> Result<String, Refusal> {
        conversation.check()?;
        let tools = conversation.shown_tools()?;
        let one = if tools.is_some() { self.for_tools() } else { &self.plain };
        if tools.is_some() && !one.shows_tools {
            return Err(Refusal::new("tools", "the model's chat template cannot show tools"));
        }
        let mut variables: Map<String, serde_json::Value> = conversation.extra()?;
        variables.insert("messages".to_owned(), conversation.shown_messages()?);
        variables.insert("tools".to_owned(), tools.unwrap_or_default());
        variables.insert("add_generation_prompt".to_owned(), json!(true));
        variables.insert("bos_token".to_owned(), json!(self.bos));
        variables.insert("eos_token".to_owned(), json!(self.eos));
        // transformers' default; templates test whether it is there.
        variables.insert("documents".to_owned(), serde_json::Value::Null);
        one.render(variables, now)
    }

    /// How the model writes calls, as far as the template shows; `None` where it cannot be told.
    pub fn format(&self) -> Option<CallFormat> {
        self.for_tools().format
    }

    /// Whether conversations with tools can be shown.
    pub fn shows_tools(&self) -> bool {
        self.for_tools().shows_tools
    }

    fn for_tools(&self) -> &One {
        self.tools.as_ref().unwrap_or(&self.plain)
    }
}

impl One {
    fn new(source: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_BYTES {
            return Err(TemplateError { why: format!("it has {} bytes; at most {MAX_BYTES} are taken", source.len()) });
        }
        let broken = |error: minijinja::Error| TemplateError { why: told(&error) };
        let mut environment = Environment::new();
        // As transformers sets it up.
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(broken)?);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("tojson", tojson);
        environment.add_function("raise_exception", raise);
        environment.add_template_owned("chat", without_marks(source)).map_err(broken)?;
        let shows_tools = environment.get_template("chat").map_err(broken)?.undeclared_variables(false).contains("tools");
        Ok(Self { environment, shows_tools, format: CallFormat::of_template(source) })
    }

    fn render(&self, variables: Map<String, serde_json::Value>, now: SystemTime) -> Result<String, Refusal> {
        let mut context: Vec<(String, Value)> = variables.into_iter().map(|(name, value)| (name, Value::from(Serde(value)))).collect();
        context.push(("strftime_now".to_owned(), Value::from_function(move |form: &str| calendar::written(now, form))));
        let template = self.environment.get_template("chat").map_err(|error| refusal(&error))?;
        template.render(Value::from_pairs(context)).map_err(|error| refusal(&error))
    }
}

/// The template without the marks that transformers puts around what the assistant says, which matter to training only.
fn without_marks(source: &str) -> String {
    let mut text = source.to_owned();
    for (mark, instead) in [("generation", "if true"), ("endgeneration", "endif")] {
        for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
            text = text.replace(&format!("{open} {mark} {close}"), &format!("{open} {instead} {close}"));
        }
    }
    text
}

#[allow(clippy::needless_pass_by_value, reason = "minijinja hands a function's arguments over")]
fn tojson(state: &State, value: &Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Known to Python and of no effect here: nothing is escaped in any case, keys stay in order.
    for known in ["ensure_ascii", "sort_keys", "separators"] {
        options.get::<Option<Value>>(known)?;
    }
    options.assert_all_used()?;
    let text = dump(value, indent).map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    state.consume_fuel(text.len() as u64 / 64)?;
    Ok(text)
}

fn raise(message: &str) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
}

fn refusal(error: &minijinja::Error) -> Refusal {
    if error.kind() == ErrorKind::OutOfFuel {
        return Refusal::new("messages", "the conversation is too long for the model's chat template");
    }
    let raised = error.detail().and_then(|detail| detail.strip_prefix(RAISED));
    match raised {
        Some(message) => Refusal::new("messages", format!("{RAISED}{}", short(message))),
        None => Refusal::new("messages", format!("the model's chat template cannot show this conversation: {}", told(error))),
    }
}

/// The error in one line, without the template's text.
fn told(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" (line {line} of the template)")).unwrap_or_default();
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    short(&what) + &line
}

fn short(text: &str) -> String {
    text.chars().take(300).collect()
}
