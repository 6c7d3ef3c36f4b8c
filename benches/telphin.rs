//! What a Telphin PBX says: the requests of its calls, and the scripts that connections follow.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::closed::Script;
use crate::stage::{self, AGENTS, Site};

/// One call: who rings whom. All calls of one `seed` differ.
#[derive(Clone, Debug)]
pub struct Call {
    id: u128,
    contact: u64,
    agent: u64,
}

impl Call {
    /// The `n`th call of a seed, from `contact` to `agent`.
    pub fn new(seed: u64, n: u64, contact: u64, agent: u64) -> Call {
        let id = (u128::from(mixed(seed)) << 64) | u128::from(mixed(n));
        Call { id, contact, agent }
    }

    /// Asks who shall take the call.
    pub fn lookup(&self, site: Site, out: &mut Vec<u8>) {
        let _ = write!(
            out,
            "GET /cid/{}/getmanager/{}?EventType=call_interactive&CallID={id:032x}&CallerIDNum=%2B{caller}&CallerIDName=%2B{caller}\
             &CalledDID=74955550100&CalledExtension=0047%2A099&CalledExtensionID=700099&CallStatus=ANSWER&CallFlow=IN\
             &CalledNumber=74955550100&CallAPIID=3584700001%3A{id:032x} HTTP/1.1\r\nHost: bench\r\n\r\n",
            site.application,
            site.login,
            id = self.id,
            caller = &stage::phone(self.contact)[1..],
        );
    }

    /// `dial-in`, `answer` or `hangup` of the agent's phone.
    pub fn leg(&self, site: Site, kind: &str, out: &mut Vec<u8>) {
        let status = if kind == "dial-in" { "CALLING" } else { "ANSWER" };
        let extension = stage::extension(self.agent);
        let mut body = self.begin(kind);
        let _ = write!(
            body,
            "&SubCallID=70{extension}-{:016x}&CallStatus={status}&CalledNumber=0047%2A{extension}&CalledExtension=0047%2A{extension}%40sip.example\
             &CalledExtensionID=70{extension}&CallerExtension=0047%2A099%40sip.example&CallerExtensionID=700099",
            self.id as u64,
        );
        if kind == "hangup" {
            let _ = write!(body, "&Duration=61500000&BridgedDuration=52000000&RecID=70{extension}-{:016x}", self.id as u64);
        }
        post(site, &body, out);
    }

    /// The IVR's hangup, with whether a phone took the call.
    pub fn place_end(&self, site: Site, bridged: bool, out: &mut Vec<u8>) {
        let mut body = self.begin("hangup");
        let bridged = if bridged { "yes" } else { "no" };
        let _ = write!(
            body,
            "&CallStatus=ANSWER&CalledNumber=74955550100&CalledExtension=0047%2A099%40sip.example&CalledExtensionID=700099\
             &Duration=63000000&Bridged={bridged}"
        );
        post(site, &body, out);
    }

    fn begin(&self, kind: &str) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let mut body = Vec::with_capacity(512);
        let _ = write!(
            body,
            "EventType={kind}&EventTime={now}&CallID={id:032x}&CallFlow=IN&CallerIDNum=%2B{caller}&CallerIDName=%2B{caller}\
             &CalledDID=74955550100&CallAPIID=3584700001-{id:032x}",
            id = self.id,
            caller = &stage::phone(self.contact)[1..],
        );
        body
    }
}

/// Spreads numbers over all of theirs (the finaliser of SplitMix64): ids of calls have no order.
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn post(site: Site, body: &[u8], out: &mut Vec<u8>) {
    let _ = write!(
        out,
        "POST /cid/{}/event/{} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        site.application,
        site.login,
        body.len()
    );
    out.extend_from_slice(body);
}

