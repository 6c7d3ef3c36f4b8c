//! Readers of values that TOML has no type for. An empty string means "not set".

use std::net::IpAddr;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

pub fn optional<'de, D: Deserializer<'de>, T: From<String>>(d: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(d)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

pub fn secret<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SecretString>, D::Error> {
    optional::<D, String>(d).map(|text| text.map(SecretString::from))
}

/// Networks, and single addresses as networks of one.
pub fn nets<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<String>::deserialize(d)?.iter().map(|text| net(text).ok_or_else(|| not_a_net(text))).collect()
}

fn net(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn not_a_net<E: Error>(text: &str) -> E {
    E::custom(format!("{text:?} is neither an address nor a network such as 10.0.0.0/8"))
}
