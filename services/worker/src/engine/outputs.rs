//! The tensors in what a `TorchScript` module returns: tensors, numbers, and lists, tuples and dictionaries of them, as deep as they go.

use tch::{IValue, Tensor};

use super::EngineError;

/// The tensors of `answer`: in the order of `names` when it is a dictionary, else in the order in which they stand.
///
/// A number becomes a tensor without dimensions. What is `None` is left out. What lies in a dictionary inside a dictionary is named with a dot:
/// `aux.mask`; in a list, by its place: `aux.0`.
pub(super) fn tensors(answer: IValue, names: &[String]) -> Result<Vec<Tensor>, EngineError> {
    let by_name = matches!(answer, IValue::GenericDict(_)) && !names.is_empty();
    let mut found = Vec::new();
    collect(answer, String::new(), &mut found)?;
    if !by_name {
        return Ok(found.into_iter().map(|(_, tensor)| tensor).collect());
    }
    let mut take = |name: &String| {
        let position = found.iter().position(|(path, _)| path == name);
        position.map(|at| found.swap_remove(at).1).ok_or_else(|| EngineError::MissingOutput { name: name.clone() })
    };
    names.iter().map(&mut take).collect()
}

fn collect(value: IValue, path: String, found: &mut Vec<(String, Tensor)>) -> Result<(), EngineError> {
    let tensor = match value {
        IValue::Tensor(tensor) => tensor,
        IValue::Int(number) => Tensor::from(number),
        IValue::Double(number) => Tensor::from(number),
        IValue::Bool(truth) => Tensor::from(truth),
        IValue::IntList(numbers) => Tensor::from_slice(&numbers),
        IValue::DoubleList(numbers) => Tensor::from_slice(&numbers),
        IValue::BoolList(truths) => Tensor::from_slice(&truths),
        IValue::None => return Ok(()),
        IValue::TensorList(list) => {
            found.extend(list.into_iter().enumerate().map(|(at, tensor)| (below(&path, &at.to_string()), tensor)));
            return Ok(());
        }
        IValue::Tuple(items) | IValue::GenericList(items) => {
            return items.into_iter().enumerate().try_for_each(|(at, item)| collect(item, below(&path, &at.to_string()), found));
        }
        IValue::GenericDict(entries) => {
            return entries.into_iter().try_for_each(|(key, item)| collect(item, below(&path, &name(key)?), found));
        }
        IValue::String(_) | IValue::StringList(_) => return Err(unsupported("a string")),
        IValue::Object(_) => return Err(unsupported("an object")),
        _ => return Err(unsupported("a value of a kind unknown here")),
    };
    found.push((path, tensor));
    Ok(())
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn name(key: IValue) -> Result<String, EngineError> {
    match key {
        IValue::String(name) => Ok(name),
        IValue::Int(number) => Ok(number.to_string()),
        _ => Err(unsupported("a dictionary whose keys are neither strings nor whole numbers")),
    }
}

fn unsupported(what: &str) -> EngineError {
    EngineError::UnsupportedOutput { what: what.to_owned() }
}
