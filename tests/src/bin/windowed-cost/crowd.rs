//! Many windows at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::join_all;
use plushie_pool::{Binary, Display, Error, ErrorKind, Session, SessionEvent, SessionPool};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Outcome, pool, process};

pub(crate) async fn run(display: Display, sessions: usize, lives: usize) -> Outcome {
    let pool = pool(display, sessions)
        .timeout(Duration::from_secs(120))
        .acquire_timeout(Duration::from_secs(600))
        .launch_timeout(Duration::from_secs(120))
        .start()
        .await?;
    println!("{display}: sessions that register, count three clicks, take a screenshot and close");
    println!(
        "{:>14} {:>9} {:>9} {:>14} {:>14} {:>10} {:>10}",
        "", "time", "CPU pool", "most renderers", "proportional", "display", "pool",
    );
    for (what, count) in [("at once", sessions), ("through them", lives)] {
        let peak = Arc::new(Peak::default());
        let watcher = thread::spawn({
            let (pool, peak) = (pool.clone(), peak.clone());
            move || peak.watch(&pool)
        });
        let cpu = process::cpu(std::process::id());
        let start = Instant::now();
        all(&pool, count).await?;
        let time = start.elapsed();
        peak.seen.store(true, Ordering::Relaxed);
        watcher.join().expect("it only looks");
        let mib = |figure: &AtomicU64| figure.load(Ordering::Relaxed) as f64 / 1024.0;
        println!(
            "{:>14} {:>7.2} s {:>7.2} s {:>14} {:>10.1} MiB {:>6.1} MiB {:>6.1} MiB",
            format!("{count} {what}"),
            time.as_secs_f64(),
            (process::cpu(std::process::id()) - cpu).as_secs_f64(),
            peak.renderers.load(Ordering::Relaxed),
            mib(&peak.renderers_pss),
            mib(&peak.display_pss),
            mib(&peak.pool_rss),
        );
    }
    let status = pool.status();
    println!(
        "{:>14} {} launched, {} died, {} places taken, {} events lost",
        "", status.launches, status.deaths, status.sessions, status.counters.lagged
    );
    pool.shutdown().await
}

async fn all(pool: &SessionPool, count: usize) -> Outcome {
    let lives = (0..count).map(|_| async {
        let session = pool.register().await?;
        count_and_look(&session).await?;
        session.unregister().await
    });
    join_all(lives).await.into_iter().collect()
}

async fn count_and_look(session: &Session) -> Outcome {
    #[derive(Deserialize)]
    struct Found {
        data: Value,
    }
    #[derive(Deserialize)]
    struct Screenshot {
        width: usize,
        height: usize,
        rgba: Binary,
    }
    opened(session, 0).await?;
    let button = json!({"by": "id", "value": "increment"});
    let click = json!({"type": "interact", "action": "click", "selector": button});
    let find = json!({
        "type": "query", "target": "find", "selector": {"by": "id", "value": "count"},
    });
    for count in 1..=3 {
        session.request(&click, "interact_response").await?;
        let patch = json!({"type": "patch", "ops": [{
            "op": "update_props", "path": [0, 1], "props": {"content": count.to_string()},
        }]});
        session.send(&patch).await?;
        let found: Found = session.request(&find, "query_response").await?.decode()?;
        let shown = &found.data["props"]["content"];
        check(shown == &*count.to_string(), || {
            format!("{count} is shown as {shown}")
        })?;
    }
    let screenshot = json!({"type": "screenshot", "name": "window"});
    let shot = session.request(&screenshot, "screenshot_response").await?;
    let shot: Screenshot = shot.decode()?;
    let pixels = shot.width * shot.height;
    check(pixels > 0 && shot.rgba.len() == 4 * pixels, || {
        format!(
            "{} x {} in {} bytes",
            shot.width,
            shot.height,
            shot.rgba.len()
        )
    })
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds {
        return Ok(());
    }
    Err(Error::new(ErrorKind::UnexpectedReply, otherwise()))
}

/// Shows a counter and waits for its window: one that is not there yet has no screenshot.
pub(crate) async fn opened(session: &Session, count: u64) -> Outcome {
    let subscribe = json!({"type": "subscribe", "kind": "on_window_open", "tag": "opened"});
    session.send(&subscribe).await?;
    let node = |id: &str, kind: &str, props: Value| json!({"id": id, "type": kind, "props": props, "children": []});
    let tree = json!({
        "id": "main", "type": "window",
        "props": {"title": "Counter", "width": 400, "height": 300},
        "children": [{
            "id": "root", "type": "column", "props": {},
            "children": [
                node("increment", "button", json!({"label": "+"})),
                node("count", "text", json!({"content": count.to_string()})),
            ],
        }],
    });
    session
        .send(&json!({"type": "snapshot", "tree": tree}))
        .await?;
    loop {
        match session.next_event().await {
            Some(SessionEvent::Event(event)) if event.family() == Some("window_opened") => {
                return Ok(());
            }
            Some(SessionEvent::RendererExited(error) | SessionEvent::Failed(error)) => {
                return Err(error);
            }
            Some(_) => {}
            None => return Err(Error::new(ErrorKind::SessionClosed, "no window opened")),
        }
    }
}

/// The most that was seen of each, memory in KiB.
#[derive(Default)]
struct Peak {
    seen: AtomicBool,
    renderers: AtomicUsize,
    renderers_pss: AtomicU64,
    display_pss: AtomicU64,
    pool_rss: AtomicU64,
}

impl Peak {
    fn watch(&self, pool: &SessionPool) {
        while !self.seen.load(Ordering::Relaxed) {
            let status = pool.status();
            let pids = status.renderers.iter().filter_map(|renderer| renderer.pid);
            let pss = pids.map(|pid| process::memory(pid).1).sum();
            let server = status
                .display
                .map_or(0, |server| process::memory(server.pid).1);
            let (mine, _) = process::memory(std::process::id());
            self.renderers
                .fetch_max(status.renderers.len(), Ordering::Relaxed);
            self.renderers_pss.fetch_max(pss, Ordering::Relaxed);
            self.display_pss.fetch_max(server, Ordering::Relaxed);
            self.pool_rss.fetch_max(mine, Ordering::Relaxed);
            // To look costs the machine something too.
            thread::sleep(Duration::from_millis(200));
        }
    }
}
