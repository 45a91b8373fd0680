//! A real app, run by plushie's own runtime in a session, and driven by a test.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a check that cannot be made has failed

use std::time::Duration;

use plushie::prelude::*;
use plushie_pool::{ErrorKind, RendererMode, SessionPool, WireFormat};
use plushie_pool_app::AppSession;
use serde_json::{Value, json};

const RENDERER: &str = env!("CARGO_BIN_EXE_plushie-pool-test-renderer");

/// Longer than anything here takes on any machine. Only a failing test waits this long.
const LONG: Duration = Duration::from_secs(60);

/// A text field in its corner, so that where to click does not depend on a font; buttons, and
/// what they did.
#[derive(Default)]
struct Form {
    name: String,
    count: u64,
}

impl App for Form {
    type Model = Self;

    fn init() -> (Self, Command) {
        (Self::default(), Command::none())
    }

    fn update(model: &mut Self, event: Event) -> Command {
        match event.widget_match() {
            Some(Click("increment")) => model.count += 1,
            Some(Click("quit")) => return Command::exit(),
            Some(Click("panic")) => panic!("a defect of the app"),
            Some(Input("name", typed)) => typed.clone_into(&mut model.name),
            _ => {}
        }
        Command::none()
    }

    fn view(model: &Self, _: &mut WidgetRegistrar) -> ViewList {
        window("main")
            .child(column().children([
                View::from(text_input("name", &model.name)),
                button("increment", "+").into(),
                button("quit", "quit").into(),
                button("panic", "panic").into(),
                text(&model.count.to_string()).id("count").into(),
            ]))
            .into()
    }
}

/// Shows nothing of what is typed into it.
struct Deaf;

impl App for Deaf {
    type Model = Self;

    fn init() -> (Self, Command) {
        (Self, Command::none())
    }

    fn update(_: &mut Self, _: Event) -> Command {
        Command::none()
    }

    fn view(_: &Self, _: &mut WidgetRegistrar) -> ViewList {
        window("main").child(text_input("name", "")).into()
    }
}

/// Shows something new all the time.
struct Ticking {
    name: String,
    ticks: u64,
}

impl App for Ticking {
    type Model = Self;

    fn init() -> (Self, Command) {
        let name = String::new();
        (Self { name, ticks: 0 }, Command::none())
    }

    fn update(model: &mut Self, event: Event) -> Command {
        match event {
            Event::Timer(_) => model.ticks += 1,
            event => {
                if let Some(Input("name", typed)) = event.widget_match() {
                    typed.clone_into(&mut model.name);
                }
            }
        }
        Command::none()
    }

    fn view(model: &Self, _: &mut WidgetRegistrar) -> ViewList {
        let ticks = text(&model.ticks.to_string()).id("ticks");
        window("main")
            .child(column().children([View::from(text_input("name", &model.name)), ticks.into()]))
            .into()
    }

    fn subscribe(_: &Self) -> Vec<Subscription> {
        vec![Subscription::every(Duration::from_millis(1), "tick")]
    }
}

/// Cannot even begin.
struct Broken;

impl App for Broken {
    type Model = Self;

    fn init() -> (Self, Command) {
        panic!("a defect of the app")
    }

    fn update(_: &mut Self, _: Event) -> Command {
        Command::none()
    }

    fn view(_: &Self, _: &mut WidgetRegistrar) -> ViewList {
        ViewList::new()
    }
}

fn click(id: &str) -> Value {
    json!({"type": "interact", "action": "click", "selector": {"by": "id", "value": id}})
}

fn type_text(text: &str) -> Value {
    json!({
        "type": "interact", "action": "type_text", "payload": {"text": text},
        "selector": {"by": "id", "value": "name"},
    })
}

/// What gives the text field the focus.
fn focusing() -> [Value; 2] {
    [
        json!({"type": "interact", "action": "move_to", "selector": {}, "payload": {"x": 5, "y": 5}}),
        json!({"type": "interact", "action": "click", "selector": {}}),
    ]
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future)
        .await
        .expect("it should long have happened")
}

async fn pool(mode: RendererMode) -> SessionPool {
    let builder = SessionPool::builder().renderer(RENDERER).mode(mode);
    builder.format(WireFormat::Msgpack).start().await.unwrap()
}

async fn shown(app: &AppSession, id: &str, prop: &str) -> Value {
    let find = json!({"type": "query", "target": "find", "selector": {"by": "id", "value": id}});
    let found = within(app.control().request(&find, "query_response")).await;
    let found: Value = found.unwrap().decode().unwrap();
    found["data"]["props"][prop].clone()
}

async fn an_app_counts_and_is_typed_into(mode: RendererMode) {
    let pool = pool(mode).await;
    let app = within(AppSession::start::<Form>(&pool)).await.unwrap();
    assert_eq!(shown(&app, "count", "content").await, "0");
    for count in ["1", "2"] {
        within(app.interact(&click("increment"))).await.unwrap();
        assert_eq!(shown(&app, "count", "content").await, count);
    }

    for action in focusing() {
        within(app.interact(&action)).await.unwrap();
    }
    within(app.interact(&type_text("Grete"))).await.unwrap();
    assert_eq!(shown(&app, "name", "value").await, "Grete");
    within(app.close()).await.unwrap();
    assert_eq!(pool.status().sessions, 0);
}

