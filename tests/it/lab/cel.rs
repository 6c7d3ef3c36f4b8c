//! Asterisk's own record of its channels, to the microsecond.

use std::collections::BTreeMap;

use super::pbx::Pbx;

#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// `PJSIP/101-00000002`
    pub name: String,
    /// The call that it began in.
    pub call: String,
    /// Microseconds since 1970.
    pub begun: i64,
    pub answered: Option<i64>,
    pub ended: Option<i64>,
    /// It was answered where the PBX itself sends calls.
    pub own_route: Option<i64>,
}

impl Channel {
    /// `101` of `PJSIP/101-00000002`.
    pub fn line(&self) -> &str {
        self.name.split_once('/').map_or("", |(_, rest)| rest.rsplit_once('-').map_or(rest, |(line, _)| line))
    }
}

/// All channels by their unique ids.
pub fn channels(pbx: &Pbx) -> BTreeMap<String, Channel> {
    let text = std::fs::read_to_string(pbx.folder.join("log/cel-custom/channels.csv")).unwrap_or_default();
    let mut channels: BTreeMap<String, Channel> = BTreeMap::new();
    // The last line may still be being written.
    for line in text.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
        let fields: Vec<&str> = line.trim_end().split(',').map(|f| f.trim_matches('"')).collect();
        let [kind, at, id, call, name, context, ..] = fields[..] else { panic!("a line of CEL: {line}") };
        let (seconds, micros) = at.split_once('.').unwrap_or_else(|| panic!("a time of CEL: {line}"));
        let at = seconds.parse::<i64>().expect("seconds") * 1_000_000 + micros.parse::<i64>().expect("microseconds");
        let channel = channels.entry(id.to_owned()).or_default();
        match kind {
            "CHAN_START" => (channel.begun, channel.name, channel.call) = (at, name.to_owned(), call.to_owned()),
            "ANSWER" => {
                channel.answered = Some(at);
                channel.own_route = (context == "from-pstn").then_some(at);
            }
            "HANGUP" => channel.ended = Some(at),
            _ => {}
        }
    }
    channels
}

/// Two calls at once on one telephone.
pub fn overlaps(channels: &BTreeMap<String, Channel>, is_agent: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines: BTreeMap<&str, Vec<&Channel>> = BTreeMap::new();
    for channel in channels.values().filter(|c| is_agent(c.line())) {
        lines.entry(channel.line()).or_default().push(channel);
    }
    let mut found = Vec::new();
    for (line, mut own) in lines {
        own.sort_by_key(|c| c.begun);
        found.extend(
            own.windows(2)
                .filter(|pair| pair[0].ended.is_none_or(|end| end > pair[1].begun))
                .map(|pair| format!("{line}: {} until {:?}, {} from {}", pair[0].name, pair[0].ended, pair[1].name, pair[1].begun)),
        );
    }
    found
}

/// Times in their order, those that touch or are no further apart than `gap` as one.
pub fn united(mut times: Vec<(i64, i64)>, gap: i64) -> Vec<(i64, i64)> {
    times.sort_unstable();
    let mut united: Vec<(i64, i64)> = Vec::new();
    for (begin, end) in times {
        match united.last_mut() {
            Some(last) if begin <= last.1 + gap => last.1 = last.1.max(end),
            _ => united.push((begin, end)),
        }
    }
    united
}
