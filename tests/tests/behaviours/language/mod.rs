//! Language models, end to end: the real worker with `SmolLM2-135M-Instruct`, `stories15M`, and models that are made on the spot.

mod answers;
mod clients;
mod ends;
mod forms;
mod leaving;
mod parity;
mod protocol;
mod refusals;
mod repository;
mod resuming;
mod sharing;
mod tools;
