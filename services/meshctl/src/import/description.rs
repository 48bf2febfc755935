//! A manifest in the making, in the order in which people read one.

use serde::Serialize;

use super::Refused;

/// What a model is, and what could not be said of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its manifest.
    pub manifest: Manifest,
    /// What was not carried over, or means something else here.
    pub notes: Vec<Note>,
}

/// Something that was not carried over as it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Note {
    /// The field of the other server's configuration.
    pub field: String,
    /// What becomes of it.
    pub note: String,
}

/// The fields of a `model.toml`; absent ones keep their defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Manifest {
    /// `task`.
    pub task: &'static str,
    /// `versions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<toml::Value>,
    /// `artefact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artefact: Option<String>,
    /// `device`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// `instances`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<i64>,
    /// `intra_op_threads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intra_op_threads: Option<i64>,
    /// `[batching]`.
    #[serde(skip_serializing_if = "Batching::is_empty")]
    pub batching: Batching,
    /// `[queue]`.
    #[serde(skip_serializing_if = "Queue::is_empty")]
    pub queue: Queue,
    /// `[[inputs]]`.
    pub inputs: Vec<Tensor>,
    /// `[[outputs]]`.
    pub outputs: Vec<Tensor>,
}

/// `[batching]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Batching {
    /// `max_batch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<i64>,
    /// `max_queue_delay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queue_delay: Option<String>,
}

/// `[queue]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// `max_requests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u32>,
}

/// One of `[[inputs]]` or `[[outputs]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tensor {
    /// `name`.
    pub name: String,
    /// `datatype`.
    pub datatype: String,
    /// `shape`; the first is -1, the batch.
    pub shape: Vec<i64>,
}

impl Batching {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Description {
    /// Adds a note.
    pub(crate) fn note(&mut self, field: impl Into<String>, note: impl Into<String>) {
        self.notes.push(Note { field: field.into(), note: note.into() });
    }

    /// The text of the manifest, with the notes in its head.
    pub fn text(&self, from: &str) -> Result<String, Refused> {
        let body = toml::to_string(&self.manifest).map_err(|error| Refused::new("model.toml", error.to_string()))?;
        let from = from.replace(|c: char| c.is_control(), " ");
        let mut text = format!("# Imported from {from}.\n");
        for Note { field, note } in &self.notes {
            let line = format!("# {field}: {note}").replace(|c: char| c.is_control(), " ");
            text.push_str(&line);
            text.push('\n');
        }
        Ok(text + "\n" + &body)
    }
}

impl Tensor {
    /// Reads `NAME:DATATYPE:DIM,DIM,…`, the first dimension -1.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "must be NAME:DATATYPE:SHAPE such as x:FP32:-1,3,224,224, the first dimension -1";
        let mut parts = text.rsplitn(3, ':');
        let (Some(shape), Some(datatype), Some(name)) = (parts.next(), parts.next(), parts.next()) else { return Err(expected.to_owned()) };
        let shape =
            shape.split(',').map(|dim| dim.trim().parse::<i64>()).collect::<Result<Vec<_>, _>>().map_err(|_| expected.to_owned())?;
        let good = shape.first() == Some(&-1) && shape.len() <= 8 && shape.iter().all(|&dim| dim == -1 || dim > 0) && !name.is_empty();
        let datatype = datatype.to_ascii_uppercase();
        let known = DATATYPES.contains(&datatype.as_str());
        if good && known { Ok(Self { name: name.to_owned(), datatype, shape }) } else { Err(expected.to_owned()) }
    }
}

/// What a tensor model takes.
pub(crate) const DATATYPES: [&str; 13] =
    ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_read_from_one_word() {
        let tensor = Tensor::parse("pixel:values:fp32:-1,3,224,224").unwrap();
        assert_eq!(
            (tensor.name.as_str(), tensor.datatype.as_str(), tensor.shape.as_slice()),
            ("pixel:values", "FP32", &[-1, 3, 224, 224][..])
        );
        for bad in ["x", "x:FP32", "x:FP32:", "x:FP32:1,2", "x:FLOAT:-1", ":FP32:-1", "x:FP32:-1,0", "x:BYTES:-1"] {
            assert!(Tensor::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_note_cannot_break_out_of_its_comment() {
        let mut description = Description::default();
        description.note("a\nb", "c\rtask = 1");
        let text = description.text("x\ny").unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with('#')).count(), 2, "{text}");
    }
}
