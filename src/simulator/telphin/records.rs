//! Recordings (section 8): lists, files, storage links.
//!
//! A recording is made at the hangup of an answered leg and can be had when `record_delay_ms` has passed; before that it is not found and in
//! no list. Its file is silence as long as the leg, in frames that a player understands.

use std::time::Duration;

use bytes::Bytes;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::Pbx;
use super::directory::{Extension, ExtensionType};
use super::event::Event;
use super::reply::Reply;
use super::rest::Request;
use crate::domain::time::Timestamp;

/// A recording and what section 8 says about it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub uuid: String,
    pub extension: Extension,
    call_id: String,
    flow: String,
    did: Option<String>,
    called: String,
    caller: String,
    caller_name: String,
    started: Timestamp,
    hangup: Timestamp,
    ready: Timestamp,
}

/// One frame of silence: MPEG-1 layer III, mono, 32 kbit/s, 44.1 kHz, 26 ms.
const FRAME_HEADER: [u8; 4] = [0xff, 0xfb, 0x10, 0xc4];
const FRAME_BYTES: usize = 104;
const FRAME_US: i64 = 26_122;

impl Record {
    /// The recording that a hangup names by its `RecID`; `None` for every other event.
    pub fn of(event: &Event, ready: Timestamp) -> Option<Record> {
        let text = |name: &str| event.get(name).unwrap_or_default().to_owned();
        let duration: i64 = event.get("Duration").and_then(|d| d.parse().ok()).unwrap_or_default();
        Some(Record {
            uuid: event.get("RecID")?.to_owned(),
            extension: event.extension.clone(),
            call_id: text("CallID"),
            flow: text("CallFlow").to_ascii_lowercase(),
            did: event.get("CalledDID").map(str::to_owned),
            called: text("CalledNumber"),
            caller: text("CallerIDNum"),
            caller_name: text("CallerIDName"),
            started: Timestamp(event.time.micros() - duration),
            hangup: event.time,
            ready,
        })
    }

    fn frames(&self) -> usize {
        // An hour at most: a talk on a fast clock must not fill the memory.
        (self.hangup.since(self.started).min(3_600_000_000) / FRAME_US) as usize + 1
    }

    fn file(&self) -> Bytes {
        let mut out = vec![0; self.frames() * FRAME_BYTES];
        for frame in out.chunks_mut(FRAME_BYTES) {
            frame[..4].copy_from_slice(&FRAME_HEADER);
        }
        out.into()
    }

    fn item(&self, client_id: u64) -> Value {
        json!({
            "record_uuid": self.uuid, "record_file_size": self.frames() * FRAME_BYTES, "file_name": format!("{}.mp3", self.uuid),
            "call_uuid": self.call_id.to_uppercase(), "flow": self.flow, "init_time_gmt": gmt(self.started),
            "start_time_gmt": gmt(self.started), "hangup_time_gmt": gmt(self.hangup),
            "duration": self.hangup.since(self.started) / 1_000_000, "extension_id": self.extension.id,
            "extension_name": self.extension.name(), "extension_type": ExtensionType::Phone, "extension_group_owner_id": null,
            "client_owner_id": client_id, "result": "answered", "from_username": self.caller, "from_domain": null,
            "from_screen_name": self.caller_name, "to_username": self.called, "to_domain": null, "source_number": self.caller,
            "source_domain": null, "dest_number": self.called, "dest_domain": null, "did_number": self.did, "did_domain": null,
            "ani_number": null, "hangup_cause": "NORMAL_CLEARING", "hangup_disposition": "caller_bye", "ext_number_reg": null,
            "application": null, "record_transfer": null,
        })
    }
}

