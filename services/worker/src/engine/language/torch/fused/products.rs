//! Products of one row.
#![expect(unsafe_code, reason = "starts kernels, which believe the addresses and sizes they are given; each says why they hold")]

use tch::{Kind, TchError, Tensor};

use super::{Fused, NORM_THREADS, SHARED_BYTES, WARP, maybe, norm_arguments};
use crate::engine::{
    cuda::{Argument, Function, Program},
    language::{
        plan::Plan,
        torch::{
            int,
            weights::{Linear, Norm},
        },
    },
};

/// Products of one row, with what stands before and behind them.
#[derive(Debug)]
pub(super) struct Products {
    norm_mix: Function,
    norm_head: Function,
    norm_widen: Function,
    norm_gate: Function,
    add_attended: Function,
    add_narrow: Function,
}

impl Products {
    pub(super) fn new(program: &Program) -> Result<Self, TchError> {
        Ok(Self {
            norm_mix: program.function(c"norm_mix")?,
            norm_head: program.function(c"norm_head")?,
            norm_widen: program.function(c"norm_widen")?,
            norm_gate: program.function(c"norm_gate")?,
            add_attended: program.function(c"add_attended")?,
            add_narrow: program.function(c"add_narrow")?,
        })
    }
}

/// Whether a row of each product fits shared memory, and lies where sixteen bytes are read at once.
pub(super) fn fit(plan: &Plan, kind: Kind) -> bool {
    let depths = [plan.hidden, plan.inner, plan.heads * plan.head];
    kind != Kind::Float && depths.iter().all(|depth| depth.is_multiple_of(8) && depth * kind.elt_size_in_bytes() <= SHARED_BYTES)
}

impl Fused {
    /// The norm of hidden's one row × queries, keys and values.
    pub(in super::super) fn norm_mix(&self, hidden: &Tensor, norm: &Norm, mix: &Linear) -> Result<Tensor, TchError> {
        let mixed = self.room(&[1, mix.columns()])?;
        self.norm_product(|products| products.norm_mix, (hidden, norm, mix), &mixed, true)?;
        Ok(mixed)
    }

    /// The norm of hidden's one row × the head, in `logits` [1, vocabulary], in single precision.
    pub(in super::super) fn norm_head(&self, hidden: &Tensor, norm: &Norm, head: &Linear, logits: &Tensor) -> Result<(), TchError> {
        self.norm_product(|products| products.norm_head, (hidden, norm, head), logits, true)
    }

    /// The norm of hidden's one row, widened, activated and gated: [1, inner].
    pub(in super::super) fn norm_widen(&self, hidden: &Tensor, norm: &Norm, widen: &Linear, gated: bool) -> Result<Tensor, TchError> {
        let wide = self.room(&[1, int(self.inner)])?;
        let pick = |products: &Products| if gated { products.norm_gate } else { products.norm_widen };
        self.norm_product(pick, (hidden, norm, widen), &wide, false)?;
        Ok(wide)
    }

    fn norm_product(
        &self,
        pick: impl Fn(&Products) -> Function,
        (hidden, norm, linear): (&Tensor, &Norm, &Linear),
        out: &Tensor,
        counts: bool,
    ) -> Result<(), TchError> {
        let columns = if counts { linear.columns() } else { int(self.inner) };
        let [weight, bias, epsilon] = norm_arguments(norm);
        let [matrix, added] = linear_arguments(linear);
        let mut arguments = vec![Argument::At(hidden), weight, bias, epsilon, matrix, added, Argument::At(out)];
        if counts {
            arguments.push(Argument::Int(columns as i32));
        }
        let Some(products) = &self.products else { return Err(missing()) };
        // SAFETY: hidden and the norm's weights hold one row; matrix, bias and answer have the columns that are said, or those that the model's plan gives
        // the middle of a layer, twice as many where it is gated.
        unsafe { pick(products).launch(product_grid(columns), NORM_THREADS, &arguments) }
    }

    /// hidden's one row += what was attended to × matrix.
    pub(in super::super) fn add_attended(&self, given: &Tensor, linear: &Linear, hidden: &Tensor) -> Result<(), TchError> {
        self.add_product(|products| products.add_attended, given, linear, hidden)
    }

    /// hidden's one row += the middle of a layer × matrix.
    pub(in super::super) fn add_narrow(&self, given: &Tensor, linear: &Linear, hidden: &Tensor) -> Result<(), TchError> {
        self.add_product(|products| products.add_narrow, given, linear, hidden)
    }

    fn add_product(&self, pick: impl Fn(&Products) -> Function, given: &Tensor, linear: &Linear, hidden: &Tensor) -> Result<(), TchError> {
        let [matrix, added] = linear_arguments(linear);
        let Some(products) = &self.products else { return Err(missing()) };
        // SAFETY: hidden holds one row of as many values as the matrix has columns, and given one of those that the plan gives it.
        unsafe {
            pick(products).launch(product_grid(linear.columns()), NORM_THREADS, &[Argument::At(given), matrix, added, Argument::At(hidden)])
        }
    }
}

fn linear_arguments(linear: &Linear) -> [Argument<'_>; 2] {
    [Argument::At(&linear.weight), maybe(linear.bias.as_ref())]
}

fn product_grid(columns: i64) -> [usize; 3] {
    [(columns as usize).div_ceil(NORM_THREADS / WARP), 1, 1]
}

fn missing() -> TchError {
    TchError::Torch("this model has no products of one row".to_owned())
}
