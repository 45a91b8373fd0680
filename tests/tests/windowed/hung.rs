//! Displays that are there and do not answer: stopped, or with no room for a connection.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use plushie_pool::{Builder, Display, ErrorKind, RendererMode, SessionPool, WireFormat};

use crate::display::own;
use crate::support::{counter, kill, pool, shown, snapshot, stop, within};

/// Shorter than a display that is well needs, by far.
const BRIEF: Duration = Duration::from_secs(2);

fn windowed() -> Builder {
    pool(RendererMode::Windowed, WireFormat::Msgpack).launch_timeout(BRIEF)
}

/// A compositor that takes no connection. With a full queue it has no room for one either, and
/// a client that connects in the usual way waits without a bound.
fn deaf(socket: &Path, full: bool) -> (UnixListener, Vec<UnixStream>) {
    let listener = UnixListener::bind(socket).unwrap();
    let mut waiting = Vec::new();
    if full {
        rustix::net::listen(&listener, 0).unwrap();
        waiting.push(UnixStream::connect(socket).unwrap());
    }
    (listener, waiting)
}

fn on_wayland(builder: Builder, socket: &Path) -> Builder {
    builder.renderer_env("WAYLAND_DISPLAY", socket)
}

#[tokio::test]
async fn a_display_that_does_not_answer_is_an_error_that_says_so() {
    for full in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("wayland-0");
        let _deaf = deaf(&socket, full);
        let builder = on_wayland(windowed().display(Display::Inherit), &socket);
        let error = within(builder.start()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Display, "{error}");
        let text = error.to_string();
        for word in [
            "WAYLAND_DISPLAY is",
            "hangs or is stopped",
            "Display::Weston",
        ] {
            assert!(text.contains(word), "{text}");
        }
    }
}

/// The display is only asked for here: a variable that is given to renderers is theirs to the end.
#[tokio::test]
async fn a_display_that_does_not_answer_is_replaced_by_one_of_the_pools_own() {
    use plushie_pool_renderer::Screen;
    if own().is_empty() {
        return;
    }
    for full in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("wayland-0");
        let _deaf = deaf(&socket, full);
        let screen = Screen::find(Display::Auto, |name| match name {
            "WAYLAND_DISPLAY" => Some(socket.clone().into()),
            "PATH" => std::env::var_os(name),
            _ => None,
        });
        let screen = screen.unwrap();
        within(screen.ready()).await.unwrap();
        assert!(screen.process().is_some());
        within(screen.stop()).await;
    }
}

/// A display server that was stopped while its socket is there.
#[tokio::test]
async fn a_display_server_that_is_stopped_is_not_waited_for() {
    for display in own() {
        let pool = windowed().display(display).start().await.unwrap();
        let server = pool.status().display.unwrap().pid;
        let session = pool.register().await.unwrap();
        let (name, value) = named_to(session.renderer_pid().unwrap());
        stop(server);
        let other = windowed()
            .display(Display::Inherit)
            .renderer_env("WAYLAND_DISPLAY", "")
            .renderer_env(name, value);
        let error = within(other.start()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Display, "{error}");
        assert!(error.to_string().contains("hangs or is stopped"), "{error}");
        kill(server);
        within(pool.shutdown()).await.unwrap();
    }
}

/// The variable that names a display to this renderer.
fn named_to(renderer: u32) -> (&'static str, String) {
    let environment = std::fs::read(format!("/proc/{renderer}/environ")).unwrap();
    let environment = String::from_utf8(environment).unwrap();
    ["WAYLAND_DISPLAY", "DISPLAY"]
        .into_iter()
        .find_map(|name| {
            let mut variables = environment.split('\0');
            let value = variables.find_map(|variable| {
                variable
                    .strip_prefix(name)?
                    .strip_prefix('=')
                    .map(str::to_owned)
            })?;
            Some((name, value))
        })
        .unwrap()
}

#[tokio::test]
async fn a_display_server_that_is_never_ready_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    for (name, display) in [("weston", Display::Weston), ("Xvfb", Display::Xvfb)] {
        let program = folder.path().join(name);
        std::fs::write(&program, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let builder = pool(RendererMode::Windowed, WireFormat::Msgpack)
            .display(display)
            .launch_timeout(Duration::from_millis(200))
            .renderer_env("PATH", format!("{}:{path}", folder.path().display()));
        let error = within(builder.start()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Display, "{error}");
        assert!(
            error.to_string().contains("was not ready within"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_display_that_answers_is_taken_as_it_is() {
    for display in own() {
        let host = pool(RendererMode::Windowed, WireFormat::Msgpack)
            .display(display)
            .start()
            .await
            .unwrap();
        let session = host.register().await.unwrap();
        let (name, value) = named_to(session.renderer_pid().unwrap());
        let inherits = pool(RendererMode::Windowed, WireFormat::Msgpack)
            .display(Display::Inherit)
            .renderer_env("WAYLAND_DISPLAY", "")
            .renderer_env(name, value);
        let pool: SessionPool = inherits.start().await.unwrap();
        assert!(pool.status().display.is_none());
        let session = within(pool.register()).await.unwrap();
        session.send(&snapshot(&counter(5))).await.unwrap();
        assert_eq!(shown(&session).await, "5");
        within(pool.shutdown()).await.unwrap();
        within(host.shutdown()).await.unwrap();
    }
}
