//! The calls in what a model writes.

mod object;
mod parser;

pub use parser::Calls;

/// How a model writes calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallFormat {
    /// `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, as often as there are calls, with text around them: Hermes, Qwen.
    Hermes,
    /// `{"name": ..., "parameters": {...}}` is the whole answer: Llama 3.1 and later. Several are separated by `;`. JSON that names no tool is text.
    Llama,
    /// `[TOOL_CALLS] [{"name": ..., "arguments": {...}}, ...]`, with text before it: Mistral.
    Mistral,
}

impl CallFormat {
    /// The format that a chat template shows the model, if it is one of these.
    pub fn of_template(source: &str) -> Option<Self> {
        if source.contains("<tool_call>") {
            Some(Self::Hermes)
        } else if source.contains("[TOOL_CALLS]") {
            Some(Self::Mistral)
        } else if source.contains("\"parameters\":") && source.contains("tools") {
            Some(Self::Llama)
        } else {
            None
        }
    }

    /// The texts that mark calls. Where the vocabulary has them as special tokens, they must show in the text:
    /// [`Words::showing`](crate::write::Words::showing).
    pub fn marks(self) -> &'static [&'static str] {
        match self {
            Self::Hermes => &["<tool_call>", "</tool_call>"],
            Self::Llama => &[],
            Self::Mistral => &["[TOOL_CALLS]"],
        }
    }
}

/// What an answer says next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delta {
    /// Text of the message.
    Content(String),
    /// A piece of a call.
    Call(CallPiece),
}

/// A piece of a call. The first has the id and the name; the pieces of `arguments` together are what the model wrote.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CallPiece {
    /// Which call of the answer, from 0.
    pub index: usize,
    /// The call's id; empty but in the first piece.
    pub id: String,
    /// The tool; empty but in the first piece.
    pub name: String,
    /// The next piece of a JSON object, as text.
    pub arguments: String,
}
