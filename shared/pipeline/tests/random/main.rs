//! Pipelines that nobody wrote, against a reference that is too simple to be wrong: one step after the other, each looked up by its name.

#![allow(clippy::cast_possible_wrap, reason = "what is counted here is small")]

mod answers;
mod faults;
mod recipe;
mod reference;
mod world;
