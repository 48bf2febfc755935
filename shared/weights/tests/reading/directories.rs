//! Hugging Face directories and their tensors.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
};

use serde_json::{Value, json};
use torchmesh_weights::{Element, write_directory};

use crate::made::{Folder, floats, llama, pairs, safetensors, values};

const CONFIG: &str = r#"{"model_type": "llama", "eos_token_id": 2}"#;

fn folder() -> Folder {
    Folder::new().with("config.json", CONFIG)
}

fn in_one_file(header: &Value, data: &[u8]) -> Folder {
    folder().with("model.safetensors", safetensors(header, data))
}

#[test]
fn a_directory_in_one_file_gives_what_is_in_it() {
    let header = json!({
        "__metadata__": {"format": "pt"},
        "b": {"dtype": "BF16", "shape": [2, 1], "data_offsets": [0, 4]},
        "a": {"dtype": "F32", "shape": [], "data_offsets": [4, 8]},
        "none": {"dtype": "F16", "shape": [0, 7], "data_offsets": [8, 8]},
    });
    let model = in_one_file(&header, &[1, 2, 3, 4, 0, 0, 128, 63]).open().unwrap();
    assert_eq!((model.config(), model.names()), (CONFIG, vec!["a".to_owned(), "b".to_owned(), "none".to_owned()]));
    let tensor = model.tensor("b").unwrap().unwrap();
    assert_eq!((tensor.element, tensor.shape, tensor.bytes), (Element::Bf16, vec![2, 1], vec![1, 2, 3, 4]));
    assert_eq!(values(model.as_ref(), "a"), [1.0]);
    assert!(model.tensor("none").unwrap().unwrap().bytes.is_empty());
    assert_eq!((model.tensor("c").unwrap(), model.layout("c").unwrap()), (None, None));
}

#[test]
fn the_path_may_be_the_folder_or_a_file_in_it() {
    let folder = folder().with("model.safetensors", pairs(&["x"]));
    for path in [folder.path(""), folder.path("config.json"), folder.path("model.safetensors")] {
        assert_eq!(torchmesh_weights::open(&path).map(|model| model.names()).unwrap(), ["x"]);
    }
    let problem = torchmesh_weights::open(&folder.path("none.json")).map(|_| ()).unwrap_err().to_string();
    assert!(problem.contains("none.json"), "{problem}");
}

#[test]
fn shards_are_found_by_their_index() {
    let index = json!({"weight_map": {"x": "1.safetensors", "y": "2.safetensors", "z": "1.safetensors"}});
    let shards = || folder().with("1.safetensors", pairs(&["x", "z"])).with("2.safetensors", pairs(&["y"]));
    let model = shards().with("model.safetensors.index.json", index.to_string()).open().unwrap();
    assert_eq!(model.names(), ["x", "y", "z"]);
    assert_eq!((values(model.as_ref(), "z"), values(model.as_ref(), "y")), (vec![2.0, 3.0], vec![0.0, 1.0]));
}

#[test]
fn a_wrong_index_is_refused_with_the_tensor_and_the_shard() {
    for (place, expected) in [
        (json!("3.safetensors"), "tensor y is in 3.safetensors, which is missing"),
        (json!("1.safetensors"), "1.safetensors: lacks the tensor y"),
        (json!("../1.safetensors"), "tensor y: \"../1.safetensors\" is not the name of a file"),
        (json!("/etc/passwd"), "tensor y"),
        (json!(7), "is not an index"),
    ] {
        let index = json!({"weight_map": {"x": "1.safetensors", "y": place}});
        let folder = folder().with("1.safetensors", pairs(&["x"])).with("model.safetensors.index.json", index.to_string());
        let problem = folder.problem();
        assert!(problem.contains(expected), "{place}: {problem}");
    }
}

#[test]
fn a_damaged_file_of_tensors_is_refused_by_name() {
    let one = |shape: Value, offsets: Value| json!({"x": {"dtype": "F32", "shape": shape, "data_offsets": offsets}});
    for (header, expected) in [
        (one(json!([2]), json!([0, 12])), "tensor x: [2] elements F32 take other"),
        (one(json!([4]), json!([0, 16])), "tensor x lies at bytes 0 to 16 of 12"),
        (one(json!([2]), json!([8, 0])), "tensor x lies at bytes 8 to 0"),
        (one(json!([2]), json!([u64::MAX - 7, u64::MAX])), "tensor x lies at"),
        (one(json!([1_u64 << 40, 1_u64 << 40]), json!([0, 8])), "tensor x"),
        (one(json!([-1]), json!([0, 4])), "tensor x"),
        (one(json!([2]), json!([0])), "tensor x"),
        (json!({"x": {"shape": [2]}}), "tensor x"),
        (json!([]), "the header is not what it should be"),
        (
            json!({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "y": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}),
            "tensors x and y lie over each other",
        ),
    ] {
        let problem = in_one_file(&header, &[0; 12]).problem();
        assert!(problem.contains("model.safetensors: ") && problem.contains(expected), "{header}: {problem}");
    }
}

