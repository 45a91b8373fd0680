//! Several who ask at once read by turns after a while, one for all of them. These are the
//! moments at which the one whose turn it is does not do what the others count on.

use std::cell::Cell;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join, join_all, select};
use plushie_pool::blocking::Wait;
use plushie_pool::{ErrorKind, Phase, RendererMode, Session, SessionPool, WireFormat};

use crate::peer::query;
use crate::support::{
    LONG, SHORT, counter, in_both_formats, scripted, shown, snapshot, until, within,
};

in_both_formats! {
    who_gives_up_passes_it_on
    who_is_left_alone_holds_up_nobody
    what_was_asked_is_sent_though_nobody_reads
    what_was_sent_behind_it_is_sent
    who_is_never_answered_holds_up_nobody
    a_close_among_requests_is_confirmed
    a_renderer_that_dies_is_noticed_by_all
    threads_and_tasks_get_their_own
    a_slow_renderer_leaves_the_executor_to_others
    a_request_that_takes_long_leaves_the_executor_to_others
    the_last_waker_of_a_task_may_go_anywhere
    who_gives_up_may_have_been_the_last_to_know_a_task
}

/// Two sessions on a renderer that has answered both at once for a while, and does the rest.
async fn pair(format: WireFormat, rest: &[&str]) -> (SessionPool, [Session; 2]) {
    // The settings are the first.
    let steps = ["hello", "answer 201"];
    let pool = scripted(steps.iter().chain(rest).copied()).format(format);
    let pool = pool.start().await.unwrap();
    let pair = [
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    ];
    ask_both(&pair, 100).await;
    (pool, pair)
}

async fn ask_both([one, other]: &[Session; 2], times: usize) {
    for _ in 0..times {
        let one = one.request(&query(), "query_response");
        let other = other.request(&query(), "query_response");
        let (one, other) = within(join(one, other)).await;
        assert!(one.is_ok() && other.is_ok());
    }
}

async fn who_gives_up_passes_it_on(format: WireFormat) {
    let (_pool, pair) = pair(format, &["serve"]).await;
    for _ in 0..100 {
        ask_both(&pair, 2).await;
        let mut given_up = Box::pin(pair[0].request(&query(), "query_response"));
        let at_once = (&mut given_up).now_or_never();
        let mut kept = pin!(pair[1].request(&query(), "query_response"));
        let kept_at_once = (&mut kept).now_or_never();
        drop((at_once, given_up));
        if kept_at_once.is_none() {
            within(kept).await.unwrap();
        }
    }
}

async fn who_is_left_alone_holds_up_nobody(format: WireFormat) {
    let (_pool, pair) = pair(format, &["serve"]).await;
    for _ in 0..20 {
        ask_both(&pair, 20).await;
        let mut alone = pin!(pair[0].request(&query(), "query_response"));
        let at_once = (&mut alone).now_or_never();
        for _ in 0..20 {
            let other = pair[1].request(&query(), "query_response");
            within(other).await.unwrap();
        }
        if at_once.is_none() {
            within(alone).await.unwrap();
        }
    }
}

async fn what_was_asked_is_sent_though_nobody_reads(format: WireFormat) {
    let (pool, pair) = pair(format, &["take 1", "kill"]).await;
    let mut asked = pin!(pair[0].request(&query(), "query_response"));
    assert!((&mut asked).now_or_never().is_none());
    until("it has read the message", || {
        pool.status().renderers.is_empty()
    })
    .await;
    let error = within(asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RendererExited);
}

async fn what_was_sent_behind_it_is_sent(format: WireFormat) {
    let (pool, pair) = pair(format, &["take 2", "kill"]).await;
    let mut asked = pin!(pair[0].request(&query(), "query_response"));
    assert!((&mut asked).now_or_never().is_none());
    let sent = pair[1].send(&snapshot(&counter(1))).now_or_never();
    sent.expect("there is room for it").unwrap();
    until("it has read both", || pool.status().renderers.is_empty()).await;
}

async fn who_is_never_answered_holds_up_nobody(format: WireFormat) {
    let (pool, pair) = pair(format, &["take 1", "serve"]).await;
    let mut unanswered = pin!(pair[0].request(&query(), "query_response").timeout(SHORT));
    assert!((&mut unanswered).now_or_never().is_none());
    let others = async {
        for _ in 0..1000 {
            let other = pair[1].request(&query(), "query_response");
            within(other).await.unwrap();
        }
    };
    let (unanswered, ()) = join(within(unanswered), others).await;
    assert_eq!(unanswered.unwrap_err().phase(), Some(Phase::Reply));
    assert_eq!(pool.status().pending_requests, 0);
    ask_both(&pair, 100).await;
}

async fn a_close_among_requests_is_confirmed(format: WireFormat) {
    let (pool, pair) = pair(format, &["serve"]).await;
    for _ in 0..50 {
        let third = within(pool.register()).await.unwrap();
        third.send(&snapshot(&counter(1))).await.unwrap();
        let (closed, ()) = join(within(third.unregister()), ask_both(&pair, 3)).await;
        closed.unwrap();
    }
    assert_eq!(pool.status().sessions, 2);
}

async fn a_renderer_that_dies_is_noticed_by_all(format: WireFormat) {
    let (_pool, [one, other]) = pair(format, &["take 2", "complain it hurts", "kill"]).await;
    let one = one.request(&query(), "query_response");
    let other = other.request(&query(), "query_response");
    let (one, other) = within(join(one, other)).await;
    for error in [one.unwrap_err(), other.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::RendererExited);
        assert!(error.to_string().contains("it hurts"), "{error}");
    }
}

