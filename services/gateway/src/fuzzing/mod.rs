//! What the fuzz targets hold the gateway's doors to (`fuzz/`); it is in no build but theirs and the tests'.
//!
//! Each function takes what a stranger may send, and panics where a promise is broken.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

pub use crate::{
    batches::fuzzing::lines,
    browser::fuzzing::web,
    identity::fuzzing::{clients, tokens},
    openai::fuzzing::generation,
    redaction::fuzzing::redaction,
};

use std::fmt::Debug;

use prost::Message;

/// The body of a question: what each door takes of it is within its limits, and a message that a decoder reads as it was meant.
pub fn questions(body: &[u8]) {
    crate::openai::fuzzing::lists(body);
    crate::tei::fuzzing::questions(body);
    crate::tasks::fuzzing::question(body);
    crate::torchserve::fuzzing::content(body);
}

/// A message is read as it was written.
pub(crate) fn same<M: Message + Default + PartialEq + Debug>(message: &M) {
    assert_eq!(M::decode(&*message.encode_to_vec()).as_ref(), Ok(message), "a decoder reads another");
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    fn each_seed(target: &str, run: impl Fn(&[u8])) {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds")).join(target);
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty(), "there is no seed for {target}");
        for seed in seeds {
            run(&fs::read(seed).unwrap());
        }
    }

    #[test]
    fn every_seed_of_generation_holds() {
        each_seed("generation", |seed| drop(super::generation(seed)));
    }

    #[test]
    fn every_seed_of_questions_holds() {
        each_seed("questions", super::questions);
    }

    #[test]
    fn every_seed_of_tokens_holds() {
        each_seed("tokens", super::tokens);
    }

    #[test]
    fn every_seed_of_clients_holds() {
        each_seed("clients", super::clients);
    }

    #[test]
    fn every_seed_of_web_holds() {
        each_seed("web", super::web);
    }

    #[test]
    fn every_seed_of_redaction_holds() {
        each_seed("redaction", super::redaction);
    }

    #[test]
    fn every_seed_of_lines_holds() {
        each_seed("lines", super::lines);
    }
}
