//! Sessions the renderer gives up: their failure is theirs alone.

use futures::FutureExt;
use futures::future::join_all;
use plushie_pool::core::{Close, Placement, RendererView};
use plushie_pool::{ErrorKind, Mode, RendererMode, SessionEvent, WireFormat};
use serde_json::{Value, json};

use crate::peer::{played, query};
use crate::support::{SHORT, counter, everywhere, in_both_formats, pool, shown, snapshot, within};

everywhere! {
    a_session_over_the_renderers_own_cap_fails_alone
}

in_both_formats! {
    every_request_of_a_session_ends_with_it_and_none_of_the_others
    a_complaint_that_is_not_fatal_is_an_event
    a_close_the_renderer_does_not_confirm_is_an_error_and_the_renderer_is_replaced
}

/// Tells its renderer to allow fewer sessions than the pool gives out.
#[derive(Debug)]
struct Stingy(RendererMode);

impl Mode for Stingy {
    fn name(&self) -> &str {
        "stingy"
    }

    fn place(&mut self, renderers: &[RendererView]) -> Placement {
        renderers
            .first()
            .map_or(Placement::Launch, |first| Placement::On(first.id))
    }

    fn close(&self) -> Close {
        Close::Reset
    }

    fn launch_args(&self, max_sessions: usize) -> Vec<String> {
        assert_eq!(max_sessions, 8);
        vec![format!("--{}", self.0), "--max-sessions".into(), "2".into()]
    }
}

async fn a_session_over_the_renderers_own_cap_fails_alone(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).custom_mode(Stingy(mode)).max_sessions(8);
    let pool = pool.start().await.unwrap();
    assert_eq!(pool.status().mode, "stingy");
    let sessions = join_all((0..3).map(|_| pool.register())).await;
    let sessions: Vec<_> = sessions.into_iter().map(Result::unwrap).collect();
    for session in &sessions[..2] {
        session.send(&snapshot(&counter(1))).await.unwrap();
        assert_eq!(shown(session).await, "1");
    }
    let third = &sessions[2];
    let query = query();
    let asked = (0..3).map(|_| third.request(&query, "query_response"));
    for outcome in within(join_all(asked)).await {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionFailed, "{error}");
        assert_eq!(error.code(), Some("max_sessions_reached"));
        assert_eq!(error.session(), Some(third.id()));
    }
    let event = within(third.next_event()).await;
    assert!(matches!(event, Some(SessionEvent::Failed(_))), "{event:?}");
    assert!(within(third.next_event()).await.is_none());
    let later = third.send(&query).await.unwrap_err();
    assert_eq!(later.kind(), ErrorKind::SessionFailed);

    for session in &sessions[..2] {
        assert_eq!(shown(session).await, "1");
        assert!(session.next_event().now_or_never().is_none());
    }
    let status = pool.status();
    assert_eq!((status.sessions, status.deaths), (2, 0));
    assert_eq!(status.pending_requests, 0);
}

async fn every_request_of_a_session_ends_with_it_and_none_of_the_others(format: WireFormat) {
    for code in [
        "session_reset_in_progress",
        "session_backpressure_overflow",
        "session_channel_closed",
        "session_panic",
        "host_disconnect",
        "writer_dead",
        "initial_settings_enqueue_failed",
        "one_that_nobody_knows",
    ] {
        // Where later versions say it, too.
        for body in ["data", "value"] {
            fail_one_of_two(format, code, body).await;
        }
    }
}

async fn fail_one_of_two(format: WireFormat, code: &str, body: &str) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let [fails, lives] = [
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    ];
    let query = query();
    let mut asked: Vec<_> = [&fails, &fails, &lives]
        .map(|session| session.request(&query, "query_response"))
        .into();
    for request in &mut asked {
        assert!(request.now_or_never().is_none());
        peer.expect("query").await;
    }
    let mut error = session_error(&fails.id().to_string(), code);
    if body != "data" {
        error[body] = error["data"].take();
        error.as_object_mut().unwrap().remove("data");
    }
    peer.say(&error).await;
    let mut other = asked.pop().unwrap();
    for outcome in within(join_all(asked)).await {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionFailed, "{error}");
        assert_eq!(error.code(), Some(code));
        assert!(error.to_string().contains("in so many words"), "{error}");
    }
    assert!((&mut other).now_or_never().is_none());
    let status = pool.status();
    assert_eq!((status.pending_requests, status.sessions), (1, 1));
    peer.serve();
    drop(other);
    within(lives.request(&query, "query_response"))
        .await
        .unwrap();
}

async fn a_complaint_that_is_not_fatal_is_an_event(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let error = session_error(&session.id().to_string(), "font_cap_exceeded");
    peer.say(&error).await;
    let event = within(session.next_event()).await;
    assert!(matches!(event, Some(SessionEvent::Event(_))), "{event:?}");
    peer.serve();
    within(session.request(&query(), "query_response"))
        .await
        .unwrap();
}

async fn a_close_the_renderer_does_not_confirm_is_an_error_and_the_renderer_is_replaced(
    format: WireFormat,
) {
    let (builder, mut peers) = played(format);
    let pool = builder.max_sessions(1).close_timeout(SHORT);
    let pool = pool.start().await.unwrap();
    let mut mute = peers.next().await;
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(0))).await.unwrap();
    mute.expect("snapshot").await;
    let error = within(session.unregister()).await.unwrap_err();
    assert_eq!(error.phase(), Some(plushie_pool::Phase::Close), "{error}");

    // Its place is free, on another renderer.
    let next = within(pool.register()).await.unwrap();
    let peer = peers.next().await;
    peer.serve();
    within(next.request(&query(), "query_response"))
        .await
        .unwrap();
    mute.expect("reset").await;
    assert!(within(mute.read()).await.is_none(), "its input has ended");
}

fn session_error(session: &str, code: &str) -> Value {
    json!({
        "type": "event", "family": "session_error", "session": session, "id": "",
        "data": {"code": code, "error": "in so many words"},
    })
}
