//! Call interactive (section 3): the question the PBX asks an integration in the middle of a call, and how strictly it reads the answer.
//!
//! One attempt, no retry. Not in time, not 200, no body, not well-formed, a verb or attribute that the page does not know, two verbs: the
//! answer counts for nothing and the call goes on with the next rule.

use std::time::{Duration, Instant};

use quick_xml::events::{BytesStart, Event as Xml};
use quick_xml::{Reader, XmlVersion};
use serde::Serialize;

use super::Pbx;
use super::deliver::request;
use super::directory::{Extension, Method};
use super::event::encode;
use super::leg::Call;

/// What an integration may tell an IVR to do (section 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    SetVar { name: String, value: String },
    Hangup,
    Pause { seconds: u64 },
    Jump { context: u64, option: String },
    SetCaller { name: String, number: String },
    PlaySound { foreground: bool, digitvar: Option<String>, file: String },
}

/// One question and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    pub url: String,
    pub took_us: u64,
    /// The verb, or none for an empty `<Response>`.
    pub verb: Option<Verb>,
    /// Why the answer counts for nothing.
    pub refused: Option<String>,
}

/// Asks, within the time limit of the conditions.
pub(super) async fn ask(pbx: &Pbx, call: &Call, ivr: &Extension, caller: Option<&Extension>, url: &str, method: Method) -> Asked {
    let limit = Duration::from_millis(pbx.conditions().interactive_limit_ms);
    let form = encode(parameters(call, ivr, caller), false);
    let began = Instant::now();
    let answer = match pbx.http.send(request(url, method, &form), limit).await {
        Err(e) => Err(e.to_string()),
        Ok(response) if response.status != 200 => Err(format!("status {}", response.status)),
        Ok(response) => std::str::from_utf8(&response.body).map_err(|e| e.to_string()).and_then(parse),
    };
    let took_us = began.elapsed().as_micros() as u64;
    match answer {
        Ok(verb) => Asked { url: url.into(), took_us, verb, refused: None },
        Err(why) => Asked { url: url.into(), took_us, verb: None, refused: Some(why) },
    }
}

/// Section 3.1.
fn parameters(call: &Call, ivr: &Extension, caller: Option<&Extension>) -> Vec<(&'static str, String)> {
    let mut out = vec![
        ("EventType", "call_interactive".to_owned()),
        ("CallID", call.id.clone()),
        ("CallerIDNum", call.from.clone()),
        ("CallerIDName", call.from_name.clone()),
    ];
    out.extend(call.did.clone().map(|did| ("CalledDID", did)));
    out.push(("CalledExtension", ivr.name()));
    out.push(("CalledExtensionID", ivr.id.to_string()));
    out.push(("CallStatus", "ANSWER".into()));
    out.push(("CallFlow", "IN".into()));
    if let Some(caller) = caller {
        out.push(("CallerExtension", caller.full_name()));
        out.push(("CallerExtensionID", caller.id.to_string()));
    }
    out.push(("CalledNumber", call.did.clone().unwrap_or_else(|| ivr.name())));
    out.push(("CallAPIID", call.api_id.clone()));
    out
}

/// Reads an answer; `None` is an empty `<Response>`.
///
/// # Errors
/// Why the answer counts for nothing.
pub fn parse(text: &str) -> Result<Option<Verb>, String> {
    if text.trim().is_empty() {
        return Err("empty body".into());
    }
    let root = read(text)?;
    if root.name != "Response" {
        return Err(format!("the root is {}, not Response", root.name));
    }
    root.only(&[])?;
    root.no_text()?;
    match root.children.as_slice() {
        [] => Ok(None),
        [one] => verb(one).map(Some),
        _ => Err("several verbs".into()),
    }
}

fn verb(e: &Element) -> Result<Verb, String> {
    if !e.children.is_empty() {
        return Err(format!("{} holds another element", e.name));
    }
    if !matches!(e.name.as_str(), "SetVar" | "PlaySound") {
        e.no_text()?;
    }
    match e.name.as_str() {
        "SetVar" => {
            e.only(&["name"])?;
            Ok(Verb::SetVar { name: e.need("name")?, value: e.text.trim().into() })
        }
        "Hangup" => e.only(&[]).map(|()| Verb::Hangup),
        "Pause" => {
            e.only(&["length"])?;
            let seconds = e.get("length").map_or(Ok(10), str::parse).map_err(|_| "length is not a number of seconds")?;
            Ok(Verb::Pause { seconds })
        }
        "Jump" => {
            e.only(&["context", "option"])?;
            let context = e.need("context")?.parse().map_err(|_| "context is not an id")?;
            Ok(Verb::Jump { context, option: e.need("option")? })
        }
        "SetCaller" => {
            e.only(&["name", "number"])?;
            Ok(Verb::SetCaller { name: e.need("name")?, number: e.need("number")? })
        }
        "PlaySound" => {
            e.only(&["where", "digitvar"])?;
            let foreground = match e.need("where")?.as_str() {
                "foreground" => true,
                "background" => false,
                other => return Err(format!("where is {other}")),
            };
            let (digitvar, file) = (e.get("digitvar").map(str::to_owned), e.text.trim().to_owned());
            if file.is_empty() || (foreground && digitvar.is_some()) {
                return Err("PlaySound needs a file; only a background sound collects digits".into());
            }
            Ok(Verb::PlaySound { foreground, digitvar, file })
        }
        other => Err(format!("unknown verb {other}")),
    }
}

