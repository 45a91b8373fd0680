//! What an owner reads, and what it is told it missed.

use serde_json::json;

use super::rig::{Rig, config};
use crate::SessionId;
use crate::link::{EventBounds, LinkConfig};

fn rig_that_holds(count: usize, bytes: usize) -> (Rig, SessionId) {
    let mut rig = Rig::with(LinkConfig {
        events: EventBounds { count, bytes },
        ..config()
    });
    let session = rig.open(1);
    (rig, session)
}

#[test]
fn events_are_read_in_the_order_they_came() {
    let (mut rig, s) = Rig::of_one();
    rig.event(s, "click");
    rig.peer(&json!({"type": "diagnostic", "session": "s1", "id": "~1"}));
    rig.event(s, "input");
    assert_eq!(rig.events(s), ["event click", "diagnostic", "event input"]);
}

#[test]
fn an_owner_who_reads_too_slowly_is_told_how_much_it_missed() {
    let (mut rig, s) = rig_that_holds(3, usize::MAX);
    for family in ["a", "b", "c", "d", "e"] {
        rig.event(s, family);
    }
    assert_eq!(rig.events(s), ["lagged 2", "event c", "event d", "event e"]);
    assert_eq!(rig.link.counters().lagged, 2);
    rig.event(s, "f");
    assert_eq!(rig.events(s), ["event f"]);
}

#[test]
fn large_events_are_bounded_by_their_bytes_and_the_last_is_always_kept() {
    let (mut rig, s) = rig_that_holds(100, 2_000);
    for family in ["a", "b", "c"] {
        let value = "x".repeat(900);
        rig.peer(&json!({"type": "event", "session": "s1", "family": family, "value": value}));
    }
    assert_eq!(rig.events(s), ["lagged 1", "event b", "event c"]);
    let value = "x".repeat(9_000);
    rig.peer(&json!({"type": "event", "session": "s1", "family": "d", "value": value}));
    assert_eq!(rig.events(s), ["event d"]);
}

#[test]
fn an_owner_who_reads_too_slowly_still_learns_of_the_end() {
    let (mut rig, s) = rig_that_holds(1, usize::MAX);
    for family in ["a", "b", "c"] {
        rig.event(s, family);
    }
    rig.session_error(s, "session_panic", "data");
    assert_eq!(
        rig.events(s),
        ["lagged 2", "event c", "failed: SessionFailed in s1", "end"]
    );
}

#[test]
fn an_event_pushed_out_by_a_failed_interact_is_counted_too() {
    let (mut rig, s) = rig_that_holds(1, usize::MAX);
    rig.interact(s, "click");
    rig.event(s, "a");
    rig.session_error(s, "session_panic", "data");
    assert_eq!(rig.link.counters().lagged, 1);
    assert_eq!(rig.events(s)[0], "lagged 1");
}

#[test]
fn one_owners_backlog_costs_another_nothing() {
    let (mut rig, slow) = rig_that_holds(3, usize::MAX);
    let quick = rig.open(2);
    rig.event(quick, "click");
    for _ in 0..100 {
        rig.event(slow, "input");
    }
    assert_eq!(rig.events(quick), ["event click"]);
}

#[test]
fn a_status_that_repeats_itself_is_left_out() {
    let (mut rig, s) = Rig::of_one();
    let mut status = |id: &str, value: &str| {
        rig.peer(&json!({
            "type": "event", "session": "s1", "family": "status", "id": id, "value": value,
        }));
    };
    for _ in 0..10_000 {
        status("button", "active");
        status("slider", "active");
    }
    status("button", "hovered");
    status("button", "active");
    assert_eq!(rig.events(s), ["event status"; 4]);
    assert_eq!(rig.link.counters().coalesced, 19_998);
}

#[test]
fn what_only_looks_like_a_repeated_status_is_not_left_out() {
    let (mut rig, s) = Rig::of_one();
    for _ in 0..2 {
        for (family, value) in [("input", json!("a")), ("status", json!({"nested": true}))] {
            rig.peer(&json!({
                "type": "event", "session": "s1", "family": family, "id": "w", "value": value,
            }));
        }
    }
    assert_eq!(rig.events(s).len(), 4);
}

#[test]
fn an_owner_is_woken_once_for_each_time_it_waits() {
    let (mut rig, s) = Rig::of_one();
    rig.events(s);
    assert_eq!(rig.woken(), 0);
    rig.event(s, "a");
    rig.event(s, "b");
    assert_eq!(rig.woken(), 1);
    assert_eq!(rig.events(s), ["event a", "event b"]);
    rig.close(s, "close");
    assert_eq!(rig.woken(), 1, "the end wakes too");
    assert_eq!(rig.events(s), ["end"]);
}

#[test]
fn the_end_of_an_interact_is_not_lost_to_a_flood() {
    let (mut rig, s) = Rig::of_one();
    let id = rig.interact(s, "click");
    rig.reply(s, "interact_response", id);
    for _ in 0..5_000 {
        rig.event(s, "tick");
    }
    let events = rig.events(s);
    assert!(events.contains(&format!("response {id}")), "{}", events[0]);
    assert!(events[0].starts_with("lagged"), "{}", events[0]);
}

#[test]
fn a_status_that_returns_after_one_too_long_to_remember_is_told() {
    let (mut rig, s) = Rig::of_one();
    for value in ["hovered".to_owned(), "x".repeat(300), "hovered".to_owned()] {
        rig.peer(&json!({
            "type": "event", "session": "s1", "family": "status", "id": "a", "value": value,
        }));
    }
    assert_eq!(rig.events(s).len(), 3);
}

#[test]
fn a_status_that_was_lost_is_told_again() {
    let (mut rig, s) = Rig::of_one();
    let status = json!({
        "type": "event", "session": "s1", "family": "status", "id": "a", "value": "hovered",
    });
    rig.peer(&status);
    for _ in 0..5_000 {
        rig.event(s, "tick");
    }
    rig.peer(&status);
    assert_eq!(rig.events(s).last().unwrap(), "event status");
}
