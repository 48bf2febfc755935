//! What the worker answers: the Open Inference Protocol, and the typed APIs for text, images and sound.

mod answer;
mod audio;
mod call;
mod content;
mod describe;
mod driven;
mod front;
mod generation;
mod inference;
mod parameters;
mod properties;
mod stream;
mod text;
mod vision;

pub use audio::Audio;
pub use call::CallInfo;
pub use front::Front;
pub use generation::Generation;
#[cfg(any(test, fuzzing))]
pub(crate) use generation::fuzzing;
pub use inference::Inference;
pub use text::Text;
pub use vision::Vision;
