//! What the scenarios share: pools on the real renderer, and a counter to show in them.

use std::time::{Duration, Instant};

use plushie_pool::{Builder, RendererMode, Session, SessionPool, WireFormat};
use serde_json::{Value, json};

/// The real renderer, built with these tests.
pub(crate) const RENDERER: &str = env!("CARGO_BIN_EXE_plushie-pool-test-renderer");

/// A pool on the real renderer.
pub(crate) fn pool(mode: RendererMode, format: WireFormat) -> Builder {
    SessionPool::builder()
        .renderer(RENDERER)
        .mode(mode)
        .format(format)
}

/// A pool on a renderer that does these steps: see `plushie_pool_tests::script`.
pub(crate) fn scripted<'a>(steps: impl IntoIterator<Item = &'a str>) -> Builder {
    SessionPool::builder()
        .renderer(env!("CARGO_BIN_EXE_plushie-pool-scripted-renderer"))
        .renderer_args(steps)
}

/// Longer than anything here takes on any machine. Only a failing test waits this long.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A wait that is meant to run out.
pub(crate) const SHORT: Duration = Duration::from_millis(20);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future)
        .await
        .expect("it should long have happened")
}

/// Looks again and again until it is so: for what nobody is told of.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether there is a process of this id, be it one that nobody has reaped.
pub(crate) fn exists(pid: u32) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let pid = Pid::from_raw(pid.try_into().expect("ids are small")).expect("ids are not zero");
    test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// Kills a process.
pub(crate) fn kill(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = Pid::from_raw(pid.cast_signed()).expect("ids are not zero");
    kill_process(pid, Signal::KILL).expect("it is there");
}

/// Stops a child of this process. It has stopped when this returns, unless it is gone.
pub(crate) fn stop(pid: u32) {
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
    let pid = Pid::from_raw(pid.cast_signed()).expect("ids are not zero");
    if kill_process(pid, Signal::STOP).is_ok() {
        // Whoever is to reap it still can.
        let changes = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _ = waitid(WaitId::Pid(pid), changes);
    }
}

/// The processes of a pool's renderers.
pub(crate) fn pids(pool: &SessionPool) -> Vec<u32> {
    let renderers = pool.status().renderers;
    renderers
        .iter()
        .filter_map(|renderer| renderer.pid)
        .collect()
}

/// What the session shows under `count`.
pub(crate) async fn shown(session: &Session) -> Value {
    let found = session.request(&find("count"), "query_response");
    let found = found.await.expect("the session answers");
    let found: Value = found.decode().expect("it is a map");
    found["data"]["props"]["content"].clone()
}

/// A window with a button, a count, and a text field.
pub(crate) fn counter(count: u64) -> Value {
    let node = |id: &str, kind: &str, props: Value| json!({"id": id, "type": kind, "props": props, "children": []});
    json!({
        "id": "main", "type": "window", "props": {"title": "Counter"},
        "children": [{
            "id": "root", "type": "column", "props": {},
            "children": [
                node("increment", "button", json!({"label": "+"})),
                node("count", "text", json!({"content": count.to_string()})),
                node("name", "text_input", json!({"value": "", "placeholder": "name"})),
            ],
        }],
    })
}

pub(crate) fn snapshot(tree: &Value) -> Value {
    json!({"type": "snapshot", "tree": tree})
}

/// A patch that shows another count.
pub(crate) fn show(count: u64) -> Value {
    json!({"type": "patch", "ops": [
        {"op": "update_props", "path": [0, 1], "props": {"content": count.to_string()}},
    ]})
}

pub(crate) fn find(id: &str) -> Value {
    json!({"type": "query", "target": "find", "selector": {"by": "id", "value": id}})
}

pub(crate) fn click(id: &str) -> Value {
    json!({"type": "interact", "action": "click", "selector": {"by": "id", "value": id}})
}

/// Runs a scenario in each format.
macro_rules! in_both_formats {
    ($($name:ident)*) => {
        $(mod $name {
            use plushie_pool::WireFormat;

            #[tokio::test]
            async fn msgpack() {
                super::$name(WireFormat::Msgpack).await;
            }

            #[tokio::test]
            async fn json() {
                super::$name(WireFormat::Json).await;
            }
        })*
    };
}
pub(crate) use in_both_formats;

/// Runs a scenario in each mode that needs no display, in each format.
macro_rules! everywhere {
    ($($name:ident)*) => {
        $(mod $name {
            use plushie_pool::{RendererMode, WireFormat};

            #[tokio::test]
            async fn mock_msgpack() {
                super::$name(RendererMode::Mock, WireFormat::Msgpack).await;
            }

            #[tokio::test]
            async fn mock_json() {
                super::$name(RendererMode::Mock, WireFormat::Json).await;
            }

            #[tokio::test]
            async fn headless_msgpack() {
                super::$name(RendererMode::Headless, WireFormat::Msgpack).await;
            }

            #[tokio::test]
            async fn headless_json() {
                super::$name(RendererMode::Headless, WireFormat::Json).await;
            }
        })*
    };
}
pub(crate) use everywhere;
