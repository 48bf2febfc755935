//! Conversations: what the model reads of them, and the tools that it calls in its answer.
//!
//! A [`Template`] turns a [`Conversation`] into the text of a prompt, in the dialect that Hugging Face's models bring along. What the model writes is
//! read by [`Calls`], which tells the message's text from calls; [`form`] holds an answer to calls where they are required.

mod calendar;
mod calls;
mod conversation;
mod forms;
mod json;
mod template;
#[cfg(test)]
mod tests;

pub use calls::{CallFormat, CallPiece, Calls, Delta};
pub use conversation::{Call, Conversation, Message, Tool, ToolChoice};
pub use forms::form;
pub use template::{Template, TemplateError};
