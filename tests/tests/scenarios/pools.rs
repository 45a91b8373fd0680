//! Pools as a whole: what they are told, what they say of themselves, how they end.

use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use plushie_pool::{ErrorKind, RendererMode, SessionEvent, SessionPool, WireFormat};
use serde_json::{Value, json};

use crate::peer::{played, query};
use crate::support::{
    RENDERER, counter, everywhere, exists, in_both_formats, pids, pool, shown, snapshot, within,
};

everywhere! {
    a_pool_says_what_it_is_and_does
    sessions_spread_over_several_renderers
    shutdown_ends_everything_and_waits_for_it
    a_worn_out_renderer_is_replaced_without_a_session_noticing
}

in_both_formats! {
    shutdown_ends_what_is_on_its_way
    every_session_starts_with_the_settings
    settings_show_in_every_session
}

async fn a_pool_says_what_it_is_and_does(mode: RendererMode, format: WireFormat) {
    let name = format!("status of {mode} in {format}");
    let pool = pool(mode, format).max_sessions(3).name(&*name);
    let pool = pool.start().await.unwrap();
    let session = pool.register().await.unwrap();
    shown(&session).await;
    let status = pool.status();
    assert_eq!(status.name, Some(name));
    assert_eq!(status.mode, mode.to_string());
    assert_eq!(status.format, format.to_string());
    assert_eq!(
        (status.max_sessions, status.sessions, status.waiting),
        (3, 1, 0)
    );
    assert_eq!((status.pending_requests, status.queued_messages), (0, 0));
    assert_eq!((status.launches, status.deaths), (1, 0));
    assert_eq!((status.counters.sent, status.counters.received), (1, 1));
    let [renderer] = &status.renderers[..] else {
        panic!("{status:?}");
    };
    assert_eq!(renderer.origin, RENDERER);
    assert_eq!(renderer.pid, session.renderer_pid());
    assert!(exists(renderer.pid.unwrap()));
    assert_eq!(renderer.version, "0.7.1");
    assert_eq!((renderer.sessions, renderer.served), (1, 1));
    assert!(renderer.launch_time > Duration::ZERO);
    let shown = format!("{pool:?}");
    assert!(shown.contains(&mode.to_string()), "{shown}");
}

async fn sessions_spread_over_several_renderers(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).renderers(2).max_sessions(4);
    let pool = pool.start().await.unwrap();
    let renderers = pids(&pool);
    assert_eq!(renderers.len(), 2, "both are there from the start");
    let sessions = join_all((0..4).map(|_| pool.register())).await;
    let mut served: Vec<_> = sessions
        .iter()
        .map(|session| session.as_ref().unwrap().renderer_pid().unwrap())
        .collect();
    served.sort_unstable();
    let mut twice = [renderers.clone(), renderers].concat();
    twice.sort_unstable();
    assert_eq!(served, twice);
    assert_eq!(pool.status().launches, 2);
}

async fn shutdown_ends_everything_and_waits_for_it(mode: RendererMode, format: WireFormat) {
    let name = format!("shut down {mode} in {format}");
    let pool = pool(mode, format).renderers(2).max_sessions(1).name(&*name);
    let pool = pool.start().await.unwrap();
    let renderers = pids(&pool);
    let session = pool.register().await.unwrap();
    shown(&session).await;
    let mut waiting = Box::pin(pool.register());
    assert!((&mut waiting).now_or_never().is_none());

    within(pool.clone().shutdown()).await.unwrap();
    for pid in renderers {
        assert!(!exists(pid), "{pid} is still there, or was not reaped");
    }
    assert_eq!(
        within(waiting).await.unwrap_err().kind(),
        ErrorKind::PoolClosed
    );
    for error in [
        pool.register().await.unwrap_err(),
        pool.try_register().await.unwrap_err(),
        session.send(&snapshot(&counter(0))).await.unwrap_err(),
        session
            .request(&query(), "query_response")
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::PoolClosed, "{error}");
        assert!(error.to_string().contains("shut down"), "{error}");
    }
    session.unregister().await.unwrap();
    assert!(SessionPool::named(&name).is_none());
    let status = pool.status();
    assert_eq!((status.renderers.len(), status.deaths), (0, 0));
    within(pool.shutdown()).await.unwrap();
}

