//! Click-to-call at an Asterisk: AMI rings the agent's phone, and the dialplan then dials for him.
//!
//! The unique id of his channel is ours to choose, so the call is known before it is there: what AMI tells of it is of this callback, also
//! when the reply to the request was lost.

use super::{Answer, Denied, DialError};
use crate::link::{Link, LinkError};
use crate::pbx::action::Line;
use crate::pbx::asterisk::{Settings, ami};
use crate::roster::App;
use crate::store::callbacks::Callback;

impl From<LinkError> for Denied {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Unclear(words) => Denied::Unclear(words),
            other => Denied::No(other.to_string()),
        }
    }
}

/// What cannot work, said before anything is written.
pub fn possible(app: &App, settings: &Settings, outside: bool, destination: &str) -> Result<(), DialError> {
    if settings.ami().is_none() {
        let mend = "set asterisk.ami_address, asterisk.ami_user and asterisk.ami_secret; hookflash provision prints the user";
        return Err(DialError::Conflict(format!("application {} has no AMI access to its PBX, which places calls; {mend}", app.id())));
    }
    if outside {
        let reason = "must be an extension: this PBX rings an agent's phone first";
        return Err(DialError::Invalid { field: "src_num", reason: reason.into() });
    }
    if destination.starts_with('+') && !settings.places_calls() {
        let reason = "there is no line to the outside; set asterisk.outside_device or asterisk.outbound_context";
        return Err(DialError::Invalid { field: "dst_num", reason: reason.into() });
    }
    Ok(())
}

pub async fn ask(link: &Link, app: &App, settings: &Settings, callback: &Callback) -> Answer {
    let device = settings.device(&Line::Extension(callback.src_num.clone())).unwrap_or_default();
    let asked: serde_json::Value = serde_json::from_str(&callback.request).unwrap_or_default();
    let click = ami::Click {
        application: app.id(),
        callback: &callback.id,
        device: &device,
        source: &callback.src_num,
        destination: &callback.dst_num,
        shown_name: callback.caller_id_name.as_deref(),
        shown_number: callback.caller_id_number.as_deref(),
        record: asked["record"].as_bool().unwrap_or(settings.record),
    };
    link.send(app, &click.originate()).await?;
    Ok(Some(click.channel()))
}
