//! Many windows at once, and many more through the same places.

use std::collections::HashSet;

use futures::future::join_all;
use plushie_pool::{Binary, RendererMode, Session, WireFormat};
use serde_json::{Value, json};

use crate::display::start;
use crate::sessions::opened;
use crate::support::{click, counter, pool, show, shown};

#[tokio::test]
async fn thirty_windows_at_once_and_more_through_the_same_places() {
    const SESSIONS: usize = 30;

    let builder = pool(RendererMode::Windowed, WireFormat::Msgpack).max_sessions(SESSIONS);
    let Some(pool) = start(builder).await else {
        return;
    };
    let mut pids = HashSet::new();
    let all = join_all((0..SESSIONS).map(|_| pool.register())).await;
    for session in &all {
        let session = session.as_ref().unwrap();
        assert!(pids.insert(session.renderer_pid()), "two share a renderer");
    }
    let lives = all.into_iter().map(|session| live(session.unwrap()));
    join_all(lives).await;
    let more = (0..2 * SESSIONS).map(|_| async {
        live(pool.register().await.unwrap()).await;
    });
    join_all(more).await;
    let status = pool.status();
    assert_eq!((status.sessions, status.waiting, status.deaths), (0, 0, 0));
    assert_eq!(status.launches, 3 * SESSIONS as u64);
    pool.shutdown().await.unwrap();
}

/// Counts, looks, and closes.
async fn live(session: Session) {
    #[derive(serde::Deserialize)]
    struct Screenshot {
        width: usize,
        height: usize,
        rgba: Binary,
    }
    opened(&session, &counter(0)).await;
    for count in 1..=3 {
        let clicked = session.request(&click("increment"), "interact_response");
        let clicked: Value = clicked.await.unwrap().decode().unwrap();
        assert_eq!(clicked["events"][0]["family"], "click", "{clicked}");
        session.send(&show(count)).await.unwrap();
        assert_eq!(shown(&session).await, count.to_string());
    }
    let screenshot = json!({"type": "screenshot", "name": "window"});
    let shot = session.request(&screenshot, "screenshot_response").await;
    let shot: Screenshot = shot.unwrap().decode().unwrap();
    assert!(shot.width * shot.height > 0);
    assert_eq!(shot.rgba.len(), shot.width * shot.height * 4);
    session.unregister().await.unwrap();
}
