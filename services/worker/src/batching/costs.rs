//! What a forward costs, learnt from the forwards that ran: a plain function of rows and sequence length that each measurement corrects.
//!
//! Seconds are kept at knots, powers of two of rows and of lengths, and are linear in between. A measurement moves the knots around it, the
//! first ones far and later ones little, and counts for at most twice what was expected, so that one forward during which the machine did
//! something else changes next to nothing. Knots that nothing has come near yet follow the straight line in rows × length that fits
//! the others best.

use std::{array, ops::RangeInclusive};

/// Knots in rows: 1, 2, 4 … 4096.
const ROWS: usize = 13;
/// Knots in length: 1, 2, 4 … 131072.
const LENGTHS: usize = 18;
/// What a knot moves by at least, of the difference that a measurement shows: it forgets half of the past in seven measurements.
const RATE: f64 = 0.1;
/// Measurements of a shape before one that differs much is taken for an accident.
const TRUSTED: f64 = 3.0;
/// How far from the expected one a measurement counts: once its shape is trusted, while it is not, and while next to nothing is known.
const CREDIBLE: RangeInclusive<f64> = 0.5..=2.0;
const NEW_SHAPE: RangeInclusive<f64> = 0.25..=4.0;
const NEW_MODEL: RangeInclusive<f64> = 0.0..=f64::INFINITY;
/// How near to the best throughput a smaller batch must come to be preferred, for it answers sooner.
const AS_GOOD: f64 = 1.03;
/// A forward shorter than this is not worth cutting: the waiting that it saves costs less than one more wake, in seconds.
const NOT_WORTH_CUTTING: f64 = 1e-3;
/// The cost of a row's element before anything is known, in seconds. Only ratios of it matter.
const NOMINAL: f64 = 1e-9;
/// Measurements between two pricings of everything.
const REPRICE: u64 = 256;
/// The least that anything costs, in seconds.
const LEAST: f64 = 1e-9;

type Table<T> = [[T; ROWS]; LENGTHS];

/// See the module. Lengths are 1 for models without sequences; for an engine that packs its rows, they are the mean of a batch.
#[derive(Clone, Debug)]
pub struct Costs {
    knots: Table<Knot>,
    /// Seconds at each knot, never less for more rows or longer ones.
    curve: Table<f64>,
    /// Seconds that a row of each length costs in a batch of the preferred size.
    row: [f64; LENGTHS],
    /// Measurements so far.
    count: u64,
    max_batch: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Knot {
    seconds: f64,
    /// How many measurements it stands for.
    weight: f64,
}

/// A straight line: seconds = `fixed` + `each` × rows × length.
#[derive(Clone, Copy, Debug)]
struct Law {
    fixed: f64,
    each: f64,
}

/// Where a value lies between two neighbouring knots.
#[derive(Clone, Copy)]
struct Between {
    low: usize,
    /// The share of the upper knot, 0 to 1.
    upper: f64,
}

impl Costs {
    /// Nothing is known yet; batches have up to `max_batch` rows.
    pub fn new(max_batch: usize) -> Self {
        let row = array::from_fn(|length| NOMINAL * knot(length));
        Self { knots: [[Knot::default(); ROWS]; LENGTHS], curve: [[0.0; ROWS]; LENGTHS], row, count: 0, max_batch: max_batch.max(1) }
    }

    /// Whether anything was measured.
    pub fn is_known(&self) -> bool {
        self.count > 0
    }

