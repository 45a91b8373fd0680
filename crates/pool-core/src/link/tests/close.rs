//! How a session ends when its owner wants it to.

use std::time::Duration;

use serde_json::json;

use super::rig::{Rig, TIMEOUT, config};
use crate::link::LinkConfig;
use crate::{Close, Error, ErrorKind, Phase, SessionId};

const PATIENCE: Duration = Duration::from_secs(5);

/// A session the renderer has heard of.
fn begun() -> (Rig, SessionId) {
    let (mut rig, s) = Rig::of_one();
    rig.tree(s, "tree");
    rig.sent();
    rig.finished();
    (rig, s)
}

/// A session whose reset is on its way.
fn closing() -> (Rig, SessionId) {
    let (mut rig, s) = begun();
    rig.close(s, "close");
    assert_eq!(rig.sent(), ["s1 reset ~0"]);
    assert_eq!(rig.finished(), [""; 0], "the renderer has not confirmed");
    assert_eq!(rig.released(), []);
    (rig, s)
}

fn reset_response(rig: &mut Rig) {
    rig.peer(&json!({"type": "reset_response", "session": "s1", "id": "~0"}));
}

#[test]
fn a_session_the_renderer_never_heard_of_closes_without_a_word() {
    let (mut rig, s) = Rig::of_one();
    rig.close(s, "close");
    assert_eq!(rig.sent(), [""; 0]);
    assert_eq!(rig.finished(), ["close: closed"]);
    assert_eq!(rig.released(), [s]);
    assert_eq!(rig.events(s), ["end"]);
}

#[test]
fn either_confirmation_closes_and_the_other_changes_nothing() {
    let reset = |rig: &mut Rig, _| reset_response(rig);
    let closed = |rig: &mut Rig, s| rig.event(s, "session_closed");
    type Confirm = fn(&mut Rig, SessionId);
    let orders: [&[Confirm]; 4] = [&[reset, closed], &[closed, reset], &[reset], &[closed]];
    for confirmations in orders {
        let (mut rig, s) = closing();
        for confirm in confirmations {
            confirm(&mut rig, s);
        }
        assert_eq!(rig.finished(), ["close: closed"]);
        assert_eq!(rig.released(), [s]);
        assert_eq!(rig.events(s), ["end"]);
        assert_eq!(rig.link.counters().stray, 0);
        rig.pass(2 * PATIENCE);
        assert!(!rig.effects.suspect);
        assert_eq!(rig.released(), []);
    }
}

#[test]
fn a_second_close_while_closing_ends_with_the_first() {
    let (mut rig, s) = closing();
    rig.close(s, "second");
    assert_eq!(rig.sent(), [""; 0], "one reset");
    reset_response(&mut rig);
    assert_eq!(rig.finished(), ["close: closed", "second: closed"]);
    assert_eq!(rig.released(), [s]);
}

#[test]
fn a_close_after_the_end_is_done_at_once() {
    let (mut rig, s) = closing();
    reset_response(&mut rig);
    rig.finished();
    rig.close(s, "again");
    assert_eq!(rig.finished(), ["again: closed"]);
    rig.forget(s);
    rig.close(s, "once more");
    assert_eq!(rig.finished(), ["once more: closed"]);
    assert_eq!(rig.sent(), [""; 0]);
    assert_eq!(rig.released(), [s]);
}

#[test]
fn everything_that_waits_ends_at_the_close() {
    let (mut rig, s) = begun();
    rig.query(s, "pending");
    rig.interact(s, "click");
    rig.query(s, "queued");
    rig.finished();
    rig.close(s, "close");
    assert_eq!(
        rig.finished(),
        [
            "pending: SessionClosed in s1 ~2",
            "queued: SessionClosed in s1 ~4"
        ]
    );
    assert_eq!(rig.events(s), ["interact: SessionClosed in s1 ~3"]);
    assert_eq!(
        rig.sent(),
        ["s1 query pending", "s1 interact click", "s1 reset ~0"],
        "what was queued stays unsent"
    );
    let load = rig.link.load();
    assert_eq!((load.sessions, load.pending, load.queued), (1, 0, 0));
}

#[test]
fn nothing_is_taken_on_while_closing_or_after() {
    let (mut rig, s) = closing();
    for _ in 0..2 {
        let body = json!({"type": "query"});
        let answer = super::rig::reply("query_response", None);
        let refused = rig.try_submit(s, "late", crate::Class::Plain, answer, body);
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionClosed);
        assert_eq!(error.session(), Some(s));
        assert!(error.request().is_some());
        reset_response(&mut rig);
    }
    assert_eq!(rig.sent(), [""; 0]);
}

#[test]
fn a_close_that_is_not_confirmed_gives_up_and_says_so() {
    let (mut rig, s) = closing();
    rig.pass(PATIENCE - Duration::from_millis(1));
    assert_eq!(rig.released(), []);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.finished(), ["close: Timeout(Close) in s1"]);
    assert_eq!(rig.released(), [s]);
    assert!(rig.effects.suspect);
    assert_eq!(rig.link.load().sessions, 0);
    reset_response(&mut rig);
    rig.event(s, "session_closed");
    assert_eq!(rig.finished(), [""; 0]);
    assert_eq!(rig.released(), [], "once");
}

