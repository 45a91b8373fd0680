//! A suite like its users have, of many small tests on the pool that all of them share:
//!
//! ```sh
//! plushie-pool run -- cargo nextest run -p plushie-pool-tests --test suite
//! ```

#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

use plushie_pool::{Session, SessionPool};
use serde_json::{Value, json};

async fn session() -> Session {
    // Without a server around, and so in each process of cargo-nextest, a pool of its own.
    let pool = SessionPool::builder()
        .with_env()
        .renderer(env!("CARGO_BIN_EXE_plushie-pool-test-renderer"))
        .shared();
    let pool = pool.await.unwrap();
    if let Some(log) = std::env::var_os("PLUSHIE_POOL_TEST_PIDS") {
        note_pids(&pool, log);
    }
    pool.register().await.unwrap()
}

/// Where a run of the suite counts its renderers.
fn note_pids(pool: &SessionPool, log: std::ffi::OsString) {
    use std::io::Write;

    let mut log = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(log)
        .unwrap();
    for renderer in pool.status().renderers {
        // One line in one go, as others write there too.
        let line = format!("{:?} {}\n", renderer.pid, renderer.origin);
        log.write_all(line.as_bytes()).unwrap();
    }
}

/// A button that counts, clicked this often.
async fn clicks_are_counted(clicks: u64) {
    let session = session().await;
    let node = |id: &str, kind: &str, props: Value| json!({"id": id, "type": kind, "props": props, "children": []});
    let tree = json!({"id": "main", "type": "window", "props": {}, "children": [{
        "id": "root", "type": "column", "props": {}, "children": [
            node("increment", "button", json!({"label": "+"})),
            node("count", "text", json!({"content": "0"})),
        ],
    }]});
    session
        .send(&json!({"type": "snapshot", "tree": tree}))
        .await
        .unwrap();
    for click in 1..=clicks {
        let button = json!({"by": "id", "value": "increment"});
        let interact = json!({"type": "interact", "action": "click", "selector": button});
        let clicked = session.request(&interact, "interact_response").await;
        let clicked: Value = clicked.unwrap().decode().unwrap();
        assert_eq!(clicked["events"][0]["family"], "click", "{clicked}");
        let op = json!({
            "op": "update_props", "path": [0, 1], "props": {"content": click.to_string()},
        });
        session
            .send(&json!({"type": "patch", "ops": [op]}))
            .await
            .unwrap();
    }
    let find = json!({
        "type": "query", "target": "find", "selector": {"by": "id", "value": "count"},
    });
    let found = session.request(&find, "query_response").await.unwrap();
    let found: Value = found.decode().unwrap();
    assert_eq!(found["data"]["props"]["content"], clicks.to_string());
    session.unregister().await.unwrap();
}

/// Twelve tests for each name.
macro_rules! tests {
    ($($name:ident)*) => {
        $(mod $name {
            tests! { in $name: c1 1, c2 2, c3 3, c4 4, c5 5, c6 6, c7 7, c8 8, c9 9, c10 10, c11 11, c12 12 }
        })*
    };
    (in $group:ident: $($name:ident $clicks:literal),*) => {
        $(#[tokio::test]
        async fn $name() {
            super::clicks_are_counted($clicks).await;
        })*
    };
}

tests! { alpha beta gamma delta epsilon zeta eta theta iota kappa }
