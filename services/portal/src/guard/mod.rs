//! What stands between a request and a page.

pub mod address;
mod attempts;
pub mod body;
pub mod cookies;
pub mod csrf;
pub mod headers;
mod local;
mod sent;

pub use attempts::Attempts;
pub use local::local_path;
pub use sent::Sent;
