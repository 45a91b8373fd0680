//! What the renderer writes to its standard error ends no request that it does not mean.

use std::time::Duration;

use serde_json::json;

use super::rig::{Rig, reply};
use crate::Class;

const NO_ACTION: &str =
    "[now ERROR plushie_renderer::headless] decode error: missing field `action`";

#[test]
fn a_cancelled_interact_that_is_unreadable_ends_no_interact_of_another_session() {
    let (mut rig, one) = Rig::of_one();
    let other = rig.open(2);
    let bad = rig.interact_request(one, "bad");
    rig.sent();
    rig.cancel(one, bad);
    let good = rig.interact_request(other, "good");
    rig.sent();
    rig.finished();
    rig.link.complained(NO_ACTION, rig.now, &mut rig.effects);
    rig.reply(other, "interact_response", good);
    assert_eq!(rig.finished(), [format!("good: interact_response {good}")]);
}

#[test]
fn an_unreadable_interact_of_a_session_that_closes_ends_no_interact_of_another() {
    let (mut rig, one) = Rig::of_one();
    let other = rig.open(2);
    rig.interact(one, "bad");
    rig.sent();
    rig.forget(one);
    let good = rig.interact_request(other, "good");
    rig.sent();
    rig.finished();
    rig.link.complained(NO_ACTION, rig.now, &mut rig.effects);
    rig.reply(other, "interact_response", good);
    assert_eq!(rig.finished(), [format!("good: interact_response {good}")]);
}

#[test]
fn a_complaint_that_comes_late_ends_no_effect_sent_after_what_it_means() {
    let (mut rig, session) = Rig::of_one();
    rig.send(session, "bad");
    let read = rig.query(session, "read");
    rig.sent();
    rig.reply(session, "query_response", read);
    let answer = reply("effect_response", None);
    let body = json!({"type": "effect"});
    let effect = rig.submit(session, "effect", Class::Plain, answer, body);
    rig.sent();
    rig.finished();
    let line = "[now ERROR plushie_renderer::headless] decode error: it is odd";
    rig.link.complained(line, rig.now, &mut rig.effects);
    rig.pass(Duration::from_secs(2));
    rig.reply(session, "effect_response", effect);
    assert_eq!(
        rig.finished(),
        [format!("effect: effect_response {effect}")]
    );
}