/// `YYYY-MM-DD HH:MM:SS`, UTC.
pub(super) fn gmt(t: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(t.micros()).map(|t| t.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// What follows `/client/{id}/record/` or `/extension/{id}/record/`; `None` is a resource that does not exist.
pub(super) async fn answer(pbx: &Pbx, request: &Request, extension: Option<u64>, path: &[&str]) -> Option<Reply> {
    let reply = match (request.method.as_str(), path) {
        ("GET", [""]) => list(pbx, request, extension).await,
        ("DELETE", [""]) => remove_range(pbx, request, extension),
        ("GET", [uuid]) => find(pbx, request, extension, uuid).map(|record| {
            let name = format!("attachment; filename={}.mp3", record.uuid);
            file(pbx, request, &record).header("content-disposition", name)
        }),
        ("GET", [uuid, "storage_url", ""]) => link(pbx, request, extension, uuid),
        ("DELETE", [uuid]) => find(pbx, request, extension, uuid).map(|record| {
            pbx.state().records.retain(|r| r.uuid != record.uuid);
            Reply::no_content()
        }),
        _ => return None,
    };
    Some(reply.unwrap_or_else(|refused| refused))
}

/// `GET /storage/{link}`: the link is the key, no token is asked for.
pub(super) fn stored(pbx: &Pbx, request: &Request, link: &str) -> Reply {
    let found = {
        let state = pbx.state();
        let link = state.links.get(link).filter(|_| state.conditions.storage);
        link.and_then(|(uuid, until)| state.records.iter().find(|r| r.uuid == *uuid).map(|r| (r.clone(), *until)))
    };
    match found {
        None => not_found(),
        Some((_, until)) if until <= request.now => Reply::error(403, "expired", "The link has expired"),
        Some((record, _)) => file(pbx, request, &record),
    }
}

fn not_found() -> Reply {
    Reply::json(404, &json!({"message": "Record not found"}))
}

fn find(pbx: &Pbx, request: &Request, extension: Option<u64>, uuid: &str) -> Result<Record, Reply> {
    let state = pbx.state();
    let found = state.records.iter().find(|r| r.uuid == uuid && r.ready <= request.now && extension.is_none_or(|id| id == r.extension.id));
    found.cloned().ok_or_else(not_found)
}

/// The file or the part that `Range` asks for, when it is honoured.
fn file(pbx: &Pbx, request: &Request, record: &Record) -> Reply {
    let (body, honour) = (record.file(), pbx.conditions().honour_range);
    let whole = body.len();
    let reply = |status, body| Reply { status, headers: vec![("content-type", "audio/mpeg".into())], body };
    let range = request.header("range");
    if range.is_empty() || !honour {
        return reply(200, body);
    }
    match part(range, whole) {
        Some((first, last)) => {
            let reply = reply(206, body.slice(first..=last));
            reply.header("content-range", format!("bytes {first}-{last}/{whole}")).header("accept-ranges", "bytes")
        }
        None => reply(416, Bytes::new()).header("content-range", format!("bytes */{whole}")),
    }
}

/// First and last byte of `bytes=a-b`, `bytes=a-` or `bytes=-n`; `None` when that part does not exist.
fn part(range: &str, whole: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, last.min(whole.checked_sub(1)?)),
        (Ok(first), Err(_)) if last.is_empty() => (first, whole.checked_sub(1)?),
        (Err(_), Ok(n)) if first.is_empty() && n > 0 => (whole.saturating_sub(n), whole.checked_sub(1)?),
        _ => return None,
    };
    (first <= last).then_some((first, last))
}

fn link(pbx: &Pbx, request: &Request, extension: Option<u64>, uuid: &str) -> Result<Reply, Reply> {
    if !pbx.conditions().storage {
        return Err(Reply::not_found());
    }
    let record = find(pbx, request, extension, uuid)?;
    let mut state = pbx.state();
    let (link, until) = (state.ids.hex(32), request.now.plus_s(state.conditions.link_life_s));
    state.links.insert(link.clone(), (record.uuid, until));
    Ok(Reply::json(200, &json!({"record_url": format!("http://{}/storage/{link}", request.header("host"))})))
}

