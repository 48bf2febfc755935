//! Phi-3 and 4: a Llama whose queries, keys and values, and whose gate and wide layer, are one tensor each.

use super::{LanguageError, llama};
use crate::engine::language::{
    config::Config,
    plan::{Names, Parts, Plan},
};

pub(super) fn plan(config: &Config) -> Result<Plan, LanguageError> {
    let plan = llama::plan(config)?;
    let names = Names { queries_keys_values: Parts::Joined("self_attn.qkv_proj"), widen: Parts::Joined("mlp.gate_up_proj"), ..plan.names };
    Ok(Plan { names, ..plan })
}
