//! A real Asterisk beside the demo, for softphones on this machine: two agents who register, and a caller who needs not.
//!
//! It is what `scripts/asterisk.sh` builds, so it needs a source tree and root. What it is given is what `hookflash provision` prints.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

use crate::pbx::Pbx;
use crate::pbx::asterisk::setup::{self, Dialplan};
use crate::provision;
use crate::server::Running;

pub const APP: i64 = 808;
/// Where it listens; `config/demo-asterisk.toml` has it too.
const ADDRESS: &str = "127.83.8.8";
const NAME: &str = "demo";
const PASSWORD: &str = "demo";
const SCRIPT: &str = "scripts/asterisk.sh";

pub struct Asterisk {
    child: Child,
    folder: PathBuf,
}

impl Asterisk {
    /// Builds it if need be, sets it up for application 808 and starts it.
    pub fn start(running: &Running) -> anyhow::Result<Asterisk> {
        if !Path::new(SCRIPT).exists() {
            bail!("--with-asterisk is for the source tree: {SCRIPT} is not here");
        }
        if !Command::new(SCRIPT).arg("build").stdin(Stdio::null()).status().context(SCRIPT)?.success() {
            bail!("there is no Asterisk to show");
        }
        let made =
            Command::new(SCRIPT).args(["new", NAME, ADDRESS]).stdin(Stdio::null()).stderr(Stdio::inherit()).output().context(SCRIPT)?;
        if !made.status.success() {
            bail!("{SCRIPT} made no files for it");
        }
        let folder = PathBuf::from(String::from_utf8(made.stdout).context("a path")?.trim());
        let app = running.hookflash.roster.app(APP).context("config/demo-asterisk.toml declares application 808")?;
        let Pbx::Asterisk(settings) = &app.pbx else { bail!("application 808 is an Asterisk") };
        let hooks = provision::hooks(&app, &running.url()).map_err(anyhow::Error::msg)?;
        let add = |file: &str, text: &str| -> anyhow::Result<()> {
            let mut file = OpenOptions::new().append(true).open(folder.join(file)).with_context(|| format!("{file} of Asterisk"))?;
            Ok(file.write_all(text.as_bytes())?)
        };
        add("extensions.conf", OWN)?;
        add("extensions.conf", &Dialplan { application: APP, settings, hooks: &hooks, plain: false }.text())?;
        add("manager.conf", &setup::manager(settings.manager_user(), PASSWORD, settings.seen_from()))?;
        add("pjsip.conf", &telephones(app.spec.agent.iter().filter_map(|a| a.extension.as_deref())))?;
        let child = Command::new(SCRIPT).args(["run", NAME]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Asterisk { child: child.context(SCRIPT)?, folder })
    }

    pub fn greet(&self) {
        println!(
            "A real Asterisk, application {APP}, at {ADDRESS}: softphones register there by UDP as 101 (Ann) and 102 (Bob), password {PASSWORD}.\n\
             Any other softphone of this machine calls in without registering: sip:+74955550100@{ADDRESS}\n"
        );
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Where calls go that Hookflash does not take.
const OWN: &str = "\n[from-pstn]\nexten => _[+0-9]!,1,Hangup(17)\n\n";

/// The agents' telephones, and anybody of this machine who calls.
fn telephones<'a>(extensions: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from(
        "\n[trunk]\ntype = endpoint\ncontext = hookflash-808\ndisallow = all\nallow = ulaw,alaw\n\n\
         [trunk-from]\ntype = identify\nendpoint = trunk\nmatch = 127.0.0.0/8\n",
    );
    for extension in extensions {
        text.push_str(&format!(
            "\n[{extension}]\ntype = aor\nmax_contacts = 1\nremove_existing = yes\n\n\
             [{extension}]\ntype = auth\nauth_type = userpass\nusername = {extension}\npassword = {PASSWORD}\n\n\
             [{extension}]\ntype = endpoint\ncontext = hookflash-808-out\ndisallow = all\nallow = ulaw,alaw\nauth = {extension}\naors = {extension}\n"
        ));
    }
    text
}
