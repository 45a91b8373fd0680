//! How a session ends against its owner's will, and that it is the only one.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::json::Json;
use super::rig::{Rig, TIMEOUT, config, reply};
use crate::link::{LinkConfig, Outcome};
use crate::{
    Class, Envelope, Error, ErrorKind, Exit, FrameDecoder, Header, Read, SessionId, Transport,
};

#[test]
fn an_error_of_the_session_ends_all_it_had_wherever_its_code_is() {
    for under in ["data", "value"] {
        let (mut rig, s) = Rig::of_one();
        rig.query(s, "pending");
        rig.interact(s, "click");
        rig.query(s, "queued");
        rig.finished();
        rig.session_error(s, "session_panic", under);
        assert_eq!(
            rig.finished(),
            [
                "pending: SessionFailed in s1 ~1",
                "queued: SessionFailed in s1 ~3"
            ]
        );
        assert_eq!(
            rig.events(s),
            [
                "interact: SessionFailed in s1 ~2",
                "failed: SessionFailed in s1",
                "end"
            ]
        );
        assert_eq!(rig.released(), [s]);
        assert_eq!(rig.link.load(), Default::default());
    }
}

#[test]
fn the_error_says_what_the_renderer_said() {
    for under in ["data", "value"] {
        let (mut rig, s) = Rig::of_one();
        rig.query(s, "a");
        rig.session_error(s, "session_backpressure_overflow", under);
        let (_, result) = rig.effects.finished.pop().unwrap();
        let error = result.unwrap_err();
        assert_eq!(error.code(), Some("session_backpressure_overflow"));
        assert_eq!(
            error.to_string(),
            "session s1, request ~1: the renderer gave up the session: it was too much \
             (session_backpressure_overflow)"
        );
        let answer = reply("query_response", None);
        let body = json!({"type": "query"});
        let refused = rig.try_submit(s, "late", Class::Plain, answer, body);
        assert_eq!(
            refused.unwrap_err().code(),
            Some("session_backpressure_overflow"),
            "later calls are told the same"
        );
    }
}

#[test]
fn a_session_error_without_a_code_is_still_one() {
    let (mut rig, s) = Rig::of_one();
    rig.query(s, "a");
    rig.event(s, "session_error");
    assert_eq!(rig.finished(), ["a: SessionFailed in s1 ~1"]);
}

#[test]
fn a_font_too_many_is_an_event_and_no_more() {
    for under in ["data", "value"] {
        let (mut rig, s) = Rig::of_one();
        let id = rig.query(s, "a");
        rig.session_error(s, "font_cap_exceeded", under);
        assert_eq!(rig.events(s), ["event session_error"]);
        rig.reply(s, "query_response", id);
        assert_eq!(rig.finished(), ["a: query_response ~1"]);
        assert_eq!(rig.released(), []);
    }
}

#[test]
fn the_other_sessions_do_not_notice() {
    let mut rig = Rig::new();
    let [bad, good] = [1, 2].map(|n| rig.open(n));
    rig.query(bad, "bad");
    let id = rig.query(good, "good");
    rig.session_error(bad, "session_panic", "data");
    rig.event(bad, "session_closed");
    rig.finished();
    assert_eq!(rig.released(), [bad]);
    assert_eq!(rig.events(good), [""; 0]);
    rig.reply(good, "query_response", id);
    assert_eq!(rig.finished(), ["good: query_response ~2"]);
}

#[test]
fn a_session_closed_unasked_fails() {
    let (mut rig, s) = Rig::of_one();
    rig.query(s, "a");
    rig.event(s, "session_closed");
    assert_eq!(rig.finished(), ["a: SessionFailed in s1 ~1"]);
    assert_eq!(rig.released(), [s]);
}

