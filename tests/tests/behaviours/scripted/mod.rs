//! Answers of language models as they cross the mesh, from a worker that says what the test has scripted.

mod answers;
mod clients;
mod fields;
