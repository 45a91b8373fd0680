//! Session after session through one pool, far beyond what one renderer survives.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use futures::executor::block_on;
use plushie_pool::{Error, SessionPool};
use serde_json::{Value, json};

use crate::leftovers;

/// How a run of many short sessions went.
#[derive(Debug)]
pub(crate) struct Lives {
    lives: u64,
    failed: u64,
    renderers: usize,
    growth_kib: i64,
    largest_renderer_kib: i64,
}

impl Lives {
    pub(crate) fn is_clean(&self) -> bool {
        self.failed == 0
    }

    pub(crate) fn print(&self) {
        let report = json!({
            "ok": self.is_clean(),
            "lives": self.lives,
            "failed": self.failed,
            "renderers": self.renderers,
            "rss_growth_kib": self.growth_kib,
            "largest_renderer_kib": self.largest_renderer_kib,
        });
        println!("{report}");
    }
}

/// Opens `lives` sessions, as many at once as the pool allows, and closes each after a snapshot
/// and a query.
pub(crate) fn run(pool: &SessionPool, lives: u64) -> Lives {
    let begun = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let renderers = Mutex::new(BTreeSet::new());
    let largest = Mutex::new(0);
    let warm = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..pool.status().max_sessions {
            scope.spawn(|| {
                loop {
                    let life = begun.fetch_add(1, Ordering::Relaxed);
                    if life >= lives {
                        break;
                    }
                    if let Err(error) = block_on(live(pool, life)) {
                        failed.fetch_add(1, Ordering::Relaxed);
                        eprintln!("life {life}: {error}");
                    }
                    if life.is_multiple_of(500) {
                        look(pool, &renderers, &largest);
                    }
                    if life == lives / 5 {
                        *warm.lock().expect("no panic while held") =
                            Some(leftovers::resident_kib(std::process::id()));
                    }
                }
            });
        }
    });
    let resident = leftovers::resident_kib(std::process::id());
    let warm = warm.into_inner().expect("no panic while held");
    Lives {
        lives,
        failed: failed.into_inner(),
        renderers: renderers.into_inner().expect("no panic while held").len(),
        growth_kib: resident - warm.unwrap_or(resident),
        largest_renderer_kib: largest.into_inner().expect("no panic while held"),
    }
}

async fn live(pool: &SessionPool, life: u64) -> Result<(), Error> {
    let session = pool.register().await?;
    let label = json!({
        "id": "label", "type": "text", "props": {"content": life.to_string()}, "children": [],
    });
    let tree = json!({"id": "main", "type": "window", "props": {}, "children": [label]});
    session
        .send(&json!({"type": "snapshot", "tree": tree}))
        .await?;
    let query = json!({
        "type": "query", "target": "find", "selector": {"by": "id", "value": "label"},
    });
    let reply = session.request(&query, "query_response").await?;
    let body: Value = reply.decode()?;
    assert_eq!(
        body["data"]["props"]["content"],
        life.to_string(),
        "another's answer"
    );
    session.unregister().await
}

fn look(pool: &SessionPool, renderers: &Mutex<BTreeSet<u32>>, largest: &Mutex<i64>) {
    for pid in pool
        .status()
        .renderers
        .iter()
        .filter_map(|renderer| renderer.pid)
    {
        renderers.lock().expect("no panic while held").insert(pid);
        let mut largest = largest.lock().expect("no panic while held");
        *largest = leftovers::resident_kib(pid).max(*largest);
    }
}