#[test]
fn a_header_longer_than_the_file_is_refused_before_memory_is_taken() {
    for length in [u64::MAX, 1 << 40, 100_000_001, 9] {
        let folder = folder().with("model.safetensors", [&length.to_le_bytes()[..], b"{}      "].concat());
        assert!(folder.problem().contains("cut, damaged"), "{length}");
    }
    for short in [&b""[..], b"1234567"] {
        assert!(folder().with("model.safetensors", short).problem().contains("too short"));
    }
}

#[test]
fn elements_of_another_kind_are_refused_when_they_are_asked_for() {
    let header = json!({
        "x": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]},
        "y": {"dtype": "F16", "shape": [1], "data_offsets": [2, 4]},
    });
    let model = in_one_file(&header, &[0; 4]).open().unwrap();
    let problem = model.tensor("x").unwrap_err().to_string();
    assert!(problem.contains("tensor x has elements F8_E4M3; F32, F16 and BF16 are read"), "{problem}");
    assert_eq!(model.tensor("y").unwrap().unwrap().bytes.len(), 2);
}

#[test]
fn a_tensor_in_a_huge_file_is_read_without_the_rest() {
    let (far, size) = (1_u64 << 36, 8);
    let header = json!({
        "huge": {"dtype": "F32", "shape": [far / 4], "data_offsets": [0, far]},
        "small": {"dtype": "F32", "shape": [2], "data_offsets": [far, far + size]},
    });
    let folder = in_one_file(&header, &[]);
    let mut file: File = OpenOptions::new().append(false).write(true).open(folder.path("model.safetensors")).unwrap();
    let begin = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(begin + far)).unwrap();
    file.write_all(&floats(&[3.0, 4.0])).unwrap();
    assert_eq!(values(folder.open().unwrap().as_ref(), "small"), [3.0, 4.0]);
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error_and_no_panic() {
    let folder = folder().with("model.safetensors", pairs(&["x", "y"]));
    let model = folder.open().unwrap();
    let file = OpenOptions::new().write(true).open(folder.path("model.safetensors")).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    assert!(model.tensor("y").unwrap_err().to_string().contains("model.safetensors"));
    assert_eq!(values(model.as_ref(), "x"), [0.0, 1.0]);
}

#[test]
fn the_first_names_of_gpt_2_become_todays() {
    let folder = Folder::new().with("config.json", r#"{"model_type": "gpt2"}"#);
    let model =
        folder.with("model.safetensors", pairs(&["wte.weight", "h.0.attn.bias", "h.0.attn.c_attn.bias", "transformer.x"])).open().unwrap();
    assert_eq!(model.names(), ["transformer.h.0.attn.c_attn.bias", "transformer.wte.weight", "transformer.x"]);
}

#[test]
fn what_is_written_is_read_back_the_same() {
    let (original, written) = (llama().text("tokenizer.chat_template", "{{ bos_token }}").folder(), Folder::new());
    let original = original.open().unwrap();
    write_directory(original.as_ref(), &written.path("a/b")).unwrap();
    let copy = torchmesh_weights::open(&written.path("a/b")).unwrap();
    assert_eq!((copy.config(), copy.names()), (original.config(), original.names()));
    for name in original.names() {
        assert_eq!(copy.tensor(&name).unwrap(), original.tensor(&name).unwrap(), "{name}");
    }
    assert_eq!(copy.tokenizer().unwrap(), original.tokenizer().unwrap());
    let (copy, original) = (copy.special(), original.special());
    assert_eq!((&copy.end, copy.begin), (&original.end, original.begin));
    assert_eq!((&copy.texts, &copy.chat_template), (&original.texts, &original.chat_template));
}

#[test]
fn a_model_written_over_itself_is_whole() {
    let folder = folder().with("model.safetensors", pairs(&["x", "y"])).with("tokenizer.json", "{}");
    let model = folder.open().unwrap();
    write_directory(model.as_ref(), &folder.path("")).unwrap();
    let again = folder.open().unwrap();
    assert_eq!((values(again.as_ref(), "x"), values(again.as_ref(), "y")), (vec![0.0, 1.0], vec![2.0, 3.0]));
}

#[test]
fn a_folder_without_a_model_says_what_could_be_in_it() {
    assert!(Folder::new().problem().contains("holds no language model"));
    let two = Folder::new().with("a.gguf", "").with("b.gguf", "");
    assert!(two.problem().contains("holds a.gguf and b.gguf"));
}
