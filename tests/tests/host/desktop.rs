//! A desktop, which renderers that show nothing must not reach.

use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::path::Path;

use plushie_pool::{Builder, Display, RendererMode, Session, WireFormat};
use plushie_pool_renderer::Screen;
use serde_json::{Value, json};

use crate::support::{everywhere, pool, within};
use crate::{host, is_host, said};

/// What the variables of a desktop hold where nothing of it is used.
const SOMEWHERE: &str = "somewhere";

/// The variables by which a renderer finds a desktop.
const NAMES: [&str; 6] = [
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "WAYLAND_SOCKET",
    "DBUS_SESSION_BUS_ADDRESS",
    "AT_SPI_BUS_ADDRESS",
];

async fn effect(session: &Session, kind: &str, payload: Value) -> Value {
    let ask = json!({"type": "effect", "kind": kind, "payload": payload});
    let answer = within(session.request(&ask, "effect_response")).await;
    answer.unwrap().decode().unwrap()
}

/// A variable of a process.
fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    environment.split(|byte| *byte == 0).find_map(|variable| {
        let variable = std::str::from_utf8(variable).ok()?;
        variable
            .strip_prefix(name)?
            .strip_prefix('=')
            .map(str::to_owned)
    })
}

/// An X server of the test's own that stands for a desktop's, and a window on it that sees its
/// clipboard; none where no X server is installed.
struct Desktop {
    session: Session,
    display: String,
}

impl Desktop {
    async fn start() -> Option<Self> {
        if let Err(missing) = Screen::find(Display::Xvfb, |name| std::env::var_os(name)) {
            eprintln!("SKIPPED what an X server's clipboard is told: {missing}");
            return None;
        }
        let pool = pool(RendererMode::Windowed, WireFormat::Json).display(Display::Xvfb);
        let pool = pool.start().await.unwrap();
        let session = pool.register().await.unwrap();
        let display = variable(session.renderer_pid().unwrap(), "DISPLAY").unwrap();
        Some(Self { session, display })
    }

    async fn clipboard(&self) -> Value {
        let read = effect(&self.session, "clipboard_read", json!({})).await;
        assert_eq!(read["status"], "ok", "{read}");
        read["result"]["text"].clone()
    }
}

#[tokio::test]
async fn clipboard_effects_do_not_reach_a_desktop_unless_it_is_named() {
    let Some(desktop) = Desktop::start().await else {
        return;
    };
    let run = |part: &str| {
        let test = "desktop::pools_beside_a_desktop";
        said(host(test, part).env("DISPLAY", &desktop.display));
    };
    run("writes");
    assert_eq!(desktop.clipboard().await, "");
    run("writes where it is told to");
}

everywhere! {
    a_renderer_that_shows_nothing_sees_no_desktop
}

/// A host on a machine with a desktop.
#[tokio::test]
async fn pools_beside_a_desktop() {
    let (told, status) = match (is_host("writes"), is_host("writes where it is told to")) {
        (true, _) => (false, "error"),
        (_, true) => (true, "ok"),
        _ => return,
    };
    for mode in [RendererMode::Mock, RendererMode::Headless] {
        let mut pool = pool(mode, WireFormat::Json);
        if told {
            pool = pool.renderer_env("DISPLAY", std::env::var_os("DISPLAY").unwrap());
        }
        let pool = pool.start().await.unwrap();
        let session = pool.register().await.unwrap();
        let written = effect(&session, "clipboard_write", json!({"text": "mine"})).await;
        assert_eq!(written["status"], status, "{written}");
        let read = effect(&session, "clipboard_read", json!({})).await;
        assert_eq!(read["status"], status, "{read}");
        within(pool.shutdown()).await.unwrap();
    }
}

