//! The only maker of requests and connections to others: PBX APIs, storage links, connectors, AMI.
//!
//! What it promises: every request has a time limit, redirects are never followed, a response body has a size limit, and an address that
//! is not public is reached only when the settings allow it (a URL from a PBX or from a contact must not let anybody look around inside
//! the operator's network). Adapters build a [`Request`] as data; nothing but this module sends it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use secrecy::{ExposeSecret, SecretString};

/// A response body larger than this is refused by [`Http::send`]; [`Http::stream`] has no limit.
pub const MAX_BODY: usize = 16 << 20;

/// One HTTP request as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Bytes>,
}

impl Request {
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: "GET", url: url.into(), headers: Vec::new(), body: None }
    }

    pub fn delete(url: impl Into<String>) -> Self {
        Self { method: "DELETE", ..Self::get(url) }
    }

    pub fn post_json(url: impl Into<String>, body: &serde_json::Value) -> Self {
        Self {
            method: "POST",
            body: Some(Bytes::from(body.to_string())),
            headers: vec![("content-type", "application/json".into())],
            ..Self::get(url)
        }
    }

    pub fn put_json(url: impl Into<String>, body: &serde_json::Value) -> Self {
        Self { method: "PUT", ..Self::post_json(url, body) }
    }

    pub fn post_form(url: impl Into<String>, pairs: &[(&str, &str)]) -> Self {
        let body = serde_urlencoded::to_string(pairs).unwrap_or_default();
        Self {
            method: "POST",
            body: Some(Bytes::from(body)),
            headers: vec![("content-type", "application/x-www-form-urlencoded".into())],
            ..Self::get(url)
        }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a user and his password (RFC 7617).
    pub fn basic(self, user: &str, password: &SecretString) -> Self {
        let pair = format!("{user}:{}", password.expose_secret());
        self.header("authorization", format!("Basic {}", STANDARD.encode(pair)))
    }
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Response {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, NetError> {
        serde_json::from_slice(&self.body).map_err(|e| NetError::Unreadable(e.to_string()))
    }
}

/// A response whose body is still to be read.
pub struct Streaming {
    pub status: u16,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    response: reqwest::Response,
}

impl Streaming {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, NetError>> {
        self.response.bytes_stream().map(|chunk| chunk.map_err(|e| NetError::Unclear(plain(&e))))
    }
}

/// Why there is no usable response.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Nothing was sent: a bad URL, no connection, a name that does not resolve. Safe to try again.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The address is private and not allowed. The mend: `outbound.allow_private`.
    #[error("{0} is a private address; list its network in outbound.allow_private to reach it")]
    Forbidden(String),
    /// The request may have been acted upon: the time ran out or the connection broke after it was sent.
    #[error("no clear reply: {0}")]
    Unclear(String),
    /// A reply came, and cannot be read.
    #[error("unreadable reply: {0}")]
    Unreadable(String),
}

impl NetError {
    /// True when the other side may have acted upon the request.
    pub fn may_have_acted(&self) -> bool {
        matches!(self, NetError::Unclear(_) | NetError::Unreadable(_))
    }
}

/// The client. Cheap to clone; share one, so that connections are reused.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    guard: Guard,
}

