//! The shapes that compiled code takes. Code made for others reads where nothing is, so every call is held against them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::tensor::Tensor;

/// One input of a package.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Input {
    /// Its name in the manifest.
    pub(crate) name: String,
    /// Its datatype, in the protocol's words.
    pub(crate) datatype: String,
    /// Its dimensions.
    pub(crate) dims: Vec<Dim>,
}

/// One dimension of an input.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Dim {
    /// This length and no other.
    Fixed(i64),
    /// A length that the caller chooses.
    Open {
        /// Dimensions of one symbol have `multiple` times the same number.
        symbol: String,
        /// How many times.
        multiple: i64,
        /// The smallest number.
        min: i64,
        /// The largest; none when there is no limit.
        max: Option<i64>,
    },
}

/// Holds `tensors` against what the code was compiled for; the error says which input differs, and how.
pub(crate) fn check(inputs: &[Input], tensors: &[Tensor]) -> Result<(), String> {
    if inputs.len() != tensors.len() {
        return Err(format!("the compiled model takes {} inputs, not {}", inputs.len(), tensors.len()));
    }
    let mut numbers = HashMap::new();
    for (input, tensor) in inputs.iter().zip(tensors) {
        let name = &input.name;
        if tensor.datatype.name() != input.datatype || tensor.shape.len() != input.dims.len() {
            let (rank, datatype) = (input.dims.len(), &input.datatype);
            return Err(format!(
                "input \"{name}\" is {} {:?}; the compiled model takes {datatype} of {rank} dimensions",
                tensor.datatype, tensor.shape
            ));
        }
        for (at, (dim, &length)) in input.dims.iter().zip(&tensor.shape).enumerate() {
            fits(dim, length, &mut numbers)
                .map_err(|wanted| format!("input \"{name}\" has {length} in dimension {at}; the compiled model takes {wanted}"))?;
        }
    }
    Ok(())
}

/// The error says what is wanted.
fn fits<'a>(dim: &'a Dim, length: i64, numbers: &mut HashMap<&'a str, i64>) -> Result<(), String> {
    let (symbol, multiple, min, max) = match dim {
        Dim::Fixed(wanted) if *wanted == length => return Ok(()),
        Dim::Fixed(wanted) => return Err(wanted.to_string()),
        Dim::Open { symbol, multiple, min, max } => (symbol, (*multiple).max(1), *min, *max),
    };
    if length % multiple != 0 {
        return Err(format!("multiples of {multiple}"));
    }
    let number = length / multiple;
    if number < min || max.is_some_and(|max| number > max) {
        let most = max.map_or("any length".to_owned(), |max| (max * multiple).to_string());
        return Err(format!("{} to {most}", min * multiple));
    }
    match *numbers.entry(symbol).or_insert(number) {
        first if first == number => Ok(()),
        first => Err(format!("{} here, as its other inputs have it", first * multiple)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn open(symbol: &str, multiple: i64, max: Option<i64>) -> Dim {
        Dim::Open { symbol: symbol.into(), multiple, min: 1, max }
    }

    fn input(name: &str, dims: Vec<Dim>) -> Input {
        Input { name: name.into(), datatype: "INT64".into(), dims }
    }

    fn zeros(shape: &[i64]) -> Tensor {
        Tensor::from_i64s(shape, &vec![0; usize::try_from(shape.iter().product::<i64>()).unwrap()])
    }

    #[test]
    fn a_shape_that_the_code_was_not_compiled_for_is_refused_by_name() {
        let inputs = [
            input("ids", vec![open("b", 1, None), open("s", 2, Some(4))]),
            input("mask", vec![open("b", 1, None), open("s", 2, Some(4)), Dim::Fixed(3)]),
        ];
        let said = |ids: &[i64], mask: &[i64]| check(&inputs, &[zeros(ids), zeros(mask)]).err().unwrap_or_default();
        assert_eq!(said(&[5, 8], &[5, 8, 3]), "");
        for (ids, mask, want) in [
            ([5, 7], [5, 7, 3], "\"ids\" has 7 in dimension 1; the compiled model takes multiples of 2"),
            ([5, 10], [5, 10, 3], "takes 2 to 8"),
            ([5, 8], [5, 6, 3], "\"mask\" has 6 in dimension 1; the compiled model takes 8 here"),
            ([5, 8], [4, 8, 3], "\"mask\" has 4 in dimension 0; the compiled model takes 5 here"),
            ([5, 8], [5, 8, 4], "\"mask\" has 4 in dimension 2; the compiled model takes 3"),
            ([0, 8], [0, 8, 3], "takes 1 to any length"),
        ] {
            assert!(said(&ids, &mask).contains(want), "{want:?} is missing in {:?}", said(&ids, &mask));
        }
        assert!(check(&inputs, &[zeros(&[1, 2])]).unwrap_err().contains("2 inputs, not 1"));
        assert!(check(&inputs[..1], &[zeros(&[1])]).unwrap_err().contains("2 dimensions"));
        assert!(check(&inputs[..1], &[Tensor::from_f32s([1, 2], &[0.0; 2])]).unwrap_err().contains("FP32 [1, 2]"));
    }

    proptest! {
        #[test]
        fn what_passes_has_one_number_for_each_symbol(ids in prop::array::uniform2(0_i64..6), mask in prop::array::uniform2(0_i64..6)) {
            let inputs = [input("a", vec![open("b", 1, None), open("s", 1, Some(4))]), input("b", vec![open("b", 1, None), open("s", 2, Some(4))])];
            if check(&inputs, &[zeros(&ids), zeros(&mask)]).is_ok() {
                prop_assert!(ids[0] == mask[0] && ids[1] * 2 == mask[1] && (1..=4).contains(&ids[1]) && ids[0] >= 1);
            }
        }
    }
}
