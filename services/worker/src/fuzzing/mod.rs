//! What the fuzz targets hold this crate to (`fuzz/`); it is in no build but theirs and the tests'.
//!
//! Each function takes what a stranger may send or publish, and panics where a promise is broken.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

mod audio;
mod head;
mod image;
mod manifest;
mod published;
mod tensors;
mod weights;
mod writing;

pub use self::{
    audio::audio,
    head::head,
    image::image,
    manifest::{imported, manifest},
    published::published,
    tensors::tensors,
    weights::weights,
    writing::writing,
};
pub use crate::handlers::fuzzing::asked;

/// Shapes for the engine's kernels, six bytes.
pub fn kernels(shapes: &[u8]) {
    crate::engine::kernels::fuzzing::kernels(shapes);
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use prost::Message;

    fn each_seed(target: &str, run: impl Fn(&[u8])) {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds")).join(target);
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty(), "there is no seed for {target}");
        for seed in seeds {
            run(&fs::read(seed).unwrap());
        }
    }

    #[test]
    fn every_seed_of_manifest_holds() {
        each_seed("manifest", super::manifest);
    }

    #[test]
    fn every_seed_of_published_holds() {
        each_seed("published", super::published);
    }

    #[test]
    fn every_seed_of_head_holds() {
        each_seed("head", super::head);
    }

    #[test]
    fn every_seed_of_image_holds() {
        each_seed("image", super::image);
    }

    #[test]
    fn every_seed_of_kernels_holds() {
        each_seed("kernels", super::kernels);
    }

    #[test]
    fn every_seed_of_audio_holds() {
        each_seed("audio", super::audio);
    }

    #[test]
    fn every_seed_of_weights_holds() {
        each_seed("weights", super::weights);
    }

    #[test]
    fn every_seed_of_writing_holds() {
        each_seed("writing", super::writing);
    }

    #[test]
    fn every_seed_of_tensors_holds() {
        each_seed("tensors", |seed| super::tensors(Message::decode(seed).unwrap()));
    }
}