impl Http {
    /// `allow_private`: networks that may be reached although they are not public. `timeout` bounds a whole request (for a stream: each read).
    pub fn new(allow_private: Vec<IpNet>, timeout: Duration) -> Http {
        crate::net::install_tls();
        let guard = Guard(Arc::new(allow_private));
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            .read_timeout(timeout)
            .no_proxy()
            .user_agent(concat!("hookflash/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(guard.clone()))
            .build()
            .expect("a client without custom certificates always builds");
        Http { client, guard }
    }

    /// Sends and reads the whole response, up to [`MAX_BODY`].
    pub async fn send(&self, request: Request, timeout: Duration) -> Result<Response, NetError> {
        let work = async {
            let streaming = self.stream(request).await?;
            let (status, headers) = (streaming.status, streaming.headers.clone());
            let mut body = Vec::new();
            let mut chunks = std::pin::pin!(streaming.into_stream());
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk?;
                if body.len() + chunk.len() > MAX_BODY {
                    return Err(NetError::Unreadable(format!("the body is larger than {MAX_BODY} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Response { status, headers, body: body.into() })
        };
        match tokio::time::timeout(timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(NetError::Unclear(format!("no reply within {} ms", timeout.as_millis()))),
        }
    }

    /// Sends and returns as soon as the headers are there.
    pub async fn stream(&self, request: Request) -> Result<Streaming, NetError> {
        let url = reqwest::Url::parse(&request.url).map_err(|e| NetError::NotSent(format!("{e}: {}", without_query(&request.url))))?;
        self.guard.check_literal(&url)?;
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|e| NetError::NotSent(e.to_string()))?;
        let mut builder = self.client.request(method, url);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let response = builder.send().await.map_err(classify)?;
        let headers =
            response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect();
        Ok(Streaming { status: response.status().as_u16(), headers, response })
    }
}

impl Http {
    /// A plain TCP connection to `host:port`, for what is not spoken over HTTP. The same addresses are allowed.
    pub async fn connect(&self, address: &str, timeout: Duration) -> Result<tokio::net::TcpStream, NetError> {
        let work = async {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host(address).await.map_err(|e| NetError::NotSent(format!("{address}: {e}")))?.collect();
            let allowed: Vec<SocketAddr> = found.iter().copied().filter(|a| self.guard.allows(a.ip())).collect();
            match (allowed.is_empty(), found.first()) {
                (true, Some(first)) => return Err(NetError::Forbidden(first.ip().to_string())),
                (true, None) => return Err(NetError::NotSent(format!("{address} has no address"))),
                _ => {}
            }
            let stream = tokio::net::TcpStream::connect(&allowed[..]).await.map_err(|e| NetError::NotSent(format!("{address}: {e}")))?;
            stream.set_nodelay(true).map_err(|e| NetError::NotSent(e.to_string()))?;
            Ok(stream)
        };
        match tokio::time::timeout(timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(NetError::NotSent(format!("{address}: no connection within {} ms", timeout.as_millis()))),
        }
    }
}

/// Chooses the TLS implementation for the whole process; safe to call again.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn classify(e: reqwest::Error) -> NetError {
    let text = plain(&e);
    if let Some(at) = text.find(BLOCKED) {
        return NetError::Forbidden(text[at + BLOCKED.len()..].trim().to_owned());
    }
    if e.is_connect() || e.is_builder() { NetError::NotSent(text) } else { NetError::Unclear(text) }
}

/// The error and its causes in one line, without the URL: a URL may carry a secret.
fn plain(e: &reqwest::Error) -> String {
    use std::error::Error;
    let mut text = String::new();
    let mut source = e.source();
    while let Some(cause) = source {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if text.is_empty() { if e.is_timeout() { "time ran out".into() } else { "the connection failed".into() } } else { text }
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

const BLOCKED: &str = "blocked private address:";

#[derive(Clone)]
struct Guard(Arc<Vec<IpNet>>);

impl Guard {
    fn allows(&self, ip: IpAddr) -> bool {
        is_public(ip) || self.0.iter().any(|net| net.contains(&ip))
    }

    /// A URL whose host is an address is not resolved, so it is checked here; names are checked when they are resolved.
    fn check_literal(&self, url: &reqwest::Url) -> Result<(), NetError> {
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(ip) if !self.allows(ip) => Err(NetError::Forbidden(ip.to_string())),
            _ => Ok(()),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found.iter().copied().filter(|a| guard.allows(a.ip())).collect();
            if allowed.is_empty() {
                let what = found.first().map_or_else(|| name.as_str().to_owned(), |a| a.ip().to_string());
                return Err(format!("{BLOCKED} {what}").into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// False for loopback, private, link-local, shared, documentation, multicast and unspecified addresses, also inside IPv6 forms of IPv4.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let o = v4.octets();
            !(v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || o[0] == 0
                || o[0] >= 240
                || (o[0] == 100 && (64..128).contains(&o[1]))
                || (o[0] == 192 && o[1] == 0 && o[2] == 0)
                || (o[0] == 198 && (18..20).contains(&o[1])))
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4() {
                return is_public(IpAddr::V4(v4));
            }
            let s = v6.segments();
            let nat64 = s[0] == 0x64 && s[1] == 0xff9b;
            let six_to_four = s[0] == 0x2002;
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || nat64 || six_to_four)
                && (s[0] & 0xfe00) != 0xfc00
                && (s[0] & 0xffc0) != 0xfe80
                && !(s[0] == 0x2001 && s[1] == 0xdb8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_is_public() {
        for ip in ["8.8.8.8", "1.1.1.1", "2a00:1450::1"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "255.255.255.255",
            "224.0.0.1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn a_private_address_is_refused_before_anything_is_sent() {
        let http = Http::new(Vec::new(), Duration::from_secs(1));
        for url in ["http://127.0.0.1:9/x", "http://[::1]:9/x", "http://localhost:9/x", "http://2130706433/x"] {
            let error = http.send(Request::get(url), Duration::from_secs(1)).await.unwrap_err();
            assert!(matches!(error, NetError::Forbidden(_)), "{url}: {error}");
            assert!(!error.may_have_acted());
        }
    }

    #[tokio::test]
    async fn an_allowed_address_without_a_listener_is_not_sent() {
        let http = Http::new(vec!["127.0.0.0/8".parse().unwrap()], Duration::from_secs(1));
        let error = http.send(Request::get("http://127.0.0.1:1/secret?token=abc"), Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(error, NetError::NotSent(_)), "{error}");
        assert!(!error.to_string().contains("abc"));
    }
}
