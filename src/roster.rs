//! The roster: every application with its agents, groups, numbers and tokens, in memory.
//!
//! It is a cache of declarations, not of state: who may take a call is always read from the agent's row. Every writer of declarations bumps
//! the `revision` row; [`Roster::refresh`] reads again when it moved, and the server does so each second and after its own writes.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use secrecy::SecretString;

use crate::domain::phone::Numbering;
use crate::domain::spec::{Agent, Application, ExtensionType};
use crate::pbx::{Context, Pbx};
use crate::secrets::Vault;
use crate::store::roster as rows;
use crate::store::tokens::{self, Token};
use crate::store::{Conn, Db, Result};

/// One application, indexed for the hooks.
pub struct App {
    pub spec: Application,
    pub pbx: Pbx,
    /// The secret that hook URLs must carry. `Err`: it cannot be read, so no hook is let in.
    pub key: Option<std::result::Result<SecretString, String>>,
    agents: HashMap<String, usize>,
    by_extension: HashMap<String, usize>,
    types: HashMap<String, ExtensionType>,
}

impl App {
    fn new(spec: Application, pbx: Pbx, key: Option<std::result::Result<SecretString, String>>) -> App {
        let agents = spec.agent.iter().enumerate().map(|(i, a)| (a.id.clone(), i)).collect();
        let by_extension = spec.agent.iter().enumerate().flat_map(|(i, a)| a.lines().map(move |line| (line.to_owned(), i))).collect();
        let mut types: HashMap<String, ExtensionType> = spec.extension.iter().map(|e| (e.number.clone(), e.kind)).collect();
        types.extend(spec.agent.iter().filter_map(|a| Some((a.extension.clone()?, ExtensionType::Phone))));
        App { spec, pbx, key, agents, by_extension, types }
    }

    pub fn id(&self) -> i64 {
        self.spec.id
    }

    pub fn agent(&self, id: &str) -> Option<&Agent> {
        self.agents.get(id).map(|i| &self.spec.agent[*i])
    }

    /// Whose extension, or own phone number, this is.
    pub fn agent_of(&self, extension: &str) -> Option<&Agent> {
        self.by_extension.get(extension).map(|i| &self.spec.agent[*i])
    }

    pub fn extension_type(&self, extension: &str) -> Option<ExtensionType> {
        self.types.get(extension).copied()
    }

    /// Runs `work` with what an adapter may know of the application.
    pub fn with_context<T>(&self, work: impl FnOnce(&Context<'_>) -> T) -> T {
        let is_extension = |e: &str| self.types.contains_key(e);
        let extension_type = |e: &str| self.extension_type(e);
        work(&Context {
            numbering: Numbering {
                country: self.spec.country.as_deref(),
                prefix: self.pbx.prefix(),
                is_extension: &is_extension,
                code_without_plus: self.pbx.code_without_plus(),
            },
            extension_type: &extension_type,
            agent_line: &|id| self.agent(id)?.line().map(str::to_owned),
            is_agents: &|line| self.by_extension.contains_key(line),
        })
    }
}

/// Everything at one revision.
#[derive(Default)]
pub struct Snapshot {
    pub revision: i64,
    pub apps: HashMap<i64, Arc<App>>,
    /// Tokens that were not revoked, by their hash.
    pub tokens: HashMap<String, Token>,
    /// Applications that could not be read, with the reason: their hooks answer 404.
    pub broken: Vec<(i64, String)>,
}

pub struct Roster {
    db: Db,
    vault: Arc<Vault>,
    current: ArcSwap<Snapshot>,
    refreshing: tokio::sync::Mutex<()>,
}

impl Roster {
    pub async fn load(db: Db, vault: Arc<Vault>) -> Result<Roster> {
        let roster = Roster { db, vault, current: ArcSwap::default(), refreshing: tokio::sync::Mutex::new(()) };
        roster.reload().await?;
        Ok(roster)
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    pub fn app(&self, id: i64) -> Option<Arc<App>> {
        self.current.load().apps.get(&id).cloned()
    }

    /// Reads again when somebody has changed a declaration; true when it did.
    pub async fn refresh(&self) -> Result<bool> {
        let stored = self.db.read(rows::current_revision).await?;
        if stored == self.current.load().revision {
            return Ok(false);
        }
        self.reload().await?;
        Ok(true)
    }

    async fn reload(&self) -> Result<()> {
        let _one = self.refreshing.lock().await;
        let vault = self.vault.clone();
        let snapshot = self.db.read(move |conn| read(conn, &vault)).await?;
        for (app, reason) in &snapshot.broken {
            tracing::error!(app, reason, "an application cannot be used");
        }
        self.current.store(Arc::new(snapshot));
        Ok(())
    }
}

/// Reads everything. The revision is read first: a change that comes in between is then seen by the next refresh.
pub fn read(conn: &mut Conn, vault: &Vault) -> Result<Snapshot> {
    let revision = rows::current_revision(conn)?;
    let mut snapshot = Snapshot { revision, ..Snapshot::default() };
    for mut spec in rows::applications(conn)? {
        let items = rows::items(conn, spec.id)?;
        rows::fill(&mut spec, &items)?;
        let id = spec.id;
        match Pbx::from_application(&spec) {
            Ok(pbx) => {
                let key = spec.key.as_ref().map(|stored| vault.reveal(&secret_context(id, "key"), stored).map_err(|e| e.to_string()));
                if let Some(Err(reason)) = &key {
                    snapshot.broken.push((id, format!("its hook key cannot be read, so no hook is let in: {reason}")));
                }
                snapshot.apps.insert(id, Arc::new(App::new(spec, pbx, key)));
            }
            Err(problems) => {
                let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                snapshot.broken.push((id, text));
            }
        }
    }
    snapshot.tokens = tokens::all(conn)?.into_iter().filter(|t| t.revoked_at.is_none()).map(|t| (t.hash.clone(), t)).collect();
    Ok(snapshot)
}

/// What a sealed secret is bound to, so that it cannot be moved to another row.
pub fn secret_context(application: i64, key: &str) -> String {
    format!("application/{application}/{key}")
}