/// Mandatory dates, and the end at most the last day of the month after the start.
pub(super) fn range(request: &Request) -> Result<(Timestamp, Timestamp), Reply> {
    let date = |name: &str| {
        let text = request.param(name).ok_or_else(|| Reply::bad_request(format!("{name} is mandatory")))?;
        let date = DateTime::strptime("%Y-%m-%d %H:%M:%S", text);
        // The format also reads `2025-1-2`, which is not what the page writes.
        let date = date.ok().filter(|_| text.len() == 19);
        date.ok_or_else(|| Reply::bad_request(format!("{name} must be YYYY-MM-DD HH:MM:SS")))
    };
    let (start, end) = (date("start_datetime")?, date("end_datetime")?);
    let months = |d: DateTime| i32::from(d.year()) * 12 + i32::from(d.month());
    if end < start || months(end) > months(start) + 1 {
        return Err(Reply::bad_request("end_datetime must lie between start_datetime and the last day of the month after it"));
    }
    let instant = |d: DateTime| d.to_zoned(TimeZone::UTC).map(|z| Timestamp(z.timestamp().as_microsecond()));
    match (instant(start), instant(end)) {
        // The last second counts as a whole.
        (Ok(start), Ok(end)) => Ok((start, end.plus(Duration::from_micros(999_999)))),
        _ => Err(Reply::bad_request("a date is out of range")),
    }
}

/// A list takes its time.
pub(super) async fn pause(pbx: &Pbx) {
    let pause = pbx.conditions().list_ms;
    if pause > 0 {
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

async fn list(pbx: &Pbx, request: &Request, extension: Option<u64>) -> Result<Reply, Reply> {
    request.only_params(&["start_datetime", "end_datetime", "order", "page", "per_page"])?;
    let (start, end) = range(request)?;
    let (skip, take) = request.paging()?;
    let ascending = match request.param("order") {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(_) => return Err(Reply::bad_request("order must be asc or desc")),
    };
    let _turn = Turn::take(pbx)?;
    pause(pbx).await;
    let state = pbx.state();
    let within =
        |r: &&Record| r.ready <= request.now && (start..=end).contains(&r.started) && extension.is_none_or(|id| id == r.extension.id);
    let mut found: Vec<&Record> = state.records.iter().filter(within).collect();
    found.sort_by_key(|r| r.started);
    if !ascending {
        found.reverse();
    }
    let items = found.into_iter().skip(skip).take(take).map(|r| r.item(state.directory.client_id));
    Ok(Reply::ok(&items.collect::<Vec<_>>()))
}

fn remove_range(pbx: &Pbx, request: &Request, extension: Option<u64>) -> Result<Reply, Reply> {
    request.only_params(&["start_datetime", "end_datetime"])?;
    let (start, end) = range(request)?;
    let goes = |r: &Record| r.ready <= request.now && (start..=end).contains(&r.started) && extension.is_none_or(|id| id == r.extension.id);
    pbx.state().records.retain(|r| !goes(r));
    Ok(Reply::no_content())
}

/// The right to make a list: one at a time.
pub(super) struct Turn<'a>(&'a Pbx);

impl Turn<'_> {
    pub(super) fn take(pbx: &Pbx) -> Result<Turn<'_>, Reply> {
        if std::mem::replace(&mut pbx.state().listing, true) {
            let message = "Stats request already exists, concurrent request not allowed";
            return Err(Reply::json(429, &json!({"message": message})));
        }
        Ok(Turn(pbx))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().listing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges() {
        assert_eq!(part("bytes=0-0", 10), Some((0, 0)));
        assert_eq!(part("bytes=4-", 10), Some((4, 9)));
        assert_eq!(part("bytes=4-99", 10), Some((4, 9)));
        assert_eq!(part("bytes=-3", 10), Some((7, 9)));
        for bad in ["bytes=10-", "bytes=5-4", "bytes=-0", "bytes=-", "items=0-1", "bytes=0-1,3-4"] {
            assert_eq!(part(bad, 10), None, "{bad}");
        }
    }
}
