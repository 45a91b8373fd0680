//! The pool that a process shares, inside and outside of a server.

use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::Duration;

use futures::FutureExt;
use plushie_pool::{
    Builder, Display, ErrorKind, Phase, PoolSet, RendererMode, RestartPolicy, Session,
    SessionEvent, SessionPool, WireFormat,
};
use plushie_pool_server::{Listen, Server, ServerConfig, Token};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{click, find, label, pool, served, within};

/// What is run by itself, and once more in the surroundings of a server.
#[tokio::test]
async fn all_in_a_process_get_the_same() {
    let shared = async || within(pool().shared()).await.unwrap();
    let (one, other) = tokio::join!(shared(), shared());
    let session = within(one.register()).await.unwrap();
    assert_eq!(other.status().sessions, 1);
    let mode = other.status().mode;
    match std::env::var_os("PLUSHIE_SOCKET") {
        Some(_) => assert_eq!(session.renderer_pid(), None),
        None => assert!(session.renderer_pid().is_some()),
    }
    assert_eq!(mode, "mock");
    drop(session);
    // One that was shut down is no use to anybody.
    within(one.shutdown()).await.unwrap();
    let again = shared().await;
    within(again.register()).await.unwrap();
}

#[tokio::test]
async fn inside_a_server_its_sessions_are_used() {
    let pool = within(pool().start()).await.unwrap();
    let mut config = ServerConfig::default();
    config.token = Some(Token::new("secret"));
    let server = Server::start(pool, Listen::Private, config).unwrap();
    let inside = |token: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "shared::all_in_a_process_get_the_same"])
            .env("PLUSHIE_SOCKET", server.address())
            .env("PLUSHIE_TOKEN", token)
            .stdin(Stdio::null());
        command.output()
    };
    let output = within(inside("secret")).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.stats().sessions_served, 2);
    assert_eq!(server.stats().failures, 0);

    let output = within(inside("wrong")).await.unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in ["token mismatch: connection rejected", "PLUSHIE_TOKEN"] {
        assert!(said.contains(words), "{said}");
    }
}

/// Set where the test named by it is to run, in a process of its own.
const PART: &str = "POOL_TEST_PART";

/// Runs a part below where this server is around it.
async fn inside(server: &Server, part: &str, vars: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("shared::{part}"), "--nocapture"])
        .env("PLUSHIE_SOCKET", server.address())
        .env(PART, part)
        .envs(vars.iter().copied())
        .stdin(Stdio::null());
    let Output {
        status,
        stdout,
        stderr,
    } = within(command.output()).await.unwrap();
    let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

fn is_on(part: &str) -> bool {
    std::env::var(PART).is_ok_and(|on| on == part)
}

/// That it fails so, and the next call tries again.
async fn refused(builder: Builder, words: &[&str]) {
    let error = within(builder.shared()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    for words in words {
        assert!(error.to_string().contains(words), "no {words:?} in {error}");
    }
}

#[tokio::test]
async fn a_description_counts_inside_a_server_too() {
    let server = served(pool().max_sessions(3)).await;
    inside(&server, "what_is_described_is_what_there_is", &[]).await;
}

/// A part of the test above.
#[tokio::test]
async fn what_is_described_is_what_there_is() {
    if !is_on("what_is_described_is_what_there_is") {
        return;
    }
    let described = || {
        SessionPool::builder()
            .name("described")
            .format(WireFormat::Json)
            .settings(json!({"default_event_rate": 60, "default_text_size": 40}))
            .max_sessions(3)
            .event_capacity(2)
            .timeout(Duration::from_secs(50))
            .effect_stub("file_open", json!({"path": "/described"}))
            .acquire_timeout(Duration::from_millis(300))
            // These are of no meaning there.
            .renderers(2)
            .recycle_after(7)
            .warm(1)
            .display(Display::None)
            .display_size(1, 1)
            .renderer_env("A", "b")
            .grace(plushie_pool::Grace::default())
            .own_process_groups()
    };
    let shared = within(described().shared()).await.unwrap();
    assert_eq!(shared.timeout(), Duration::from_secs(50));
    assert!(SessionPool::named("described").is_some());
    let status = shared.status();
    assert_eq!(status.name.as_deref(), Some("described"));
    assert_eq!((&*status.mode, &*status.format), ("mock", "json"));
    assert_eq!(status.max_sessions, 3);

    let session = within(shared.register()).await.unwrap();
    let effect = json!({"type": "effect", "kind": "file_open", "payload": {}});
    let answered = within(session.request(&effect, "effect_response")).await;
    let answered: Value = answered.unwrap().decode().unwrap();
    assert_eq!(answered["result"]["path"], "/described", "{answered}");

    // Of many events the last two wait.
    session.send(&label("x")).await.unwrap();
    for _ in 0..6 {
        within(session.send_interact(&click())).await.unwrap();
    }
    within(session.request(&find("label"), "query_response"))
        .await
        .unwrap();
    let mut lost = 0;
    while let Some(Some(event)) = session.next_event().now_or_never() {
        if let SessionEvent::Lagged(events) = event {
            lost += events;
        }
    }
    assert_eq!(lost, 4);

    // As long as it takes, and no longer.
    let others = [
        within(shared.register()).await.unwrap(),
        within(shared.register()).await.unwrap(),
    ];
    let error = within(shared.register()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Acquire), "{error}");
    drop((session, others));

    // The mode of the server is as good as any.
    within(described().mode(RendererMode::Mock).shared())
        .await
        .unwrap();
    refused(
        described().mode(RendererMode::Headless),
        &["option mode", "headless", "mock"],
    )
    .await;
    refused(
        described().renderer("/some/renderer"),
        &["option renderer", "/some/renderer"],
    )
    .await;
}

