//! How calls cross the mesh: their deadlines, their ends, what is wrong with them, and what becomes of them when services come and go.

mod bad_input;
mod cancellation;
mod deadlines;
mod doors;
mod floods;
mod living_and_dying;
mod overload;
mod passing_on;
mod settings;
mod tracing;
