//! Every future, dropped after its first, second, ... poll: as if it had never been, or as if
//! it had been waited for, and never in between.

use futures::{FutureExt, StreamExt};
use plushie_pool::{ErrorKind, RequestId, Session, SessionEvent, SessionPool};
use tokio::task::unconstrained;

use crate::cut::{Cut, at_every_point};
use crate::stage::{Stage, on_every_stage};
use crate::support::{click, counter, find, show, shown, snapshot, until, within};

on_every_stage! {
    a_start_leaves_no_renderer
    a_registration_that_need_not_wait_leaves_no_session
    a_registration_that_waits_for_a_place_passes_it_on
    a_registration_that_waits_for_a_renderer_leaves_it_to_the_next
    an_attempt_to_register_leaves_the_renderer_to_the_next
    a_shutdown_goes_on
    a_send_behind_an_interact_is_done_or_undone
    a_send_without_credit_is_done_or_undone
    a_request_leaves_its_reply_to_nobody
    an_interact_is_done_or_undone
    an_event_is_for_the_next_who_asks
    a_streamed_event_is_for_the_next_who_asks
    an_unregister_goes_on
}

/// That a pool has so many sessions, does nothing for any of them, has so many renderers at
/// most, and goes on to work.
async fn consistent(stage: &Stage, pool: &SessionPool, sessions: usize, renderers: usize) {
    until("all is quiet", || {
        let status = pool.status();
        let busy = status.pending_requests + status.queued_messages;
        let seats = status.renderers.iter().map(|renderer| renderer.sessions);
        (status.sessions, status.waiting, busy) == (sessions, 0, 0)
            && seats.sum::<usize>() == sessions
    })
    .await;
    let session = within(pool.register()).await.unwrap();
    works(&session, 77).await;
    within(session.unregister()).await.unwrap();
    let status = pool.status();
    assert_eq!((status.sessions, status.deaths), (sessions, 0));
    until("none is too many", || stage.alive() <= renderers).await;
}

/// That a session is shown what it sends, and nobody else's.
async fn works(session: &Session, count: u64) {
    session.send(&snapshot(&counter(count))).await.unwrap();
    assert_eq!(within(shown(session)).await, count.to_string());
}

async fn a_start_leaves_no_renderer(stage: Stage) {
    let polls = at_every_point(async |cut| {
        stage.hold();
        let start = stage.pool().start();
        let started = cut.short(start, || stage.go_on()).await;
        stage.go_on();
        if let Some(pool) = &started {
            consistent(&stage, pool.as_ref().unwrap(), 0, 1).await;
        }
        let done = started.map(Result::unwrap).is_some();
        until("the renderer ended", || stage.alive() == 0).await;
        done
    })
    .await;
    assert_eq!(polls, 2);
    until("all have ended", || stage.alive() == 0).await;
}

async fn a_registration_that_need_not_wait_leaves_no_session(stage: Stage) {
    let pool = stage.pool().max_sessions(1).start().await.unwrap();
    let polls = at_every_point(async |cut| {
        let session = cut.short(pool.register(), || ()).await;
        let done = session.map(Result::unwrap).is_some();
        consistent(&stage, &pool, 0, 1).await;
        done
    })
    .await;
    assert_eq!(polls, 1);
}

async fn a_registration_that_waits_for_a_place_passes_it_on(stage: Stage) {
    let pool = stage.pool().max_sessions(1).start().await.unwrap();
    let polls = at_every_point(async |cut| {
        let first = pool.register().await.unwrap();
        works(&first, 1).await;
        let mut first = Some(first);
        let waiting = cut.short(pool.register(), || drop(first.take())).await;
        assert_eq!(pool.status().waiting, 0, "{cut:?}");
        drop(first);
        let done = waiting.is_some();
        if let Some(session) = waiting {
            works(&session.unwrap(), 2).await;
        }
        consistent(&stage, &pool, 0, 1).await;
        done
    })
    .await;
    assert_eq!(polls, 2);
}

async fn a_registration_that_waits_for_a_renderer_leaves_it_to_the_next(stage: Stage) {
    let polls = at_every_point(async |cut| {
        let (pool, keeps) = worn(&stage).await;
        stage.hold();
        let waiting = cut.short(pool.register(), || stage.go_on()).await;
        stage.go_on();
        left_to_the_next(&stage, &pool, keeps, waiting.map(Result::unwrap)).await
    })
    .await;
    assert_eq!(polls, 2);
}

