//! Recordings of an Asterisk: files that `MixMonitor` wrote, behind the web server that its administrator has put there.

use super::RecordError;
use super::range::Asked;
use crate::gateway::Gateway;
use crate::net::{Request, Streaming};
use crate::pbx::asterisk::{Settings, is_file};
use crate::roster::App;

/// `None`: it is not there, or not yet.
pub async fn fetch(
    gateway: &Gateway,
    app: &App,
    settings: &Settings,
    record: &str,
    asked: Option<Asked>,
) -> Result<Option<Streaming>, RecordError> {
    let mut request = request("GET", gateway, app, settings, record)?.header("accept-encoding", "identity");
    if let Some(asked) = asked {
        request = request.header("range", asked.header());
    }
    let streaming = gateway.fetch(request).await?;
    match streaming.status {
        200 | 206 | 416 => Ok(Some(streaming)),
        404 => Ok(None),
        status => Err(refused(status, "the recording")),
    }
}

/// False when it was not there.
pub async fn delete(gateway: &Gateway, app: &App, settings: &Settings, record: &str) -> Result<bool, RecordError> {
    let reply = gateway.fetch(request("DELETE", gateway, app, settings, record)?).await?;
    match reply.status {
        200..=299 => Ok(true),
        404 | 410 => Ok(false),
        status => Err(refused(status, "its deletion")),
    }
}

fn request(method: &'static str, gateway: &Gateway, app: &App, settings: &Settings, record: &str) -> Result<Request, RecordError> {
    if !is_file(record) {
        return Err(RecordError::NotFound);
    }
    if settings.recordings_url.is_empty() {
        let mend = "set asterisk.recordings_url to the folder of the recordings on the PBX's web server";
        return Err(RecordError::NoWay(format!("application {} does not say where its PBX's recordings are; {mend}", app.id())));
    }
    let request = Request { method, ..Request::get(format!("{}/{record}", settings.recordings_url.trim_end_matches('/'))) };
    if settings.recordings_user.is_empty() {
        return Ok(request);
    }
    let password = gateway.reveal(app, "asterisk.recordings_password", &settings.recordings_password)?;
    Ok(request.basic(&settings.recordings_user, &password))
}

fn refused(status: u16, what: &str) -> RecordError {
    let mend = match status {
        401 | 403 => "correct asterisk.recordings_user and asterisk.recordings_password, or what that server allows them",
        405 | 501 => "let the web server take DELETE there, or delete the file on the PBX",
        300..=399 => "correct asterisk.recordings_url: it leads elsewhere",
        _ => "see what its log says",
    };
    RecordError::Pbx(format!("the PBX's web server refused {what} with status {status}; {mend}"))
}

/// What the browser is told: sound, whatever the web server believes.
pub fn content_type(record: &str, told: &str) -> String {
    if told.to_ascii_lowercase().starts_with("audio/") {
        return told.to_owned();
    }
    match record.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "wav" | "wav49" => "audio/wav",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "gsm" => "audio/gsm",
        _ => "application/octet-stream",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn a_recording_is_sound_whatever_the_web_server_calls_it() {
        for (record, told, is) in [
            ("808-1.1-2.wav", "audio/x-wav", "audio/x-wav"),
            ("808-1.1-2.wav", "text/html", "audio/wav"),
            ("808-1.1-2.WAV", "application/octet-stream", "audio/wav"),
            ("808-1.1-2.mp3", "text/plain", "audio/mpeg"),
            ("808-1.1-2.sln", "text/html", "application/octet-stream"),
        ] {
            assert_eq!(content_type(record, told), is, "{record} {told}");
        }
    }
}