/// Each letter is a step, which the renderer would wait for until the pool ends it.
async fn an_app_that_shows_nothing_new_keeps_nobody_waiting(mode: RendererMode) {
    let builder = SessionPool::builder().renderer(RENDERER).mode(mode);
    let pool = builder.start().await.unwrap();
    let app = within(AppSession::start::<Deaf>(&pool)).await.unwrap();
    for action in focusing() {
        within(app.interact(&action)).await.unwrap();
    }
    within(app.interact(&type_text("abc"))).await.unwrap();
    assert_eq!(shown(&app, "name", "value").await, "");
    within(app.close()).await.unwrap();
}

/// What it shows at a tick is no answer to a step, or letters would be lost.
async fn an_app_that_shows_something_all_the_time_is_typed_into(mode: RendererMode) {
    let pool = pool(mode).await;
    let app = within(AppSession::start::<Ticking>(&pool)).await.unwrap();
    for action in focusing() {
        within(app.interact(&action)).await.unwrap();
    }
    let long = "The quick brown fox jumps over the lazy dog.";
    within(app.interact(&type_text(long))).await.unwrap();
    assert_eq!(shown(&app, "name", "value").await, long);
    while shown(&app, "ticks", "content").await == "0" {
        within(app.settle()).await.unwrap();
    }
    within(app.close()).await.unwrap();
}

async fn apps_of_one_renderer_know_nothing_of_each_other(mode: RendererMode) {
    let pool = pool(mode).await;
    let (one, other) = tokio::join!(
        within(AppSession::start::<Form>(&pool)),
        within(AppSession::start::<Form>(&pool)),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.control().renderer_pid(), other.control().renderer_pid());
    within(one.interact(&click("increment"))).await.unwrap();
    assert_eq!(shown(&one, "count", "content").await, "1");
    assert_eq!(shown(&other, "count", "content").await, "0");
    drop(one);
    within(other.interact(&click("increment"))).await.unwrap();
    assert_eq!(shown(&other, "count", "content").await, "1");
}

async fn an_app_may_end_or_panic(mode: RendererMode) {
    let builder = SessionPool::builder().renderer(RENDERER).mode(mode);
    let pool = builder.max_sessions(1).start().await.unwrap();
    let app = within(AppSession::start::<Form>(&pool)).await.unwrap();
    // plushie's runtime catches it.
    within(app.interact(&click("panic"))).await.unwrap();
    within(app.interact(&click("increment"))).await.unwrap();
    assert_eq!(shown(&app, "count", "content").await, "1");

    let error = within(app.interact(&click("quit"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionClosed, "{error}");
    within(app.close()).await.unwrap();

    let error = within(AppSession::start::<Broken>(&pool))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionClosed, "{error}");
    assert!(error.to_string().contains("it panicked"), "{error}");

    // Its place is free.
    let app = within(AppSession::start::<Form>(&pool)).await.unwrap();
    drop(app);
    within(pool.register()).await.unwrap();
}

macro_rules! everywhere {
    ($($name:ident)*) => {
        $(mod $name {
            use plushie_pool::RendererMode;

            #[tokio::test]
            async fn mock() {
                super::$name(RendererMode::Mock).await;
            }

            #[tokio::test]
            async fn headless() {
                super::$name(RendererMode::Headless).await;
            }
        })*
    };
}

everywhere! {
    an_app_counts_and_is_typed_into
    an_app_that_shows_nothing_new_keeps_nobody_waiting
    an_app_that_shows_something_all_the_time_is_typed_into
    apps_of_one_renderer_know_nothing_of_each_other
    an_app_may_end_or_panic
}

#[test]
fn it_needs_no_runtime() {
    futures::executor::block_on(async {
        let pool = pool(RendererMode::Mock).await;
        let app = AppSession::start::<Form>(&pool).await.unwrap();
        app.interact(&click("increment")).await.unwrap();
        app.close().await.unwrap();
        pool.shutdown().await.unwrap();
    });
}

/// The SDK connects to a socket by its path, wherever that lies.
#[test]
fn an_app_starts_whatever_directories_the_environment_names() {
    let base = tempfile::tempdir().unwrap();
    let long = base.path().join("d".repeat(100));
    std::fs::create_dir(&long).unwrap();
    let name = long.to_str().unwrap();
    for (runtime, temporary) in [
        (name, ""),
        ("", name),
        (".", "."),
        ("/no/such/directory", "no/such/directory"),
    ] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "it_needs_no_runtime"])
            .env("XDG_RUNTIME_DIR", runtime)
            .env("TMPDIR", temporary)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{runtime}, {temporary}: {said}");
    }
    assert_eq!(std::fs::read_dir(&long).unwrap().count(), 0);
}
