//! `template`: texts with others in them.

use bytes::BytesMut;
use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_settings::Section;

use super::{Given, MOST_BYTES, Rule, too_large};
use crate::{
    element::{Elements, put_bytes},
    kind::{ANY, TensorType},
};

/// `text`: with the names of inputs in braces, such as `Is this rude? {text}`; `{{` and `}}` are braces. Each element of the inputs makes one text; an input of one element
/// is in all of them. Numbers are written as they read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Words(String),
    Input(String),
}

impl Template {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        let text = s.required::<String>("text")?;
        Self::parse(&text).map_err(|mistake| s.problem("text", mistake)).ok()
    }

    /// Takes a text apart.
    fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut words, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            words.push_str(&rest[..at]);
            let brace = &rest[at..];
            if brace.starts_with("{{") || brace.starts_with("}}") {
                words.push_str(&brace[..1]);
                rest = &brace[2..];
                continue;
            }
            let name = brace.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (name, behind) = name.ok_or("has a brace without its other half; write {{ or }} for a brace itself")?;
            parts.push(Part::Words(std::mem::take(&mut words)));
            parts.push(Part::Input(name.trim().to_owned()));
            rest = behind;
        }
        words.push_str(rest);
        parts.push(Part::Words(words));
        parts.retain(|part| *part != Part::Words(String::new()));
        Ok(Self { parts })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Input(name) => Some(name.as_str()),
            Part::Words(_) => None,
        })
    }
}

/// An input whose elements are known.
type Looked<'a> = (&'a str, &'a Tensor, Elements<'a>);

impl Template {
    /// The text of one element, where it has at most so many bytes.
    fn write(&self, all: &[Looked<'_>], at: usize, most: usize) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Words(words) => text.push_str(words),
                Part::Input(name) => {
                    if let Some((_, _, elements)) = all.iter().find(|(given, ..)| given == name) {
                        text.push_str(&elements.text(if elements.len() == 1 { 0 } else { at }));
                    }
                }
            }
            if text.len() > most {
                return Err(too_large());
            }
        }
        Ok(text)
    }
}

impl Rule for Template {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        if let Some(missing) = self.names().find(|name| !inputs.iter().any(|(given, _)| **given == **name)) {
            return Err(format!("its text has {{{missing}}}, and there is no such input"));
        }
        if let Some((unused, _)) = inputs.iter().find(|(given, _)| !self.names().any(|name| name == &**given)) {
            return Err(format!("its text has no {{{unused}}}, which is an input"));
        }
        // One shape for all that have more than one element; where a length is open, it may be one.
        let mut shape: Option<Vec<i64>> = None;
        for (_, kind) in inputs.iter().filter(|(_, kind)| kind.shape.contains(&ANY) || kind.shape.iter().any(|dim| *dim > 1)) {
            let both = TensorType::new(Datatype::Bytes, kind.shape.clone());
            shape = match shape {
                None => Some(both.shape),
                Some(before) => match TensorType::new(Datatype::Bytes, before.clone()).or(&both) {
                    Some(joined) => Some(joined.shape),
                    None => return Err(format!("its inputs have the shapes {before:?} and {:?}", kind.shape)),
                },
            };
        }
        let shape = shape.or_else(|| inputs.first().map(|(_, kind)| kind.shape.clone())).ok_or("takes at least one input")?;
        Ok(vec![TensorType::new(Datatype::Bytes, shape)])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let all = inputs.iter().map(|(name, tensor)| Ok((&**name, tensor, Elements::of(tensor)?))).collect::<Result<Vec<_>, String>>()?;
        let (_, widest, elements) = all.iter().max_by_key(|(_, _, elements)| elements.len()).ok_or("a template without inputs")?;
        let count = elements.len();
        if let Some((name, ..)) = all.iter().find(|(_, _, elements)| elements.len() != 1 && elements.len() != count) {
            return Err(format!("input {name} has neither one element nor {count}"));
        }
        let mut data = BytesMut::new();
        for at in 0..count {
            let left = MOST_BYTES.checked_sub(data.len() + 4).ok_or_else(too_large)?;
            put_bytes(&mut data, self.write(&all, at, left)?.as_bytes());
        }
        Ok(vec![Tensor { datatype: Datatype::Bytes, shape: widest.shape.clone(), data: data.freeze() }])
    }
}
