//! What Prometheus is told of a morning (`figures`): the same calls, the same numbers, however often it asks.

use super::figures::{lunch_break, morning};
use super::support::{APP, Desk, queue, with_desk};

/// The lines of our families that are about the application.
async fn scraped(desk: &Desk<'_>) -> String {
    let reply = desk.client.get("/metrics").await;
    assert_eq!(reply.status, 200);
    String::from_utf8(reply.bytes.to_vec()).expect("text")
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(
        text.lines().any(|l| l == line),
        "{line} is not in\n{}",
        text.lines().filter(|l| l.contains("app=\"808\"")).collect::<Vec<_>>().join("\n")
    );
}

#[actix_web::test]
async fn counters_gauges_and_histograms_follow_the_morning() {
    let edit = |app: &mut toml::Table| {
        lunch_break(app);
        // A limit at which no bucket would be by itself.
        queue(app, "main", "sla_answered_within = 17");
    };
    with_desk(edit, async |desk| {
        let before = scraped(desk).await;
        has(&before, "# TYPE hookflash_queue_calls_total counter");
        has(&before, "# TYPE hookflash_queue_wait_seconds histogram");
        has(&before, "hookflash_queue_calls_total{app=\"808\",queue=\"main\",outcome=\"answered\"} 0");
        has(&before, "hookflash_agents{app=\"808\",state=\"available\"} 3");
        has(&before, "hookflash_agents{app=\"808\",state=\"offline\"} 1");
        morning(desk).await;
        for again in 0..2 {
            let text = scraped(desk).await;
            for (queue, outcome, n) in [
                ("main", "answered", 1),
                ("main", "abandoned", 3),
                ("main", "short_abandoned", 2),
                ("main", "timed_out", 0),
                ("other", "timed_out", 1),
            ] {
                has(&text, &format!("hookflash_queue_calls_total{{app=\"{APP}\",queue=\"{queue}\",outcome=\"{outcome}\"}} {n}"));
            }
            // Gave up after 10, 18 and 30 s.
            for (edge, n) in [("5", 0), ("10", 1), ("17", 1), ("20", 2), ("30", 3), ("+Inf", 3)] {
                has(
                    &text,
                    &format!("hookflash_queue_wait_seconds_bucket{{app=\"808\",queue=\"main\",outcome=\"abandoned\",le=\"{edge}\"}} {n}"),
                );
            }
            has(&text, "hookflash_queue_wait_seconds_sum{app=\"808\",queue=\"main\",outcome=\"abandoned\"} 58");
            has(&text, "hookflash_queue_wait_seconds_count{app=\"808\",queue=\"main\",outcome=\"answered\"} 1");
            for (outcome, n) in [("accepted", 1), ("rejected", 1), ("canceled", 1), ("no_answer", 1), ("busy", 0)] {
                has(&text, &format!("hookflash_offers_total{{app=\"808\",outcome=\"{outcome}\"}} {n}"));
            }
            has(&text, "hookflash_queue_waiting{app=\"808\",queue=\"main\"} 1");
            has(&text, "hookflash_queue_longest_wait_seconds{app=\"808\",queue=\"main\"} 10");
            has(&text, "hookflash_queue_longest_wait_seconds{app=\"808\",queue=\"other\"} 0");
            has(&text, "hookflash_agents{app=\"808\",state=\"not_available\"} 3");
            assert!(!text.contains("\"ann\""), "no agent is a label, ask {again}");
        }
    })
    .await;
}
