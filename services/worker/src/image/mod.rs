//! Images: what happens to them before the model (decoded, brought to its size, made a tensor) and after (labels, boxes).
//!
//! All of it is plain computation on what the caller sent. It takes milliseconds, so it runs on [`crate::decoding`]'s threads.

mod decode;
mod detections;
mod fit;
mod jpeg;
mod pixels;
mod resize;
mod suppress;

pub use decode::{ImageError, Limits, Picture, decode};
pub use detections::{BoxForm, Coordinates, DetectorForm, DetectorOutput, DetectorSettings, Rule, find};
pub use fit::{Fit, Placement};
pub use pixels::{Channels, ImageSettings, Layout, prepare};
pub use resize::Filter;
pub use suppress::{Found, Rectangle, suppress};
