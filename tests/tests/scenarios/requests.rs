//! Requests and what comes back, in the order and at the time the renderer pleases.

use futures::FutureExt;
use futures::future::join_all;
use plushie_pool::{ErrorKind, Message, Phase, RendererMode, RequestId, WireFormat};
use serde_json::{Value, json};

use crate::peer::{played, query};
use crate::support::{
    SHORT, counter, everywhere, find, in_both_formats, pool, snapshot, until, within,
};

everywhere! {
    replies_without_an_id_find_their_request
    each_session_has_a_state_of_its_own
}

in_both_formats! {
    replies_without_an_id_may_overtake_each_other_too
    requests_of_one_session_are_answered_in_any_order
    eight_sessions_do_not_wait_for_each_other
    time_runs_out_per_call_and_per_pool
    a_late_reply_is_nobodys
    a_reply_of_the_wrong_type_is_an_error_that_names_both
    a_reply_for_nobody_disturbs_nobody
    a_request_that_is_given_up_leaves_nothing_behind
}

async fn replies_without_an_id_find_their_request(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    let stub = |kind: &str| json!({"type": "register_effect_stub", "kind": kind, "response": {}});
    let (open, save) = (stub("file_open"), stub("file_save"));
    let (open, save) = futures::join!(
        session.request(&open, "effect_stub_register_ack"),
        session.request(&save, "effect_stub_register_ack"),
    );
    for (reply, kind) in [(open, "file_open"), (save, "file_save")] {
        let reply: Value = reply.unwrap().decode().unwrap();
        assert_eq!(reply["kind"], kind, "{reply}");
        assert_eq!(reply.get("id"), None, "then this shows nothing");
    }
    assert_eq!(pool.status().pending_requests, 0);
}

async fn replies_without_an_id_may_overtake_each_other_too(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let stub = |kind: &str| json!({"type": "register_effect_stub", "kind": kind, "response": {}});
    let (open, save) = (stub("file_open"), stub("file_save"));
    let mut open = session.request(&open, "effect_stub_register_ack");
    let mut save = session.request(&save, "effect_stub_register_ack");
    for request in [&mut open, &mut save] {
        assert!(request.now_or_never().is_none());
    }
    let ack = |kind: &str| json!({"type": "effect_stub_register_ack", "session": session.id().to_string(), "kind": kind});
    peer.say(&ack("file_save")).await;
    let reply: Value = within(save).await.unwrap().decode().unwrap();
    assert_eq!(reply["kind"], "file_save");
    assert!((&mut open).now_or_never().is_none());
    peer.say(&ack("file_open")).await;
    within(open).await.unwrap();
    peer.serve();
}

async fn each_session_has_a_state_of_its_own(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).start().await.unwrap();
    let sessions = join_all((0..8).map(|_| pool.register())).await;
    let sessions: Vec<_> = sessions.into_iter().map(Result::unwrap).collect();
    let shows = sessions.iter().enumerate().map(|(n, session)| async move {
        let tree = counter(n as u64);
        session.send(&snapshot(&tree)).await.unwrap();
    });
    join_all(shows).await;
    let found = sessions.iter().map(|session| async move {
        let found = session.request(&find("count"), "query_response").await;
        let found: Value = found.unwrap().decode().unwrap();
        assert_eq!(found["session"], session.id().to_string());
        found["data"]["props"]["content"].clone()
    });
    let found = join_all(found).await;
    assert_eq!(found, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

async fn requests_of_one_session_are_answered_in_any_order(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let (query, hash) = (query(), json!({"type": "tree_hash", "name": "swapped"}));
    let mut first = session.request(&query, "query_response");
    let mut second = session.request(&hash, "tree_hash_response");
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());

    let one = peer.expect("query").await;
    let other = peer.expect("tree_hash").await;
    assert_ne!(one["id"], other["id"]);
    peer.answer(&other, Value::Null).await;
    let reply = within(second).await.unwrap();
    assert_eq!(reply.kind(), "tree_hash_response");
    assert!((&mut first).now_or_never().is_none());
    peer.answer(&one, json!("the first")).await;
    assert_eq!(data(within(first).await.unwrap()), "the first");
    peer.serve();
}

async fn eight_sessions_do_not_wait_for_each_other(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let sessions = join_all((0..8).map(|_| pool.register())).await;
    let sessions: Vec<_> = sessions.into_iter().map(Result::unwrap).collect();
    let query = query();
    let asked = sessions.iter().map(|session| async {
        let reply = session.request(&query, "query_response").await.unwrap();
        assert_eq!(data(reply), session.id().to_string());
    });
    let answers = async {
        // None is answered before all have arrived.
        let mut arrived = Vec::new();
        for _ in 0..8 {
            arrived.push(peer.expect("query").await);
        }
        assert_eq!(pool.status().pending_requests, 8);
        for message in arrived.iter().rev() {
            peer.answer(message, message["session"].clone()).await;
        }
    };
    within(futures::future::join(join_all(asked), answers)).await;
    peer.serve();
}

