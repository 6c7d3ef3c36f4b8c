//! Recordings at a Telphin (section 8 of its page).

use super::RecordError;
use super::range::Asked;
use crate::gateway::{Gateway, GatewayError};
use crate::net::{Request, Streaming};
use crate::pbx::telphin::{Settings, api};
use crate::roster::App;

/// From its storage server where it has one, else the file with our token; `None`: it is not there, or not yet.
pub async fn fetch(
    gateway: &Gateway,
    app: &App,
    settings: &Settings,
    record: &str,
    asked: Option<Asked>,
) -> Result<Option<Streaming>, RecordError> {
    if let Some(link) = storage_link(gateway, app, settings, record).await? {
        let mut request = Request::get(link).header("accept-encoding", "identity");
        if let Some(asked) = asked {
            request = request.header("range", asked.header());
        }
        match gateway.fetch(request).await {
            Ok(streaming) if matches!(streaming.status, 200 | 206 | 416) => return Ok(Some(streaming)),
            Ok(streaming) => {
                tracing::warn!(app = app.id(), record, status = streaming.status, "the storage link was refused; the file is asked for")
            }
            Err(error) => tracing::warn!(app = app.id(), record, %error, "the storage link failed; the file is asked for"),
        }
    }
    let streaming = gateway.download(app, api::record_file(settings, record)).await?;
    match streaming.status {
        200 => Ok(Some(streaming)),
        404 => Ok(None),
        status => Err(RecordError::Pbx(format!("the PBX refused the recording with status {status}"))),
    }
}

async fn storage_link(gateway: &Gateway, app: &App, settings: &Settings, record: &str) -> Result<Option<String>, RecordError> {
    match gateway.send(app, api::record_storage_url(settings, record)).await {
        Ok(reply) => Ok(reply.json::<api::StorageUrl>().ok().map(|s| s.record_url)),
        // No storage server, or not there yet: the file itself will tell.
        Err(GatewayError::Refused { .. } | GatewayError::Unclear(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// False when it was not there.
pub async fn delete(gateway: &Gateway, app: &App, settings: &Settings, record: &str) -> Result<bool, RecordError> {
    match gateway.send(app, api::delete_record(settings, record)).await {
        Ok(_) => Ok(true),
        Err(GatewayError::Refused { status: 404, .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
