//! What idle windows say without end is taken off the renderer's hands, and does not pile up.

use plushie_pool::{Display, RendererMode, SessionEvent, WireFormat};
use serde_json::json;

use crate::display::own;
use crate::support::{counter, find, kill, pool, snapshot, until, within};

#[tokio::test]
async fn what_an_idle_window_repeats_is_counted_and_not_kept() {
    // It says most under Xvfb.
    let Some(display) = own().pop() else {
        return;
    };
    let pool = pool(RendererMode::Windowed, WireFormat::Msgpack)
        .display(display)
        // Nothing is filtered, whatever those who run this have set.
        .renderer_env("RUST_LOG", "warn")
        .start()
        .await
        .unwrap();
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(0))).await.unwrap();
    let subscribe = json!({"type": "subscribe", "kind": "on_window_event", "tag": "window"});
    session.send(&subscribe).await.unwrap();
    let repeated = || pool.status().counters.coalesced;
    until("it repeats itself", || repeated() > 2_000).await;
    assert_eq!(pool.status().counters.lagged, 0);
    // It goes on to serve.
    within(session.request(&find("count"), "query_response"))
        .await
        .unwrap();

    kill(session.renderer_pid().unwrap());
    let mut statuses = Vec::new();
    let end = loop {
        match within(session.next_event()).await {
            Some(SessionEvent::Event(event)) if event.family() == Some("status") => {
                let event: serde_json::Value = event.decode().unwrap();
                statuses.push((event["id"].clone(), event["value"].clone()));
            }
            Some(SessionEvent::RendererExited(error)) => break error,
            Some(_) => {}
            None => panic!("the owner was not told"),
        }
    };
    // Each change was told, and nothing twice in a row.
    let button = statuses.iter().filter(|(id, _)| *id == "increment");
    let values: Vec<_> = button.map(|(_, value)| value).collect();
    assert!(values.windows(2).all(|two| two[0] != two[1]), "{values:?}");
    assert!((1..20).contains(&values.len()), "{values:?}");
    if display == Display::Xvfb {
        // One line of its hundreds of equal ones.
        let stderr = end.stderr().unwrap();
        assert!(stderr.contains("(repeated "), "{stderr}");
        assert!(stderr.lines().count() < 10, "{stderr}");
    }
    within(pool.shutdown()).await.unwrap();
}
