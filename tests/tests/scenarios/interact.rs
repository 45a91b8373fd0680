//! Interacts: steps that ask for a tree, and what must not come between.

use futures::{FutureExt, StreamExt};
use plushie_pool::{ErrorKind, RendererMode, RequestId, Session, SessionEvent, WireFormat};
use serde_json::{Value, json};

use crate::peer::{played, query};
use crate::support::{
    SHORT, click, counter, everywhere, find, in_both_formats, pool, shown, snapshot, within,
};

everywhere! {
    typing_takes_a_step_for_each_letter_and_a_tree_for_each_step
    whoever_leaves_in_the_middle_of_an_interact_disturbs_nobody
    an_interact_goes_by_send_interact_and_nothing_else_does
    an_interact_the_renderer_cannot_read_costs_its_own_time_only
}

in_both_formats! {
    nothing_but_the_tree_reaches_a_renderer_that_waits_for_one
    a_step_whose_owner_left_is_answered_before_the_session_closes
    an_interact_that_fails_says_so_among_the_events
}

async fn typing_takes_a_step_for_each_letter_and_a_tree_for_each_step(
    mode: RendererMode,
    format: WireFormat,
) {
    let pool = pool(mode, format).start().await.unwrap();
    let session = focused(&pool).await;
    let interact = session.send_interact(&type_text("abc")).await.unwrap();
    let mut events = session.events();
    let mut typed = Vec::new();
    loop {
        match within(events.next()).await.unwrap() {
            SessionEvent::InteractStep { id, message } => {
                assert_eq!(id, interact);
                let step: Value = message.decode().unwrap();
                assert_eq!(step["events"][0]["family"], "input", "{step}");
                typed.push(step["events"][0]["value"].as_str().unwrap().to_owned());
                // The renderer types the next letter into what this shows.
                session
                    .send(&show_name(typed.last().unwrap()))
                    .await
                    .unwrap();
            }
            SessionEvent::InteractResponse { id, message } => {
                assert_eq!((id, message.kind()), (interact, "interact_response"));
                break;
            }
            other => panic!("{other:?} in the middle of an interact"),
        }
    }
    assert_eq!(typed, ["a", "ab", "abc"]);
    let name = session.request(&find("name"), "query_response").await;
    let name: Value = name.unwrap().decode().unwrap();
    assert_eq!(name["data"]["props"]["value"], "abc", "{name}");
    assert_eq!(pool.status().pending_requests, 0);
}

async fn whoever_leaves_in_the_middle_of_an_interact_disturbs_nobody(
    mode: RendererMode,
    format: WireFormat,
) {
    let pool = pool(mode, format).max_sessions(2).start().await.unwrap();
    let other = pool.register().await.unwrap();
    other.send(&snapshot(&counter(3))).await.unwrap();

    let leaves = focused(&pool).await;
    leaves.send_interact(&type_text("abc")).await.unwrap();
    let step = within(leaves.next_event()).await.unwrap();
    assert!(
        matches!(step, SessionEvent::InteractStep { .. }),
        "{step:?}"
    );
    drop(leaves);
    within(pool.register()).await.unwrap();

    // The same where the interact was a request, and only that was given up.
    let gives_up = focused(&pool).await;
    let typing = type_text("abc");
    let mut interact = gives_up.request(&typing, "interact_response");
    assert!((&mut interact).now_or_never().is_none());
    let step = within(gives_up.next_event()).await.unwrap();
    assert!(
        matches!(step, SessionEvent::InteractStep { .. }),
        "{step:?}"
    );
    drop(interact);
    let found = gives_up.request(&find("name"), "query_response");
    within(found).await.unwrap();

    assert_eq!(within(shown(&other)).await, "3");
    assert_eq!(pool.status().deaths, 0);
}

