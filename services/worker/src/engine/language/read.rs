//! A model's weights, layer by layer, in the form that every way of running it begins with: row-major, what is joined in the file and what is not alike. Where
//! matrices go, and what they are held in there, is up to who runs it ([`Matrices`]); what is small comes as `FP32`.

use half::slice::HalfFloatSliceExt as _;
use torchmesh_weights::{Element, PublishedModel, TensorData};

use super::{
    LanguageError,
    plan::{NormKind, Parts, Plan},
};

/// Where a model's matrices go as they are read. Each is its values, row by row.
pub(super) trait Matrices {
    /// The values of a matrix.
    type Matrix;

    /// As the file has it.
    fn read(&self, tensor: &TensorData) -> Result<Self::Matrix, LanguageError>;

    /// One below the other.
    fn join(&self, parts: Vec<Self::Matrix>) -> Result<Self::Matrix, LanguageError>;

    /// The first so many values, and the rest.
    fn split(&self, matrix: Self::Matrix, at: usize) -> Result<(Self::Matrix, Self::Matrix), LanguageError>;

    /// Each value so many times as large.
    fn scale(&self, matrix: Self::Matrix, by: f32) -> Result<Self::Matrix, LanguageError>;

    /// [rows, columns] → [columns, rows]
    fn turn(&self, matrix: Self::Matrix, columns: usize) -> Result<Self::Matrix, LanguageError>;
}

/// In memory, in single precision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floats;

impl Matrices for Floats {
    type Matrix = Vec<f32>;

    fn read(&self, tensor: &TensorData) -> Result<Vec<f32>, LanguageError> {
        Ok(floats(tensor))
    }

    fn join(&self, parts: Vec<Vec<f32>>) -> Result<Vec<f32>, LanguageError> {
        Ok(parts.concat())
    }

    fn split(&self, mut matrix: Vec<f32>, at: usize) -> Result<(Vec<f32>, Vec<f32>), LanguageError> {
        let rest = matrix.split_off(at);
        Ok((matrix, rest))
    }

    fn scale(&self, mut matrix: Vec<f32>, by: f32) -> Result<Vec<f32>, LanguageError> {
        for value in &mut matrix {
            *value *= by;
        }
        Ok(matrix)
    }

    fn turn(&self, matrix: Vec<f32>, columns: usize) -> Result<Vec<f32>, LanguageError> {
        Ok((0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns)).copied().collect())
    }
}

/// A linear layer: `weight` [out, in].
#[derive(Clone, Debug)]
pub(super) struct Linear<M = Vec<f32>> {
    pub(super) weight: M,
    /// [out]; zeros where the model has none.
    pub(super) bias: Vec<f32>,
}

/// A norm's weights.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    /// Empty for one by the root of the mean square.
    pub(super) bias: Vec<f32>,
}

/// One layer.
#[derive(Debug)]
pub(super) struct Layer<M = Vec<f32>> {
    pub(super) attention_norm: Norm,
    /// Queries, keys and values, one below the other.
    pub(super) mix: Linear<M>,
    pub(super) query_norm: Option<Norm>,
    pub(super) key_norm: Option<Norm>,
    pub(super) attended: Linear<M>,
    pub(super) attended_norm: Option<Norm>,
    pub(super) feed_norm: Norm,
    pub(super) gate: Option<Linear<M>>,
    pub(super) widen: Linear<M>,
    pub(super) narrow: Linear<M>,
    pub(super) narrow_norm: Option<Norm>,
}

/// Reads weights by a plan.
pub(super) struct Reader<'a, M = Floats> {
    model: &'a dyn PublishedModel,
    plan: &'a Plan,
    prefix: &'static str,
    matrices: M,
}

