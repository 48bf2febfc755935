use std::collections::HashMap;

use crate::{tensor::Tensor, text::LinearHead};

/// A head in safetensors: what is taken is rectangular, answers as many numbers as it has labels, and is written as it was read.
pub fn head(file: &[u8]) {
    let Ok(head) = LinearHead::parse(file) else { return };
    let (labels, dim) = (head.bias.len(), head.weight[0].len());
    assert!(labels > 0 && dim > 0 && head.weight.len() == labels && head.weight.iter().all(|row| row.len() == dim));
    assert!((labels * dim + labels) * 4 <= file.len(), "more numbers than the file has");
    let rows = Tensor::from_f32s([2, i64::try_from(dim).expect("it is short")], &vec![0.5; 2 * dim]);
    let logits = head.forward(&rows).expect("vectors of its own width");
    assert!(logits.is_consistent() && logits.shape == [2, i64::try_from(labels).expect("they are few")]);
    let again = LinearHead::parse(&head.to_bytes(HashMap::new()).expect("it is written")).expect("and read");
    let bits = |head: &LinearHead| head.weight.iter().flatten().chain(&head.bias).map(|value| value.to_bits()).collect::<Vec<_>>();
    assert!(bits(&again) == bits(&head) && again.labels == head.labels, "another came back");
}