async fn a_renderer_that_shows_nothing_sees_no_desktop(mode: RendererMode, format: WireFormat) {
    let part = format!("{mode} {format}");
    let runtime = tempfile::tempdir().unwrap();
    // Where a session's bus is looked for, and where Wayland is, if no variable names them.
    let bus = UnixListener::bind(runtime.path().join("bus")).unwrap();
    let wayland = UnixListener::bind(runtime.path().join("wayland-0")).unwrap();
    let mut host = host("desktop::a_pool_that_shows_nothing", &part);
    for name in NAMES {
        host.env(name, SOMEWHERE);
    }
    let address = format!("unix:path={}", runtime.path().join("bus").display());
    host.env("DBUS_SESSION_BUS_ADDRESS", address)
        .env("XDG_RUNTIME_DIR", runtime.path());
    said(&mut host);
    for listener in [bus, wayland] {
        listener.set_nonblocking(true).unwrap();
        let asked = listener.accept().map(drop).unwrap_err();
        assert_eq!(asked.kind(), ErrorKind::WouldBlock);
    }
}

/// A host on a machine with a desktop, of which its renderers see nothing.
#[tokio::test]
async fn a_pool_that_shows_nothing() {
    for (mode, format) in [RendererMode::Mock, RendererMode::Headless]
        .into_iter()
        .flat_map(|mode| WireFormat::ALL.map(|format| (mode, format)))
    {
        if is_host(&format!("{mode} {format}")) {
            sees_nothing(pool(mode, format)).await;
        }
    }
}

async fn sees_nothing(pool: Builder) {
    let pool = pool
        .renderer_env("XAUTHORITY", "/named")
        .start()
        .await
        .unwrap();
    let session = pool.register().await.unwrap();
    let pid = session.renderer_pid().unwrap();
    for name in NAMES {
        let expected = (name == "XAUTHORITY").then(|| "/named".to_owned());
        assert_eq!(variable(pid, name), expected, "{name}");
    }
    let runtime = variable(pid, "XDG_RUNTIME_DIR").unwrap();
    assert!(!Path::new(&runtime).is_dir(), "{runtime}");
    let told = json!({"title": "a", "body": "b"});
    let told = effect(&session, "notification", told).await;
    assert_eq!(told["status"], "error", "{told}");
    let read = effect(&session, "clipboard_read", json!({})).await;
    assert_eq!(read["status"], "error", "{read}");
    within(pool.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_window_on_a_display_of_the_pools_own_sees_only_that() {
    let runtime = tempfile::tempdir().unwrap();
    let bus = UnixListener::bind(runtime.path().join("bus")).unwrap();
    let address = format!("unix:path={}", runtime.path().join("bus").display());
    let mut host = host("desktop::windows_on_displays_of_the_pools_own", "windows");
    host.env("DBUS_SESSION_BUS_ADDRESS", address)
        .env("XDG_RUNTIME_DIR", runtime.path())
        .env("XAUTHORITY", SOMEWHERE);
    said(&mut host);
    bus.set_nonblocking(true).unwrap();
    let asked = bus.accept().map(drop).unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::WouldBlock);
}

/// A host on a machine with a desktop, with windows elsewhere.
#[tokio::test]
async fn windows_on_displays_of_the_pools_own() {
    if !is_host("windows") {
        return;
    }
    for display in [Display::Weston, Display::Xvfb] {
        if Screen::find(display, |name| std::env::var_os(name)).is_err() {
            continue;
        }
        let pool = pool(RendererMode::Windowed, WireFormat::Json).display(display);
        let pool = within(pool.start()).await.unwrap();
        let session = within(pool.register()).await.unwrap();
        let pid = session.renderer_pid().unwrap();
        for name in ["DBUS_SESSION_BUS_ADDRESS", "XAUTHORITY"] {
            assert_eq!(variable(pid, name), None, "{name}");
        }
        let told = json!({"title": "a", "body": "b"});
        let told = effect(&session, "notification", told).await;
        assert_eq!(told["status"], "error", "{told}");
        within(pool.shutdown()).await.unwrap();
    }
}
