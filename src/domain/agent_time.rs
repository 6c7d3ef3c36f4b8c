//! What an agent was, and for how long: every change is a mark; between two marks he is what the first one says.
//!
//! A mark tells of a state and, where a deadline ends it without any event (wrap-up, a claim), of what comes then. So the times in state have
//! no gap and no overlap, whatever was lost: they add up to the time that passed.

use std::collections::BTreeMap;

use super::agent::State;
use super::time::Timestamp;

/// A change of an agent's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub at: Timestamp,
    pub state: State,
    /// Of a status that somebody chose: lunch. Of wrap-up the queue whose call it follows.
    pub reason: Option<String>,
    /// Who did it: the router, the phone, or the name of a token.
    pub by: String,
    /// When it ends by itself, and in what.
    pub then: Option<(Timestamp, State)>,
    /// Of what comes then, where somebody has chosen it: why, and who.
    pub then_reason: Option<String>,
    pub then_by: Option<String>,
}

impl Mark {
    /// Of a state that nothing but another mark ends.
    pub fn new(at: Timestamp, state: State, by: &str) -> Mark {
        Mark { at, state, reason: None, by: by.into(), then: None, then_reason: None, then_by: None }
    }
}

/// A time in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub since: Timestamp,
    pub until: Timestamp,
    pub state: State,
    pub reason: Option<String>,
    pub by: String,
}

/// The times in state within `[from, to)`, drawn from the marks in their order; the last of those before `from` may lead them.
pub fn spans(marks: &[Mark], from: Timestamp, to: Timestamp) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut add = |since: Timestamp, until: Timestamp, state: State, mark: &Mark, own: bool| {
        let (since, until) = (since.max(from), until.min(to));
        if since < until {
            let (reason, by) = if own {
                (mark.reason.clone(), mark.by.clone())
            } else {
                (mark.then_reason.clone(), mark.then_by.clone().unwrap_or_else(|| "time".into()))
            };
            spans.push(Span { since, until, state, reason, by });
        }
    };
    for (i, mark) in marks.iter().enumerate() {
        let end = marks.get(i + 1).map_or(to, |next| next.at);
        match mark.then {
            Some((then, state)) if then < end => {
                add(mark.at, then, mark.state, mark, true);
                add(then.max(mark.at), end, state, mark, false);
            }
            _ => add(mark.at, end, mark.state, mark, true),
        }
    }
    spans
}

/// Microseconds in each state and for each reason.
pub type Sums = BTreeMap<(State, Option<String>), i64>;

/// Times in state, as [`spans`] draws them, added up within each of the parts, which follow each other without gap as
/// [`super::interval::parts`] makes them.
pub fn sums(spans: &[Span], parts: &[(Timestamp, Timestamp)]) -> Vec<Sums> {
    let mut sums = vec![Sums::new(); parts.len()];
    let mut part = 0;
    for span in spans {
        while parts.get(part).is_some_and(|(_, end)| *end <= span.since) {
            part += 1;
        }
        for (n, (from, to)) in parts.iter().enumerate().skip(part).take_while(|(_, (from, _))| *from < span.until) {
            *sums[n].entry((span.state, span.reason.clone())).or_default() += span.until.min(*to).since(span.since.max(*from));
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(at: i64, state: State, then: Option<(i64, State)>) -> Mark {
        let then = then.map(|(t, s)| (Timestamp(t), s));
        Mark { reason: Some("lunch".into()), then, ..Mark::new(Timestamp(at), state, "ann") }
    }

    #[test]
    fn a_deadline_ends_a_state_unless_something_else_did() {
        let marks = [
            mark(0, State::Available, None),
            mark(10, State::Reserved, Some((30, State::Available))),
            mark(20, State::WrapUp, Some((25, State::Available))),
            mark(40, State::NotAvailable, None),
        ];
        let told: Vec<(i64, i64, State)> =
            spans(&marks, Timestamp(5), Timestamp(50)).into_iter().map(|s| (s.since.0, s.until.0, s.state)).collect();
        assert_eq!(
            told,
            [
                (5, 10, State::Available),
                (10, 20, State::Reserved),
                (20, 25, State::WrapUp),
                (25, 40, State::Available),
                (40, 50, State::NotAvailable)
            ]
        );
        let last = spans(&marks, Timestamp(30), Timestamp(35));
        assert_eq!((last[0].by.as_str(), &last[0].reason), ("time", &None), "nobody's choice");
    }

    #[test]
    fn sums_are_cut_by_the_parts() {
        let marks = [
            mark(0, State::OnCall, None),
            mark(25, State::WrapUp, Some((45, State::Available))),
            mark(30, State::WrapUp, Some((45, State::NotAvailable))),
        ];
        let at = |us: &[i64]| us.windows(2).map(|w| (Timestamp(w[0]), Timestamp(w[1]))).collect::<Vec<_>>();
        let sums = sums(&spans(&marks, Timestamp(10), Timestamp(60)), &at(&[10, 20, 40, 60]));
        let lunch = || Some("lunch".to_owned());
        assert_eq!(sums[0], Sums::from([((State::OnCall, lunch()), 10)]));
        assert_eq!(sums[1], Sums::from([((State::OnCall, lunch()), 5), ((State::WrapUp, lunch()), 15)]));
        assert_eq!(sums[2], Sums::from([((State::WrapUp, lunch()), 5), ((State::NotAvailable, None), 15)]));
    }

    proptest! {
        #[test]
        fn times_in_state_add_up_to_the_time_that_passed(
            times in prop::collection::btree_set(0i64..1_000, 1..20),
            kinds in prop::collection::vec((0..State::ALL.len(), prop::option::of((0i64..200, 0..State::ALL.len()))), 20),
            a in 0i64..1_000, b in 0i64..1_200,
        ) {
            let marks: Vec<Mark> = times.iter().zip(kinds).map(|(at, (state, then))| {
                mark(*at, State::ALL[state], then.map(|(after, s)| (at + after, State::ALL[s])))
            }).collect();
            let (from, to) = (Timestamp(a.min(b)), Timestamp(a.max(b)));
            let spans = spans(&marks, from, to);
            let first = marks[0].at.max(from);
            prop_assert_eq!(spans.iter().map(|s| s.until.0 - s.since.0).sum::<i64>(), (to.0 - first.0).max(0));
            prop_assert!(spans.windows(2).all(|w| w[0].until == w[1].since));
        }
    }
}