#[test]
fn a_session_that_failed_closes_and_is_forgotten_without_a_word() {
    let (mut rig, s) = Rig::of_one();
    rig.query(s, "a");
    rig.session_error(s, "session_panic", "data");
    rig.sent();
    rig.finished();
    rig.close(s, "close");
    assert_eq!(rig.finished(), ["close: closed"]);
    rig.forget(s);
    assert_eq!(rig.sent(), [""; 0]);
    assert_eq!(rig.released(), [s], "once");
    rig.open(1);
}

/// To the renderer the first message after the end begins a new session of that name.
#[test]
fn nothing_is_sent_for_a_session_that_failed_in_a_step() {
    let (mut rig, s) = Rig::of_one();
    let id = rig.interact(s, "click");
    rig.step(s, id);
    rig.session_error(s, "session_panic", "data");
    rig.sent();
    rig.cancel(s, id);
    rig.step(s, id);
    rig.link.expire(rig.now, &mut rig.effects);
    assert_eq!(rig.link.deadline(), None, "nothing is left to wait for");
    rig.pass(10 * TIMEOUT);
    assert_eq!(rig.sent(), [""; 0]);
}

#[test]
fn a_dead_renderer_ends_every_request_of_every_session_with_its_account() {
    let mut rig = Rig::new();
    let [one, two] = [1, 2].map(|n| rig.open(n));
    rig.query(one, "one");
    rig.interact(two, "click");
    rig.query(two, "queued");
    rig.finished();
    let account = Error::new(ErrorKind::RendererExited, "the renderer is gone")
        .with_exit(Exit::Signal(9))
        .with_stderr("out of memory");
    rig.fail(&account);
    for (_, result) in &rig.effects.finished {
        let error = result.as_ref().unwrap_err();
        assert_eq!(error.exit(), Some(Exit::Signal(9)));
        assert_eq!(error.stderr(), Some("out of memory"));
    }
    let mut finished = rig.finished();
    finished.sort();
    assert_eq!(
        finished,
        [
            "one: RendererExited in s1 ~1",
            "queued: RendererExited in s2 ~3"
        ]
    );
    assert_eq!(rig.events(one), ["exited: RendererExited in s1", "end"]);
    assert_eq!(
        rig.events(two),
        [
            "interact: RendererExited in s2 ~2",
            "exited: RendererExited in s2",
            "end"
        ]
    );
    let mut released = rig.released();
    released.sort();
    assert_eq!(released, [one, two]);
    assert!(rig.link.is_gone());

    rig.fail(&Error::new(ErrorKind::RendererExited, "again"));
    assert_eq!(rig.released(), [], "once");
    let refused = rig.link.open(crate::SessionId::new(3)).unwrap_err();
    assert_eq!(refused.exit(), Some(Exit::Signal(9)));
    let body = json!({"type": "query"});
    let refused = rig.try_submit(one, "late", Class::Plain, reply("x", None), body);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::RendererExited);
}

#[test]
fn what_was_not_written_when_the_renderer_died_never_is() {
    let (mut rig, s) = Rig::of_one();
    rig.query(s, "a");
    rig.fail(&Error::new(ErrorKind::RendererExited, "gone"));
    assert_eq!(rig.sent(), [""; 0]);
    rig.written(1_000);
    rig.pass(10 * TIMEOUT);
    assert_eq!(rig.sent(), [""; 0]);
    assert_eq!(rig.released(), [s]);
}

#[test]
fn a_payload_that_cannot_be_read_is_counted_and_nothing_else() {
    let (mut rig, s) = Rig::of_one();
    let id = rig.query(s, "a");
    for payload in ["", "{", "[]", "null", "{\"session\":\"s1\"}", "\u{0}"] {
        rig.payload(payload.into());
    }
    assert_eq!(rig.link.counters().malformed, 6);
    assert_eq!(rig.finished(), [""; 0]);
    assert_eq!(rig.events(s), [""; 0]);
    rig.reply(s, "query_response", id);
    assert_eq!(rig.finished(), ["a: query_response ~1"]);
    assert_eq!(rig.link.counters().received, 7);
}

