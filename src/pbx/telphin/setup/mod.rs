//! What a Telphin PBX needs to work with us (protocol page, section 2, items 6 to 8, 17 and 18): subscriptions of every phone, IVR, queue and
//! queue agent, and in the IVRs that the declaration names the two rules that ask for the responsible manager.

mod events;
mod rules;
#[cfg(test)]
mod tests;

use serde::Deserialize;

use super::{Settings, api};
use crate::domain::spec::ExtensionType;
use crate::net::Request;
use crate::pbx::setup::{Hooks, Memory, Part, Plan, Seen, Survey, Trouble};

pub use events::Subscriptions;
pub use rules::Rules;

/// Lists the extensions, then the queue agents.
pub struct Telphin {
    pub settings: Settings,
    pub hooks: Hooks,
}

/// A queue agent; its other fields are not known (section 10).
#[derive(Debug, Deserialize)]
struct Agent {
    id: u64,
}

impl Telphin {
    /// The extensions, when their last page was seen, and how many replies they took.
    fn extensions(seen: &[Seen]) -> Result<Option<(Vec<api::Extension>, usize)>, Trouble> {
        let mut all = Vec::new();
        for (n, page) in seen.iter().enumerate() {
            let found: Vec<api::Extension> = page.read("the list of extensions")?;
            let last = found.len() < api::EXTENSIONS_PAGE;
            all.extend(found);
            if last {
                return Ok(Some((all, n + 1)));
            }
        }
        Ok(None)
    }
}

impl Survey for Telphin {
    fn ask(&self, seen: &[Seen]) -> Result<Option<Request>, Trouble> {
        Ok(match Telphin::extensions(seen)? {
            None => Some(api::extensions(&self.settings, seen.len() as u32 + 1)),
            Some((_, pages)) if seen.len() == pages => Some(api::agents(&self.settings, None)),
            Some(_) => None,
        })
    }

    fn parts(&self, seen: &[Seen]) -> Result<Vec<Box<dyn Part>>, Trouble> {
        let Some((extensions, pages)) = Telphin::extensions(seen)? else { return Ok(Vec::new()) };
        // A PBX without queue agents may not have the resource, and an application without rights does not see it.
        let agents: Vec<Agent> = match seen.get(pages) {
            Some(seen) if !matches!(seen.status, 403 | 404) => seen.read("the list of queue agents")?,
            _ => Vec::new(),
        };
        let mut parts: Vec<Box<dyn Part>> = Vec::new();
        for e in &extensions {
            if let Some(part) = Subscriptions::of_extension(&self.settings, &self.hooks, e) {
                parts.push(Box::new(part));
            }
        }
        for agent in &agents {
            parts.push(Box::new(Subscriptions::of_agent(&self.settings, &self.hooks, agent.id)));
        }
        // Also those that are not named: they may have been.
        for e in extensions.iter().filter(|e| e.kind == "ivr") {
            parts.push(Box::new(Rules::new(&self.settings, &self.hooks, e)));
        }
        let missing = self.settings.provision_ivr.iter().filter(|n| !extensions.iter().any(|e| e.kind == "ivr" && e.short() == n.as_str()));
        parts.extend(missing.map(|number| Box::new(NoIvr(number.clone())) as Box<dyn Part>));
        Ok(parts)
    }

    fn numbers(&self, seen: &[Seen]) -> Result<Vec<(String, ExtensionType)>, Trouble> {
        let extensions = Telphin::extensions(seen)?.map(|(list, _)| list).unwrap_or_default();
        Ok(extensions.iter().filter_map(|e| Some((e.short().to_owned(), ExtensionType::parse(&e.kind)?))).collect())
    }
}

/// What is remarked of a URL that ends like ours.
fn elsewhere(url: &str) -> (String, String) {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let mend = "if it is a former address of this server, remove it in the panel: what is not at server.public_url is left alone";
    (format!("the PBX also calls {url}"), mend.into())
}

/// An IVR that the declaration names and the PBX does not have.
struct NoIvr(String);

impl Part for NoIvr {
    fn name(&self) -> String {
        format!("rules of IVR {}", self.0)
    }

    fn wanted(&self) -> bool {
        true
    }

    fn ask(&self, _: &[Seen]) -> Result<Option<Request>, Trouble> {
        Ok(None)
    }

    fn plan(&self, _: &[Seen], _: &Memory, wanted: bool) -> Result<Plan, Trouble> {
        if wanted { Err(Trouble::Stuck(format!("the PBX has no IVR {}", self.0))) } else { Ok(Default::default()) }
    }

    fn by_hand(&self, _: bool) -> String {
        format!("correct {:?} in telphin.provision_ivr and apply the declaration, or make that IVR at the PBX.", self.0)
    }
}
