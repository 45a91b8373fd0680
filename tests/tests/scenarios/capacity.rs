//! Who gets a session, and when one is free again.

use futures::FutureExt;
use plushie_pool::{ErrorKind, Phase, RendererMode, Session, SessionPool, WireFormat};
use serde_json::Value;

use crate::peer::{played, query};
use crate::support::{
    LONG, SHORT, counter, everywhere, in_both_formats, pool, shown, snapshot, until, within,
};

everywhere! {
    a_full_pool_says_so_at_once
    those_who_wait_are_served_in_the_order_they_came
    however_a_session_ends_its_place_is_free_again
}

in_both_formats! {
    whoever_waits_too_long_is_told_what_for
    whoever_stops_waiting_is_passed_over
    a_place_is_not_free_before_the_renderer_let_go
}

async fn a_full_pool_says_so_at_once(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).max_sessions(2).start().await.unwrap();
    let first = pool.try_register().await.unwrap();
    let _second = pool.try_register().await.unwrap();
    let refused = pool.try_register().now_or_never();
    let error = refused.expect("it does not wait").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolFull);
    assert!(error.to_string().contains("all 2 sessions"), "{error}");

    first.unregister().await.unwrap();
    pool.try_register().await.unwrap();
}

async fn those_who_wait_are_served_in_the_order_they_came(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).max_sessions(1).start().await.unwrap();
    let mut session = pool.register().await.unwrap();
    let mut queue: Vec<_> = (0..3).map(|_| Box::pin(pool.register())).collect();
    for (n, waiting) in queue.iter_mut().enumerate() {
        assert!(waiting.now_or_never().is_none());
        assert_eq!(pool.status().waiting, n + 1);
    }
    assert_eq!(
        pool.try_register().await.unwrap_err().kind(),
        ErrorKind::PoolFull
    );
    while !queue.is_empty() {
        session.send(&snapshot(&counter(0))).await.unwrap();
        session.unregister().await.unwrap();
        // The one behind is asked first: it must not get what the one in front waits for.
        for later in &mut queue[1..] {
            assert!(later.now_or_never().is_none());
        }
        session = within(queue.remove(0)).await.unwrap();
    }
}

async fn however_a_session_ends_its_place_is_free_again(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).max_sessions(1).start().await.unwrap();

    let session = fresh(&pool).await;
    session.unregister().await.unwrap();
    assert_eq!(pool.status().sessions, 0, "unregister waits for that");

    fresh(&pool).await.release();

    drop(fresh(&pool).await);

    let session = fresh(&pool).await;
    let panics = tokio::spawn(async move {
        let _session = session;
        std::panic::resume_unwind(Box::new("a test that fails"));
    });
    assert!(panics.await.unwrap_err().is_panic());

    let session = fresh(&pool).await;
    let cancelled = tokio::spawn(async move { session.next_event().await.map(drop) });
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());

    let session = fresh(&pool).await;
    std::thread::spawn(move || drop(session)).join().unwrap();

    fresh(&pool).await.unregister().await.unwrap();
    assert_eq!(pool.status().sessions, 0);
}

/// A session of a pool that has one only, and nothing of those before it.
async fn fresh(pool: &SessionPool) -> Session {
    let session = within(pool.register()).await.unwrap();
    assert_eq!(shown(&session).await, Value::Null, "it is a fresh one");
    session.send(&snapshot(&counter(7))).await.unwrap();
    assert_eq!(shown(&session).await, "7");
    session
}

async fn whoever_waits_too_long_is_told_what_for(format: WireFormat) {
    let pool = pool(RendererMode::Mock, format).max_sessions(1);
    let pool = pool.acquire_timeout(SHORT).start().await.unwrap();
    let session = pool.register().await.unwrap();
    let error = within(pool.register()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Acquire));
    assert_eq!(error.phase(), Some(Phase::Acquire));
    assert!(error.to_string().contains("acquire_timeout"), "{error}");
    assert_eq!(pool.status().waiting, 0);

    session.unregister().await.unwrap();
    pool.register().await.unwrap();
}

async fn whoever_stops_waiting_is_passed_over(format: WireFormat) {
    let pool = pool(RendererMode::Mock, format).max_sessions(1);
    let pool = pool.acquire_timeout(LONG).start().await.unwrap();
    let session = pool.register().await.unwrap();
    let mut first = Box::pin(pool.register());
    let mut second = Box::pin(pool.register());
    let mut third = Box::pin(pool.register());
    for waiting in [&mut first, &mut second, &mut third] {
        assert!(waiting.now_or_never().is_none());
    }
    drop(first);
    assert_eq!(pool.status().waiting, 2);
    session.unregister().await.unwrap();
    // It has its place by now, and gives it up without having looked.
    until("the place was passed on", || pool.status().waiting == 1).await;
    drop(second);
    within(third).await.unwrap();
}

async fn a_place_is_not_free_before_the_renderer_let_go(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.max_sessions(1).start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let sent = session.request(&query(), "query_response");
    let (answered, ()) = futures::join!(sent, async {
        let message = peer.expect("query").await;
        peer.answer(&message, Value::Null).await;
    });
    answered.unwrap();

    drop(session);
    let reset = peer.expect("reset").await;
    let mut next = Box::pin(pool.register());
    assert!((&mut next).now_or_never().is_none());
    assert_eq!(pool.status().sessions, 1);
    peer.answer(&reset, Value::Null).await;
    within(next).await.unwrap();
    peer.serve();
}
