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

#[test]
fn what_no_day_can_be_lived_with_is_told_by_its_name() {
    let house = House::sqlite();
    for (option, value, told) in [
        ("--calls-per-hour", "inf", "calls"),
        ("--calls-per-hour", "NaN", "calls"),
        ("--hours", "inf", "hours"),
        ("--wrap-up-s", "-1", "queue[0].wrap_up_time_limit: -1 is out of range; use 0 to 3600\n"),
        ("--answer-within", "100000", "queue[0].sla_answered_within: 100000 is out of range; use 0 to 86400\n"),
    ] {
        let said = house.run(&["simulate", "contact-centre", "--agents", "1", &format!("{option}={value}")]).failed(1);
        assert!(said.contains(told) && !said.contains("Problem {"), "{option}: {said}");
    }
}
