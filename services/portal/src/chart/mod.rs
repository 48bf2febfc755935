//! Charts, drawn on the server as SVG. Their colours are classes, so that the style decides them in light and in dark.

mod bars;
mod frame;
mod lines;
mod scale;

pub use bars::{Chart, Series, draw};
pub use lines::{Line, Lines, MOST, draw_lines};
pub use scale::ticks;
