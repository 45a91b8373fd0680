//! Which request a reply is for.

use std::time::Duration;

use serde_json::json;

use super::rig::{Rig, TIMEOUT, reply};
use crate::link::Answer;
use crate::{Class, RequestId};

#[test]
fn replies_in_any_order_reach_the_requests_they_name() {
    let (mut rig, s) = Rig::of_one();
    let [a, b, c] = ["a", "b", "c"].map(|name| rig.query(s, name));
    assert_eq!(rig.sent(), ["s1 query a", "s1 query b", "s1 query c"]);
    for id in [c, a, b] {
        rig.reply(s, "query_response", id);
    }
    assert_eq!(
        rig.finished(),
        [
            "c: query_response ~3",
            "a: query_response ~1",
            "b: query_response ~2"
        ]
    );
    assert_eq!(rig.link.load().pending, 0);
}

#[test]
fn the_same_id_in_two_sessions_is_two_requests() {
    let mut rig = Rig::new();
    let [one, two] = [1, 2].map(|n| rig.open(n));
    let id = rig.query(one, "one");
    rig.query(two, "two");
    rig.reply(two, "query_response", id);
    assert_eq!(rig.finished(), [""; 0], "session 2 has no such request");
    rig.reply(one, "query_response", id);
    assert_eq!(rig.finished(), ["one: query_response ~1"]);
}

#[test]
fn a_reply_of_another_type_ends_the_request_with_an_error_that_names_both() {
    let (mut rig, s) = Rig::of_one();
    let id = rig.query(s, "a");
    rig.reply(s, "tree_hash_response", id);
    let (_, result) = rig.effects.finished.pop().unwrap();
    let text = result.unwrap_err().to_string();
    assert_eq!(
        text,
        "session s1, request ~1: expected query_response, the renderer answered \
         tree_hash_response"
    );
    assert_eq!(rig.link.load().pending, 0);
}

#[test]
fn who_takes_any_reply_gets_the_one_that_names_the_request_and_no_other() {
    let (mut rig, s) = Rig::of_one();
    let id = rig.submit(
        s,
        "any",
        Class::Plain,
        Answer::Any,
        json!({"type": "query"}),
    );
    rig.peer(&json!({"type": "query_response", "session": "s1"}));
    assert_eq!(rig.finished(), [""; 0], "a reply without an id is nobody's");
    rig.reply(s, "what_ever", id);
    assert_eq!(rig.finished(), ["any: what_ever ~1"]);
    assert_eq!(rig.link.load().pending, 0);
}

#[test]
fn a_reply_after_the_timeout_is_nobodys() {
    let (mut rig, s) = Rig::of_one();
    let late = rig.query(s, "late");
    rig.pass(TIMEOUT);
    assert_eq!(rig.finished(), ["late: Timeout(Reply) in s1 ~1"]);
    let next = rig.query(s, "next");
    rig.reply(s, "query_response", late);
    assert_eq!(rig.finished(), [""; 0]);
    assert_eq!(rig.link.counters().late, 1);
    rig.reply(s, "query_response", next);
    assert_eq!(rig.finished(), ["next: query_response ~2"]);
}

#[test]
fn a_cancelled_request_is_never_told_anything() {
    let (mut rig, s) = Rig::of_one();
    let id = rig.query(s, "a");
    rig.cancel(s, id);
    rig.cancel(s, id);
    rig.reply(s, "query_response", id);
    rig.pass(2 * TIMEOUT);
    assert_eq!(rig.finished(), [""; 0]);
    assert_eq!(rig.link.counters().late, 1);
    assert_eq!(rig.link.load().pending, 0);
}

#[test]
fn a_reply_without_an_id_is_for_the_request_whose_tag_it_repeats() {
    let (mut rig, s) = Rig::of_one();
    rig.op(s, "theme", Some("theme"));
    rig.op(s, "focus", Some("focus"));
    rig.reply_tagged(s, "op_query_response", "tag", "focus");
    assert_eq!(rig.finished(), ["focus: op_query_response"]);
    rig.reply_tagged(s, "op_query_response", "tag", "theme");
    assert_eq!(rig.finished(), ["theme: op_query_response"]);
}

#[test]
fn the_acknowledgement_of_a_stub_is_told_by_the_kind_it_repeats() {
    let (mut rig, s) = Rig::of_one();
    for name in ["file_open", "clipboard_read"] {
        let body = json!({"type": "register_effect_stub", "name": name});
        let answer = reply("effect_stub_register_ack", Some(name));
        rig.submit(s, name, Class::Plain, answer, body);
    }
    rig.reply_tagged(s, "effect_stub_register_ack", "kind", "clipboard_read");
    assert_eq!(rig.finished(), ["clipboard_read: effect_stub_register_ack"]);
    rig.reply_tagged(s, "effect_stub_register_ack", "kind", "file_open");
    assert_eq!(rig.finished(), ["file_open: effect_stub_register_ack"]);
}

