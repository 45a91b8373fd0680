//! One pool for all tests of a process, whatever they run on.

#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

#[path = "scenarios/support.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "made for the scenarios"
)]
mod support;

use std::sync::{LazyLock, OnceLock};

use futures::executor::{LocalPool, ThreadPool};
use futures::task::SpawnExt;
use futures::{FutureExt, StreamExt};
use plushie_pool::blocking::{Wait, iter};
use plushie_pool::{RendererMode, SessionEvent, SessionPool, WireFormat};
use serde_json::json;
use support::{click, counter, pool, shown, snapshot};

/// Started by whichever test comes first, on a thread where nothing else runs.
static POOL: LazyLock<SessionPool> = LazyLock::new(|| {
    let start = || pool(RendererMode::Mock, WireFormat::Msgpack).start().wait();
    let pool = std::thread::spawn(start).join().unwrap();
    pool.expect("the renderer was built with the tests")
});

/// What a test does with a session, and that it is the same pool's as everybody's.
async fn use_a_session(count: u64) {
    static RENDERER: OnceLock<u32> = OnceLock::new();

    let session = POOL.register().await.unwrap();
    let pid = session.renderer_pid().unwrap();
    assert_eq!(*RENDERER.get_or_init(|| pid), pid);
    session.send(&snapshot(&counter(count))).await.unwrap();
    assert_eq!(shown(&session).await, count.to_string());
    let interact = session.send_interact(&click("increment")).await.unwrap();
    let end = session.events().next().await;
    assert!(
        matches!(end, Some(SessionEvent::InteractResponse { id, .. }) if id == interact),
        "{end:?}"
    );
    session.unregister().await.unwrap();
    assert_eq!(POOL.status().launches, 1);
}

#[tokio::test]
async fn in_a_runtime_of_one_thread() {
    use_a_session(1).await;
}

#[tokio::test]
async fn in_the_next_one() {
    use_a_session(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_runtime_of_several_threads() {
    let tasks = (10..18).map(|count| tokio::spawn(use_a_session(count)));
    for outcome in futures::future::join_all(tasks).await {
        outcome.unwrap();
    }
}

#[test]
fn in_a_plain_test() {
    use_a_session(3).wait();
    let session = POOL.register().wait().unwrap();
    session.send(&snapshot(&counter(4))).wait().unwrap();
    session.send_interact(&click("increment")).wait().unwrap();
    let mut events = iter(session.events());
    assert!(matches!(
        events.next(),
        Some(SessionEvent::InteractResponse { .. })
    ));
}

#[test]
fn under_an_executor_that_is_not_tokio() {
    LocalPool::new().run_until(use_a_session(5));
    let threads = ThreadPool::builder().pool_size(2).create().unwrap();
    let tasks = (20..24).map(|count| threads.spawn_with_handle(use_a_session(count)).unwrap());
    futures::future::join_all(tasks).wait();
}

#[test]
fn a_session_outlives_the_runtime_it_was_opened_in() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    let session = runtime().block_on(async {
        let session = POOL.register().await.unwrap();
        session.send(&snapshot(&counter(6))).await.unwrap();
        session
    });
    assert_eq!(runtime().block_on(shown(&session)), "6");
    // A request begun in one is finished in another.
    {
        let query = json!({"type": "query", "target": "tree", "selector": {}});
        let mut request = session.request(&query, "query_response");
        let early = runtime().block_on(async { (&mut request).now_or_never() });
        let reply = early.unwrap_or_else(|| runtime().block_on(request));
        reply.unwrap();
    }
    // And it may be dropped where there is none.
    std::thread::spawn(move || drop(session)).join().unwrap();
}

#[test]
fn a_wait_that_may_take_for_ever_can_be_bounded() {
    let session = POOL.register().wait().unwrap();
    let bound = std::time::Duration::from_millis(20);
    assert!(
        session.next_event().wait_for(bound).is_none(),
        "nothing happens"
    );
    session
        .unregister()
        .wait_for(std::time::Duration::MAX)
        .unwrap()
        .unwrap();
    assert!(
        session.next_event().wait_for(bound).unwrap().is_none(),
        "it is over"
    );
}
