//! What the fuzz targets of imports hold them to (`fuzz/`); it is in no build but theirs and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::io::Cursor;

use zip::ZipArchive;

use super::{Description, Tensor, torchserve, triton};

/// A `config.pbtxt`: what is taken is a manifest in TOML, whose text is answered.
pub fn pbtxt(text: &[u8]) -> Option<String> {
    let description = triton::describe(str::from_utf8(text).ok()?, "folder").ok()?;
    Some(written(&description))
}

/// A `.mar`: what is taken names files that are in it, by names that stay in their folder, and is a manifest in TOML, whose text is answered.
pub fn archive(file: &[u8]) -> Option<String> {
    let mut archive = ZipArchive::new(Cursor::new(file)).ok()?;
    let tensor = Tensor { name: "x".to_owned(), datatype: "FP32".to_owned(), shape: vec![-1] };
    let read = torchserve::describe(&mut archive, std::slice::from_ref(&tensor), std::slice::from_ref(&tensor)).ok()?;
    assert!(read.version > 0);
    for name in read.extras.iter().chain([&read.artefact]) {
        assert!(archive.by_name(name).is_ok(), "{name} is not in the archive");
        let stays = name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        assert!(stays && !name.contains('\\'), "{name} leads elsewhere");
    }
    Some(written(&read.description))
}

fn written(description: &Description) -> String {
    let text = description.text("a file\nof theirs").expect("what was described can be written");
    assert!(text.parse::<toml::Table>().is_ok(), "no TOML:\n{text}");
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    fn each_seed(target: &str, run: fn(&[u8]) -> Option<String>) {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds")).join(target);
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        let taken = seeds.iter().filter_map(|seed| run(&fs::read(seed).unwrap())).count();
        assert!(taken > 0, "no seed of {target} is taken");
    }

    #[test]
    fn every_seed_of_pbtxt_holds() {
        each_seed("pbtxt", super::pbtxt);
    }

    #[test]
    fn every_seed_of_archive_holds() {
        each_seed("archive", super::archive);
    }
}
