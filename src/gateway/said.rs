//! What a reply says about the line, beside its own matter (Telphin page, section 9.3).

use crate::domain::time::Timestamp;
use crate::net::Response;
use crate::store::lines::{Hour, News};

/// Waits longer than this are not believed, seconds: the limits are those of an hour.
const LONGEST_WAIT_S: i64 = 3_600;

/// Another request for statistics of this client is being answered.
pub fn is_concurrent(reply: &Response) -> bool {
    reply.status == 429 && String::from_utf8_lossy(&reply.body).to_lowercase().contains("concurrent request")
}

/// `words`: what the reply says in words.
pub fn news(reply: &Response, words: &str, now: Timestamp) -> News {
    let number = |name: &str| reply.header(name).and_then(|v| v.trim().parse::<i64>().ok()).filter(|n| *n >= 0);
    let reset = number("x-ratelimit-reset").map(|s| now.plus_s(s.clamp(1, LONGEST_WAIT_S)));
    let hour = match (number("x-ratelimit-limit"), number("x-ratelimit-remaining"), reset) {
        (Some(limit), Some(left), Some(resets_at)) => Some(Hour { limit, left, resets_at }),
        _ => None,
    };
    let told = number("retry-after").map(|s| now.plus_s(s.clamp(1, LONGEST_WAIT_S)));
    let wait = match reply.status {
        429 if !is_concurrent(reply) => {
            let until = told.or(reset).unwrap_or_else(|| next_hour(now));
            Some((until, format!("the requests of this hour are used up ({words})")))
        }
        503 => told.map(|until| (until, format!("it asked us to wait ({words})"))),
        _ => None,
    };
    let down = (reply.status >= 500).then(|| format!("status {}: {words}", reply.status));
    News { hour, wait, down }
}

/// "Next try in the next hour", where nothing says when that is.
fn next_hour(now: Timestamp) -> Timestamp {
    const HOUR: i64 = 3_600_000_000;
    Timestamp((now.0.div_euclid(HOUR) + 1) * HOUR)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const NOW: Timestamp = Timestamp(1_767_000_000_000_000);

    fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        Response { status, headers, body: Bytes::from(body.to_owned()) }
    }

    #[test]
    fn the_headers_of_every_reply_tell_what_is_left() {
        let headers = [("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "60")];
        let hour = Some(Hour { limit: 100, left: 7, resets_at: NOW.plus_s(60) });
        assert_eq!(news(&reply(200, &headers, ""), "", NOW), News { hour, ..News::default() });
        assert_eq!(news(&reply(200, &headers[..2], ""), "", NOW), News::default());
        assert_eq!(news(&reply(200, &[("x-ratelimit-limit", "many")], ""), "", NOW), News::default());
    }

    #[test]
    fn a_refusal_for_the_hour_waits_as_told_else_for_the_next_hour() {
        let until = |headers: &[(&str, &str)]| news(&reply(429, headers, "{}"), "x", NOW).wait.map(|(until, _)| until);
        assert_eq!(until(&[("x-ratelimit-reset", "60")]), Some(NOW.plus_s(60)));
        assert_eq!(until(&[("retry-after", "5"), ("x-ratelimit-reset", "60")]), Some(NOW.plus_s(5)));
        assert_eq!(until(&[("retry-after", "999999")]), Some(NOW.plus_s(3_600)));
        assert_eq!(until(&[]), Some(Timestamp(1_767_002_400_000_000)));
    }

    #[test]
    fn a_concurrent_request_is_no_reason_to_wait_for_the_hour() {
        let busy = reply(429, &[], r#"{"message":"Stats request already exists, concurrent request not allowed"}"#);
        assert!(is_concurrent(&busy));
        assert_eq!(news(&busy, "", NOW), News::default());
        assert!(!is_concurrent(&reply(429, &[], r#"{"status":"rate_limit_exceeded"}"#)));
    }

    #[test]
    fn a_broken_pbx_is_down_and_waited_for_only_when_it_says_so() {
        let broken = news(&reply(502, &[], ""), "bad gateway", NOW);
        assert_eq!((broken.down.as_deref(), broken.wait), (Some("status 502: bad gateway"), None));
        assert!(news(&reply(503, &[("retry-after", "30")], ""), "", NOW).wait.is_some());
    }
}