#[test]
fn what_is_for_no_open_session_is_counted_and_dropped() {
    let (mut rig, s) = Rig::of_one();
    let id = rig.query(s, "a");
    rig.send(s, "b");
    for session in ["", "s2", "s01", "somebody's"] {
        rig.peer(&json!({"type": "query_response", "session": session, "id": id.to_string()}));
    }
    assert_eq!(rig.link.counters().stray, 4);
    assert_eq!(rig.finished(), ["b: sent"]);
    rig.close(s, "close");
    rig.event(s, "session_closed");
    rig.event(s, "click");
    rig.reply(s, "query_response", id);
    assert_eq!(rig.link.counters().stray, 6);
    assert_eq!(rig.events(s), ["end"]);
}

#[test]
fn the_renderers_last_words_are_kept() {
    let (mut rig, s) = Rig::of_one();
    assert_eq!(rig.link.last_words(), None);
    rig.peer(&json!({"type": "error", "session": "", "message": "protocol 9 is not spoken"}));
    assert_eq!(rig.link.last_words(), Some("protocol 9 is not spoken"));
    for under in ["data", "value"] {
        rig.peer(&json!({
            "type": "event", "family": "session_error", "session": "", "id": "",
            under: {"code": "renderer_panic", "error": format!("in {under}")},
        }));
        let words = format!("in {under} (renderer_panic)");
        assert_eq!(rig.link.last_words(), Some(&*words));
    }
    rig.peer(&json!({"type": "event", "family": "session_closed", "session": "", "id": ""}));
    assert_eq!(rig.events(s), [""; 0], "no session is meant");
}

#[test]
fn a_message_that_was_sent_counts_as_sent_though_the_session_fails_after() {
    let (mut rig, s) = Rig::of_one();
    rig.send(s, "a");
    rig.session_error(s, "session_panic", "data");
    let outcomes: Vec<_> = rig.effects.finished.iter().collect();
    assert!(matches!(outcomes[..], [("a", Ok(Outcome::Sent))]));
}

/// A format that has no words for what the link itself sends.
#[derive(Debug)]
struct Speechless;

impl Transport for Speechless {
    fn name(&self) -> &str {
        "speechless"
    }

    fn decoder(&self) -> Box<dyn FrameDecoder> {
        Json.decoder()
    }

    fn encode(&self, _: Header<'_>, _: &dyn erased_serde::Serialize) -> Result<Bytes, Error> {
        Err(Error::new(ErrorKind::Encode, "no words for it"))
    }

    fn envelope<'a>(&self, payload: &'a [u8]) -> Result<Envelope<'a>, Error> {
        Json.envelope(payload)
    }

    fn deserialize<'de>(&self, payload: &'de [u8], read: Read<'_, 'de>) -> Result<(), Error> {
        Json.deserialize(payload, read)
    }
}

fn speechless() -> (Rig, SessionId) {
    let mut rig = Rig::with(LinkConfig {
        transport: Arc::new(Speechless),
        credit: 2,
        ..config()
    });
    let session = rig.open(1);
    (rig, session)
}

#[test]
fn a_session_that_needs_what_the_format_cannot_say_fails() {
    let (mut rig, s) = speechless();
    rig.query(s, "a");
    assert_eq!(rig.finished(), ["a: Encode in s1 ~1"]);
    assert_eq!(rig.events(s), ["failed: Encode in s1", "end"]);
    assert_eq!(rig.released(), [s]);
}

#[test]
fn a_close_the_format_cannot_say_ends_once() {
    let (mut rig, s) = speechless();
    let id = rig.interact(s, "click");
    rig.step(s, id);
    rig.finished();
    rig.close(s, "close");
    assert_eq!(rig.finished(), ["close: closed"]);
    assert_eq!(rig.released(), [s], "once");
}