async fn an_attempt_to_register_leaves_the_renderer_to_the_next(stage: Stage) {
    let polls = at_every_point(async |cut| {
        let (pool, keeps) = worn(&stage).await;
        stage.hold();
        let waiting = cut.short(pool.try_register(), || stage.go_on()).await;
        stage.go_on();
        left_to_the_next(&stage, &pool, keeps, waiting.map(Result::unwrap)).await
    })
    .await;
    assert_eq!(polls, 2);
}

/// A pool whose next session needs another renderer.
async fn worn(stage: &Stage) -> (SessionPool, Session) {
    until("the last pool's have ended", || stage.alive() == 0).await;
    let pool = stage.pool().recycle_after(3).max_sessions(3);
    let pool = pool.start().await.unwrap();
    let keeps = pool.register().await.unwrap();
    works(&keeps, 3).await;
    for _ in 0..2 {
        let session = pool.register().await.unwrap();
        session.unregister().await.unwrap();
    }
    assert_eq!(pool.status().launches, 1);
    (pool, keeps)
}

async fn left_to_the_next(
    stage: &Stage,
    pool: &SessionPool,
    keeps: Session,
    waiting: Option<Session>,
) -> bool {
    let sessions = 1 + usize::from(waiting.is_some());
    consistent(stage, pool, sessions, 2).await;
    assert_eq!(pool.status().launches, 2);
    assert_eq!(shown(&keeps).await, "3");
    waiting.is_some()
}

async fn a_shutdown_goes_on(stage: Stage) {
    let polls = at_every_point(async |cut| {
        let pool = stage.pool().start().await.unwrap();
        let session = pool.register().await.unwrap();
        works(&session, 1).await;
        stage.hold();
        let done = cut.short(pool.shutdown(), || stage.go_on()).await;
        let done = done.map(Result::unwrap).is_some();
        stage.go_on();
        if cut.polls == 0 {
            works(&session, 2).await;
            return false;
        }
        until("the renderer ended", || stage.alive() == 0).await;
        let error = within(pool.register()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PoolClosed);
        within(pool.shutdown()).await.unwrap();
        done
    })
    .await;
    assert!(polls > 0);
}

async fn a_send_behind_an_interact_is_done_or_undone(stage: Stage) {
    let (pool, session) = with_session(&stage).await;
    let polls = at_every_point(async |cut| {
        works(&session, 1).await;
        stage.hold();
        session.send_interact(&click("increment")).await.unwrap();
        let done = send_2(&stage, &session, cut).await;
        response(&session).await;
        consistent(&stage, &pool, 1, 1).await;
        done
    })
    .await;
    assert_eq!(polls, 2);
}

async fn a_send_without_credit_is_done_or_undone(stage: Stage) {
    let (pool, session) = with_session(&stage).await;
    let polls = at_every_point(async |cut| {
        works(&session, 1).await;
        stage.hold();
        let one = show(1);
        while let Some(sent) = unconstrained(session.send(&one)).now_or_never() {
            sent.unwrap();
        }
        let done = send_2(&stage, &session, cut).await;
        consistent(&stage, &pool, 1, 1).await;
        done
    })
    .await;
    assert_eq!(polls, 2);
}

/// Of a session that shows 1 and cannot send at present.
async fn send_2(stage: &Stage, session: &Session, cut: Cut) -> bool {
    let sent = cut
        .short(session.send(&show(2)), || stage.go_on())
        .await
        .map(Result::unwrap);
    stage.go_on();
    let shows = if cut.late() { "2" } else { "1" };
    assert_eq!(within(shown(session)).await, shows, "{cut:?}");
    sent.is_some()
}

async fn a_request_leaves_its_reply_to_nobody(stage: Stage) {
    let (pool, session) = with_session(&stage).await;
    let polls = at_every_point(async |cut| {
        works(&session, 1).await;
        let before = pool.status().counters.late;
        stage.hold();
        let found = session.request(&find("count"), "query_response");
        let found = cut.short(found, || stage.go_on()).await;
        assert_eq!(pool.status().pending_requests, 0);
        stage.go_on();
        works(&session, 2).await;
        let given_up = u64::from(cut.polls == 1 && !cut.late());
        assert_eq!(pool.status().counters.late - before, given_up);
        consistent(&stage, &pool, 1, 1).await;
        found.map(Result::unwrap).is_some()
    })
    .await;
    assert_eq!(polls, 2);
}