#[test]
fn a_request_without_a_tag_takes_what_no_other_asked_for() {
    let (mut rig, s) = Rig::of_one();
    rig.op(s, "any", None);
    rig.op(s, "images", Some("images"));
    rig.reply_tagged(s, "op_query_response", "tag", "images");
    assert_eq!(rig.finished(), ["images: op_query_response"]);
    rig.reply_tagged(s, "op_query_response", "tag", "find_focused");
    assert_eq!(rig.finished(), ["any: op_query_response"]);
}

#[test]
fn replies_without_an_id_and_of_one_tag_come_in_the_order_of_the_requests() {
    let (mut rig, s) = Rig::of_one();
    rig.op(s, "first", Some("t"));
    rig.op(s, "second", Some("t"));
    rig.reply_tagged(s, "op_query_response", "tag", "t");
    assert_eq!(rig.finished(), ["first: op_query_response"]);
    rig.reply_tagged(s, "op_query_response", "tag", "t");
    assert_eq!(rig.finished(), ["second: op_query_response"]);
}

#[test]
fn a_reply_of_another_type_or_tag_is_not_taken_for_the_one_without_an_id() {
    let (mut rig, s) = Rig::of_one();
    rig.op(s, "a", Some("t"));
    rig.reply_tagged(s, "effect_stub_register_ack", "kind", "t");
    rig.reply_tagged(s, "op_query_response", "tag", "u");
    assert_eq!(rig.finished(), [""; 0]);
    assert_eq!(
        rig.events(s),
        [
            "message effect_stub_register_ack",
            "message op_query_response"
        ]
    );
}

#[test]
fn a_late_reply_without_an_id_is_not_taken_for_the_next_calls() {
    let (mut rig, s) = Rig::of_one();
    let cancelled = rig.op(s, "cancelled", Some("t"));
    rig.cancel(s, cancelled);
    rig.op(s, "timed out", Some("t"));
    rig.pass(TIMEOUT);
    assert_eq!(rig.finished(), ["timed out: Timeout(Reply) in s1 ~2"]);
    rig.op(s, "next", Some("t"));
    for _ in 0..2 {
        rig.reply_tagged(s, "op_query_response", "tag", "t");
        assert_eq!(rig.finished(), [""; 0]);
    }
    rig.reply_tagged(s, "op_query_response", "tag", "t");
    assert_eq!(rig.finished(), ["next: op_query_response"]);
    assert_eq!(rig.link.counters().late, 2);
}

/// The renderer takes messages in order: what it passed over it will not answer later.
#[test]
fn a_request_that_was_never_answered_does_not_take_the_next_calls_reply() {
    let (mut rig, s) = Rig::of_one();
    let lost = rig.op(s, "lost", Some("t"));
    let query = rig.query(s, "query");
    rig.cancel(s, lost);
    rig.reply(s, "query_response", query);
    rig.op(s, "next", Some("t"));
    rig.reply_tagged(s, "op_query_response", "tag", "t");
    assert_eq!(
        rig.finished(),
        ["query: query_response ~2", "next: op_query_response"]
    );

    rig.patience(Duration::from_secs(1));
    rig.op(s, "lost too", Some("t"));
    let query = rig.query(s, "query");
    rig.reply(s, "query_response", query);
    rig.pass(Duration::from_secs(1));
    rig.op(s, "next", Some("t"));
    rig.reply_tagged(s, "op_query_response", "tag", "t");
    assert_eq!(
        rig.finished(),
        [
            "query: query_response ~5",
            "lost too: Timeout(Reply) in s1 ~4",
            "next: op_query_response"
        ]
    );
}

#[test]
fn a_step_too_shows_what_will_not_be_answered_any_more() {
    let (mut rig, s) = Rig::of_one();
    let lost = rig.op(s, "lost", Some("t"));
    rig.cancel(s, lost);
    let interact = rig.interact(s, "click");
    rig.step(s, interact);
    rig.tree(s, "tree");
    rig.reply(s, "interact_response", interact);
    rig.finished();
    rig.op(s, "next", Some("t"));
    rig.reply_tagged(s, "op_query_response", "tag", "t");
    assert_eq!(rig.finished(), ["next: op_query_response"]);
}

#[test]
fn a_reply_to_an_id_of_the_callers_choice_is_an_event() {
    let (mut rig, s) = Rig::of_one();
    rig.send(s, "effect");
    rig.peer(&json!({"type": "effect_response", "session": "s1", "id": "mine"}));
    assert_eq!(rig.events(s), ["message effect_response"]);
    assert_eq!(rig.finished(), ["effect: sent"]);
}

#[test]
fn a_second_reply_to_one_request_is_late() {
    let (mut rig, s) = Rig::of_one();
    let id = rig.query(s, "a");
    rig.reply(s, "query_response", id);
    rig.reply(s, "query_response", id);
    rig.reply(s, "query_response", RequestId::new(99));
    assert_eq!(rig.finished(), ["a: query_response ~1"]);
    assert_eq!(rig.link.counters().late, 2);
    assert_eq!(rig.events(s), [""; 0]);
}

#[test]
fn a_plain_message_is_done_when_it_is_sent() {
    let (mut rig, s) = Rig::of_one();
    rig.send(s, "a");
    assert_eq!(rig.finished(), ["a: sent"]);
    assert_eq!(rig.sent(), ["s1 subscribe a"]);
    assert_eq!(rig.link.load().pending, 0);
}
