//! Small models for tests and measurements.

use std::path::Path;

use super::ExportError;
use super::archive::save_source;

/// A small model without weights.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Fixture {
    /// `INPUT0` of any datatype and shape → the same as `OUTPUT0`.
    #[value(name = "noop")]
    Noop,
    /// `INPUT0` and `INPUT1`, `FP32` of one shape → their `sum` and their `mean`, as a tuple.
    #[value(name = "sum_mean")]
    SumMean,
    /// The same as a dictionary, with `mean` first.
    #[value(name = "sum_mean_named")]
    SumMeanNamed,
    /// `INPUT0` of any number type → the same; an error inside the model when any element is negative.
    #[value(name = "fails_on_negative")]
    FailsOnNegative,
    /// `INPUT0`, `INT64` → the same, after computing for as many milliseconds of wall time as its largest element says. A batch takes
    /// as long as its slowest row.
    #[value(name = "slow")]
    Slow,
    /// Images, `FP32` [batch, channels, height, width] of any size → the same at half the height and width.
    #[value(name = "halve")]
    Halve,
    /// `values`, `FP32` [batch, columns], `index`, `INT64` [batch, picks], and `keep`, `BOOL` [batch, picks] → the values at `index`, zero where they are
    /// not kept.
    #[value(name = "pick")]
    Pick,
}

impl Fixture {
    /// Every fixture.
    pub const ALL: [Self; 7] = [Self::Noop, Self::SumMean, Self::SumMeanNamed, Self::FailsOnNegative, Self::Slow, Self::Halve, Self::Pick];

    /// The fixture's name on the command line and in the archive.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::SumMean => "sum_mean",
            Self::SumMeanNamed => "sum_mean_named",
            Self::FailsOnNegative => "fails_on_negative",
            Self::Slow => "slow",
            Self::Halve => "halve",
            Self::Pick => "pick",
        }
    }

    /// Writes the model to `out`.
    pub(super) fn save(self, out: &Path) -> Result<(), ExportError> {
        save_source(self.name(), self.signature(), self.body(), out)
    }

    /// What the module's `forward` takes and gives.
    const fn signature(self) -> &'static str {
        match self {
            Self::Noop | Self::FailsOnNegative | Self::Slow | Self::Halve => "INPUT0: Tensor) -> Tensor",
            Self::SumMean => "INPUT0: Tensor, INPUT1: Tensor) -> Tuple[Tensor, Tensor]",
            Self::SumMeanNamed => "INPUT0: Tensor, INPUT1: Tensor) -> Dict[str, Tensor]",
            Self::Pick => "values: Tensor, index: Tensor, keep: Tensor) -> Tensor",
        }
    }

    const fn body(self) -> &'static [&'static str] {
        match self {
            Self::Noop => &["return INPUT0"],
            Self::SumMean => &["sum = torch.add(INPUT0, INPUT1)", "return (sum, torch.div(sum, 2))"],
            Self::SumMeanNamed => &["sum = torch.add(INPUT0, INPUT1)", "return {\"mean\": torch.div(sum, 2), \"sum\": sum}"],
            Self::FailsOnNegative => &[
                "if bool(torch.any(torch.lt(INPUT0, 0))):",
                "  ops.prim.RaiseException(\"INPUT0 holds a negative number\", \"builtins.ValueError\")",
                "return INPUT0",
            ],
            Self::Slow => &[
                "end = torch.add(ops.prim.TimePoint(), torch.mul(int(torch.max(INPUT0)), 1000000))",
                "work = torch.full([64, 64], 0.015625)",
                "while torch.lt(ops.prim.TimePoint(), end):",
                "  work = torch.matmul(work, work)",
                "return torch.add(INPUT0, torch.mul(int(torch.sum(work)), 0))",
            ],
            Self::Halve => &["return torch.avg_pool2d(INPUT0, [2, 2], [2, 2])"],
            Self::Pick => &["picked = torch.gather(values, 1, index)", "return torch.where(keep, picked, torch.zeros_like(picked))"],
        }
    }
}
