//! The guide shows the example that is compiled, letter for letter.

use std::{fs, path::Path};

#[test]
fn the_guide_shows_the_quickstart_as_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(folder.join("../../docs/clients/rust.md")).unwrap();
    let example = fs::read_to_string(folder.join("examples/quickstart.rs")).unwrap();
    let shown = guide.split("```rust\n").nth(1).and_then(|rest| rest.split("```\n").next());
    assert_eq!(shown, Some(example.as_str()), "copy clients/rust/examples/quickstart.rs into docs/clients/rust.md");
}
