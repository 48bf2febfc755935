//! Which of several answers are told.

/// The places of the `count` answers with the largest means, the largest first; of equals the earlier. An answer without a mean comes last.
pub fn likeliest(means: &[Option<f64>], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..means.len()).collect();
    let mean = |place: usize| means[place].unwrap_or(f64::NEG_INFINITY);
    order.sort_by(|&a, &b| mean(b).total_cmp(&mean(a)));
    order.truncate(count);
    order
}
