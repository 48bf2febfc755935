//! What the time of a key's check tells of the key: `cargo test --release -p torchmesh-gateway --lib -- --ignored --nocapture nanoseconds`.
//!
//! Two kinds of wrong keys are checked in turn, and Welch's t says how sure it is that they take different times. As in "Dude, is my code constant
//! time?" (Reparaz, Balasch and Verbauwhede, 2017), the longest times, which are the machine's, are left out, and a t of more than 10 is a leak
//! without doubt.

use std::{hint::black_box, time::Instant};

use sha2::{Digest as _, Sha256};

use super::keys::Keys;

const CHECKS: usize = 1_000_000;
const GOOD: &str = "tm_live_8Q2mX0c5Yb7nV4kR1tZs9wJ3";
const WITHOUT_DOUBT: f64 = 10.0;

/// As many first characters of the good key as told, and then others.
fn wrong(right: usize) -> String {
    GOOD.char_indices().map(|(index, letter)| if index < right { letter } else { '~' }).collect()
}

/// Mean and variance of the shorter nineteen of twenty.
fn cropped(mut times: Vec<f64>) -> (f64, f64, f64) {
    times.sort_by(f64::total_cmp);
    times.truncate(times.len() * 19 / 20);
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    (mean, times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0), count)
}

#[test]
#[ignore = "a measurement, not a check: `make gauge`"]
fn a_wrong_key_takes_as_many_nanoseconds_however_much_of_it_is_right() {
    let hash = Sha256::digest(GOOD).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let keys = Keys::parse(&format!("[[key]]\nname = 'a'\ntenant = 'a'\nsha256 = '{hash}'\n")).unwrap();
    let shown = [wrong(0), wrong(GOOD.len() - 1)];
    let mut times = [const { Vec::new() }; 2];
    let mut draw = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..CHECKS {
        // xorshift64: which of the two comes next follows no order.
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        let kind = (draw >> 32) as usize & 1;
        let began = Instant::now();
        black_box(keys.find(&Sha256::digest(black_box(&shown[kind])).into(), 0));
        times[kind].push(began.elapsed().as_nanos() as f64);
    }
    let [(none, spread, count), (nearly, other_spread, other_count)] = times.map(cropped);
    let t = (none - nearly) / (spread / count + other_spread / other_count).sqrt();
    println!("a key of which nothing is right: {none:.1} ns; all but its last character: {nearly:.1} ns; t {t:.2} of {CHECKS} checks");
    assert!(t.abs() < WITHOUT_DOUBT);
}
