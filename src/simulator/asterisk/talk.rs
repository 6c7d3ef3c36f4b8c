//! One connection.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::broadcast::error::RecvError;

use super::{Inner, Lines, Say, value};

/// Counts a connection while it is there.
struct Counted<'a> {
    inner: &'a Inner,
    listens: bool,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        state.connections -= 1;
        state.listening -= usize::from(self.listens);
    }
}

pub async fn talk(inner: Arc<Inner>, socket: TcpStream) {
    let (reader, mut writer) = socket.into_split();
    let mut lines = BufReader::new(reader).lines();
    inner.state().connections += 1;
    let mut counted = Counted { inner: &inner, listens: false };
    let mut said = inner.say.subscribe();
    let (mut logged_in, mut ids) = (false, HashSet::new());
    let mut action: Lines = Vec::new();
    if writer.write_all(b"Asterisk Call Manager/11.0.0\r\n").await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return };
                if !line.is_empty() {
                    match line.split_once(':') {
                        Some((key, value)) => action.push((key.trim().to_owned(), value.trim().to_owned())),
                        None => action.push(("Broken".into(), line)),
                    }
                    continue;
                }
                if action.is_empty() {
                    continue;
                }
                let asked = std::mem::take(&mut action);
                let mut answers = inner.answers.subscribe();
                if answers.wait_for(|answers| *answers).await.is_err() {
                    return;
                }
                let (blocks, goes_on) = answer(&inner, &asked, &mut logged_in, &mut ids);
                let name = value(&asked, "Action").unwrap_or_default();
                if write(&mut writer, &blocks, value(&asked, "ActionID")).await.is_err() || !goes_on {
                    return;
                }
                let takes = logged_in && name.eq_ignore_ascii_case("Events") && value(&asked, "EventMask").is_some_and(|m| m != "off");
                if takes && !counted.listens {
                    // What was told before is not told again.
                    said = inner.say.subscribe();
                    counted.listens = true;
                    inner.state().listening += 1;
                }
            }
            say = said.recv() => match say {
                Ok(Say::Bytes(bytes)) if counted.listens => {
                    if writer.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Ok(Say::HangUp) if counted.listens => return,
                Ok(_) => {}
                Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            },
        }
    }
}

/// The blocks of an answer, and whether the connection goes on.
fn answer(inner: &Inner, asked: &Lines, logged_in: &mut bool, ids: &mut HashSet<String>) -> (Vec<Lines>, bool) {
    let name = value(asked, "Action").unwrap_or_default().to_ascii_lowercase();
    let error = |message: &str| vec![lines(&[("Response", "Error"), ("Message", message)])];
    let success = |message: &str| vec![lines(&[("Response", "Success"), ("Message", message)])];
    if asked.iter().any(|(key, _)| key == "Broken") {
        return (error("A line without a colon"), false);
    }
    if !*logged_in {
        let right = name == "login" && value(asked, "Username") == Some(&inner.user) && value(asked, "Secret") == Some(&inner.secret);
        *logged_in = right;
        inner.state().logins += usize::from(right);
        return if right { (success("Authentication accepted"), true) } else { (error("Authentication failed"), false) };
    }
    if name == "ping" {
        return (vec![lines(&[("Response", "Success"), ("Ping", "Pong"), ("Timestamp", "1767000000.000000")])], true);
    }
    match value(asked, "ActionID") {
        None => return (error("The simulator wants an ActionID"), true),
        Some(id) if !ids.insert(id.to_owned()) => return (error("The ActionID was used before"), true),
        Some(_) => {}
    }
    inner.state().actions.push(asked.clone());
    let script = inner.state().scripts.get(&name).cloned();
    if let Some(script) = script {
        return (script(asked), true);
    }
    let listed = |event: &str, items: Vec<Lines>, complete: &str| {
        let count = items.len().to_string();
        let mut blocks = vec![lines(&[("Response", "Success"), ("EventList", "start"), ("Message", "The list will follow")])];
        blocks.extend(items.into_iter().map(|item| [lines(&[("Event", event)]), item].concat()));
        blocks.push(lines(&[("Event", complete), ("EventList", "Complete"), ("ListItems", &count)]));
        blocks
    };
    let blocks = match name.as_str() {
        "logoff" => return (vec![lines(&[("Response", "Goodbye"), ("Message", "Thanks for all the fish.")])], false),
        "events" => vec![lines(&[("Response", "Success"), ("Events", "On")])],
        "coreshowchannels" => listed("CoreShowChannel", inner.state().channels.clone(), "CoreShowChannelsComplete"),
        "devicestatelist" => {
            let devices = inner.state().devices.clone();
            let items = devices.iter().map(|(device, state)| lines(&[("Device", device), ("State", state)])).collect();
            listed("DeviceStateChange", items, "DeviceStateListComplete")
        }
        "coresettings" => vec![lines(&[("Response", "Success"), ("AMIversion", "11.0.0"), ("AsteriskVersion", "22.0.0-simulated")])],
        "corestatus" => vec![lines(&[("Response", "Success"), ("CoreCurrentCalls", "0")])],
        "originate" => success("Originate successfully queued"),
        _ => error("Invalid/unknown command"),
    };
    (blocks, true)
}

async fn write(writer: &mut OwnedWriteHalf, blocks: &[Lines], id: Option<&str>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    for block in blocks {
        let (first, rest) = block.split_at(block.len().min(1));
        let id: Lines = id.map(|id| ("ActionID".to_owned(), id.to_owned())).into_iter().collect();
        for (key, value) in first.iter().chain(&id).chain(rest) {
            bytes.extend_from_slice(format!("{key}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
    }
    writer.write_all(&bytes).await
}

pub fn lines(pairs: &[(&str, &str)]) -> Lines {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn lines_of(text: &str) -> Lines {
    let lines = text.lines().filter_map(|line| line.trim().split_once(':'));
    lines.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}
