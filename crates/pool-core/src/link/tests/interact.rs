//! The interact gate: while an interact runs the renderer takes whatever comes next as the tree
//! a step led to.

use std::time::Duration;

use serde_json::json;

use super::rig::{Rig, TIMEOUT, config};
use crate::link::{Answer, LinkConfig};
use crate::{Class, ErrorKind, RequestId, SessionId};

const STEP: Duration = Duration::from_secs(25);

/// A session whose interact `~1` runs.
fn running() -> (Rig, SessionId, RequestId) {
    let (mut rig, s) = Rig::of_one();
    rig.patience(10 * TIMEOUT);
    let id = rig.interact(s, "click");
    assert_eq!(rig.sent(), ["s1 interact click"]);
    assert_eq!(rig.finished(), ["click: sent"]);
    (rig, s, id)
}

#[test]
fn a_query_waits_until_the_interact_is_over() {
    let (mut rig, s, id) = running();
    rig.query(s, "query");
    rig.send(s, "plain");
    rig.step(s, id);
    assert_eq!(rig.events(s), ["step ~1"]);
    assert_eq!(rig.sent(), [""; 0]);
    rig.tree(s, "tree");
    assert_eq!(rig.sent(), ["s1 snapshot tree"]);
    rig.reply(s, "interact_response", id);
    assert_eq!(rig.events(s), ["response ~1"]);
    assert_eq!(rig.sent(), ["s1 query query", "s1 subscribe plain"]);
}

#[test]
fn an_interact_that_was_requested_ends_with_its_reply() {
    let (mut rig, s) = Rig::of_one();
    let id = rig.interact_request(s, "click");
    rig.step(s, id);
    rig.tree(s, "tree");
    rig.reply(s, "interact_response", id);
    assert_eq!(
        rig.finished(),
        ["tree: sent", "click: interact_response ~1"]
    );
    assert_eq!(rig.events(s), ["step ~1"]);
}

#[test]
fn an_interact_answered_by_something_else_fails() {
    let (mut rig, s, id) = running();
    rig.reply(s, "query_response", id);
    assert_eq!(rig.events(s), ["interact: UnexpectedReply in s1 ~1"]);
    rig.query(s, "query");
    assert_eq!(rig.sent(), ["s1 query query"]);
}

#[test]
fn a_step_takes_one_tree_and_the_next_tree_waits_for_the_next_step() {
    let (mut rig, s, id) = running();
    rig.step(s, id);
    rig.tree(s, "one");
    rig.tree(s, "two");
    assert_eq!(rig.sent(), ["s1 snapshot one"]);
    rig.step(s, id);
    assert_eq!(rig.sent(), ["s1 snapshot two"]);
}

#[test]
fn trees_sent_before_any_step_wait_for_one() {
    let (mut rig, s, id) = running();
    rig.tree(s, "one");
    rig.tree(s, "two");
    assert_eq!(rig.sent(), [""; 0]);
    rig.step(s, id);
    assert_eq!(rig.sent(), ["s1 snapshot one"]);
    rig.reply(s, "interact_response", id);
    assert_eq!(rig.sent(), ["s1 snapshot two"]);
}

#[test]
fn a_second_interact_waits_for_the_first_and_has_steps_of_its_own() {
    let (mut rig, s, first) = running();
    let second = rig.interact(s, "second");
    rig.step(s, first);
    assert_eq!(rig.sent(), [""; 0]);
    rig.tree(s, "tree");
    rig.reply(s, "interact_response", first);
    assert_eq!(rig.sent(), ["s1 snapshot tree", "s1 interact second"]);
    rig.query(s, "query");
    assert_eq!(rig.sent(), [""; 0]);
    rig.step(s, second);
    rig.tree(s, "tree");
    rig.reply(s, "interact_response", second);
    assert_eq!(rig.sent(), ["s1 snapshot tree", "s1 query query"]);
}

#[test]
fn other_sessions_do_not_wait() {
    let (mut rig, s, id) = running();
    let other = rig.open(2);
    rig.step(s, id);
    rig.query(other, "query");
    assert_eq!(rig.sent(), ["s2 query query"]);
}

