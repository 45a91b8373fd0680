//! Sessions that are over, and what later calls are told.

use futures::FutureExt;
use plushie_pool::{ErrorKind, RendererMode, SessionPool, WireFormat};
use serde_json::Value;

use crate::peer::{played, query};
use crate::support::{
    click, counter, everywhere, find, in_both_formats, pool, shown, snapshot, until, within,
};

everywhere! {
    a_closed_session_says_so_at_once
    closing_again_does_no_harm
    a_session_outlives_its_handle_to_the_pool
}

in_both_formats! {
    what_is_on_its_way_ends_with_the_session
    either_confirmation_ends_a_close_and_the_other_disturbs_nobody
    a_close_that_is_given_up_goes_on
}

async fn a_closed_session_says_so_at_once(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    assert_eq!(shown(&session).await, Value::Null);
    within(session.unregister()).await.unwrap();
    let snapshot = snapshot(&counter(0));
    let (find, click) = (find("count"), click("increment"));
    for error in [
        session.send(&snapshot).now_or_never().unwrap().map(drop),
        session
            .request(&find, "query_response")
            .now_or_never()
            .unwrap()
            .map(drop),
        session
            .send_interact(&click)
            .now_or_never()
            .unwrap()
            .map(drop),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionClosed);
        assert_eq!(error.session(), Some(session.id()));
    }
    assert!(session.next_event().now_or_never().unwrap().is_none());
    assert_eq!(pool.status().counters.stray, 0);
}

async fn closing_again_does_no_harm(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).max_sessions(2).start().await.unwrap();
    let session = pool.register().await.unwrap();
    let _other = pool.register().await.unwrap();
    shown(&session).await;
    let (one, other) = futures::join!(session.unregister(), session.unregister());
    one.unwrap();
    other.unwrap();
    session.unregister().await.unwrap();
    assert_eq!(pool.status().sessions, 1);
    drop(session);
    assert_eq!(pool.status().sessions, 1);
    // One place was given back, not four.
    let _third = pool.try_register().await.unwrap();
    let error = pool.try_register().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolFull);
}

async fn a_session_outlives_its_handle_to_the_pool(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    drop(pool);
    session.send(&snapshot(&counter(5))).await.unwrap();
    assert_eq!(shown(&session).await, "5");
    let pid = session.renderer_pid().unwrap();
    drop(session);
    until("the renderer ended", || !crate::support::exists(pid)).await;
}

async fn what_is_on_its_way_ends_with_the_session(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let query = query();
    let mut sent = session.request(&query, "query_response");
    assert!((&mut sent).now_or_never().is_none());
    session.send_interact(&click("a")).await.unwrap();
    // It waits behind the interact.
    let mut queued = session.request(&query, "query_response");
    assert!((&mut queued).now_or_never().is_none());

    let mut closing = Box::pin(session.unregister());
    assert!((&mut closing).now_or_never().is_none());
    for request in [sent, queued] {
        let error = request.now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionClosed);
    }
    let error = session.send(&query).now_or_never().unwrap().unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::SessionClosed,
        "while it closes, too"
    );
    for kind in ["query", "interact", "reset"] {
        let message = peer.expect(kind).await;
        peer.answer(&message, Value::Null).await;
    }
    within(closing).await.unwrap();
    let status = pool.status();
    assert_eq!((status.pending_requests, status.queued_messages), (0, 0));
    peer.serve();
}

async fn either_confirmation_ends_a_close_and_the_other_disturbs_nobody(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.max_sessions(1).start().await.unwrap();
    let mut peer = peers.next().await;
    for first in [0, 1] {
        let session = begun(&pool, &mut peer).await;
        let (closed, ()) = futures::join!(within(session.unregister()), async {
            let reset = peer.expect("reset").await;
            let confirmations = plushie_pool_tests::wire::answers(&reset);
            peer.say(&confirmations[first]).await;
        });
        closed.unwrap();
        let next = begun(&pool, &mut peer).await;
        let mut reset = query();
        reset["session"] = session.id().to_string().into();
        reset["type"] = "reset".into();
        let confirmations = plushie_pool_tests::wire::answers(&reset);
        peer.say(&confirmations[1 - first]).await;
        assert!(next.next_event().now_or_never().is_none());
        drop(next);
        let reset = peer.expect("reset").await;
        peer.answer(&reset, Value::Null).await;
        until("it was let go", || pool.status().sessions == 0).await;
    }
    assert_eq!(pool.status().counters.stray, 0);
    peer.serve();
}

async fn a_close_that_is_given_up_goes_on(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.max_sessions(1).start().await.unwrap();
    let mut peer = peers.next().await;
    let session = begun(&pool, &mut peer).await;
    assert!(session.unregister().now_or_never().is_none());
    let reset = peer.expect("reset").await;
    peer.answer(&reset, Value::Null).await;
    within(session.unregister()).await.unwrap();
    within(pool.register()).await.unwrap();
    peer.serve();
}

/// A session the renderer has heard of.
async fn begun(pool: &SessionPool, peer: &mut crate::peer::Peer) -> plushie_pool::Session {
    let session = within(pool.register()).await.unwrap();
    session.send(&snapshot(&counter(0))).await.unwrap();
    peer.expect("snapshot").await;
    session
}
