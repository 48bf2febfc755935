//! Language models, end to end: the real worker with `SmolLM2-135M-Instruct`, `stories15M`, and models that are made on the spot.

mod parity;
mod repository;