#[test]
fn a_step_nobody_answers_ends_the_interact_and_not_the_session() {
    let (mut rig, s, id) = running();
    rig.query(s, "query");
    rig.step(s, id);
    rig.pass(STEP);
    assert_eq!(
        rig.events(s),
        ["step ~1", "interact: Timeout(Step) in s1 ~1"]
    );
    assert_eq!(rig.sent(), ["s1 patch ~0"], "the renderer must not wait on");
    for _ in 0..2 {
        rig.step(s, id);
        assert_eq!(rig.sent(), ["s1 patch ~0"]);
    }
    assert_eq!(rig.events(s), [""; 0], "its owner has been told");
    rig.reply(s, "interact_response", id);
    assert_eq!(rig.sent(), ["s1 query query"]);
    assert_eq!(rig.link.counters().late, 1);
}

#[test]
fn a_requested_interact_too_ends_when_its_step_is_not_answered() {
    let (mut rig, s) = Rig::of_one();
    let id = rig.interact_request(s, "click");
    rig.step(s, id);
    rig.pass(STEP);
    assert_eq!(rig.finished(), ["click: Timeout(Step) in s1 ~1"]);
    assert_eq!(rig.sent(), ["s1 interact click", "s1 patch ~0"]);
}

#[test]
fn each_step_has_its_own_time() {
    let (mut rig, s, id) = running();
    for _ in 0..5 {
        rig.step(s, id);
        rig.pass(STEP - Duration::from_secs(1));
        rig.tree(s, "tree");
        rig.pass(Duration::from_secs(2));
    }
    rig.reply(s, "interact_response", id);
    assert_eq!(rig.events(s).last().unwrap(), "response ~1");
    assert_eq!(rig.sent().len(), 5);
}

#[test]
fn an_interact_cancelled_in_a_step_leaves_no_step_unanswered() {
    let (mut rig, s, id) = running();
    rig.step(s, id);
    rig.cancel(s, id);
    assert_eq!(rig.sent(), ["s1 patch ~0"]);
    rig.tree(s, "too late for the step");
    assert_eq!(rig.sent(), [""; 0]);
    rig.step(s, id);
    assert_eq!(rig.sent(), ["s1 patch ~0"]);
    rig.reply(s, "interact_response", id);
    assert_eq!(rig.sent(), ["s1 snapshot too late for the step"]);
    assert_eq!(rig.events(s), ["step ~1"]);
}

const PROBE: &str = "~18446744073709551614";

#[test]
fn an_interact_cancelled_between_steps_is_asked_after_and_that_answers_the_next_step() {
    let (mut rig, s, id) = running();
    rig.cancel(s, id);
    rig.query(s, "query");
    assert_eq!(rig.sent(), [format!("s1 query {PROBE}")]);
    rig.step(s, id);
    assert_eq!(rig.sent(), [""; 0], "the step took the probe");
    rig.step(s, id);
    assert_eq!(rig.sent(), ["s1 patch ~0"]);
    rig.reply(s, "interact_response", id);
    assert_eq!(rig.sent(), ["s1 query query"]);
}

#[test]
fn an_interact_that_the_renderer_dropped_unread_does_not_keep_the_gate_shut() {
    let (mut rig, s) = Rig::of_one();
    rig.patience(Duration::from_secs(5));
    rig.interact_request(s, "misspelt");
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.finished(), ["misspelt: Timeout(Reply) in s1 ~1"]);
    rig.query(s, "query");
    let probe = format!("s1 query {PROBE}");
    assert_eq!(rig.sent(), ["s1 interact misspelt", &probe]);
    rig.reply(s, "query_response", PROBE.parse().unwrap());
    assert_eq!(rig.sent(), ["s1 query query"]);
    assert_eq!(rig.link.counters().late, 0);
}

