//! Renderers that take long to start, and those who wait for one.

use futures::FutureExt;
use futures::future::join_all;
use plushie_pool::{ErrorKind, Session, SessionPool};

use crate::stage::{Stage, on_every_stage};
use crate::support::{counter, shown, snapshot, until, within};

on_every_stage! {
    all_who_wait_for_a_renderer_share_the_one_that_starts
    a_shutdown_does_not_wait_for_a_renderer_that_starts
}

async fn all_who_wait_for_a_renderer_share_the_one_that_starts(stage: Stage) {
    let (pool, first) = waits_for_a_second(&stage).await;
    let mut waiting: Vec<_> = (0..7).map(|_| Box::pin(pool.register())).collect();
    for waiting in &mut waiting {
        assert!(waiting.now_or_never().is_none());
    }
    stage.go_on();
    for session in within(join_all(waiting)).await {
        let session = session.unwrap();
        session.send(&snapshot(&counter(2))).await.unwrap();
        assert_eq!(within(shown(&session)).await, "2");
    }
    assert_eq!(pool.status().launches, 2);
    drop(first);
}

async fn a_shutdown_does_not_wait_for_a_renderer_that_starts(stage: Stage) {
    let (pool, session) = waits_for_a_second(&stage).await;
    let mut waiting = Box::pin(pool.register());
    assert!((&mut waiting).now_or_never().is_none());
    within(pool.shutdown()).await.unwrap();
    for error in [
        within(waiting).await.unwrap_err(),
        session.send(&snapshot(&counter(1))).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::PoolClosed, "{error}");
    }
    drop(session);
    stage.go_on();
    until("all have ended", || stage.alive() == 0).await;
}

/// A pool whose next renderer does not come before it is let go on, and a session on the first.
async fn waits_for_a_second(stage: &Stage) -> (SessionPool, Session) {
    let pool = stage.pool().recycle_after(8).start().await.unwrap();
    for _ in 0..7 {
        pool.register().await.unwrap().unregister().await.unwrap();
    }
    let session = pool.register().await.unwrap();
    assert_eq!(pool.status().launches, 1);
    stage.hold();
    (pool, session)
}
