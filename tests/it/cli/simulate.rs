//! `simulate contact-centre`, as whoever plans a centre runs it.

use super::House;

#[test]
fn strategies_live_the_same_day_and_are_compared() {
    let house = House::sqlite();
    let day =
        ["simulate", "contact-centre", "--agents", "4", "--calls-per-hour", "90", "--hours", "0.1", "--strategy", "top_down,ring_all"];
    let told = house.run(&day).ok();
    let reports: Vec<&str> = told.split("\n\n").collect();
    assert!(reports.len() == 3 && reports[0].starts_with("4 agents, top_down") && reports[1].starts_with("4 agents, ring_all"), "{told}");
    assert!(
        reports[..2].iter().all(|report| report.contains("checked          1 (") && report.contains("invariants       all held")),
        "{told}"
    );
    let rows: Vec<Vec<&str>> =
        reports[2].lines().map(|row| row.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect()).collect();
    assert_eq!(rows[0], ["waits by strategy", "mean s", "half", "90 %", "99 %", "longest", "abandoned", "occupancy"], "{told}");
    assert_eq!((rows.len(), rows[1][0], rows[2][0]), (3, "top_down", "ring_all"), "{told}");
    assert!(house.run(&["simulate", "contact-centre", "--strategy", "luck"]).failed(2).contains("longest_idle"));
}