#[test]
fn an_interact_out_of_time_in_a_step_leaves_no_step_unanswered() {
    let (mut rig, s) = Rig::of_one();
    rig.patience(Duration::from_secs(5));
    let id = rig.interact_request(s, "click");
    rig.step(s, id);
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.finished(), ["click: Timeout(Reply) in s1 ~1"]);
    assert_eq!(rig.sent(), ["s1 interact click", "s1 patch ~0"]);
    rig.pass(STEP);
    assert_eq!(rig.sent(), [""; 0], "one tree a step");
}

#[test]
fn an_interact_cancelled_before_it_was_sent_is_never_sent() {
    let (mut rig, s, first) = running();
    let second = rig.interact(s, "second");
    rig.query(s, "query");
    rig.cancel(s, second);
    rig.reply(s, "interact_response", first);
    assert_eq!(rig.sent(), ["s1 query query"]);
    assert_eq!(rig.finished(), [""; 0]);
}

#[test]
fn a_step_of_no_running_interact_is_nobodys() {
    let (mut rig, s, id) = running();
    rig.reply(s, "interact_response", id);
    rig.events(s);
    rig.step(s, id);
    rig.peer(&json!({"type": "interact_step", "session": "s1", "id": "mine"}));
    assert_eq!(rig.events(s), [""; 0]);
    assert_eq!(rig.link.counters().stray, 2);
    rig.query(s, "query");
    assert_eq!(rig.sent(), ["s1 query query"]);
}

#[test]
fn a_step_of_another_interact_asks_for_no_tree() {
    let (mut rig, s, id) = running();
    rig.tree(s, "tree");
    rig.step(s, RequestId::new(99));
    rig.peer(&json!({"type": "interact_step", "session": "s1", "id": "mine"}));
    rig.peer(&json!({"type": "interact_step", "session": "s1"}));
    assert_eq!(rig.sent(), [""; 0]);
    assert_eq!(rig.link.counters().stray, 3);
    rig.step(s, id);
    assert_eq!(rig.sent(), ["s1 snapshot tree"]);
}

#[test]
fn the_answer_to_another_request_does_not_end_an_interact() {
    let (mut rig, s) = Rig::of_one();
    let effect = rig.query(s, "slow effect");
    let id = rig.interact(s, "click");
    rig.query(s, "later");
    rig.sent();
    rig.reply(s, "query_response", effect);
    assert_eq!(rig.sent(), [""; 0]);
    rig.reply(s, "interact_response", id);
    assert_eq!(rig.sent(), ["s1 query later"]);
}

/// The renderer drops an interact without an id, and would never end what the gate waits for.
#[test]
fn an_interact_that_nobody_would_hear_of_is_refused() {
    let (mut rig, s) = Rig::of_one();
    let body = json!({"type": "interact"});
    let refused = rig.try_submit(s, "click", Class::Interact, Answer::None, body);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidMessage);
    rig.query(s, "query");
    assert_eq!(rig.sent(), ["s1 query query"]);
}

/// Typing a long text is an interact with a step for each letter.
#[test]
fn three_hundred_steps_do_not_run_out_of_credit() {
    let mut rig = Rig::with(LinkConfig {
        credit: 8,
        ..config()
    });
    let s = rig.open(1);
    let id = rig.interact(s, "type");
    assert_eq!(rig.sent(), ["s1 interact type"]);
    for _ in 0..300 {
        rig.step(s, id);
        rig.tree(s, "letter");
        assert_eq!(rig.sent(), ["s1 snapshot letter"], "and no barrier");
    }
    rig.reply(s, "interact_response", id);
    rig.query(s, "query");
    assert_eq!(rig.sent(), ["s1 query query"]);
}

#[test]
fn three_hundred_steps_that_nobody_answers_do_not_either() {
    let mut rig = Rig::with(LinkConfig {
        credit: 8,
        ..config()
    });
    let s = rig.open(1);
    let id = rig.interact(s, "type");
    rig.cancel(s, id);
    for _ in 0..300 {
        rig.step(s, id);
    }
    assert_eq!(rig.sent().len(), 301);
    rig.reply(s, "interact_response", id);
    rig.query(s, "query");
    assert_eq!(rig.sent(), ["s1 query query"], "and needs no barrier");
}
