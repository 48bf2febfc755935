//! How much a caller may ask for.

mod one_gateway;
mod together;