/// Looks at the answer to a lookup.
fn names(agent: u64, status: u16, body: &[u8]) -> Result<(), String> {
    let wanted = format!(">0047*{}<", stage::extension(agent));
    if status == 200 && body.windows(wanted.len()).any(|w| w == wanted.as_bytes()) {
        return Ok(());
    }
    Err(format!("a lookup was answered {status} {:?}, not with {wanted}", String::from_utf8_lossy(body)))
}

fn stored(status: u16, body: &[u8]) -> Result<(), String> {
    if status == 200 {
        return Ok(());
    }
    Err(format!("an event was answered {status} {:?}", String::from_utf8_lossy(body)))
}

/// Asks the reference for its greeting.
pub struct Hellos;

impl Script for Hellos {
    fn next(&mut self, pausing: bool, out: &mut Vec<u8>) -> Option<()> {
        out.extend_from_slice(b"GET /hello HTTP/1.1\r\nHost: bench\r\n\r\n");
        (!pausing).then_some(())
    }

    fn answered(&mut self, status: u16, _: &[u8]) -> Result<u64, String> {
        if status == 200 { Ok(1) } else { Err(format!("the reference answered {status}")) }
    }
}

/// Lookups for callers at random, of an application that names the responsible manager whatever his state.
pub struct Lookups {
    site: Site,
    contacts: u64,
    random: SmallRng,
    seed: u64,
    n: u64,
    asked: u64,
}

impl Lookups {
    pub fn new(site: Site, contacts: u64, seed: u64) -> Lookups {
        Lookups { site, contacts, random: SmallRng::seed_from_u64(seed), seed, n: 0, asked: 0 }
    }
}

impl Script for Lookups {
    fn next(&mut self, pausing: bool, out: &mut Vec<u8>) -> Option<()> {
        self.n += 1;
        self.asked = self.random.random_range(0..self.contacts);
        Call::new(self.seed, self.n, self.asked, 0).lookup(self.site, out);
        (!pausing).then_some(())
    }

    fn answered(&mut self, status: u16, body: &[u8]) -> Result<u64, String> {
        names(stage::owner(self.asked), status, body).map(|()| 1)
    }
}

/// Whole calls: an IVR passes each on to a phone, which answers and hangs up; four events. Agents take turns, none has two calls.
pub struct Calls {
    site: Site,
    seed: u64,
    /// The agents of this connection: every `stride`th from `first`.
    first: u64,
    stride: u64,
    n: u64,
    most: u64,
    step: u8,
}

impl Calls {
    /// Scripts for so many connections that together make `most` calls.
    pub fn share(site: Site, seed: u64, connections: u64, most: u64) -> Vec<Calls> {
        let share = |k| most / connections + u64::from(k < most % connections);
        let script = |k| Calls { site, seed: mixed(seed) ^ k, first: k, stride: connections, n: 0, most: share(k), step: 0 };
        (0..connections).map(script).collect()
    }
}

impl Script for Calls {
    fn next(&mut self, pausing: bool, out: &mut Vec<u8>) -> Option<()> {
        if self.step == 0 && (pausing || self.n == self.most) {
            return None;
        }
        let turns = (AGENTS - self.first).div_ceil(self.stride);
        let agent = self.first + self.n % turns * self.stride;
        let call = Call::new(self.seed, self.n, mixed(self.seed ^ self.n) % stage::NUMBERS, agent);
        match self.step {
            0 => call.leg(self.site, "dial-in", out),
            1 => call.leg(self.site, "answer", out),
            2 => call.leg(self.site, "hangup", out),
            _ => call.place_end(self.site, true, out),
        }
        Some(())
    }

    fn answered(&mut self, status: u16, body: &[u8]) -> Result<u64, String> {
        self.step = (self.step + 1) % 4;
        self.n += u64::from(self.step == 0);
        stored(status, body).map(|()| 1)
    }
}

