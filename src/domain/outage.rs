//! How much of a time the way to a PBX was open.

use super::time::Timestamp;

/// A time without connection; `None`: it lasts still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    pub began: Timestamp,
    pub ended: Option<Timestamp>,
}

/// Microseconds of `[from, to)` that lie in outages; where two overlap they count once. What lies beyond `now` has not happened.
pub fn down_us(outages: &[Outage], from: Timestamp, to: Timestamp, now: Timestamp) -> i64 {
    let mut sorted: Vec<(Timestamp, Timestamp)> = outages.iter().map(|o| (o.began, o.ended.unwrap_or(now))).collect();
    sorted.sort();
    let (mut counted_to, mut down) = (from, 0);
    for (began, ended) in sorted {
        let (began, ended) = (began.max(counted_to), ended.min(to).min(now));
        down += ended.since(began);
        counted_to = counted_to.max(ended);
    }
    down
}

/// 1 − outage / time, of what of `[from, to)` lies between `known_since` and `now`; `None` when nothing does.
pub fn up_time(outages: &[Outage], known_since: Timestamp, from: Timestamp, to: Timestamp, now: Timestamp) -> Option<f64> {
    let (from, to) = (from.max(known_since), to.min(now));
    (from < to).then(|| 1.0 - down_us(outages, from, to, now) as f64 / to.since(from) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(began: i64, ended: Option<i64>) -> Outage {
        Outage { began: Timestamp(began), ended: ended.map(Timestamp) }
    }

    #[test]
    fn outages_count_as_far_as_they_lie_in_the_time_and_once() {
        let all = [outage(10, Some(20)), outage(15, Some(25)), outage(40, Some(41)), outage(90, None)];
        let down = |from, to, now| down_us(&all, Timestamp(from), Timestamp(to), Timestamp(now));
        assert_eq!(down(0, 100, 200), 15 + 1 + 10);
        assert_eq!((down(12, 18, 200), down(25, 40, 200), down(0, 100, 95)), (6, 0, 21));
    }

    #[test]
    fn up_time_is_told_of_what_is_known() {
        let up = |known, from, to, now| up_time(&[outage(10, Some(20))], Timestamp(known), Timestamp(from), Timestamp(to), Timestamp(now));
        assert_eq!((up(0, 0, 100, 200), up(0, 0, 100, 50), up(10, 0, 50, 200)), (Some(0.9), Some(0.8), Some(0.75)));
        assert_eq!((up(60, 0, 50, 200), up(0, 100, 150, 100)), (None, None));
    }
}
