//! The values beside the tensors: `parameters` of a request, of an input, of an output.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
};
use torchmesh_api::inference::{InferParameter, infer_parameter::ParameterChoice};

/// The most values in one place.
pub(crate) const MAX: usize = 64;

/// Values by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Parameters(pub(super) HashMap<String, InferParameter>);

/// One value: what the protocol has for it.
struct Choice(ParameterChoice);

impl Parameters {
    /// Takes out a yes or no. The error names the value.
    pub(super) fn take_bool(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(ParameterChoice::BoolParam(value)) => Ok(Some(value)),
            Some(_) => Err(format!("parameters.{name} must be true or false")),
        }
    }

    /// Takes out a whole number from 0. The error names the value.
    pub(super) fn take_size(&mut self, name: &str) -> Result<Option<usize>, String> {
        let wrong = || format!("parameters.{name} must be a whole number from 0");
        match self.take(name) {
            None => Ok(None),
            Some(ParameterChoice::Int64Param(value)) => usize::try_from(value).map(Some).map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }

    fn take(&mut self, name: &str) -> Option<ParameterChoice> {
        self.0.remove(name).and_then(|parameter| parameter.parameter_choice)
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Parameters;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parameters: an object of texts, numbers, true and false")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Parameters, A::Error> {
        let mut all = HashMap::new();
        while let Some((name, Choice(choice))) = entries.next_entry::<String, Choice>()? {
            if all.len() == MAX {
                return Err(A::Error::custom(format!("parameters has more than {MAX} entries")));
            }
            all.insert(name, InferParameter { parameter_choice: Some(choice) });
        }
        Ok(Parameters(all))
    }
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Value).map(Self)
    }
}

struct Value;

impl Visitor<'_> for Value {
    type Value = ParameterChoice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of parameters: a text, a number, true or false")
    }

    fn visit_bool<E>(self, value: bool) -> Result<ParameterChoice, E> {
        Ok(ParameterChoice::BoolParam(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<ParameterChoice, E> {
        Ok(ParameterChoice::Int64Param(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<ParameterChoice, E> {
        Ok(i64::try_from(value).map_or(ParameterChoice::Uint64Param(value), ParameterChoice::Int64Param))
    }

    fn visit_f64<E>(self, value: f64) -> Result<ParameterChoice, E> {
        Ok(ParameterChoice::DoubleParam(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<ParameterChoice, E> {
        Ok(ParameterChoice::StringParam(value.to_owned()))
    }
}

/// Parameters of an answer, as JSON.
pub(super) struct AsJson<'a>(pub(super) &'a HashMap<String, InferParameter>);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let set = self.0.iter().filter_map(|(name, parameter)| Some((name, One(parameter.parameter_choice.as_ref()?))));
        serializer.collect_map(set)
    }
}

struct One<'a>(&'a ParameterChoice);

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ParameterChoice::BoolParam(value) => serializer.serialize_bool(*value),
            ParameterChoice::Int64Param(value) => serializer.serialize_i64(*value),
            ParameterChoice::StringParam(value) => serializer.serialize_str(value),
            ParameterChoice::DoubleParam(value) => serializer.serialize_f64(*value),
            ParameterChoice::Uint64Param(value) => serializer.serialize_u64(*value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_comes_back_as_it_was() {
        let json = r#"{"a":true,"b":-3,"c":18446744073709551615,"d":0.5,"e":"x"}"#;
        let parameters: Parameters = serde_json::from_str(json).unwrap();
        let back = serde_json::to_value(AsJson(&parameters.0)).unwrap();
        assert_eq!(back, serde_json::from_str::<serde_json::Value>(json).unwrap());
    }

    #[test]
    fn a_list_or_too_many_values_are_refused() {
        assert!(serde_json::from_str::<Parameters>(r#"{"a":[1]}"#).unwrap_err().to_string().contains("a value of parameters"));
        let many = (0..=MAX).map(|at| format!("\"{at}\":1")).collect::<Vec<_>>().join(",");
        assert!(serde_json::from_str::<Parameters>(&format!("{{{many}}}")).unwrap_err().to_string().contains("more than 64"));
    }

    #[test]
    fn a_value_of_another_kind_than_is_asked_for_is_named() {
        let mut parameters: Parameters = serde_json::from_str(r#"{"binary_data":"yes","binary_data_size":-1}"#).unwrap();
        assert!(parameters.take_bool("binary_data").unwrap_err().contains("parameters.binary_data must be true"));
        assert!(parameters.take_size("binary_data_size").unwrap_err().contains("binary_data_size must be a whole number"));
        assert_eq!(parameters.take_bool("other"), Ok(None));
    }
}
