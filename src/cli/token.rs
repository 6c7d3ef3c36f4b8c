//! `hookflash token`: who may use the API. A token is shown once, when it is made; only its SHA-256 is stored.

use std::io::Write;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;

use super::tools::{Failure, Outcome, Tools};
use crate::auth::{self, Issued, Principal, Role};
use crate::config::Settings;
use crate::domain::time::Timestamp;
use crate::store::{Conn, Durability, roster, tokens};

/// Create, list and revoke API tokens
#[derive(Subcommand)]
pub enum Token {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Create a token and print it, alone; it is never shown again
#[derive(Args)]
pub struct Create {
    /// What its holder may do: everything; read all and set agents' status; what one agent may; what another system may
    #[arg(long, value_parser = role())]
    role: Role,
    /// The one application that it is good for
    #[arg(long, value_name = "ID", required_if_eq_any([("role", "integration"), ("role", "agent")]))]
    app: Option<i64>,
    /// The agent who holds it
    #[arg(long, value_name = "ID", required_if_eq("role", "agent"))]
    agent: Option<String>,
    /// What it is for, to be recognised in lists
    #[arg(long, value_name = "TEXT", default_value = "")]
    name: String,
}

fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.iter().map(|role| role.as_str())).try_map(|word| Role::parse(&word).ok_or("no role"))
}

/// List tokens, without what is secret
#[derive(Args)]
pub struct List {}

/// Revoke a token; a running server refuses it within a second
#[derive(Args)]
pub struct Revoke {
    /// The token's id, as `token list` shows it
    id: String,
}

impl Token {
    pub fn run(self, settings: Settings, out: &mut dyn Write) -> Outcome {
        if let Token::Create(Create { role, agent: Some(_), .. }) = &self
            && !matches!(role, Role::Agent)
        {
            return Err(Failure::Usage("--agent is for the role agent alone".into()));
        }
        let tools = Tools::open(&settings)?;
        match self {
            Token::Create(create) => create.run(&tools, out),
            Token::List(_) => list(&tools, out),
            Token::Revoke(revoke) => revoke.run(&tools, out),
        }
    }
}

impl Create {
    fn run(self, tools: &Tools, out: &mut dyn Write) -> Outcome {
        if let Some(app) = self.app {
            let app = tools.app(app)?;
            if let Some(agent) = self.agent.as_deref().filter(|agent| app.agent(agent).is_none()) {
                return Err(Failure::Failed(format!("application {} has no agent {agent:?}; declare him first", app.id())));
            }
        }
        let principal = Principal { name: self.name, role: self.role, application: self.app, agent: self.agent };
        let Issued { token, secret } = auth::issue(&principal, tools.clock.now());
        tools.db.write_blocking(Durability::Full, move |conn: &mut Conn| {
            tokens::insert(conn, &token)?;
            roster::bump_revision(conn)
        })?;
        writeln!(out, "{}", secret.expose_secret())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn list(tools: &Tools, out: &mut dyn Write) -> Outcome {
    let mut rows = vec![["id", "role", "app", "agent", "created", "revoked", "name"].map(String::from)];
    for token in tools.db.read_blocking(tokens::all)? {
        let dash = || "-".to_owned();
        rows.push([
            token.id,
            token.role,
            token.application.map_or_else(dash, |app| app.to_string()),
            token.agent.unwrap_or_else(dash),
            Timestamp(token.created_at).rfc3339(),
            token.revoked_at.map_or_else(dash, |at| Timestamp(at).rfc3339()),
            token.name,
        ]);
    }
    super::table::write(&rows, "", out)?;
    Ok(ExitCode::SUCCESS)
}

impl Revoke {
    fn run(self, tools: &Tools, out: &mut dyn Write) -> Outcome {
        let (id, now) = (self.id.clone(), tools.clock.now());
        let revoked = tools.db.write_blocking(Durability::Full, move |conn: &mut Conn| {
            let revoked = tokens::revoke(conn, &id, now)?;
            if revoked {
                roster::bump_revision(conn)?;
            }
            Ok(revoked)
        })?;
        if !revoked {
            return Err(Failure::Failed(format!("there is no token {} that is not revoked; `hookflash token list` shows all", self.id)));
        }
        writeln!(out, "revoked {}", self.id)?;
        Ok(ExitCode::SUCCESS)
    }
}
