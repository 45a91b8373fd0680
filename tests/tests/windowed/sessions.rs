//! What holds for other sessions holds for those with a window.

use futures::future::join_all;
use plushie_pool::{
    Binary, ErrorKind, RendererMode, Session, SessionEvent, SessionPool, WireFormat,
};
use serde_json::{Value, json};

use crate::display::start;
use crate::support::{click, counter, find, in_both_formats, kill, pool, show, snapshot};

async fn windowed(format: WireFormat, sessions: usize) -> Option<SessionPool> {
    let builder = pool(RendererMode::Windowed, format).max_sessions(sessions);
    start(builder).await
}

in_both_formats! {
    a_counter_counts_in_a_window
    each_session_has_a_renderer_of_its_own_that_ends_with_it
    a_window_that_is_killed_takes_no_other_with_it
    an_idle_window_costs_its_owner_nothing_that_grows
    pixels_come_back
    a_request_that_a_window_cannot_read_fails_at_once
}

async fn a_request_that_a_window_cannot_read_fails_at_once(format: WireFormat) {
    let Some(pool) = windowed(format, 1).await else {
        return;
    };
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(0))).await.unwrap();
    let faulty = json!({"type": "query", "selector": {}});
    let patience = 10 * crate::support::LONG;
    let asked = session.request(&faulty, "query_response").timeout(patience);
    let error = crate::support::within(asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageDropped, "{error}");
    assert!(
        error
            .to_string()
            .contains("dropped it: missing field `target`"),
        "{error}"
    );
}

async fn a_counter_counts_in_a_window(format: WireFormat) {
    let Some(pool) = windowed(format, 1).await else {
        return;
    };
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(0))).await.unwrap();
    for count in 1..=3 {
        let clicked = session
            .request(&click("increment"), "interact_response")
            .await
            .unwrap();
        let clicked: Value = clicked.decode().unwrap();
        assert_eq!(clicked["session"], session.id().to_string(), "{clicked}");
        assert_eq!(clicked["events"][0]["family"], "click", "{clicked}");
        session.send(&show(count)).await.unwrap();
        let found = session
            .request(&find("count"), "query_response")
            .await
            .unwrap();
        let found: Value = found.decode().unwrap();
        assert_eq!(
            found["data"]["props"]["content"],
            count.to_string(),
            "{found}"
        );
    }
    session.unregister().await.unwrap();
    pool.shutdown().await.unwrap();
}

async fn each_session_has_a_renderer_of_its_own_that_ends_with_it(format: WireFormat) {
    let Some(pool) = windowed(format, 4).await else {
        return;
    };
    let sessions = join_all((0..4).map(|_| pool.register())).await;
    let sessions: Vec<_> = sessions.into_iter().map(Result::unwrap).collect();
    let mut pids: Vec<_> = sessions
        .iter()
        .filter_map(|session| session.renderer_pid())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 4);
    assert_eq!(
        pool.try_register().await.unwrap_err().kind(),
        ErrorKind::PoolFull
    );
    for closed in join_all(sessions.iter().map(|session| session.unregister())).await {
        closed.unwrap();
    }
    // The place is free again only when the process is gone.
    for pid in pids {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "{pid} is left"
        );
    }
    assert_eq!(pool.status().sessions, 0);
    pool.register().await.unwrap().unregister().await.unwrap();
    pool.shutdown().await.unwrap();
}

async fn a_window_that_is_killed_takes_no_other_with_it(format: WireFormat) {
    let Some(pool) = windowed(format, 2).await else {
        return;
    };
    let (killed, other) = (
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    );
    kill(killed.renderer_pid().unwrap());
    let last = loop {
        match killed.next_event().await {
            Some(SessionEvent::RendererExited(error)) => break error,
            Some(_) => {}
            None => panic!("the owner was not told"),
        }
    };
    assert!(last.to_string().contains("SIGKILL"), "{last}");
    let error = killed
        .request(&find("count"), "query_response")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RendererExited);
    other.send(&snapshot(&counter(7))).await.unwrap();
    other
        .request(&find("count"), "query_response")
        .await
        .unwrap();
    // The place of the dead one is free, although its owner still holds it.
    pool.register().await.unwrap();
    pool.shutdown().await.unwrap();
}

async fn an_idle_window_costs_its_owner_nothing_that_grows(format: WireFormat) {
    let Some(pool) = windowed(format, 1).await else {
        return;
    };
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(0))).await.unwrap();
    let subscribe = json!({"type": "subscribe", "kind": "on_window_event", "tag": "w"});
    session.send(&subscribe).await.unwrap();
    // The renderer repeats itself at least this often while nobody listens.
    while pool.status().counters.coalesced < 200 {
        session
            .request(&find("count"), "query_response")
            .await
            .unwrap();
    }
    assert_eq!(pool.status().counters.lagged, 0);
    session.unregister().await.unwrap();
    let mut statuses = 0;
    while let Some(event) = session.next_event().await {
        if let SessionEvent::Event(event) = event {
            statuses += u64::from(event.family() == Some("status"));
        }
    }
    assert!(
        (1..100).contains(&statuses),
        "{statuses} status events were kept"
    );
    pool.shutdown().await.unwrap();
}

/// Shows a window and waits for its window: a screenshot of a window that is not there yet
/// is never answered.
pub(crate) async fn opened(session: &Session, tree: &Value) {
    let subscribe = json!({"type": "subscribe", "kind": "on_window_open", "tag": "opened"});
    session.send(&subscribe).await.unwrap();
    session.send(&snapshot(tree)).await.unwrap();
    loop {
        match session.next_event().await {
            Some(SessionEvent::Event(event)) if event.family() == Some("window_opened") => break,
            Some(_) => {}
            None => panic!("the session ended before its window opened"),
        }
    }
}

async fn pixels_come_back(format: WireFormat) {
    #[derive(serde::Deserialize)]
    struct Screenshot {
        width: usize,
        height: usize,
        rgba: Binary,
    }
    let Some(pool) = windowed(format, 1).await else {
        return;
    };
    let session = pool.register().await.unwrap();
    opened(&session, &counter(0)).await;
    let shot = session
        .request(
            &json!({"type": "screenshot", "name": "window"}),
            "screenshot_response",
        )
        .await
        .unwrap();
    let shot: Screenshot = shot.decode().unwrap();
    assert!(shot.width * shot.height > 0);
    assert_eq!(shot.rgba.len(), shot.width * shot.height * 4);
    pool.shutdown().await.unwrap();
}
