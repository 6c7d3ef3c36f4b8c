//! Lots that depend on nothing but the seed and what they are drawn for: events may come in any order, and each person does the same.

use crate::domain::id;

#[derive(Clone, Copy, Debug)]
pub struct Chance {
    pub seed: u64,
}

impl Chance {
    /// Between 0 (never exactly) and 1.
    pub fn uniform(&self, what: &str, who: u64, time: u64) -> f64 {
        let drawn = id::digest(&[&self.seed.to_be_bytes(), what.as_bytes(), &who.to_be_bytes(), &time.to_be_bytes()]);
        ((drawn as u64 >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }

    /// Exponential with this mean, microseconds.
    pub fn exponential_us(&self, what: &str, who: u64, time: u64, mean_s: f64) -> i64 {
        (-self.uniform(what, who, time).ln() * mean_s * 1e6) as i64
    }

    pub fn happens(&self, what: &str, who: u64, time: u64, part: f64) -> bool {
        part > 0.0 && self.uniform(what, who, time) <= part
    }
}
