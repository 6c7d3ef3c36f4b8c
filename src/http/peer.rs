//! Who is really at the other end: forward headers count only when a trusted proxy wrote them.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use ipnet::IpNet;

/// The client's address: the peer's, or the nearest one in `X-Forwarded-For` that is not itself a trusted proxy.
pub fn client_address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr().map(|a| a.ip().to_canonical())?;
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_trusted(&peer) {
        return Some(peer);
    }
    let mut client = peer;
    let forwarded: Vec<&str> =
        request.headers().get_all("x-forwarded-for").filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).collect();
    for hop in forwarded.iter().rev() {
        // What stands left of something unreadable was written by nobody we trust.
        let Some(ip) = address(hop.trim()) else { break };
        client = ip.to_canonical();
        if !is_trusted(&client) {
            break;
        }
    }
    Some(client)
}

/// An address, which some proxies write with the port: `203.0.113.9:4711`, `[2001:db8::9]:4711`.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = || hop.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(hop).parse().ok();
    hop.parse::<SocketAddr>().map(|a| a.ip()).ok().or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[rstest::rstest]
    #[case::nobody_is_trusted("198.51.100.7", "203.0.113.9", "", "198.51.100.7")]
    #[case::the_proxy_is_trusted("10.0.0.1", "203.0.113.9", "10.0.0.0/8", "203.0.113.9")]
    #[case::the_client_forged_a_hop("10.0.0.1", "192.0.2.1, 203.0.113.9", "10.0.0.0/8", "203.0.113.9")]
    #[case::two_proxies("10.0.0.1", "203.0.113.9, 10.0.0.2", "10.0.0.0/8", "203.0.113.9")]
    #[case::with_a_port("10.0.0.1", "192.0.2.1, 203.0.113.9:4711", "10.0.0.0/8", "203.0.113.9")]
    #[case::two_proxies_with_ports("10.0.0.1", "[2001:db8::9]:4711, 10.0.0.2:80", "10.0.0.0/8", "2001:db8::9")]
    #[case::in_brackets("10.0.0.1", "[2001:db8::9]", "10.0.0.0/8", "2001:db8::9")]
    #[case::a_port_that_is_none("10.0.0.1", "203.0.113.9:x", "10.0.0.0/8", "10.0.0.1")]
    #[case::nonsense("10.0.0.1", "203.0.113.9, x", "10.0.0.0/8", "10.0.0.1")]
    fn finds_the_client(#[case] peer: &str, #[case] forwarded: &str, #[case] trusted: &str, #[case] client: &str) {
        let request = TestRequest::default()
            .peer_addr(format!("{peer}:1").parse().unwrap())
            .insert_header(("x-forwarded-for", forwarded))
            .to_http_request();
        let trusted: Vec<IpNet> = trusted.split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert_eq!(client_address(&request, &trusted), Some(client.parse().unwrap()));
    }
}
