use proptest::prelude::*;
use torchmesh_api::tensor::{Datatype, Tensor};

use super::*;
use crate::element::{dimension, numbers, texts};

fn read(text: &str) -> Transform {
    Section::read_all(text.parse().unwrap(), Transform::read).unwrap_or_else(|problems| panic!("{problems}")).unwrap()
}

fn named<T>(inputs: impl IntoIterator<Item = (&'static str, T)>) -> Vec<Given<T>> {
    inputs.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

/// What a transform gives, after what it promises to give was seen to be true.
fn apply(text: &str, inputs: impl IntoIterator<Item = (&'static str, Tensor)>) -> Result<Vec<Tensor>, String> {
    let (transform, inputs) = (read(text), named(inputs));
    let promised = transform.infer(&inputs.iter().map(|(name, tensor)| (name.clone(), TensorType::of(tensor))).collect::<Vec<_>>())?;
    let given = transform.apply(&inputs)?;
    assert_eq!(given.len(), transform.outputs().len());
    for (promised, given) in promised.iter().zip(&given) {
        assert_eq!(promised, &TensorType::of(given), "{text}");
    }
    Ok(given)
}

fn one(text: &str, inputs: impl IntoIterator<Item = (&'static str, Tensor)>) -> Tensor {
    apply(text, inputs).unwrap_or_else(|error| panic!("{text}: {error}")).remove(0)
}

fn words(all: &[&str]) -> Tensor {
    texts([dimension(all.len())], all.iter().map(|word| (*word).into()))
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_f32s([dimension(values.len())], values)
}

#[test]
fn a_slice_is_a_part_of_any_dimension_and_counts_from_either_end() {
    let x = Tensor::from_i64s([2, 3], &[1, 2, 3, 4, 5, 6]);
    assert_eq!(one("transform = 'slice'\nend = 1", [("x", x.clone())]), Tensor::from_i64s([1, 3], &[1, 2, 3]));
    assert_eq!(one("transform = 'slice'\naxis = -1\nbegin = -2", [("x", x.clone())]), Tensor::from_i64s([2, 2], &[2, 3, 5, 6]));
    assert_eq!(one("transform = 'slice'\nbegin = 1", [("x", words(&["a", "bcd", "e"]))]), words(&["bcd", "e"]));
    assert!(apply("transform = 'slice'\nbegin = 2", [("x", x.clone())]).unwrap_err().contains("nothing of it"));
    assert!(apply("transform = 'slice'\naxis = 2", [("x", x)]).unwrap_err().contains("no axis 2"));
}

#[test]
fn concatenation_follows_the_names_and_any_axis() {
    let (x, y) = (Tensor::from_i64s([2, 1], &[1, 2]), Tensor::from_i64s([2, 2], &[3, 4, 5, 6]));
    assert_eq!(one("transform = 'concat'\naxis = 1", [("a", x.clone()), ("b", y.clone())]), Tensor::from_i64s([2, 3], &[1, 3, 4, 2, 5, 6]));
    assert!(apply("transform = 'concat'", [("a", x), ("b", y)]).unwrap_err().contains("differ elsewhere"));
    assert_eq!(one("transform = 'concat'", [("a", words(&["x"])), ("b", words(&["yz", ""]))]), words(&["x", "yz", ""]));
}

#[test]
fn a_cast_keeps_what_the_datatype_can_hold() {
    let x = floats(&[1.9, -3.0, 300.0]);
    assert_eq!(one("transform = 'cast'\nto = 'INT64'", [("x", x.clone())]), Tensor::from_i64s([3], &[1, -3, 300]));
    assert_eq!(one("transform = 'cast'\nto = 'UINT8'", [("x", x.clone())]).data, &[1_u8, 0, 255][..]);
    assert_eq!(one("transform = 'cast'\nto = 'BYTES'", [("x", Tensor::from_i64s([2], &[7, -1]))]), words(&["7", "-1"]));
    assert!(apply("transform = 'cast'\nto = 'FP32'", [("x", words(&["1"]))]).unwrap_err().contains("json reads numbers"));
}

#[test]
fn the_largest_come_first_and_what_is_no_number_last() {
    let given = apply("transform = 'top_k'\nk = 2", [("x", Tensor::from_f32s([2, 3], &[1.0, 3.0, 3.0, f32::NAN, -1.0, -2.0]))]).unwrap();
    assert_eq!(given, [Tensor::from_f32s([2, 2], &[3.0, 3.0, -1.0, -2.0]), Tensor::from_i64s([2, 2], &[1, 2, 1, 2])]);
    assert!(apply("transform = 'top_k'\nk = 4", [("x", floats(&[1.0]))]).unwrap_err().contains("4 largest of 1"));
}

#[test]
fn a_threshold_says_which_are_large_enough() {
    let flags = one("transform = 'threshold'\nat_least = 0.5", [("x", floats(&[0.5, 0.4, f32::NAN]))]);
    assert_eq!((flags.datatype, flags.data), (Datatype::Bool, bytes::Bytes::from_static(&[1, 0, 0])));
}

#[test]
fn a_template_writes_one_text_for_each_element() {
    let text = "transform = 'template'\ntext = '{{{n}}} {who}!'";
    assert_eq!(one(text, [("who", words(&["Ann", "Bo"])), ("n", Tensor::from_i64s([1], &[3]))]), words(&["{3} Ann!", "{3} Bo!"]));
    assert!(apply("transform = 'template'\ntext = '{x} {y}'", [("x", words(&["a"]))]).unwrap_err().contains("{y}"));
    assert!(apply("transform = 'template'\ntext = '{x}'", named_pair()).unwrap_err().contains("{y}"));
}

fn named_pair() -> [(&'static str, Tensor); 2] {
    [("x", words(&["a"])), ("y", words(&["b"]))]
}

#[test]
fn a_brace_without_its_half_is_a_mistake() {
    let problems = Section::read_all("transform = 'template'\ntext = 'a { b'".parse().unwrap(), Transform::read).unwrap_err();
    assert!(problems.to_string().contains("without its other half"), "{problems}");
}

#[test]
fn json_gives_a_field_of_each_text_or_the_default() {
    let json = words(&[r#"{"a":{"score":2}}"#, "no json", r#"{"a":{"score":0.5}}"#]);
    let text = "transform = 'json'\npick = '/a/score'\nto = 'FP32'\ndefault = '-1'";
    assert_eq!(one(text, [("x", json.clone())]), floats(&[2.0, -1.0, 0.5]));
    let strict = "transform = 'json'\npick = '/a/score'\nto = 'INT64'";
    assert!(apply(strict, [("x", json.clone())]).unwrap_err().contains("text 1 has no INT64"));
    let whole = one("transform = 'json'\npick = '/a'\nto = 'BYTES'\ndefault = '\"none\"'", [("x", json)]);
    assert_eq!(whole, words(&[r#"{"score":2}"#, "none", r#"{"score":0.5}"#]));
}

#[test]
fn a_mean_is_weighed_and_a_vote_goes_to_the_first_of_equals() {
    let xy = || [("a", floats(&[1.0, 2.0])), ("b", floats(&[3.0, 6.0]))];
    assert_eq!(one("transform = 'mean'", xy()), floats(&[2.0, 4.0]));
    assert_eq!(one("transform = 'mean'\nweights = [3, 1]", xy()), floats(&[1.5, 3.0]));
    assert!(apply("transform = 'mean'\nweights = [3, 1, 1]", xy()).unwrap_err().contains("3 weights for 2"));
    let votes = || [("a", words(&["x", "p"])), ("b", words(&["y", "q"])), ("c", words(&["y", "r"]))];
    assert_eq!(one("transform = 'vote'", votes()), words(&["y", "p"]));
    assert_eq!(one("transform = 'vote'\nweights = [5, 1, 1]", votes()), words(&["x", "p"]));
}

#[test]
fn a_shape_can_be_changed_and_the_open_dimension_takes_the_rest() {
    let x = Tensor::from_i64s([6], &[1, 2, 3, 4, 5, 6]);
    assert_eq!(one("transform = 'reshape'\nshape = [2, -1]", [("x", x.clone())]).shape, [2, 3]);
    assert!(apply("transform = 'reshape'\nshape = [4, -1]", [("x", x)]).is_err());
}

#[test]
fn an_image_is_cropped_and_resized_as_pytorch_does_it() {
    let image = Tensor::from_f32s([1, 2, 2], &[0.0, 1.0, 2.0, 3.0]);
    assert_eq!(
        one("transform = 'crop'\ntop = 1\nheight = 1\nwidth = 2", [("x", image.clone())]),
        Tensor::from_f32s([1, 1, 2], &[2.0, 3.0])
    );
    // torch.nn.functional.interpolate(x, (3, 4), mode="bilinear", align_corners=False)
    let want = [0.0, 0.25, 0.75, 1.0, 1.0, 1.25, 1.75, 2.0, 2.0, 2.25, 2.75, 3.0];
    assert_eq!(one("transform = 'resize'\nheight = 3\nwidth = 4", [("x", image)]), Tensor::from_f32s([1, 3, 4], &want));
}

#[test]
fn what_has_no_elements_may_have_any_other_lengths() {
    let nothing = |shape: &[i64]| Tensor::from_f32s(shape, &[]);
    let large = 1_i64 << 32;
    let resize = "transform = 'resize'\nheight = 2\nwidth = 2";
    assert!(apply(resize, [("x", nothing(&[0, 3, large, large]))]).unwrap_err().contains("fewer pixels"));
    assert_eq!(one(resize, [("x", nothing(&[0, 3, 5, 5]))]), nothing(&[0, 3, 2, 2]));
    let halves = || nothing(&[i64::MAX, 0]);
    assert!(apply("transform = 'concat'", [("a", halves()), ("b", halves())]).unwrap_err().contains("too long together"));
    // Many rows of nothing are done at once.
    let rows = || nothing(&[1 << 60, 5, 0]);
    assert_eq!(one("transform = 'concat'\naxis = 2", [("a", rows()), ("b", rows())]), rows());
    assert_eq!(one("transform = 'slice'\naxis = 1\nend = 2", [("x", rows())]), nothing(&[1 << 60, 2, 0]));
}

#[test]
fn a_product_that_is_too_large_is_the_largest_there_is() {
    assert_eq!((product(&[1 << 32, 1 << 32]), product(&[1 << 32, 1 << 32, 0]), product(&[2, 3])), (usize::MAX, 0, 6));
}

#[test]
fn few_bytes_do_not_become_more_than_a_machine_has() {
    let pixels = Tensor::from_f32s([2000, 1, 1], &[0.0; 2000]);
    let resize = "transform = 'resize'\nheight = 224\nwidth = 224";
    assert_eq!(apply(resize, [("x", pixels)]).unwrap_err(), "would give more than 256 MiB; send it less at once");
    let long = "x".repeat(16 << 20);
    let inputs = [("long", words(&[&long])), ("n", Tensor::from_i64s([17], &[0; 17]))];
    assert!(apply("transform = 'template'\ntext = '{n} {long}'", inputs).unwrap_err().contains("more than 256 MiB"));
    let often = format!("transform = 'template'\ntext = '{}'", "{long}".repeat(17));
    assert!(apply(&often, [("long", words(&[&long]))]).unwrap_err().contains("more than 256 MiB"));
}

#[test]
fn a_slice_that_begins_before_any_number_is_refused() {
    let open = named([("x", TensorType::new(Datatype::Fp32, [-1]))]);
    let begin = |at: i64| read(&format!("transform = 'slice'\nbegin = {at}")).infer(&open);
    assert_eq!(begin(-3), Ok(vec![TensorType::new(Datatype::Fp32, [3])]));
    assert!(begin(i64::MIN).unwrap_err().contains("which no dimension has"));
}

proptest! {
    #[test]
    fn the_parts_of_a_tensor_put_together_are_the_tensor(rows in 2_i64..6, columns in 1_i64..5, cut in 1_i64..5, along in 0_i64..2, seed: u32) {
        let length = if along == 0 { rows } else { columns };
        prop_assume!(length >= 2);
        let cut = 1 + cut % (length - 1).max(1);
        prop_assume!(cut < length);
        let values: Vec<f32> = (0..rows * columns).map(|at| (seed as f32) + at as f32).collect();
        let x = Tensor::from_f32s([rows, columns], &values);
        let front = one(&format!("transform = 'slice'\naxis = {along}\nend = {cut}"), [("x", x.clone())]);
        let back = one(&format!("transform = 'slice'\naxis = {along}\nbegin = {cut}"), [("x", x.clone())]);
        prop_assert_eq!(one(&format!("transform = 'concat'\naxis = {along}"), [("a", front), ("b", back)]), x);
    }

    #[test]
    fn a_cast_there_and_back_changes_nothing_that_fits(values in proptest::collection::vec(-100_i64..100, 1..20)) {
        let x = Tensor::from_i64s([dimension(values.len())], &values);
        for name in ["INT8", "INT16", "INT32", "FP16", "FP32", "FP64"] {
            let there = one(&format!("transform = 'cast'\nto = '{name}'"), [("x", x.clone())]);
            prop_assert_eq!(numbers(&there).unwrap().len(), values.len());
            prop_assert_eq!(one("transform = 'cast'\nto = 'INT64'", [("x", there)]), x.clone());
        }
    }
}

#[test]
fn vectors_are_alike_as_the_cosine_has_it_whatever_their_length() {
    let (x, y) = (Tensor::from_f32s([2, 2], &[2.0, 0.0, 0.0, 0.0]), Tensor::from_f32s([3, 2], &[1.0, 0.0, -3.0, 0.0, 0.0, 5.0]));
    let alike = one("transform = 'similarity'", [("a", x.clone()), ("b", y)]);
    assert_eq!(alike, Tensor::from_f32s([2, 3], &[1.0, -1.0, 0.0, 0.0, 0.0, 0.0]));
    let refused = |y: Tensor| apply("transform = 'similarity'", [("a", x.clone()), ("b", y)]).unwrap_err();
    assert!(refused(Tensor::from_f32s([1, 3], &[1.0; 3])).contains("not of 2 and 3"));
    assert!(refused(words(&["a"])).contains("takes two tensors of vectors"));
    assert!(apply("transform = 'similarity'", [("a", x.clone())]).unwrap_err().contains("takes two inputs, not 1"));
}

#[test]
fn elements_are_picked_by_their_places() {
    let at = Tensor::from_i64s([2, 1], &[2, 0]);
    let picked = one("transform = 'pick'", [("at", at.clone()), ("from", words(&["a", "b", "cd"]))]);
    assert_eq!(picked, texts([2, 1], ["cd".into(), "a".into()]));
    let refused = |at: Tensor| apply("transform = 'pick'", [("at", at), ("from", words(&["a"]))]).unwrap_err();
    assert!(refused(at).contains("no element 2 of 1"));
    assert!(refused(Tensor::from_i64s([1], &[-1])).contains("no element -1"));
    assert!(refused(floats(&[0.0])).contains("takes whole numbers as at"));
    assert!(apply("transform = 'pick'", [("x", words(&["a"]))]).unwrap_err().contains("called from and at"));
}
