//! The command line: one file a command.
//!
//! In this order: the arguments are read (a wrong one ends with status 2), the settings, then the command does its work. What a command
//! promises is on standard output and nothing else is; an error is a line on standard error that names its mend. Status 0: done;
//! 1: failed, or something was found; 2: wrong usage.
//!
//! A command is a type with its arguments and a `run`; adding one is its `mod` line and its variant below.

mod apply;
mod check;
mod explain;
mod import;
mod paste;
mod progress;
mod provision;
mod reconcile;
mod replay;
mod serve;
mod simulate;
mod table;
mod tail;
mod token;
mod tools;

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Settings;
use tools::{Failure, Outcome};

/// The server between a company's telephone system (PBX) and its CRM.
#[derive(Parser)]
#[command(name = "hookflash", version, about)]
struct Cli {
    /// Settings that differ from the defaults, a TOML file; HOOKFLASH__SECTION__KEY variables win over it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(serve::Demo),
    Apply(apply::Apply),
    Check(check::Check),
    Tail(tail::Tail),
    Explain(explain::Explain),
    Replay(replay::Replay),
    Provision(provision::Provision),
    Reconcile(reconcile::Reconcile),
    #[command(subcommand)]
    Import(import::Import),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Simulate(simulate::Simulate),
}

impl Command {
    fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        match self {
            Command::Serve(command) => command.run(settings, out),
            Command::Demo(command) => command.run(settings, out),
            Command::Apply(command) => command.run(settings, out),
            Command::Check(command) => command.run(settings, out),
            Command::Tail(command) => command.run(settings, out),
            Command::Explain(command) => command.run(settings, out),
            Command::Replay(command) => command.run(settings, out),
            Command::Provision(command) => command.run(settings, out),
            Command::Reconcile(command) => command.run(settings, out),
            Command::Import(command) => command.run(settings, out),
            Command::Token(command) => command.run(settings, out),
            Command::Simulate(command) => command.run(settings, out),
        }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    // Usage errors and --help end the process here, with status 2 and 0.
    let cli = Cli::parse();
    // Not locked: the log of a server goes to standard output too, from a thread of its own.
    let result = Settings::load(cli.config.as_deref(), std::env::vars_os())
        .map_err(Failure::from)
        .and_then(|settings| cli.command.run(settings, &mut io::stdout()));
    match result {
        Ok(code) => code,
        // Whoever read our output has seen enough.
        Err(Failure::Output(e)) if e.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_config_is_accepted_before_and_after_the_command() {
        for line in ["hookflash --config a.toml check", "hookflash check --config a.toml", "hookflash token list --config a.toml"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(cli.config, Some(PathBuf::from("a.toml")));
        }
    }
}
