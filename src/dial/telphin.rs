//! Click-to-call at a Telphin: its callback request (Telphin page, section 7).

use super::{Answer, Denied};
use crate::gateway::{Gateway, GatewayError};
use crate::pbx::telphin::{Settings, api};
use crate::roster::App;
use crate::store::callbacks::Callback;

impl From<GatewayError> for Denied {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Unclear(words) => Denied::Unclear(words),
            other => Denied::No(other.to_string()),
        }
    }
}

pub async fn ask(gateway: &Gateway, app: &App, settings: &Settings, callback: &Callback) -> Answer {
    let name = |number: &str| if number.starts_with('+') { number.to_owned() } else { settings.full_name_of(number) };
    let extension_id = gateway.extension_id(app, &callback.extension).await.map_err(|e| match e {
        // The list of extensions is only read: whatever went wrong there, no phone has rung.
        GatewayError::Unclear(words) => GatewayError::Unreachable(words),
        other => other,
    })?;
    let request = api::callback(
        settings,
        &api::Callback {
            extension_id,
            source: &name(&callback.src_num),
            destination: &name(&callback.dst_num),
            caller_id_name: callback.caller_id_name.as_deref(),
            caller_id_number: callback.caller_id_number.as_deref(),
        },
    );
    let reply = gateway.send(app, request).await?;
    let accepted: api::CallbackAccepted = reply.json().map_err(|e| Denied::Unclear(e.to_string()))?;
    Ok(accepted.call_id.filter(|c| !c.is_empty()))
}