    /// Takes in that a batch of `rows` rows of `length` took `seconds`. What is no duration is ignored.
    pub fn learn(&mut self, rows: usize, length: f64, seconds: f64) {
        if !seconds.is_finite() || seconds < 0.0 || !length.is_finite() {
            return;
        }
        let seconds = seconds.max(LEAST);
        let hats = hats(rows, length);
        let weight: f64 = hats.iter().map(|&(at, hat)| hat * self.knot(at).weight).sum();
        let law = self.law().unwrap_or_else(|| Law::through(seconds, rows as f64 * length));
        let expected: f64 = hats.iter().map(|&(at, hat)| hat * self.seconds(at, law)).sum();
        let credible = match weight {
            _ if self.count < 4 => NEW_MODEL,
            weight if weight < TRUSTED => NEW_SHAPE,
            _ => CREDIBLE,
        };
        let measured = seconds.clamp(expected * credible.start(), expected * credible.end());
        let step = (measured - expected) * (1.0 / (weight + 1.0)).max(RATE) / hats.iter().map(|(_, hat)| hat * hat).sum::<f64>();
        for (at, hat) in hats.into_iter().filter(|&(_, hat)| hat > 0.0) {
            let before = self.seconds(at, law);
            let knot = &mut self.knots[at.0][at.1];
            *knot = Knot { seconds: (before + hat * step).max(LEAST), weight: knot.weight + hat };
        }
        self.count += 1;
        self.draw();
        self.price(between(length, LENGTHS).low);
    }

    /// How long a batch of `rows` rows of `length` takes, in seconds; 0 while nothing is known.
    pub fn forward(&self, rows: usize, length: f64) -> f64 {
        let beyond = (length / knot(LENGTHS - 1)).max(1.0);
        beyond * hats(rows, length).iter().map(|&((length, rows), hat)| hat * self.curve[length][rows]).sum::<f64>()
    }

    /// What a row of `length` costs in a batch of the preferred size, in seconds; never 0.
    pub fn row(&self, length: f64) -> f64 {
        let at = between(length, LENGTHS);
        let beyond = (length / knot(LENGTHS - 1)).max(1.0);
        let upper = self.row[(at.low + 1).min(LENGTHS - 1)];
        (beyond * (self.row[at.low] * (1.0 - at.upper) + upper * at.upper)).max(LEAST)
    }

    /// How many rows of `length` make the best batch: where the next row would cost more than it costs in a batch of its own kind.
    ///
    /// The largest that is allowed, unless measurements show that a smaller one has the same throughput, or a better one.
    pub fn preferred(&self, length: f64) -> usize {
        let largest = self.max_batch.min(1 << (ROWS - 1));
        if self.forward(largest, length) <= NOT_WORTH_CUTTING || !self.measured(largest, length) {
            return self.max_batch;
        }
        let each = |rows: usize| self.forward(rows, length) / rows as f64;
        let sizes = || (0..ROWS).map(|at| 1 << at).filter(|&rows| rows < largest && self.measured(rows, length)).chain([largest]);
        let best = sizes().map(each).fold(f64::INFINITY, f64::min);
        let smallest = sizes().find(|&rows| each(rows) <= best * AS_GOOD).unwrap_or(largest);
        smallest.max(self.within(NOT_WORTH_CUTTING, length)).min(self.max_batch)
    }

    /// A batch size of at most `most` rows that too little is known about, and that might be better than the preferred one; none when all are known.
    pub fn untried(&self, length: f64, most: usize) -> Option<usize> {
        let near = self.preferred(length);
        let sizes = (0..ROWS).map(|at| 1 << at).filter(|&rows| rows < self.max_batch && rows <= most && rows >= near / 4);
        let worth_it = self.forward(near, length) > NOT_WORTH_CUTTING;
        sizes.rev().find(|&rows| !self.measured(rows, length)).filter(|_| worth_it)
    }

    /// The most rows of `length` whose batch takes at most `seconds`; 0 when not even one does.
    pub fn within(&self, seconds: f64, length: f64) -> usize {
        let (mut fits, mut over) = (0, self.max_batch + 1);
        while over - fits > 1 {
            let middle = usize::midpoint(fits, over);
            if self.forward(middle, length) <= seconds {
                fits = middle;
            } else {
                over = middle;
            }
        }
        fits
    }

    /// Whether a shape has been measured often enough to say that another one is better or worse.
    fn measured(&self, rows: usize, length: f64) -> bool {
        hats(rows, length).into_iter().map(|(at, hat)| hat * self.knot(at).weight).sum::<f64>() >= 1.5
    }

