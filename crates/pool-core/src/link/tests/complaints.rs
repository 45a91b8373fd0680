//! What the renderer writes to its standard error ends no request that it does not mean.

use super::rig::Rig;

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
