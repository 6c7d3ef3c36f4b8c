//! The views for people who read with a tool for reports: what they show of a morning.

use diesel::deserialize::QueryableByName;
use diesel::sql_types::Text;
use diesel::{RunQueryDsl, sql_query};
use hookflash::store::Conn;

use super::figures::{lunch_break, morning};
use super::support::{Desk, with_desk};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

async fn lines(desk: &Desk<'_>, sql: &str) -> Vec<String> {
    let sql = sql.to_owned();
    let found: Vec<Line> = desk
        .house
        .read(move |conn| {
            Ok(match conn {
                Conn::Sqlite(c) => sql_query(sql).load(c)?,
                Conn::Postgres(c) => sql_query(sql).load(c)?,
            })
        })
        .await;
    found.into_iter().map(|l| l.line).collect()
}

#[actix_web::test]
async fn the_views_tell_of_the_morning_in_the_same_columns_on_both_databases() {
    with_desk(lunch_break, async |desk| {
        morning(desk).await;
        let text = |column: &str| format!("CAST({column} AS TEXT)");
        let joined = |columns: &[&str]| columns.iter().map(|c| text(c)).collect::<Vec<_>>().join(" || ' ' || ");
        let ask = async |view: &str, columns: &[&str], rest: &str| {
            lines(desk, &format!("SELECT {} AS line FROM report_{view} WHERE application = 808 {rest}", joined(columns))).await
        };
        let counts = ["queue", "queued", "answered", "abandoned", "short_abandoned", "timed_out", "\"full\"", "waiting"];
        assert_eq!(
            ask("queue_intervals", &counts, "ORDER BY queue, began_us").await,
            ["main 4 1 2 1 0 0 0", "main 3 0 1 1 0 0 1", "other 1 0 0 0 1 0 0"]
        );
        assert_eq!(
            ask("queue_entries", &["queue", "number", "CAST(waited_s AS INTEGER)", "outcome"], "AND outcome = 'answered'").await.len(),
            1
        );
        let whole = ["CAST(waited_s * 1000 AS INTEGER)"];
        assert_eq!(
            ask("queue_entries", &whole, "AND outcome = 'abandoned' ORDER BY joined_us").await,
            ["3000", "30000", "10000", "3000", "18000"]
        );
        assert_eq!(ask("calls", &["direction", "status", "did"], "AND status = 'answered'").await, ["in answered +74955550100"]);
        assert_eq!(ask("legs", &["kind", "agent", "CAST(talk_s AS INTEGER)"], "AND agent = 'ann'").await, ["leg ann 60"]);
        assert_eq!(
            ask("offers", &["agent", "state", "CAST(lasted_s AS INTEGER)"], "ORDER BY offer_id").await,
            ["ann accepted 64", "ann rejected 3", "ann canceled 3", "ann no_answer 15"]
        );
        let wrap_up = ask("agent_times", &["state", "reason", "then_state"], "AND agent = 'ann' AND state = 'wrap_up'").await;
        assert_eq!(wrap_up, ["wrap_up main available"]);
        // Times are such that the database's own functions read them, and the key in front stays a number.
        let began = match desk.house.read(|c| Ok(c.is_postgres())).await {
            true => "to_char(MIN(joined) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')",
            false => "datetime(MIN(joined))",
        };
        assert_eq!(lines(desk, &format!("SELECT {began} AS line FROM report_queue_entries")).await, ["2025-12-29 09:28:20"]);
    })
    .await;
}