async fn time_runs_out_per_call_and_per_pool(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.timeout(SHORT).start().await.unwrap();
    let mut peer = peers.next().await;
    assert_eq!(pool.timeout(), SHORT);
    let session = pool.register().await.unwrap();

    let error = within(session.request(&query(), "query_response")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Reply));
    assert_eq!(error.session(), Some(session.id()));
    assert_eq!(error.request(), Some(RequestId::new(1)));
    assert!(error.to_string().contains(&format!("{SHORT:?}")), "{error}");
    assert_eq!(pool.status().pending_requests, 0);
    peer.expect("query").await;

    let longer = SHORT * 2;
    let error = session.request(&query(), "query_response").timeout(longer);
    let error = within(error).await.unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Reply));
    assert!(
        error.to_string().contains(&format!("{longer:?}")),
        "{error}"
    );
    peer.expect("query").await;

    // A longer one than the pool's is granted as well: the answer to the second comes after the
    // first, sent earlier, has run out.
    let query = query();
    let patient = session.request(&query, "query_response");
    let mut patient = patient.timeout(crate::support::LONG);
    assert!((&mut patient).now_or_never().is_none());
    let message = peer.expect("query").await;
    let impatient = session.request(&query, "query_response");
    within(impatient).await.unwrap_err();
    peer.answer(&message, Value::Null).await;
    within(patient).await.unwrap();
    peer.serve();
}

async fn a_late_reply_is_nobodys(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let late = session.request(&query(), "query_response").timeout(SHORT);
    within(late).await.unwrap_err();
    let late = peer.expect("query").await;

    // Neither taken for the next one's, nor kept.
    let query = query();
    let mut next = session.request(&query, "query_response");
    assert!((&mut next).now_or_never().is_none());
    let prompt = peer.expect("query").await;
    peer.answer(&late, json!("late")).await;
    peer.answer(&late, json!("late, twice")).await;
    peer.answer(&prompt, json!("prompt")).await;
    assert_eq!(data(within(next).await.unwrap()), "prompt");
    let status = pool.status();
    assert_eq!((status.pending_requests, status.counters.late), (0, 2));
    assert!(session.next_event().now_or_never().is_none());
    peer.serve();
}

async fn a_reply_of_the_wrong_type_is_an_error_that_names_both(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let (asked, message) = futures::join!(session.request(&query(), "query_response"), async {
        let message = peer.expect("query").await;
        let wrong = json!({
            "type": "tree_hash_response", "session": message["session"], "id": message["id"],
        });
        peer.say(&wrong).await;
        message
    });
    let error = asked.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedReply);
    for name in ["query_response", "tree_hash_response"] {
        assert!(error.to_string().contains(name), "{error}");
    }
    assert_eq!(pool.status().pending_requests, 0);

    // The right one after all is too late.
    peer.answer(&message, Value::Null).await;
    until("it was counted", || pool.status().counters.late == 1).await;
    peer.serve();
    within(session.request(&query(), "query_response"))
        .await
        .unwrap();
}

async fn a_reply_for_nobody_disturbs_nobody(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let query = query();
    let mut asked = session.request(&query, "query_response");
    assert!((&mut asked).now_or_never().is_none());
    let message = peer.expect("query").await;
    for (name, id) in [("s99", "~1"), ("", "~1"), ("odd", "~1"), ("s1", "~99")] {
        let stray = json!({"type": "query_response", "session": name, "id": id, "data": "stray"});
        peer.say(&stray).await;
    }
    peer.answer(&message, json!("mine")).await;
    assert_eq!(data(within(asked).await.unwrap()), "mine");
    let status = pool.status();
    assert_eq!((status.counters.stray, status.counters.late), (3, 1));
    assert_eq!(status.pending_requests, 0);
    peer.serve();
}

async fn a_request_that_is_given_up_leaves_nothing_behind(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    // Not polled, so never sent.
    drop(session.request(&query(), "query_response"));
    let query = query();
    let mut given_up = session.request(&query, "query_response");
    assert!((&mut given_up).now_or_never().is_none());
    assert_eq!(pool.status().pending_requests, 1);
    drop(given_up);
    assert_eq!(pool.status().pending_requests, 0);
    let message = peer.expect("query").await;
    assert_eq!(message["id"], "~2");
    peer.answer(&message, Value::Null).await;
    until("it was counted", || pool.status().counters.late == 1).await;
    peer.serve();
}

fn data(reply: Message) -> Value {
    let body: Value = reply.decode().unwrap();
    body["data"].clone()
}