async fn an_interact_is_done_or_undone(stage: Stage) {
    let (pool, session) = with_session(&stage).await;
    let polls = at_every_point(async |cut| {
        let sent = pool.status().counters.sent;
        works(&session, 1).await;
        stage.hold();
        let first = session.send_interact(&click("increment")).await.unwrap();
        let second = session.send_interact(&click("increment"));
        let second = cut.short(second, || stage.go_on()).await;
        stage.go_on();
        assert_eq!(response(&session).await, first);
        if let Some(second) = &second {
            assert_eq!(response(&session).await, *second.as_ref().unwrap());
        }
        // If it was on its way already, its end may have been told before it was given up.
        works(&session, 2).await;
        let sent = pool.status().counters.sent - sent;
        assert_eq!(sent > 5, cut.late(), "{sent} were sent, {cut:?}");
        while let Some(event) = session.next_event().now_or_never() {
            assert!(cut.woken);
            assert_ne!(id_of(event), first);
        }
        consistent(&stage, &pool, 1, 1).await;
        second.is_some()
    })
    .await;
    assert_eq!(polls, 2);
}

async fn an_event_is_for_the_next_who_asks(stage: Stage) {
    let (pool, session) = with_session(&stage).await;
    let polls = at_every_point(async |cut| {
        works(&session, 1).await;
        stage.hold();
        let interact = session.send_interact(&click("increment")).await.unwrap();
        let event = cut.short(session.next_event(), || stage.go_on()).await;
        told_once(&stage, &pool, &session, event, interact).await
    })
    .await;
    assert_eq!(polls, 2);
}

async fn a_streamed_event_is_for_the_next_who_asks(stage: Stage) {
    let (pool, session) = with_session(&stage).await;
    let polls = at_every_point(async |cut| {
        works(&session, 1).await;
        stage.hold();
        let interact = session.send_interact(&click("increment")).await.unwrap();
        let event = cut.short(session.events().next(), || stage.go_on()).await;
        told_once(&stage, &pool, &session, event, interact).await
    })
    .await;
    assert_eq!(polls, 2);
}

/// That the end of the interact was told, or is told now, and not again.
async fn told_once(
    stage: &Stage,
    pool: &SessionPool,
    session: &Session,
    told: Option<Option<SessionEvent>>,
    interact: RequestId,
) -> bool {
    stage.go_on();
    let done = told.is_some();
    let id = match told {
        Some(event) => id_of(event),
        None => response(session).await,
    };
    assert_eq!(id, interact);
    works(session, 2).await;
    assert!(session.next_event().now_or_never().is_none());
    consistent(stage, pool, 1, 1).await;
    done
}

async fn an_unregister_goes_on(stage: Stage) {
    let pool = stage.pool().max_sessions(1).start().await.unwrap();
    let polls = at_every_point(async |cut| {
        let session = pool.register().await.unwrap();
        works(&session, 1).await;
        stage.hold();
        let done = cut.short(session.unregister(), || stage.go_on()).await;
        stage.go_on();
        if cut.polls == 0 {
            works(&session, 2).await;
            return false;
        }
        // The owner keeps what is left of it.
        consistent(&stage, &pool, 0, 1).await;
        let error = session.send(&show(3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionClosed);
        done.map(Result::unwrap).is_some()
    })
    .await;
    assert_eq!(polls, 2);
}

async fn with_session(stage: &Stage) -> (SessionPool, Session) {
    let pool = stage.pool().max_sessions(2).start().await.unwrap();
    let session = pool.register().await.unwrap();
    (pool, session)
}

/// The interact whose end is the session's next event.
async fn response(session: &Session) -> RequestId {
    id_of(within(session.next_event()).await)
}

fn id_of(event: Option<SessionEvent>) -> RequestId {
    match event {
        Some(SessionEvent::InteractResponse { id, .. }) => id,
        other => panic!("{other:?}"),
    }
}