async fn an_interact_goes_by_send_interact_and_nothing_else_does(
    mode: RendererMode,
    format: WireFormat,
) {
    let pool = pool(mode, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    let error = session.send(&click("increment")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidMessage);
    assert!(error.to_string().contains("send_interact"), "{error}");
    let error = session.send_interact(&query()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidMessage);
    assert!(error.to_string().contains("not an interact"), "{error}");
    assert_eq!(pool.status().counters.sent, 0);
}

async fn an_interact_the_renderer_cannot_read_costs_its_own_time_only(
    mode: RendererMode,
    format: WireFormat,
) {
    let pool = pool(mode, format).start().await.unwrap();
    let session = focused(&pool).await;
    // Without an action the renderer drops it, and says so on its stderr alone.
    let unreadable = json!({"type": "interact"});
    let asked = session.request(&unreadable, "interact_response");
    let error = within(asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageDropped, "{error}");
    let found = session.request(&find("name"), "query_response");
    within(found).await.unwrap();
    let typed = session.request(&type_text(""), "interact_response");
    within(typed).await.unwrap();
    assert_eq!(pool.status().pending_requests, 0);
}

async fn nothing_but_the_tree_reaches_a_renderer_that_waits_for_one(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let id = session.send_interact(&click("a")).await.unwrap();
    let message = peer.expect("interact").await;
    assert_eq!(message["id"], id.to_string());

    let query = query();
    let mut waits = session.request(&query, "query_response");
    assert!((&mut waits).now_or_never().is_none());
    assert_eq!(pool.status().queued_messages, 1);
    let step = json!({
        "type": "interact_step", "session": message["session"], "id": message["id"], "events": [],
    });
    peer.say(&step).await;
    let event = within(session.next_event()).await;
    assert!(matches!(event, Some(SessionEvent::InteractStep { .. })));
    assert!((&mut waits).now_or_never().is_none());
    session.send(&show_name("x")).await.unwrap();
    // The query was asked before, and has to wait.
    peer.expect("patch").await;
    peer.answer(&message, Value::Null).await;
    let asked = peer.expect("query").await;
    peer.answer(&asked, Value::Null).await;
    within(waits).await.unwrap();
    peer.serve();
}

/// A renderer that waits for a tree would take the reset for one.
async fn a_step_whose_owner_left_is_answered_before_the_session_closes(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    session.send_interact(&click("a")).await.unwrap();
    let mut step = peer.expect("interact").await;
    step["type"] = json!("interact_step");
    peer.say(&step).await;
    let event = within(session.next_event()).await;
    assert!(matches!(event, Some(SessionEvent::InteractStep { .. })));
    drop(session);
    let patch = peer.expect("patch").await;
    assert_eq!(patch["ops"], json!([]));
    let reset = peer.expect("reset").await;
    peer.answer(&reset, Value::Null).await;
    peer.serve();
}

async fn an_interact_that_fails_says_so_among_the_events(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let click = click("a");
    let sent = session.send_interact(&click).timeout(SHORT).await.unwrap();
    peer.expect("interact").await;
    let failed = |event: Option<SessionEvent>, kind: &str, sent: RequestId| match event {
        Some(SessionEvent::InteractFailed { id, error }) => {
            assert_eq!((id, format!("{:?}", error.kind())), (sent, kind.to_owned()));
        }
        other => panic!("{other:?}"),
    };
    failed(within(session.next_event()).await, "Timeout(Reply)", sent);
    assert_eq!(pool.status().pending_requests, 0);

    // It may still be at it, and is asked.
    let probe = peer.expect("query").await;
    peer.answer(&probe, Value::Null).await;
    let sent = within(session.send_interact(&click)).await.unwrap();
    let message = peer.expect("interact").await;
    let wrong = json!({
        "type": "query_response", "session": message["session"], "id": message["id"],
    });
    peer.say(&wrong).await;
    failed(within(session.next_event()).await, "UnexpectedReply", sent);
    peer.serve();
}

/// A session whose text field is focused, as by a user's click.
async fn focused(pool: &plushie_pool::SessionPool) -> Session {
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&form())).await.unwrap();
    for action in focusing() {
        let reply = session.request(&action, "interact_response");
        within(reply).await.unwrap();
    }
    session
}

/// What gives the text field of a [`form`] the focus.
pub(crate) fn focusing() -> [Value; 2] {
    [
        json!({"type": "interact", "action": "move_to", "selector": {}, "payload": {"x": 5, "y": 5}}),
        json!({"type": "interact", "action": "click", "selector": {}}),
    ]
}

/// A window with a text field in its corner, so that where to click does not depend on a font.
pub(crate) fn form() -> Value {
    json!({
        "id": "main", "type": "window", "props": {"title": "Form"},
        "children": [{
            "id": "name", "type": "text_input", "children": [],
            "props": {"value": "", "placeholder": "name"},
        }],
    })
}

pub(crate) fn show_name(name: &str) -> Value {
    json!({"type": "patch", "ops": [
        {"op": "update_props", "path": [0], "props": {"value": name}},
    ]})
}

pub(crate) fn type_text(text: &str) -> Value {
    json!({
        "type": "interact", "action": "type_text", "payload": {"text": text},
        "selector": {"by": "id", "value": "name"},
    })
}
