//! Which window has the input focus, on displays of the pool's own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures::FutureExt;
use plushie_pool::{Display, RendererMode, Session, SessionEvent, SessionPool, WireFormat};
use serde_json::json;

use crate::display::{note_skipped, own};
use crate::support::{counter, pool, shown, snapshot, within};

/// A pool on a display of its own, if new windows get the focus there. An Xvfb must give it.
async fn with_focus(display: Display) -> Option<SessionPool> {
    let pool = pool(RendererMode::Windowed, WireFormat::Msgpack)
        .display(display)
        .max_sessions(2)
        .start()
        .await
        .unwrap();
    let gives_focus = pool.status().display.unwrap().gives_focus;
    if display == Display::Xvfb {
        assert!(gives_focus);
    }
    if !gives_focus {
        note_skipped("the focus of windows on weston", "it has no --fake-seat");
        return None;
    }
    Some(pool)
}

/// Opens a window, of which the session is told when it gets and loses the focus.
async fn open(pool: &SessionPool) -> Session {
    let session = pool.register().await.unwrap();
    for kind in ["on_window_focus", "on_window_unfocus"] {
        let subscribe = json!({"type": "subscribe", "kind": kind, "tag": kind});
        session.send(&subscribe).await.unwrap();
    }
    session.send(&snapshot(&counter(0))).await.unwrap();
    session
}

async fn wait_for(session: &Session, family: &str) {
    let event = async {
        loop {
            match session.next_event().await {
                Some(SessionEvent::Event(event)) if event.family() == Some(family) => break,
                Some(_) => {}
                None => panic!("the session ended before {family}"),
            }
        }
    };
    within(event).await;
}

#[tokio::test]
async fn a_new_window_gets_the_focus() {
    for display in own() {
        let Some(pool) = with_focus(display).await else {
            continue;
        };
        let session = open(&pool).await;
        wait_for(&session, "window_focused").await;
        within(pool.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn the_window_opened_last_has_the_focus_until_it_is_closed() {
    for display in own() {
        let Some(pool) = with_focus(display).await else {
            continue;
        };
        let first = open(&pool).await;
        wait_for(&first, "window_focused").await;
        let second = open(&pool).await;
        wait_for(&second, "window_focused").await;
        wait_for(&first, "window_unfocused").await;
        second.unregister().await.unwrap();
        wait_for(&first, "window_focused").await;
        within(pool.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn a_window_that_asks_for_the_focus_gets_it() {
    for display in own() {
        // A Wayland window may not ask for it.
        if display != Display::Xvfb {
            continue;
        }
        let Some(pool) = with_focus(display).await else {
            continue;
        };
        let first = open(&pool).await;
        wait_for(&first, "window_focused").await;
        let second = open(&pool).await;
        wait_for(&first, "window_unfocused").await;
        let ask = json!({
            "type": "window_op", "op": "gain_focus", "window_id": "main", "payload": {},
        });
        first.send(&ask).await.unwrap();
        wait_for(&first, "window_focused").await;
        wait_for(&second, "window_unfocused").await;
        within(pool.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn two_pools_windows_do_not_take_the_focus_from_each_other() {
    for display in own() {
        let (one, other) = futures::join!(with_focus(display), with_focus(display));
        let (Some(one), Some(other)) = (one, other) else {
            continue;
        };
        let first = open(&one).await;
        wait_for(&first, "window_focused").await;
        let second = open(&other).await;
        wait_for(&second, "window_focused").await;
        // Both have answered since, so what the second did to the first would be here.
        for session in [&second, &first] {
            shown(session).await;
        }
        for session in [&first, &second] {
            while let Some(event) = session.next_event().now_or_never() {
                if let Some(SessionEvent::Event(event)) = event {
                    assert_ne!(event.family(), Some("window_unfocused"), "{display}");
                }
            }
        }
        let (one, other) = futures::join!(one.shutdown(), other.shutdown());
        one.and(other).unwrap();
    }
}

/// A `weston` that says this when it is asked for help. It is the installed one otherwise, which
/// may not know the option that it notes in a file beside it.
fn weston_that_says(help: &str, folder: &Path) -> String {
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path)
        .map(|folder| folder.join("weston"))
        .find(|path| path.exists())
        .unwrap();
    let script = format!(
        "#!/bin/sh\n\
         if [ \"$1\" = --help ]; then echo '{help}'; exit; fi\n\
         for arg; do\n\
         shift\n\
         if [ \"$arg\" = --fake-seat ]; then : > \"$0.seat\"; else set -- \"$@\" \"$arg\"; fi\n\
         done\n\
         exec {} \"$@\"\n",
        real.display()
    );
    let program = folder.join("weston");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{path}", folder.display())
}

#[tokio::test]
async fn a_weston_that_can_have_a_seat_without_devices_has_one() {
    if !own().contains(&Display::Weston) {
        return;
    }
    for (help, has_seat) in [("  --fake-seat  Create a seat", true), ("  --width", false)] {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(RendererMode::Windowed, WireFormat::Msgpack)
            .display(Display::Weston)
            .renderer_env("PATH", weston_that_says(help, folder.path()))
            .start()
            .await
            .unwrap();
        assert_eq!(folder.path().join("weston.seat").exists(), has_seat);
        assert_eq!(pool.status().display.unwrap().gives_focus, has_seat);
        within(pool.shutdown()).await.unwrap();
    }
}