/// On the real renderer: threads that wait and tasks that are awaited, some of which give up.
async fn threads_and_tasks_get_their_own(format: WireFormat) {
    let pool = crate::support::pool(RendererMode::Mock, format);
    let pool = pool.start().await.unwrap();
    let mut sessions = Vec::new();
    for count in 0..8 {
        let session = pool.register().await.unwrap();
        session.send(&snapshot(&counter(count))).await.unwrap();
        sessions.push((session, count.to_string()));
    }
    let (of_threads, of_tasks) = sessions.split_at(4);
    thread::scope(|scope| {
        for (session, count) in of_threads {
            scope.spawn(move || {
                for round in 0..300 {
                    if round % 7 == 0 {
                        drop(shown(session).now_or_never());
                    }
                    let shown = shown(session).wait_for(LONG);
                    assert_eq!(shown.expect("it should long have come"), **count);
                }
            });
        }
        scope.spawn(|| {
            let tasks = of_tasks.iter().map(async |(session, count)| {
                for round in 0..300 {
                    if round % 5 == 0 {
                        drop(shown(session).now_or_never());
                    }
                    assert_eq!(within(shown(session)).await, **count);
                }
            });
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(join_all(tasks));
        });
    });
    assert_eq!(pool.status().pending_requests, 0);
}

/// Whoever reads keeps his executor's thread meanwhile; for answers that take longer nobody does.
async fn a_slow_renderer_leaves_the_executor_to_others(format: WireFormat) {
    const SESSIONS: usize = 16;
    const REQUESTS: usize = 20;
    let pool = scripted(["hello", "answer 1", "dawdle 2"]).format(format);
    let pool = pool.max_sessions(SESSIONS).start().await.unwrap();
    let sessions = within(join_all((0..SESSIONS).map(|_| pool.register()))).await;
    let replies = Cell::new(0);
    let asking = join_all(sessions.iter().map(async |session| {
        for _ in 0..REQUESTS {
            let request = session
                .as_ref()
                .unwrap()
                .request(&query(), "query_response");
            within(request).await.unwrap();
            replies.set(replies.get() + 1);
        }
    }));
    // Once it is known how slow it is.
    let settled = SESSIONS * REQUESTS / 2;
    let mut turns = 0;
    let bystander = async {
        loop {
            tokio::task::yield_now().await;
            turns += usize::from(replies.get() > settled);
        }
    };
    select(pin!(asking), pin!(bystander)).await;
    // Thousands in each pause, or one if the thread is kept for it.
    assert!(turns > 2 * settled, "{turns}");
}

/// Whoever waits for what is not answered does not read all the while what another gets, who
/// waits on a thread.
async fn a_request_that_takes_long_leaves_the_executor_to_others(format: WireFormat) {
    const REQUESTS: usize = 500;
    let (_pool, [unanswered, other]) = pair(format, &["take 1", "serve"]).await;
    let query = query();
    let asked = unanswered.request(&query, "query_response");
    let mut asked = asked.timeout(Duration::MAX);
    assert!((&mut asked).now_or_never().is_none());
    let replies = Arc::new(AtomicUsize::new(0));
    let count = replies.clone();
    let asking = thread::spawn(move || {
        for _ in 0..REQUESTS {
            let reply = other.request(&query, "query_response").wait_for(LONG);
            reply.expect("it should long have come").unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let settled = REQUESTS / 2;
    let mut turns = 0;
    let bystander = async {
        while !asking.is_finished() {
            tokio::task::yield_now().await;
            turns += usize::from(replies.load(Ordering::SeqCst) > settled);
        }
    };
    select(asked, pin!(bystander)).await;
    asking.join().unwrap();
    // One for each reply if this thread reads them, many if it does not.
    assert!(turns > 3 * settled, "{turns}");
}

/// A task that holds a request and is held by nothing but a waker, which another request has.
struct Task {
    _request: Mutex<BoxFuture<'static, ()>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// A request that a task can hold.
fn ask(session: &Arc<Session>) -> BoxFuture<'static, ()> {
    let session = session.clone();
    Box::pin(async move { drop(session.request(&query(), "query_response").await) })
}

async fn the_last_waker_of_a_task_may_go_anywhere(format: WireFormat) {
    let (pool, pair) = pair(format, &["serve"]).await;
    let pair = pair.map(Arc::new);
    let polled = thread::spawn(move || {
        let mut noop = Context::from_waker(Waker::noop());
        for _ in 0..20 {
            let mut held = ask(&pair[0]);
            let mut kept = ask(&pair[1]);
            if held.as_mut().poll(&mut noop).is_ready() {
                continue;
            }
            let task = Waker::from(Arc::new(Task {
                _request: Mutex::new(held),
            }));
            let polled = kept.as_mut().poll(&mut Context::from_waker(&task));
            drop(task);
            if polled.is_pending() && kept.as_mut().poll(&mut noop).is_pending() {
                kept.wait();
            }
        }
    });
    until("it is polled, and not stuck", || polled.is_finished()).await;
    polled.join().unwrap();
    within(pool.shutdown()).await.unwrap();
}

async fn who_gives_up_may_have_been_the_last_to_know_a_task(format: WireFormat) {
    let (_pool, pair) = pair(format, &["drain"]).await;
    let pair = pair.map(Arc::new);
    let mut held = ask(&pair[0]);
    let mut given_up = ask(&pair[1]);
    let dropped = thread::spawn(move || {
        let polled = held.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        let task = Waker::from(Arc::new(Task {
            _request: Mutex::new(held),
        }));
        let mut context = Context::from_waker(&task);
        // Until it knows the task, and not only that it is to come again.
        for _ in 0..3 {
            assert!(given_up.as_mut().poll(&mut context).is_pending());
        }
        drop(task);
        drop(given_up);
    });
    until("it is dropped, and not stuck", || dropped.is_finished()).await;
    dropped.join().unwrap();
}
