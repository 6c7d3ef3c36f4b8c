//! `hookflash explain`: why a call went where it went.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::serve::runtime;
use super::table;
use super::tools::{Failure, Outcome, Tools};
use crate::acd;
use crate::config::Settings;
use crate::domain::decision::{Decision, Outcome as Decided};
use crate::domain::time::Timestamp;
use crate::domain::{id, phone};
use crate::lookup::{self, Mode};
use crate::pbx::RoutingRequest;
use crate::roster::{App, Snapshot};
use crate::routing::record;
use crate::store::calls::{self, CallRow};
use crate::store::{Conn, Result as StoreResult, decisions};
use crate::telemetry::mask;

/// Explain why a call went where it went, or where a call from a number would go now
///
/// Takes the id of a decision (X-Hookflash-Decision of the answer), our id of the call, or the PBX's; or an application and a number, to
/// ask what would happen now: that binds nobody.
#[derive(Args)]
pub struct Explain {
    /// The decision, or the call
    #[arg(required_unless_present = "number", conflicts_with = "number")]
    call: Option<String>,
    /// Look in this application only
    #[arg(long, value_name = "ID", required_unless_present = "call")]
    app: Option<i64>,
    /// A caller's number
    #[arg(long)]
    number: Option<String>,
    /// The application's number that he calls; without it the first one
    #[arg(long, value_name = "NUMBER", requires = "number")]
    to: Option<String>,
}

/// What one application knows about what was asked.
struct Found {
    application: i64,
    call: Option<CallRow>,
    decisions: Vec<Decision>,
}

