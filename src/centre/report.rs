//! What the day came to (routing reference, section 6).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::plan::Plan;
use super::world::World;
use crate::domain::erlang::ErlangC;

#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    agents: usize,
    strategy: &'static str,
    hours: f64,
    answer_within_s: i64,
    pub asked: u64,
    pub told: u64,
    pub decided: u64,
    pub offers: u64,
    pub offered: usize,
    pub answered: usize,
    pub abandoned: usize,
    answered_in_time: usize,
    abandoned_late: usize,
    /// Of the answered, seconds: mean, half, nine of ten, ninety-nine of a hundred, longest.
    waits_s: [f64; 5],
    handling_s: f64,
    occupancy: f64,
    erlang: ErlangC,
    pub took: Duration,
    /// How often each invariant was looked at.
    pub checked: BTreeMap<u8, u64>,
    /// What did not hold.
    pub faults: Vec<String>,
}

impl Report {
    pub fn new(plan: &Plan) -> Report {
        Report {
            agents: plan.agents,
            strategy: plan.strategy.as_str(),
            hours: plan.hours,
            answer_within_s: plan.answer_within_s,
            asked: 0,
            told: 0,
            decided: 0,
            offers: 0,
            offered: 0,
            answered: 0,
            abandoned: 0,
            answered_in_time: 0,
            abandoned_late: 0,
            waits_s: [0.0; 5],
            handling_s: 0.0,
            occupancy: 0.0,
            erlang: ErlangC { agents: plan.agents as u32, traffic: 0.0, handling_s: 1.0 },
            took: Duration::ZERO,
            checked: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    pub fn finish(&mut self, world: &World, length_us: i64, took: Duration) {
        let limit = self.answer_within_s * 1_000_000;
        let mut waits: Vec<i64> = world.calls.iter().filter_map(|c| Some(c.answered? - c.joined)).collect();
        waits.sort_unstable();
        (self.offered, self.answered) = (world.calls.len(), waits.len());
        self.abandoned = self.offered - self.answered;
        self.answered_in_time = waits.iter().filter(|w| **w <= limit).count();
        self.abandoned_late = world.calls.iter().filter(|c| c.answered.is_none() && c.ended.is_some_and(|e| e - c.joined > limit)).count();
        let part =
            |p: f64| waits.get(((waits.len() as f64 * p) as usize).min(waits.len().saturating_sub(1))).map_or(0.0, |w| *w as f64 / 1e6);
        let mean = waits.iter().sum::<i64>() as f64 / waits.len().max(1) as f64 / 1e6;
        self.waits_s = [mean, part(0.5), part(0.9), part(0.99), part(1.0)];
        let busy_us: i64 = world.people.values().map(|p| p.busy_us).sum();
        self.handling_s = busy_us as f64 / 1e6 / self.answered.max(1) as f64;
        let open_us = self.hours * 3.6e9;
        self.occupancy = busy_us as f64 / (self.agents.max(1) as f64 * open_us.min(length_us as f64).max(1.0));
        let traffic = self.offered as f64 * self.handling_s * 1e6 / open_us.max(1.0);
        self.erlang = ErlangC { traffic, handling_s: self.handling_s.max(0.001), ..self.erlang };
        self.took = took;
        (self.checked, self.faults) = (world.checked.clone(), world.faults.clone());
    }

    /// Answered within the limit, of those who were answered or gave up after it.
    pub fn service_level(&self) -> f64 {
        self.answered_in_time as f64 / (self.answered + self.abandoned_late).max(1) as f64
    }

    /// The service level that Erlang C predicts.
    pub fn erlang_level(&self) -> f64 {
        self.erlang.answered_within(self.answer_within_s as f64)
    }

    /// What [`Report::row`] says of a day, beside the days of other strategies.
    pub const COLUMNS: [&str; 8] = ["waits by strategy", "mean s", "half", "90 %", "99 %", "longest", "abandoned", "occupancy"];

    pub fn row(&self) -> [String; 8] {
        let percent = |part: f64| format!("{:.1} %", part * 100.0);
        let [mean, half, nine, most, longest] = self.waits_s.map(|s| format!("{s:.1}"));
        let abandoned = percent(self.abandoned as f64 / self.offered.max(1) as f64);
        [self.strategy.to_owned(), mean, half, nine, most, longest, abandoned, percent(self.occupancy)]
    }

    /// Without what depends on the machine.
    pub fn figures(&self) -> String {
        let percent = |part: f64| format!("{:.1} %", part * 100.0);
        let of = |n: usize| percent(n as f64 / self.offered.max(1) as f64);
        let [mean, half, nine, most, longest] = self.waits_s;
        let erlang = self.erlang;
        let wanted = ErlangC::agents_for(erlang.traffic, erlang.handling_s, 0.8, self.answer_within_s as f64);
        let within = |limit: i64| {
            format!("{} within {limit} s, mean wait {:.1} s", percent(erlang.answered_within(limit as f64)), erlang.mean_wait_s())
        };
        // Without patience the callers of such a day would never be through.
        let is_too_much = erlang.traffic >= f64::from(erlang.agents);
        let predicted = if is_too_much { "more than these agents can take".to_owned() } else { within(self.answer_within_s) };
        format!(
            "{} agents, {}, {} h\n\
             calls           {} offered, {} answered ({}), {} abandoned ({})\n\
             service level   {} within {} s\n\
             wait            mean {mean:.1} s, half {half:.1} s, 90 % {nine:.1} s, 99 % {most:.1} s, longest {longest:.1} s\n\
             handling        {:.1} s a call with ringing and wrap-up, occupancy {}\n\
             offers          {}, of which {} were answered\n\
             Erlang C        {:.1} erlang: {predicted}; {wanted} agents for 80 %\n",
            self.agents,
            self.strategy,
            self.hours,
            self.offered,
            self.answered,
            of(self.answered),
            self.abandoned,
            of(self.abandoned),
            percent(self.service_level()),
            self.answer_within_s,
            self.handling_s,
            percent(self.occupancy),
            self.offers,
            percent(self.answered as f64 / self.offers.max(1) as f64),
            erlang.traffic,
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.figures())?;
        writeln!(
            f,
            "through the core {} questions, {} events, {} decisions recorded, in {:.1} s",
            self.asked,
            self.told,
            self.decided,
            self.took.as_secs_f64()
        )?;
        let checked: Vec<String> = self.checked.iter().map(|(invariant, times)| format!("{invariant} ({times})")).collect();
        writeln!(f, "checked          {}", checked.join(", "))?;
        match self.faults.len() {
            0 => writeln!(f, "invariants       all held"),
            n => {
                writeln!(f, "invariants       {n} did not hold:")?;
                self.faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))
            }
        }
    }
}