#[test]
fn the_renderers_death_confirms_a_close() {
    let (mut rig, s) = closing();
    rig.fail(&Error::new(ErrorKind::RendererExited, "gone"));
    assert_eq!(rig.finished(), ["close: closed"]);
    assert_eq!(rig.released(), [s]);
    assert_eq!(rig.events(s), ["end"]);
    rig.pass(2 * PATIENCE);
    assert!(!rig.effects.suspect);
}

#[test]
fn a_session_given_up_while_closing_is_closed() {
    let (mut rig, s) = closing();
    rig.session_error(s, "session_panic", "data");
    rig.event(s, "session_closed");
    assert_eq!(rig.finished(), ["close: closed"]);
    assert_eq!(rig.released(), [s]);
}

#[test]
fn a_font_too_many_does_not_confirm_a_close() {
    let (mut rig, s) = closing();
    rig.session_error(s, "font_cap_exceeded", "value");
    assert_eq!(rig.released(), []);
    reset_response(&mut rig);
    assert_eq!(rig.finished(), ["close: closed"]);
}

#[test]
fn a_late_reply_does_not_confirm_a_close() {
    let (mut rig, s) = begun();
    let id = rig.query(s, "pending");
    rig.close(s, "close");
    rig.finished();
    rig.reply(s, "query_response", id);
    assert_eq!(rig.finished(), [""; 0]);
    assert_eq!(rig.link.counters().late, 1);
    reset_response(&mut rig);
    assert_eq!(rig.finished(), ["close: closed"]);
}

#[test]
fn an_owner_gone_closes_the_session_and_leaves_nothing_behind() {
    let (mut rig, s) = begun();
    rig.query(s, "pending");
    rig.forget(s);
    assert_eq!(rig.finished(), ["pending: SessionClosed in s1 ~2"]);
    assert_eq!(rig.sent(), ["s1 query pending", "s1 reset ~0"]);
    assert_eq!(rig.link.load().sessions, 1, "the renderer still has it");
    reset_response(&mut rig);
    assert_eq!(rig.released(), [s]);
    assert_eq!(rig.link.load().sessions, 0);
    assert_eq!(rig.events(s), ["end"]);
    rig.open(1);
}

/// The name is free again only when the link holds nothing of the session any more.
#[test]
fn a_forgotten_session_is_dropped_however_it_ends() {
    let ends: [fn(&mut Rig, SessionId); 4] = [
        |rig, s| rig.event(s, "session_closed"),
        |rig, s| rig.session_error(s, "session_panic", "data"),
        |rig, _| rig.pass(PATIENCE),
        |rig, s| {
            reset_response(rig);
            rig.forget(s);
        },
    ];
    for end in ends {
        let (mut rig, s) = begun();
        rig.forget(s);
        end(&mut rig, s);
        assert_eq!(rig.released(), [s]);
        rig.open(1);
    }
    let (mut rig, s) = closing();
    reset_response(&mut rig);
    rig.forget(s);
    rig.open(1);

    let (mut rig, s) = begun();
    rig.forget(s);
    rig.fail(&Error::new(ErrorKind::RendererExited, "gone"));
    assert!(rig.link.sessions.is_empty());
}

#[test]
fn a_close_inside_a_step_answers_it_or_the_reset_would_be_swallowed() {
    let (mut rig, s) = begun();
    let id = rig.interact(s, "click");
    rig.step(s, id);
    rig.close(s, "close");
    assert_eq!(
        rig.sent(),
        ["s1 interact click", "s1 patch ~0", "s1 reset ~0"]
    );
}

/// Behind a reset the renderer takes any message as the first of a new session of that name,
/// which nobody would ever close.
#[test]
fn nothing_is_sent_behind_a_reset() {
    let (mut rig, s) = begun();
    let id = rig.interact(s, "click");
    rig.close(s, "close");
    rig.sent();
    rig.events(s);
    rig.step(s, id);
    rig.pass(PATIENCE / 2);
    rig.step(s, id);
    assert_eq!(rig.events(s), [""; 0], "nobody could answer");
    rig.event(s, "session_closed");
    rig.pass(10 * TIMEOUT);
    assert_eq!(rig.sent(), [""; 0]);

    let (mut rig, s) = begun();
    let id = rig.interact(s, "click");
    rig.cancel(s, id);
    rig.close(s, "close");
    rig.sent();
    rig.step(s, id);
    assert_eq!(rig.sent(), [""; 0]);
}

#[test]
fn a_renderer_that_ends_with_its_session_is_told_to_exit() {
    let mut rig = Rig::with(LinkConfig {
        close: Close::Exit,
        ..config()
    });
    let s = rig.open(1);
    rig.close(s, "close");
    let frames = rig.frames();
    let exit: serde_json::Value = serde_json::from_slice(&frames[0]).unwrap();
    assert_eq!(exit["type"], "widget_op");
    assert_eq!(exit["op"], "exit");
    assert_eq!(exit["payload"], json!({}));
    assert_eq!(rig.finished(), [""; 0], "even one that never began");
    rig.fail(&Error::new(ErrorKind::RendererExited, "exit code 0"));
    assert_eq!(rig.finished(), ["close: closed"]);
    assert_eq!(rig.released(), [s]);
}

#[test]
fn an_unconfirmed_close_reads_as_what_was_waited_for() {
    let (mut rig, _) = closing();
    rig.pass(PATIENCE);
    let (_, result) = rig.effects.finished.pop().unwrap();
    let error = result.unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Close));
    assert_eq!(
        error.to_string(),
        "session s1: no confirmation that the session closed within 5s"
    );
}
