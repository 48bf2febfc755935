//! The few tokens that the next one is chosen from.

use std::cmp::Ordering;

/// A token that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) logit: f32,
    /// Its probability, but for a factor that all have in common.
    pub(super) weight: f32,
    pub(super) token: u32,
}

impl Candidate {
    /// The likeliest first; of equals the lowest id.
    pub(super) fn rank(&self, other: &Self) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.token.cmp(&other.token))
    }
}

/// Keeps the `count` likeliest, in the order they have. `room` is scratch.
pub(super) fn keep_likeliest(candidates: &mut Vec<Candidate>, count: usize, room: &mut Vec<Candidate>) {
    if count >= candidates.len() {
        return;
    }
    room.clear();
    room.extend_from_slice(candidates);
    let last = *room.select_nth_unstable_by(count - 1, Candidate::rank).1;
    candidates.retain(|candidate| candidate.rank(&last) != Ordering::Greater);
}

/// Keeps the fewest likeliest whose weights together reach `target`, in the order they have. `room` is scratch.
pub(super) fn keep_mass(candidates: &mut Vec<Candidate>, target: f64, room: &mut Vec<Candidate>) {
    let target = if candidates.len() > FEW { narrow(candidates, target, room) } else { copy(candidates, target, room) };
    if let Some(last) = last_within(room, target) {
        candidates.retain(|candidate| candidate.rank(&last) != Ordering::Greater);
    }
}

/// So many are not worth being sorted into bins first.
const FEW: usize = 512;
const BINS: usize = 1024;

fn copy(candidates: &[Candidate], target: f64, room: &mut Vec<Candidate>) -> f64 {
    room.clear();
    room.extend_from_slice(candidates);
    target
}

/// Leaves in `room` the candidates of one narrow range of logits, the one in which the target is reached, and gives what of the target is left when
/// all above it are taken. A flat distribution has most of the vocabulary as candidates; selecting among all of them takes five times as long.
fn narrow(candidates: &[Candidate], mut target: f64, room: &mut Vec<Candidate>) -> f64 {
    let (least, most) =
        candidates.iter().fold((f32::MAX, f32::MIN), |(least, most), candidate| (least.min(candidate.logit), most.max(candidate.logit)));
    let scale = if most > least { (BINS - 1) as f32 / (most - least) } else { 0.0 };
    // It never falls while logits fall, so that candidates of one bin are neighbours in rank.
    let bin = |candidate: &Candidate| ((most - candidate.logit) * scale) as usize % BINS;
    let mut masses = [0.0_f64; BINS];
    for candidate in candidates {
        masses[bin(candidate)] += f64::from(candidate.weight);
    }
    let mut reached = BINS - 1;
    for (index, mass) in masses.iter().enumerate() {
        if *mass >= target {
            reached = index;
            break;
        }
        target -= mass;
    }
    room.clear();
    room.extend(candidates.iter().filter(|candidate| bin(candidate) == reached));
    target
}

/// The least likely of the fewest likeliest that reach `target`. Halves what it looks at each time, so it takes time in proportion to the length.
fn last_within(mut candidates: &mut [Candidate], mut target: f64) -> Option<Candidate> {
    while candidates.len() > 1 {
        let middle = candidates.len() / 2;
        candidates.select_nth_unstable_by(middle, Candidate::rank);
        let (likelier, others) = candidates.split_at_mut(middle);
        let mass = mass(likelier);
        if mass >= target {
            candidates = likelier;
        } else {
            target -= mass;
            candidates = others;
        }
    }
    candidates.first().copied()
}

/// The sum of the weights.
pub(super) fn mass(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|candidate| f64::from(candidate.weight)).sum()
}

/// The candidate at which the running sum of the weights passes `target`.
pub(super) fn at(candidates: &[Candidate], mut target: f64) -> Option<u32> {
    for candidate in candidates {
        let weight = f64::from(candidate.weight);
        if target < weight {
            return Some(candidate.token);
        }
        target -= weight;
    }
    candidates.iter().rfind(|candidate| candidate.weight > 0.0).map(|candidate| candidate.token)
}