    fn knot(&self, (length, rows): (usize, usize)) -> Knot {
        self.knots[length][rows]
    }

    fn seconds(&self, at: (usize, usize), law: Law) -> f64 {
        let known = self.knot(at);
        if known.weight > 0.0 { known.seconds } else { law.at(knot(at.0) * knot(at.1)) }
    }

    /// The line that fits the known knots best, each counted by how well it is known and by its relative error.
    fn law(&self) -> Option<Law> {
        let mut sums = [0.0; 5];
        for (length, knots) in self.knots.iter().enumerate() {
            for (rows, known) in knots.iter().enumerate().filter(|(_, known)| known.weight > 0.0) {
                let (x, y) = (knot(length) * knot(rows), known.seconds);
                let weight = known.weight.min(1.0) / (y * y);
                for (sum, term) in sums.iter_mut().zip([1.0, x, x * x, y, x * y]) {
                    *sum += weight * term;
                }
            }
        }
        let [ones, xs, squares, ys, products] = sums;
        if ones == 0.0 {
            return None;
        }
        let spread = ones * squares - xs * xs;
        if spread <= 1e-9 * ones * squares {
            return Some(Law::through(ys / ones, xs / ones));
        }
        let each = (ones * products - xs * ys) / spread;
        let fixed = (ys - each * xs) / ones;
        Some(match (fixed < 0.0, each < 0.0) {
            (_, true) => Law { fixed: ys / ones, each: 0.0 },
            (true, false) => Law { fixed: 0.0, each: products / squares },
            (false, false) => Law { fixed, each },
        })
    }

    /// Draws the curve anew through the knots.
    fn draw(&mut self) {
        let Some(law) = self.law() else { return };
        for length in 0..LENGTHS {
            for rows in 0..ROWS {
                let fewer = if rows > 0 { self.curve[length][rows - 1] } else { LEAST };
                let shorter = if length > 0 { self.curve[length - 1][rows] } else { LEAST };
                self.curve[length][rows] = self.seconds((length, rows), law).max(fewer).max(shorter);
            }
        }
    }

    /// What a row costs, anew: of the lengths around a measurement every time, of all others now and then, since a measurement moves them little.
    fn price(&mut self, measured: usize) {
        let all = self.count.is_power_of_two() || self.count.is_multiple_of(REPRICE);
        for at in (0..LENGTHS).filter(|&at| all || at == measured || at == measured + 1) {
            let length = knot(at);
            let rows = self.preferred(length);
            self.row[at] = (self.forward(rows, length) / rows as f64).max(LEAST);
        }
    }
}

impl Law {
    /// Half of it fixed: what one measurement suggests.
    fn through(seconds: f64, work: f64) -> Self {
        Self { fixed: seconds / 2.0, each: seconds / 2.0 / work.max(1.0) }
    }

    fn at(self, work: f64) -> f64 {
        self.fixed + self.each * work
    }
}

/// The value of a knot.
fn knot(at: usize) -> f64 {
    (1_u64 << at) as f64
}

/// The four knots around a shape as (length, rows), and how much each counts.
fn hats(rows: usize, length: f64) -> [((usize, usize), f64); 4] {
    let (length, rows) = (between(length, LENGTHS), between(rows as f64, ROWS));
    let of = |at: Between, up: usize| if up == 1 { at.upper } else { 1.0 - at.upper };
    [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(longer, more)| {
        let at = ((length.low + longer).min(LENGTHS - 1), (rows.low + more).min(ROWS - 1));
        (at, of(length, longer) * of(rows, more))
    })
}

fn between(value: f64, knots: usize) -> Between {
    let value = value.clamp(1.0, knot(knots - 1));
    // Exact: a float's exponent.
    let low = usize::try_from((value.to_bits() >> 52).saturating_sub(1023)).unwrap_or(0).min(knots - 1);
    Between { low, upper: value / knot(low) - 1.0 }
}

#[cfg(test)]
mod tests;