/// Lookups that claim their agent; the caller then gives up in the IVR, whose hangup frees him: the shortest life of a claim.
pub struct Claims {
    site: Site,
    contacts: u64,
    seed: u64,
    /// The agents of this connection: every `stride`th from `first`, so that no two meet.
    first: u64,
    stride: u64,
    n: u64,
    /// Which halves are said: both in turn, or one of them in a load that paces the other elsewhere.
    part: Part,
    releasing: bool,
}

/// A reservation as its caller saw it: surely held from the answer until the news of the call's end was on its way.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub agent: u64,
    pub from: Instant,
    pub until: Instant,
}

/// Lookups that claim, for callers at random, so that two may want the same agent; each is freed by the IVR's hangup.
pub struct Sharing {
    site: Site,
    random: SmallRng,
    seed: u64,
    n: u64,
    call: Call,
    /// Who was named, and when.
    held: Option<(u64, Instant)>,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Sharing {
    pub fn new(site: Site, seed: u64, taken: Arc<Mutex<Vec<Taken>>>) -> Sharing {
        Sharing { site, random: SmallRng::seed_from_u64(seed), seed, n: 0, call: Call::new(seed, 0, 0, 0), held: None, taken }
    }
}

impl Script for Sharing {
    fn next(&mut self, pausing: bool, out: &mut Vec<u8>) -> Option<()> {
        if let Some((agent, from)) = self.held {
            self.taken.lock().ok()?.push(Taken { agent, from, until: Instant::now() });
            self.call.place_end(self.site, false, out);
            return Some(());
        }
        self.n += 1;
        self.call = Call::new(self.seed, self.n, self.random.random_range(0..AGENTS), 0);
        self.call.lookup(self.site, out);
        (!pausing).then_some(())
    }

    fn answered(&mut self, status: u16, body: &[u8]) -> Result<u64, String> {
        if self.held.take().is_some() {
            return stored(status, body).map(|()| 0);
        }
        let text = String::from_utf8_lossy(body);
        let named = text.split_once(">0047*").and_then(|(_, rest)| rest.split('<').next()).and_then(|e| e.parse::<u64>().ok());
        self.held = named.map(|extension| (extension, Instant::now()));
        match status {
            200 => Ok(u64::from(named.is_some())),
            _ => Err(format!("a lookup was answered {status} {text:?}")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Both,
    Claim,
    Release,
}

impl Claims {
    /// Scripts for so many connections; with the same seed and number, those of `Claim` and `Release` are of the same calls.
    pub fn share(site: Site, contacts: u64, seed: u64, connections: u64, part: Part) -> Vec<Claims> {
        let releasing = part == Part::Release;
        (0..connections)
            .map(|k| Claims { site, contacts, seed: mixed(seed) ^ k, first: k, stride: connections, n: 0, part, releasing })
            .collect()
    }

    fn call(&self) -> Call {
        let turns = (AGENTS - self.first).div_ceil(self.stride);
        let agent = self.first + self.n % turns * self.stride;
        let contact = mixed(self.seed ^ self.n) % (self.contacts / AGENTS) * AGENTS + agent;
        Call::new(self.seed, self.n, contact, agent)
    }
}

impl Script for Claims {
    fn next(&mut self, pausing: bool, out: &mut Vec<u8>) -> Option<()> {
        let call = self.call();
        match self.releasing {
            true => call.place_end(self.site, false, out),
            false => call.lookup(self.site, out),
        }
        (!pausing || (self.releasing && self.part == Part::Both)).then_some(())
    }

    fn answered(&mut self, status: u16, body: &[u8]) -> Result<u64, String> {
        let claimed = !self.releasing;
        match claimed {
            // On a machine so busy that a caller gave up before he was asked for, his agent is claimed still and another one is named.
            true if self.part == Part::Claim && status == 200 => {}
            true => names(self.call().agent, status, body)?,
            false => stored(status, body)?,
        }
        match self.part {
            Part::Both => self.releasing = claimed,
            Part::Claim | Part::Release => {}
        }
        self.n += u64::from(self.part != Part::Both || !claimed);
        Ok(u64::from(claimed))
    }
}
