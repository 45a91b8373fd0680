//! A renderer of one session leaves `session` empty in all it says.

use serde_json::{Value, json};

use super::rig::{Rig, config};
use crate::link::{LinkConfig, Outcome};
use crate::{Addressing, Close, Error, ErrorKind, SessionId};

fn single() -> (Rig, SessionId) {
    let mut rig = Rig::with(LinkConfig {
        addressing: Addressing::Single,
        close: Close::Exit,
        ..config()
    });
    let session = rig.open(17);
    (rig, session)
}

#[test]
fn whatever_it_says_is_for_the_one_session_it_has() {
    let (mut rig, s) = single();
    let id = rig.query(s, "a");
    rig.peer(&json!({"type": "event", "session": "", "family": "click", "id": "w"}));
    rig.peer(&json!({"type": "query_response", "session": "", "id": id.to_string()}));
    assert_eq!(rig.events(s), ["event click"]);
    let (_, result) = rig.effects.finished.pop().unwrap();
    let Ok(Outcome::Reply(message)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(message.session(), s);
    let body: Value = message.decode().unwrap();
    assert_eq!(body["session"], "s17", "the name the test knows");
}

#[test]
fn its_errors_are_the_sessions() {
    let (mut rig, s) = single();
    rig.query(s, "a");
    rig.peer(&json!({
        "type": "event", "session": "", "family": "session_error", "id": "",
        "data": {"code": "writer_dead", "error": "no more"},
    }));
    assert_eq!(rig.finished(), ["a: SessionFailed in s17 ~1"]);
    assert!(rig.effects.exiting, "nobody else would end it");
    rig.close(s, "close");
    rig.forget(s);
    assert_eq!(rig.released(), [], "its process is still there");
    assert_eq!(rig.finished(), [""; 0]);
    rig.fail(&Error::new(ErrorKind::RendererExited, "stopped"));
    assert_eq!(rig.finished(), ["close: closed"]);
    assert_eq!(rig.released(), [s]);
}

#[test]
fn it_refuses_a_second_session_and_says_whose_fault_that_is() {
    let (mut rig, s) = single();
    let refused = rig.link.open(SessionId::new(18)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert_eq!(refused.session(), Some(SessionId::new(18)));
    rig.query(s, "a");
    assert_eq!(rig.sent(), ["s17 query a"]);
}

#[test]
fn after_the_end_what_it_says_is_about_itself() {
    let (mut rig, s) = single();
    rig.close(s, "close");
    rig.peer(&json!({"type": "event", "session": "", "family": "session_closed"}));
    rig.peer(&json!({"type": "error", "session": "", "message": "the display is gone"}));
    assert_eq!(rig.link.last_words(), Some("the display is gone"));
    assert_eq!(rig.released(), [], "its process is still there");
    rig.fail(&Error::new(ErrorKind::RendererExited, "gone"));
    assert_eq!(rig.finished(), ["close: closed"]);
    assert_eq!(rig.released(), [s]);
}