#[tokio::test]
async fn each_session_starts_with_the_settings_that_are_described() {
    let server = served(pool().mode(RendererMode::Headless)).await;
    inside(&server, "settings_are_seen", &[]).await;
    // Alone it is the same picture.
    let alone = pool().mode(RendererMode::Headless).settings(large());
    let alone = within(alone.start()).await.unwrap();
    let session = within(alone.register()).await.unwrap();
    let there = picture(&session).await;
    let plain = served(pool().mode(RendererMode::Headless)).await;
    let session = within(plain.pool().register()).await.unwrap();
    assert_ne!(picture(&session).await, there);
    let vars = [("POOL_TEST_PICTURE", &*there)];
    inside(&server, "settings_are_seen", &vars).await;
}

fn large() -> Value {
    json!({"default_text_size": 40})
}

async fn picture(session: &Session) -> String {
    session.send(&label("x")).await.unwrap();
    let screenshot = json!({"type": "screenshot", "name": "x", "width": 100, "height": 100});
    let screenshot = within(session.request(&screenshot, "screenshot_response")).await;
    #[derive(serde::Deserialize)]
    struct Screenshot {
        hash: String,
    }
    screenshot.unwrap().decode::<Screenshot>().unwrap().hash
}

/// A part of the test above.
#[tokio::test]
async fn settings_are_seen() {
    if !is_on("settings_are_seen") {
        return;
    }
    let shared = SessionPool::builder()
        .mode(RendererMode::Headless)
        .settings(large());
    let shared = within(shared.shared()).await.unwrap();
    assert_eq!(shared.status().mode, "headless");
    let sessions = [
        within(shared.register()).await.unwrap(),
        within(shared.register()).await.unwrap(),
    ];
    let first = picture(&sessions[0]).await;
    assert_eq!(picture(&sessions[1]).await, first);
    if let Ok(expected) = std::env::var("POOL_TEST_PICTURE") {
        assert_eq!(first, expected);
    }
}

#[tokio::test]
async fn what_a_server_cannot_do_is_an_error_that_names_the_option() {
    let server = served(pool()).await;
    inside(&server, "what_cannot_be_is_refused", &[]).await;
    let headless = [("PLUSHIE_TEST_BACKEND", "headless")];
    inside(&server, "what_the_environment_asks_for_counts", &headless).await;
}

