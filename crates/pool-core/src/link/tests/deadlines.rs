//! When a link wants to be called, and what it does then.

use std::time::Duration;

use super::rig::{Rig, TIMEOUT, config};
use crate::link::LinkConfig;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn nothing_to_wait_for_is_no_deadline() {
    let (mut rig, _) = Rig::of_one();
    assert_eq!(rig.link.deadline(), None);
}

#[test]
fn the_deadline_is_that_of_the_request_that_ends_first() {
    let (mut rig, s) = Rig::of_one();
    rig.patience(5 * SECOND);
    rig.query(s, "slow");
    rig.patience(2 * SECOND);
    rig.query(s, "quick");
    let now = rig.now;
    assert_eq!(rig.link.deadline(), Some(now + 2 * SECOND));
    rig.pass(2 * SECOND);
    assert_eq!(rig.finished(), ["quick: Timeout(Reply) in s1 ~2"]);
    assert_eq!(rig.link.deadline(), Some(now + 5 * SECOND));
    rig.pass(3 * SECOND);
    assert_eq!(rig.finished(), ["slow: Timeout(Reply) in s1 ~1"]);
    assert_eq!(rig.link.deadline(), None);
}

#[test]
fn whoever_sleeps_until_the_deadline_is_told_when_it_moves_forward_and_only_then() {
    let (mut rig, s) = Rig::of_one();
    rig.patience(5 * SECOND);
    rig.query(s, "a");
    assert!(std::mem::take(&mut rig.effects.rearm));
    rig.link.deadline();
    rig.patience(8 * SECOND);
    rig.query(s, "b");
    assert!(!rig.effects.rearm);
    rig.patience(2 * SECOND);
    rig.query(s, "c");
    assert!(std::mem::take(&mut rig.effects.rearm));
    rig.link.deadline();
    rig.close(s, "close");
    assert!(!rig.effects.rearm, "2 s come before 5 s");
}

#[test]
fn every_kind_of_waiting_moves_the_deadline_forward() {
    let (mut rig, s) = Rig::of_one();
    rig.patience(10 * TIMEOUT);
    let id = rig.interact(s, "click");
    let now = rig.now;
    assert_eq!(rig.link.deadline(), Some(now + 10 * TIMEOUT));
    std::mem::take(&mut rig.effects.rearm);
    rig.step(s, id);
    assert_eq!(rig.link.deadline(), Some(now + config().step_patience));
    assert!(std::mem::take(&mut rig.effects.rearm), "a step");
    rig.patience(20 * SECOND);
    rig.query(s, "queued");
    assert_eq!(rig.link.deadline(), Some(now + 20 * SECOND));
    assert!(std::mem::take(&mut rig.effects.rearm), "a turn to be sent");
    rig.close(s, "close");
    assert_eq!(rig.link.deadline(), Some(now + config().close_patience));
    assert!(std::mem::take(&mut rig.effects.rearm), "a confirmation");
}

#[test]
fn an_early_call_ends_nothing_and_loses_no_deadline() {
    let (mut rig, s) = Rig::of_one();
    let other = rig.open(2);
    rig.patience(10 * TIMEOUT);
    let id = rig.interact(s, "click");
    rig.step(s, id);
    rig.send(other, "begin");
    rig.close(other, "close");
    rig.finished();
    let now = rig.now;
    for (at, next) in [(0, 5), (1, 5), (5, 25), (6, 25)] {
        rig.link.expire(now + at * SECOND, &mut rig.effects);
        assert_eq!(rig.link.deadline(), Some(now + next * SECOND), "at {at} s");
    }
    assert_eq!(rig.finished(), ["close: Timeout(Close) in s2"]);
}

#[test]
fn an_early_call_leaves_what_waits_for_its_turn_its_deadline() {
    let (mut rig, s) = Rig::of_one();
    rig.patience(10 * TIMEOUT);
    rig.interact(s, "click");
    rig.patience(SECOND);
    rig.query(s, "query");
    rig.link.expire(rig.now, &mut rig.effects);
    assert_eq!(rig.link.deadline(), Some(rig.now + SECOND));
}

#[test]
fn what_never_got_its_turn_says_so() {
    let (mut rig, s) = Rig::of_one();
    rig.interact(s, "click");
    rig.patience(SECOND);
    rig.query(s, "query");
    rig.send(s, "plain");
    rig.interact(s, "second");
    rig.finished();
    rig.pass(SECOND);
    assert_eq!(
        rig.finished(),
        [
            "query: Timeout(Send) in s1 ~2",
            "plain: Timeout(Send) in s1 ~3",
            "second: Timeout(Send) in s1 ~4"
        ]
    );
    assert_eq!(rig.link.load().queued, 0);
    assert_eq!(rig.sent(), ["s1 interact click"]);
}

#[test]
fn what_ran_out_of_time_makes_way_for_what_waits_behind_it() {
    let mut rig = Rig::with(LinkConfig {
        credit: 2,
        ..config()
    });
    let s = rig.open(1);
    rig.send(s, "a");
    rig.patience(SECOND);
    rig.send(s, "b");
    rig.patience(TIMEOUT);
    rig.query(s, "c");
    rig.pass(SECOND);
    rig.sent();
    rig.reply(s, "query_response", crate::RequestId::new(0));
    assert_eq!(rig.sent()[0], "s1 query c");
    assert_eq!(rig.finished(), ["a: sent", "b: Timeout(Send) in s1 ~2"]);
}

#[test]
fn an_interact_that_got_no_answer_in_time_is_told_as_an_event() {
    let (mut rig, s) = Rig::of_one();
    rig.interact(s, "click");
    rig.pass(TIMEOUT);
    assert_eq!(rig.events(s), ["interact: Timeout(Reply) in s1 ~1"]);
}
