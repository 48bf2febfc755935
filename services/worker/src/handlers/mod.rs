//! What the worker answers: the Open Inference Protocol and the text API.

mod answer;
mod call;
mod describe;
mod front;
mod inference;
mod stream;
mod text;

pub use call::CallInfo;
pub use front::Front;
pub use inference::Inference;
pub use text::Text;