/// A part of the test above.
#[tokio::test]
async fn what_cannot_be_is_refused() {
    if !is_on("what_cannot_be_is_refused") {
        return;
    }
    let new = SessionPool::builder;
    refused(
        new().mode(RendererMode::Headless),
        &["option mode", "headless", "only in mock"],
    )
    .await;
    let tcp = plushie_pool::Tcp::new("127.0.0.1", 9);
    refused(new().connector(tcp), &["option connector"]).await;
    let json = plushie_pool_transport_json::Json;
    refused(new().transport(json), &["option transport"]).await;

    // A renderer that cannot be started, one that says it is another, and the very same.
    refused(
        new().renderer("/there/is/none"),
        &["option renderer", "/there/is/none"],
    )
    .await;
    let scripted = new()
        .renderer(env!("CARGO_BIN_EXE_plushie-pool-scripted-renderer"))
        .renderer_args([r#"hello {"version":"0.0.9"}"#, "serve"]);
    refused(scripted, &["option renderer", "0.0.9", "0.7.1"]).await;
    let scripted = new()
        .renderer(env!("CARGO_BIN_EXE_plushie-pool-scripted-renderer"))
        .renderer_args([
            r#"hello {"name":"plushie-renderer","version":"0.7.1","native_widgets":["gauge"]}"#,
            "serve",
        ]);
    refused(scripted, &["option renderer", "gauge"]).await;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("the-same");
    let script = format!(
        "#!/bin/sh\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_plushie-pool-test-renderer")
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let shared = within(new().renderer(&path).shared()).await.unwrap();
    assert!(
        within(shared.register())
            .await
            .unwrap()
            .renderer_pid()
            .is_none()
    );
}

/// A part of the test above.
#[tokio::test]
async fn what_the_environment_asks_for_counts() {
    if !is_on("what_the_environment_asks_for_counts") {
        return;
    }
    let error = within(SessionPool::shared()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("headless"), "{error}");
}

#[tokio::test]
async fn a_server_of_several_modes_gives_the_one_that_is_asked_for() {
    let modes = [RendererMode::Mock, RendererMode::Headless];
    let pools = PoolSet::start(RendererMode::Mock, modes, |_| Ok(pool()));
    let pools = within(pools).await.unwrap();
    let config = ServerConfig::default();
    let server = Server::start(pools, Listen::Private, config).unwrap();
    inside(&server, "the_mode_that_is_asked_for_is_there", &[]).await;
    let headless = [("PLUSHIE_TEST_BACKEND", "headless")];
    inside(&server, "the_mode_of_the_environment_is_there", &headless).await;
}

/// A part of the test above.
#[tokio::test]
async fn the_mode_that_is_asked_for_is_there() {
    if !is_on("the_mode_that_is_asked_for_is_there") {
        return;
    }
    let windowed = SessionPool::builder().mode(RendererMode::Windowed);
    refused(windowed, &["option mode", "windowed", "mock, headless"]).await;
    let headless = SessionPool::builder().mode(RendererMode::Headless);
    let shared = within(headless.shared()).await.unwrap();
    assert_eq!(shared.status().mode, "headless");
    let session = within(shared.register()).await.unwrap();
    assert!(!picture(&session).await.is_empty());
}

/// A part of the test above.
#[tokio::test]
async fn the_mode_of_the_environment_is_there() {
    if !is_on("the_mode_of_the_environment_is_there") {
        return;
    }
    let shared = within(SessionPool::shared()).await.unwrap();
    assert_eq!(shared.status().mode, "headless");
}

/// Its only renderer died, and it is not to have another.
#[tokio::test]
async fn a_pool_that_can_open_no_more_sessions_is_not_shared() {
    let server = served(pool()).await;
    let outside = [("PLUSHIE_SOCKET", "")];
    inside(&server, "the_next_pool_is_a_new_one", &outside).await;
}

/// A part of the test above.
#[tokio::test]
async fn the_next_pool_is_a_new_one() {
    if !is_on("the_next_pool_is_a_new_one") {
        return;
    }
    let described = || {
        pool().restart(RestartPolicy {
            max_restarts: 0,
            ..RestartPolicy::default()
        })
    };
    let first = within(described().shared()).await.unwrap();
    let session = within(first.register()).await.unwrap();
    let pid = session.renderer_pid().unwrap();
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    within(session.next_event()).await;
    crate::support::until("it is dead", || first.status().renderers.is_empty()).await;
    within(first.register()).await.unwrap_err();
    let next = within(described().shared()).await.unwrap();
    within(next.register()).await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_none_is_told() {
    let error = within(SessionPool::connect("nowhere:0", None))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), plushie_pool::ErrorKind::Config, "{error}");
}
