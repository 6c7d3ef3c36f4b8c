//! The table for people and the line for machines.

use serde::Serialize;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    Higher,
    Lower,
}

/// One figure with its marks.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub what: &'static str,
    pub unit: &'static str,
    pub better: Better,
    pub measured: f64,
    pub must: f64,
    pub aim: f64,
    /// What the figure was made from.
    pub note: String,
}

impl Row {
    fn reaches(&self, mark: f64) -> bool {
        match self.better {
            Better::Higher => self.measured >= mark,
            Better::Lower => self.measured <= mark,
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.reaches(self.must), self.reaches(self.aim)) {
            (_, true) => "aim",
            (true, false) => "met",
            (false, false) => "MISSED",
        }
    }
}

pub fn print(rows: &[Row]) {
    println!("\n{:<62} {:>14} {:>12} {:>12}  {:<7} made from", "what", "measured", "must", "aim", "verdict");
    for row in rows {
        let (measured, must, aim) = (figure(row.measured, row.unit), figure(row.must, row.unit), figure(row.aim, row.unit));
        println!("{:<62} {measured:>14} {must:>12} {aim:>12}  {:<7} {}", row.what, row.verdict(), row.note);
    }
    let rows: Vec<serde_json::Value> = rows.iter().map(|r| serde_json::json!({"row": r, "verdict": r.verdict()})).collect();
    println!("\n{}", serde_json::json!({"bench": "hookflash", "load_average": load_average(), "rows": rows}));
}

/// What else the machine does: of the last minute.
pub fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

fn figure(value: f64, unit: &str) -> String {
    let digits = if value >= 100.0 { 0 } else { 2 };
    format!("{value:.digits$} {unit}").trim_end().to_owned()
}