impl Explain {
    pub fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        let tools = Tools::open(&settings)?;
        let snapshot = tools.roster()?;
        let mut applications = match self.app {
            Some(app) => vec![tools.app(app)?.id()],
            None => snapshot.apps.keys().copied().collect(),
        };
        applications.sort_unstable();
        let Some(asked) = self.call.as_deref().map(str::trim) else {
            let app = tools.app(applications[0])?;
            return would_go(&tools, &app, self.number.as_deref().unwrap_or_default(), self.to.as_deref(), out);
        };
        let found = tools.db.read_blocking(|conn| find(conn, &applications, asked))?;
        if found.is_empty() {
            let days = settings.retention.decisions_days;
            let kept = if days == 0 { "for ever".into() } else { format!("{days} days") };
            return Err(Failure::Failed(format!("there is no decision and no call {asked:?}; decisions are kept {kept}")));
        }
        for (i, one) in found.iter().enumerate() {
            if i > 0 {
                writeln!(out)?;
            }
            print(one, &snapshot, out)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks the router without binding anybody.
fn would_go(tools: &Tools, app: &Arc<App>, number: &str, to: Option<&str>, out: &mut dyn Write) -> Outcome {
    let written = |number: &str| {
        phone::written(number, app.spec.country.as_deref())
            .ok_or_else(|| Failure::Failed(format!("{number:?} is no number; write it like +79990001122")))
    };
    let (caller, to) = (written(number)?, to.map(written).transpose()?);
    let answer = if app.pbx.asks_again() {
        runtime()?.block_on(acd::dry_run(&tools.db, &tools.clock, app, &caller, to.as_deref()))?
    } else {
        let request = RoutingRequest { caller, did: to.clone(), dialled: to, ..RoutingRequest::default() };
        runtime()?.block_on(lookup::decide(&tools.db, &tools.clock, app, &request, Mode::DryRun))?
    };
    writeln!(out, "application {} ({})", app.id(), app.spec.name)?;
    if let Some(decision) = &answer.decision {
        writeln!(out, "If this number called now:")?;
        print_trace(decision, Some(app), out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn find(conn: &mut Conn, applications: &[i64], asked: &str) -> StoreResult<Vec<Found>> {
    let ours = asked.to_lowercase();
    let mut found = Vec::new();
    for &application in applications {
        if let Some(decision) = decisions::get(conn, application, &ours)? {
            let call = decision.call.clone();
            let call = call.map(|call| calls::get(conn, application, &call)).transpose()?.flatten();
            found.push(Found { application, call, decisions: vec![decision] });
            continue;
        }
        for id in [ours.clone(), id::call_id(application, asked)] {
            let (call, decisions) = (calls::get(conn, application, &id)?, decisions::of_call(conn, application, &id)?);
            if call.is_some() || !decisions.is_empty() {
                found.push(Found { application, call, decisions });
            }
        }
    }
    Ok(found)
}

fn print(found: &Found, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let app = snapshot.apps.get(&found.application);
    writeln!(out, "application {}{}", found.application, app.map_or(String::new(), |app| format!(" ({})", app.spec.name)))?;
    if let Some(call) = &found.call {
        print_call(call, out)?;
    }
    if found.decisions.is_empty() {
        writeln!(out, "No decision about it is kept: the PBX did not ask where it shall go, or it was too long ago.")?;
    }
    for decision in &found.decisions {
        writeln!(out)?;
        print_decision(decision, app.map(|app| app.as_ref()), out)?;
    }
    Ok(())
}

fn print_call(call: &CallRow, out: &mut dyn Write) -> io::Result<()> {
    let number = |n: &Option<String>| n.as_deref().map_or("an unknown number".into(), |n| mask(n).to_string());
    let parties = match call.direction.as_str() {
        "out" => format!("outgoing to {}", number(&call.number)),
        _ => format!("incoming from {} through {}", number(&call.number), number(&call.did)),
    };
    let end = call.ended_at.map_or("still going on".into(), |at| format!("ended {}", Timestamp(at).rfc3339()));
    writeln!(out, "call {} (the PBX's {:?})", call.id, call.pbx_call_id)?;
    writeln!(out, "  {parties}: {}, begun {}, {end}", call.status, Timestamp(call.started_at).rfc3339())
}

fn print_decision(decision: &Decision, app: Option<&App>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "decision {} at {}", decision.id, decision.at.rfc3339())?;
    print_trace(decision, app, out)?;
    let Some(again) = record::replay(&decision.caller, &decision.inputs) else { return Ok(()) };
    match again.agents == decision.agents && again.candidates == decision.candidates {
        true => writeln!(out, "\n  Made again from its record, it is the same."),
        false => writeln!(out, "\n  Made again from its record, it names {:?}: the rules have changed since.", again.agents),
    }
}

/// Writes a decision in sentences, and who was looked at as a table. `app` gives agents their names.
fn print_trace(decision: &Decision, app: Option<&App>, out: &mut dyn Write) -> io::Result<()> {
    let name = |id: &str| match app.and_then(|app| app.agent(id)) {
        Some(agent) => format!("{} ({id})", agent.name),
        None => id.to_owned(),
    };
    let named: Vec<String> = decision.agents.iter().map(|id| name(id)).collect();
    let answer = match decision.outcome {
        Decided::Nobody if app.is_some_and(|app| app.pbx.asks_again()) => "nobody was rung".to_owned(),
        Decided::Nobody => "nobody was named, and the PBX went on with its next rule".to_owned(),
        Decided::List if app.is_some_and(|app| app.pbx.asks_again()) => format!("{} were rung together", named.join(", ")),
        Decided::Agent | Decided::List => format!("{} was named", named.join(", then ")),
    };
    writeln!(
        out,
        "  For the caller {} {answer}.",
        if decision.caller.is_empty() { "without a number".into() } else { mask(&decision.caller).to_string() }
    )?;
    writeln!(out, "  Reason: {}", decision.reason)?;
    let took = decision.took_us as f64 / 1_000.0;
    match decision.late {
        false => writeln!(out, "  It took {took:.1} ms.")?,
        true => writeln!(out, "  It took {took:.1} ms, longer than the deadline: the PBX was given the safe reply.")?,
    }
    if decision.candidates.is_empty() {
        return writeln!(out, "  No agent was looked at.");
    }
    let mut rows = vec![["agent", "step", "could take it", "why"].map(String::from)];
    for candidate in &decision.candidates {
        let eligible = if candidate.eligible { "yes" } else { "no" };
        rows.push([name(&candidate.agent), candidate.step.clone(), eligible.into(), candidate.reason.clone()]);
    }
    writeln!(out)?;
    table::write(&rows, "  ", out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::Candidate;

    fn printed(decision: &Decision) -> String {
        let mut out = Vec::new();
        print_decision(decision, None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn decision() -> Decision {
        let candidate = |agent: &str, step: &str, eligible, reason: &str| Candidate {
            agent: agent.into(),
            step: step.into(),
            eligible,
            reason: reason.into(),
        };
        Decision {
            id: "0198".into(),
            at: Timestamp(1_767_000_000_100_200),
            call: None,
            pbx_call_id: None,
            caller: "+79995550101".into(),
            outcome: Decided::Agent,
            agents: vec!["bob".into()],
            reason: "bob is the deputy, and is free.".into(),
            candidates: vec![candidate("ann", "owner", false, "is on a call"), candidate("bob", "deputy", true, "is free")],
            inputs: String::new(),
            took_us: 1_234,
            late: false,
        }
    }

    #[test]
    fn a_decision_reads_as_sentences_and_a_table() {
        let expected = "decision 0198 at 2025-12-29T09:20:00.100Z\n  For the caller ***0101 bob was named.\n  \
                        Reason: bob is the deputy, and is free.\n  It took 1.2 ms.\n\n  \
                        agent  step    could take it  why\n  ann    owner   no             is on a call\n  bob    deputy  yes            is free\n";
        assert_eq!(printed(&decision()), expected);
    }

    #[test]
    fn a_late_decision_and_one_without_candidates_say_so() {
        let late =
            Decision { outcome: Decided::Nobody, agents: vec![], candidates: vec![], late: true, caller: String::new(), ..decision() };
        let text = printed(&late);
        assert!(text.contains("For the caller without a number nobody was named") && text.contains("safe reply"), "{text}");
        assert!(text.ends_with("No agent was looked at.\n"), "{text}");
    }
}