async fn shutdown_ends_what_is_on_its_way(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let query = query();
    let mut asked = session.request(&query, "query_response");
    assert!((&mut asked).now_or_never().is_none());
    peer.expect("query").await;
    let mut event = Box::pin(session.next_event());
    assert!((&mut event).now_or_never().is_none());

    within(pool.shutdown()).await.unwrap();
    let error = within(asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolClosed);
    assert_eq!(error.session(), Some(session.id()));
    let event = within(event).await;
    assert!(
        matches!(event, Some(SessionEvent::RendererExited(_))),
        "{event:?}"
    );
    assert!(within(session.next_event()).await.is_none());
    assert!(within(peer.read()).await.is_none(), "its input has ended");
}

async fn a_worn_out_renderer_is_replaced_without_a_session_noticing(
    mode: RendererMode,
    format: WireFormat,
) {
    let pool = pool(mode, format).recycle_after(3).start().await.unwrap();
    let keeps = pool.register().await.unwrap();
    keeps.send(&snapshot(&counter(4))).await.unwrap();
    let mut used = vec![keeps.renderer_pid().unwrap()];
    for _ in 0..8 {
        let session = pool.register().await.unwrap();
        assert_eq!(shown(&session).await, Value::Null);
        used.push(session.renderer_pid().unwrap());
        session.unregister().await.unwrap();
    }
    assert_eq!(shown(&keeps).await, "4", "it goes on where it is");
    let lives = used.chunk_by(|one, other| one == other).map(<[u32]>::len);
    assert_eq!(lives.collect::<Vec<_>>(), [3, 3, 3]);
    let status = pool.status();
    assert_eq!((status.launches, status.deaths), (3, 0));
    keeps.unregister().await.unwrap();
    crate::support::until("the old one has gone", || !exists(used[0])).await;
}

async fn every_session_starts_with_the_settings(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let builder = builder.settings(json!({"default_text_size": 30}));
    let (pool, mut peer) = futures::join!(builder.start(), async {
        let mut peer = peers.untouched().await;
        let settings = peer.expect("settings").await;
        assert_eq!(settings["session"], "");
        let expected = json!({"protocol_version": 1, "default_text_size": 30});
        assert_eq!(settings["settings"], expected);
        peer
    });
    let pool = pool.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let session = pool.register().await.unwrap();
        let settings = peer.expect("settings").await;
        assert_eq!(settings["session"], session.id().to_string());
        assert_eq!(settings["settings"], json!({"default_text_size": 30}));
        sessions.push(session);
    }
    peer.serve();
}

async fn settings_show_in_every_session(format: WireFormat) {
    let small = pool(RendererMode::Headless, format).start().await.unwrap();
    let large = pool(RendererMode::Headless, format).settings(json!({"default_text_size": 40}));
    let large = large.start().await.unwrap();
    let first = look(&large).await;
    assert_eq!(look(&large).await, first, "the second session has them too");
    assert_ne!(look(&small).await, first);
}

/// What a session looks like.
async fn look(pool: &SessionPool) -> String {
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(5))).await.unwrap();
    let take = json!({"type": "screenshot", "name": "look", "width": 64, "height": 64});
    let picture = session.request(&take, "screenshot_response").await.unwrap();
    let picture: Value = picture.decode().unwrap();
    let hash = picture["hash"].as_str().unwrap().to_owned();
    assert!(!hash.is_empty());
    hash
}

#[tokio::test]
async fn a_name_finds_a_running_pool_and_is_taken_only_as_long() {
    let named = |mode| pool(mode, WireFormat::Msgpack).name("the only one").start();
    assert!(SessionPool::named("the only one").is_none());
    let pool = named(RendererMode::Mock).await.unwrap();
    let found = SessionPool::named("the only one").unwrap();
    let session = found.register().await.unwrap();
    assert_eq!(pool.status().sessions, 1, "it is the same");
    let error = named(RendererMode::Headless).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("\"the only one\""), "{error}");

    drop((pool, found));
    // A session keeps its pool.
    shown(&session).await;
    let found = SessionPool::named("the only one").unwrap();
    drop((session, found));
    assert!(SessionPool::named("the only one").is_none());
    let next = named(RendererMode::Headless).await.unwrap();
    assert_eq!(next.status().mode, "headless");
}

#[tokio::test]
async fn a_renderer_gets_the_arguments_and_the_variables_it_is_given() {
    let script = r#"echo "args $*, given $GIVEN" >&2; exit 5"#;
    let pool = SessionPool::builder()
        .renderer("/bin/sh")
        .renderer_args(["-c", script, "sh", "first"])
        .renderer_env("GIVEN", "yes")
        .max_sessions(3);
    let error = pool.start().await.unwrap_err();
    let said = error.stderr().unwrap();
    assert!(
        said.starts_with("args first --mock --max-sessions "),
        "{said}"
    );
    assert!(said.ends_with("--msgpack, given yes"), "{said}");
}