impl<'a> Reader<'a> {
    /// A reader into memory. The error says which tensors there are instead of the embeddings.
    pub(super) fn new(model: &'a dyn PublishedModel, plan: &'a Plan) -> Result<Self, LanguageError> {
        let names = model.names();
        let has = |prefix: &&&str| names.iter().any(|name| *name == format!("{prefix}{}", plan.names.embeddings));
        match plan.names.prefixes.iter().find(has) {
            Some(prefix) => Ok(Self { model, plan, prefix, matrices: Floats }),
            None => Err(LanguageError::Weights(format!(
                "there is no tensor {}{}; is this a language model? Its first tensors are {}",
                plan.names.prefixes[0],
                plan.names.embeddings,
                names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// The same reader, whose matrices go elsewhere.
    pub(super) fn into<M: Matrices>(self, matrices: M) -> Reader<'a, M> {
        Reader { model: self.model, plan: self.plan, prefix: self.prefix, matrices }
    }
}

impl<M: Matrices> Reader<'_, M> {
    /// What the weights are published in, by the embeddings.
    pub(super) fn element(&self) -> Result<Element, LanguageError> {
        let embeddings = self.model.layout(&format!("{}{}", self.prefix, self.plan.names.embeddings))?;
        Ok(embeddings.map_or(Element::F32, |tensor| tensor.element))
    }

    /// Whether they take two bytes each.
    pub(super) fn is_published_in_half(&self) -> Result<bool, LanguageError> {
        Ok(self.element()? != Element::F32)
    }

    /// [vocabulary, hidden]
    pub(super) fn embeddings(&self) -> Result<M::Matrix, LanguageError> {
        self.matrix(&format!("{}{}", self.prefix, self.plan.names.embeddings), &[self.plan.vocabulary, self.plan.hidden])
    }

    /// [context, hidden], where positions are learned.
    pub(super) fn positions(&self) -> Result<Option<M::Matrix>, LanguageError> {
        let Some(name) = self.plan.names.positions else { return Ok(None) };
        self.matrix(&format!("{}{name}", self.prefix), &[self.plan.context, self.plan.hidden]).map(Some)
    }

    /// The norm behind the last layer, with what the logits are divided by in it.
    pub(super) fn last_norm(&self) -> Result<Norm, LanguageError> {
        let mut norm = self.norm(&format!("{}{}", self.prefix, self.plan.names.last_norm), self.plan.hidden)?;
        let divisor = self.plan.logits_divisor as f32;
        norm.weight.iter_mut().chain(&mut norm.bias).for_each(|value| *value /= divisor);
        Ok(norm)
    }

    /// The layer that gives the logits; `None`: the embeddings are used for it.
    pub(super) fn head(&self) -> Result<Option<Linear<M::Matrix>>, LanguageError> {
        let plan = self.plan;
        let Some(weight) = self.tensor(plan.names.head, &[plan.vocabulary, plan.hidden])? else { return Ok(None) };
        let bias = self.values(&plan.names.head.replace(".weight", ".bias"), &[plan.vocabulary])?;
        let weight = self.matrices.read(&weight)?;
        Ok(Some(Linear { weight, bias: bias.unwrap_or_else(|| vec![0.0; plan.vocabulary]) }))
    }

    /// One layer.
    pub(super) fn layer(&self, number: usize) -> Result<Layer<M::Matrix>, LanguageError> {
        let (plan, names) = (self.plan, &self.plan.names);
        let begin = format!("{}{}", self.prefix, names.layer.replace("{}", &number.to_string()));
        let name = |name: &str| format!("{begin}{name}");
        let norm = |of: &str, size| self.norm(&name(of), size);
        let maybe = |of: Option<&str>, size| of.map(|of| norm(of, size)).transpose();
        let scaled = |Linear { weight, mut bias }: Linear<M::Matrix>| {
            let by = plan.residual_scale as f32;
            if (by - 1.0).abs() < f32::EPSILON {
                return Ok(Linear { weight, bias });
            }
            for value in &mut bias {
                *value *= by;
            }
            Ok::<_, LanguageError>(Linear { weight: self.matrices.scale(weight, by)?, bias })
        };
        let (queries, keys) = (plan.heads * plan.head, plan.kv_heads * plan.head);
        let (gate, widen) = if names.gated {
            let both = self.parts(&begin, names.widen, &[plan.inner, plan.inner], plan.hidden)?;
            let (gate, widen) = self.split(both, plan.inner, plan.hidden)?;
            (Some(gate), widen)
        } else {
            (None, self.parts(&begin, names.widen, &[plan.inner], plan.hidden)?)
        };
        Ok(Layer {
            attention_norm: norm(names.attention_norm, plan.hidden)?,
            mix: self.parts(&begin, names.queries_keys_values, &[queries, keys, keys], plan.hidden)?,
            query_norm: maybe(names.query_norm, plan.head)?,
            key_norm: maybe(names.key_norm, plan.head)?,
            attended: scaled(self.linear(&name(names.attended), plan.hidden, queries)?)?,
            attended_norm: maybe(names.attended_norm, plan.hidden)?,
            feed_norm: norm(names.feed_norm, plan.hidden)?,
            gate,
            widen,
            narrow: scaled(self.linear(&name(names.narrow), plan.hidden, plan.inner)?)?,
            narrow_norm: maybe(names.narrow_norm, plan.hidden)?,
        })
    }

    fn parts(&self, begin: &str, parts: Parts, sizes: &[usize], depth: usize) -> Result<Linear<M::Matrix>, LanguageError> {
        match parts {
            Parts::Joined(name) => self.linear(&format!("{begin}{name}"), sizes.iter().sum(), depth),
            Parts::Each(names) => {
                let (mut weights, mut bias) = (Vec::new(), Vec::new());
                for (name, size) in names.iter().zip(sizes) {
                    let part = self.linear(&format!("{begin}{name}"), *size, depth)?;
                    weights.push(part.weight);
                    bias.extend(part.bias);
                }
                Ok(Linear { weight: self.matrices.join(weights)?, bias })
            }
        }
    }

    fn linear(&self, name: &str, columns: usize, depth: usize) -> Result<Linear<M::Matrix>, LanguageError> {
        let weight = format!("{name}.weight");
        let weight = if self.plan.names.turned {
            self.matrices.turn(self.matrix(&weight, &[depth, columns])?, columns)?
        } else {
            self.matrix(&weight, &[columns, depth])?
        };
        let bias = self.values(&format!("{name}.bias"), &[columns])?;
        Ok(Linear { weight, bias: bias.unwrap_or_else(|| vec![0.0; columns]) })
    }

    /// The first `size` columns, and the rest.
    #[expect(clippy::type_complexity, reason = "two of the same")]
    fn split(
        &self,
        mut both: Linear<M::Matrix>,
        size: usize,
        depth: usize,
    ) -> Result<(Linear<M::Matrix>, Linear<M::Matrix>), LanguageError> {
        let rest = both.bias.split_off(size);
        let (first, second) = self.matrices.split(both.weight, size * depth)?;
        Ok((Linear { weight: first, bias: both.bias }, Linear { weight: second, bias: rest }))
    }

    fn norm(&self, name: &str, size: usize) -> Result<Norm, LanguageError> {
        let mut weight = self.needed(&format!("{name}.weight"), &[size])?;
        let bias = match self.plan.norm {
            NormKind::Layer { .. } => self.needed(&format!("{name}.bias"), &[size])?,
            NormKind::Root { from_zero, .. } => {
                if from_zero {
                    for value in &mut weight {
                        *value += 1.0;
                    }
                }
                Vec::new()
            }
        };
        Ok(Norm { weight, bias })
    }

    fn matrix(&self, name: &str, shape: &[usize]) -> Result<M::Matrix, LanguageError> {
        let tensor = self.tensor(name, shape)?.ok_or_else(|| missing(name))?;
        self.matrices.read(&tensor)
    }

    fn needed(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LanguageError> {
        self.values(name, shape)?.ok_or_else(|| missing(name))
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>, LanguageError> {
        Ok(self.tensor(name, shape)?.as_ref().map(floats))
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Option<TensorData>, LanguageError> {
        let Some(tensor) = self.model.tensor(name)? else { return Ok(None) };
        if tensor.shape != shape {
            return Err(LanguageError::Weights(format!("{name} is {:?}, and config.json makes it {shape:?}", tensor.shape)));
        }
        Ok(Some(tensor))
    }
}

fn missing(name: &str) -> LanguageError {
    LanguageError::Weights(format!("there is no tensor {name}"))
}

fn floats(tensor: &TensorData) -> Vec<f32> {
    match tensor.element {
        Element::F32 => tensor.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Element::F16 => {
            let halves: Vec<half::f16> = tensor.bytes.as_chunks().0.iter().map(|bytes| half::f16::from_le_bytes(*bytes)).collect();
            halves.to_f32_vec()
        }
        Element::Bf16 => tensor.bytes.as_chunks().0.iter().map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()).collect(),
    }
}
