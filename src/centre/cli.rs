//! `hookflash simulate contact-centre`

use super::{Chaos, Plan, Report, run};
use crate::domain::spec::Strategy;

/// Lives a day of a contact centre on a virtual clock, through the real core.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[arg(long, default_value_t = 200)]
    pub agents: usize,
    /// Queues, each with a group of its own and the next one's as backup.
    #[arg(long, default_value_t = 1)]
    pub queues: usize,
    /// How the queues choose among free agents. Several, with commas between them, live the same day each and are compared.
    #[arg(long, default_value = "longest_idle", value_parser = strategy, value_delimiter = ',')]
    pub strategy: Vec<Strategy>,
    #[arg(long, default_value_t = 5_000.0)]
    pub calls_per_hour: f64,
    #[arg(long, default_value_t = 8.0)]
    pub hours: f64,
    /// Mean length of a talk, seconds.
    #[arg(long, default_value_t = 115.0)]
    pub talk_s: f64,
    /// Wrap-up after each, seconds.
    #[arg(long, default_value_t = 10)]
    pub wrap_up_s: i64,
    /// Mean patience of a caller, seconds.
    #[arg(long, default_value_t = 120.0)]
    pub patience_s: f64,
    /// The longest that an agent takes to pick up, seconds.
    #[arg(long, default_value_t = 8.0)]
    pub answer_s: f64,
    /// The part of the offers that agents let ring out.
    #[arg(long, default_value_t = 0.02)]
    pub ignored: f64,
    /// The part of the offers that agents reject.
    #[arg(long, default_value_t = 0.01)]
    pub rejected: f64,
    /// The service level's limit, seconds.
    #[arg(long, default_value_t = 20)]
    pub answer_within: i64,
    /// Seconds after which a caller who waits is asked about again.
    #[arg(long, default_value_t = 1)]
    pub poll_s: i64,
    /// Decides everything that people do.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

fn strategy(word: &str) -> Result<Strategy, String> {
    let known: Vec<&str> = Strategy::ALL.iter().map(|s| s.as_str()).collect();
    Strategy::parse(word).ok_or_else(|| format!("use one of {}", known.join(", ")))
}

impl Args {
    /// A day for each strategy.
    ///
    /// # Errors
    /// In words for the operator.
    pub async fn run(self, mut progress: impl FnMut(f64)) -> anyhow::Result<Vec<Report>> {
        anyhow::ensure!((1..=5_000).contains(&self.agents) && (1..=200).contains(&self.queues), "use 1 to 5000 agents and 1 to 200 queues");
        let is_bearable = self.calls_per_hour.is_finite() && self.calls_per_hour > 0.0 && self.hours > 0.0 && self.hours <= 168.0;
        anyhow::ensure!(is_bearable, "use a number of calls above 0, and up to 168 hours");
        anyhow::ensure!((1..=30).contains(&self.poll_s), "use a --poll-s of 1 to 30");
        let parts = [self.ignored, self.rejected, self.ignored + self.rejected];
        anyhow::ensure!(
            parts.iter().all(|part| (0.0..=1.0).contains(part)),
            "--ignored and --rejected are parts of the offers, together 1 at the most"
        );
        let times = [self.talk_s, self.patience_s, self.answer_s];
        anyhow::ensure!(times.iter().all(|s| s.is_finite() && *s >= 0.0), "use times of 0 seconds and more");
        let days = self.strategy.len() as f64;
        let mut reports = Vec::new();
        for strategy in &self.strategy {
            let lived = reports.len() as f64;
            reports.push(self.day(*strategy, |part| progress((lived + part) / days)).await?);
        }
        Ok(reports)
    }

    async fn day(&self, strategy: Strategy, progress: impl FnMut(f64)) -> anyhow::Result<Report> {
        let plan = Plan {
            agents: self.agents,
            queues: self.queues,
            strategy,
            calls_per_hour: self.calls_per_hour,
            hours: self.hours,
            talk_s: self.talk_s,
            wrap_up_s: self.wrap_up_s,
            patience_s: self.patience_s,
            answer_s: self.answer_s,
            ignored: self.ignored,
            rejected: self.rejected,
            answer_within_s: self.answer_within,
            poll_s: self.poll_s,
            seed: self.seed,
            probed: 0.02,
            chaos: Chaos::default(),
        };
        let folder = tempfile::tempdir()?;
        run(&plan, format!("sqlite://{}", folder.path().join("day.db").display()), progress).await
    }
}