#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn open(start: &BytesStart) -> Result<Element, String> {
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|e| e.to_string())?;
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|e| e.to_string())?;
            attributes.push((attribute.key.into_inner().to_owned(), value.into_owned()));
        }
        Ok(Element { name: start.name().into_inner().to_owned(), attributes, ..Element::default() })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn need(&self, name: &str) -> Result<String, String> {
        let value = self.get(name).filter(|v| !v.is_empty());
        value.map(str::to_owned).ok_or_else(|| format!("{} without {name}", self.name))
    }

    fn only(&self, known: &[&str]) -> Result<(), String> {
        match self.attributes.iter().find(|(n, _)| !known.contains(&n.as_str())) {
            Some((name, _)) => Err(format!("{} with unknown attribute {name}", self.name)),
            None => Ok(()),
        }
    }

    fn no_text(&self) -> Result<(), String> {
        if self.text.trim().is_empty() { Ok(()) } else { Err(format!("{} with text", self.name)) }
    }
}

/// A well-formed document as a tree; a document type or a processing instruction is refused.
fn read(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text);
    // The outermost element collects the roots, so that two of them are seen.
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|e| e.to_string())?;
        let depth = open.len();
        let Some(inner) = open.last_mut() else { return Err("an end too many".into()) };
        match event {
            Xml::Start(start) => open.push(Element::open(&start)?),
            Xml::Empty(start) => inner.children.push(Element::open(&start)?),
            Xml::End(_) => {
                if let Some(done) = open.pop()
                    && let Some(parent) = open.last_mut()
                {
                    parent.children.push(done);
                }
            }
            Xml::Text(text) => inner.text.push_str(&text.xml10_content()),
            Xml::CData(text) => inner.text.push_str(&text),
            Xml::GeneralRef(name) => match name.resolve_char_ref().map_err(|e| e.to_string())? {
                Some(c) => inner.text.push(c),
                None => {
                    inner.text.push_str(quick_xml::escape::resolve_xml_entity(&name).ok_or_else(|| format!("unknown entity {}", &*name))?)
                }
            },
            Xml::Decl(_) | Xml::Comment(_) => {}
            Xml::DocType(_) | Xml::PI(_) => return Err("a document type or a processing instruction".into()),
            Xml::Eof if depth > 1 => return Err("it ends in the middle".into()),
            Xml::Eof => break,
        }
    }
    let Some(mut outer) = open.pop() else { return Err("no root".into()) };
    outer.no_text()?;
    match (outer.children.pop(), outer.children.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err("not exactly one root".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Option<Verb> {
        Some(Verb::SetVar { name: name.into(), value: value.into() })
    }

    #[test]
    fn reads_each_verb() {
        let of = |inner: &str| parse(&format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{inner}</Response>"));
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("<SetVar name=\"managerExt\">0047*101</SetVar>"), Ok(set("managerExt", "0047*101")));
        assert_eq!(of("<SetVar name=\"a\">&lt;&amp;&#x41;</SetVar>"), Ok(set("a", "<&A")));
        assert_eq!(of("<SetVar name=\"a\"></SetVar>"), Ok(set("a", "")));
        assert_eq!(of(" <!-- x --> <Hangup/> "), Ok(Some(Verb::Hangup)));
        assert_eq!(of("<Pause/>"), Ok(Some(Verb::Pause { seconds: 10 })));
        assert_eq!(of("<Pause length=\"2\"/>"), Ok(Some(Verb::Pause { seconds: 2 })));
        assert_eq!(of("<Jump context=\"7\" option=\"start\"/>"), Ok(Some(Verb::Jump { context: 7, option: "start".into() })));
        assert_eq!(of("<SetCaller name=\"N\" number=\"+1555\"/>"), Ok(Some(Verb::SetCaller { name: "N".into(), number: "+1555".into() })));
        assert_eq!(
            of("<PlaySound where=\"background\" digitvar=\"d\">a.wav</PlaySound>"),
            Ok(Some(Verb::PlaySound { foreground: false, digitvar: Some("d".into()), file: "a.wav".into() }))
        );
    }

    #[rstest::rstest]
    #[case("")]
    #[case("  \n")]
    #[case("OK")]
    #[case("{\"ext\":\"101\"}")]
    #[case("<Response>")]
    #[case("<Response></Reponse>")]
    #[case("<response></response>")]
    #[case("<Response/><Response/>")]
    #[case("<Response>101</Response>")]
    #[case("<Response x=\"1\"/>")]
    #[case("<!DOCTYPE x><Response/>")]
    #[case("<Response><Dial>101</Dial></Response>")]
    #[case("<Response><SimpleTransfer>101</SimpleTransfer></Response>")]
    #[case("<Response><SetVar>101</SetVar></Response>")]
    #[case("<Response><SetVar name=\"\">101</SetVar></Response>")]
    #[case("<Response><SetVar name=\"a\" value=\"101\"/></Response>")]
    #[case("<Response><SetVar name=\"a\">1&2</SetVar></Response>")]
    #[case("<Response><SetVar name=\"a\">1 &nbsp;</SetVar></Response>")]
    #[case("<Response><SetVar name=\"a\">1</SetVar><Hangup/></Response>")]
    #[case("<Response><SetCaller name=\"a\"/></Response>")]
    #[case("<Response><Pause length=\"soon\"/></Response>")]
    #[case("<Response><Hangup>now</Hangup></Response>")]
    #[case("<Response><PlaySound>a.wav</PlaySound></Response>")]
    fn refuses_what_the_page_does_not_know(#[case] text: &str) {
        assert!(parse(text).is_err(), "{:?}", parse(text));
    }
}
