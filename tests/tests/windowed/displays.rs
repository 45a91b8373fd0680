//! Displays of the pool's own: there before the first window, gone with the pool, and told apart
//! from the renderers that show windows on them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use plushie_pool::{Display, ErrorKind, RendererMode, SessionEvent, SessionPool, WireFormat};

use crate::display::own;
use crate::sessions::opened;
use crate::support::{
    LONG, counter, exists, find, kill, pids, pool, shown, snapshot, stop, until, within,
};

/// A pool on a display of its own.
async fn on(display: Display, sessions: usize) -> SessionPool {
    pool(RendererMode::Windowed, WireFormat::Msgpack)
        .display(display)
        .max_sessions(sessions)
        .start()
        .await
        .unwrap()
}

/// A file that a display server has made. Its path may be another's when it is gone, as the
/// number of an X server may.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    is: Option<(u64, SystemTime)>,
}

impl File {
    fn at(path: PathBuf) -> Self {
        Self {
            is: Self::what_is_at(&path),
            path,
        }
    }

    fn what_is_at(path: &Path) -> Option<(u64, SystemTime)> {
        let found = path.symlink_metadata().ok()?;
        Some((found.ino(), found.created().expect("Linux knows")))
    }

    pub(crate) fn is_there(&self) -> bool {
        self.is.is_some() && Self::what_is_at(&self.path) == self.is
    }
}

/// A display server's directory and sockets.
pub(crate) fn files_of(server: u32) -> Vec<File> {
    let environment = std::fs::read(format!("/proc/{server}/environ")).unwrap();
    let directory = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(b"XDG_RUNTIME_DIR="))
        .expect("it has a directory of its own");
    let mut paths = vec![PathBuf::from(
        String::from_utf8(directory.to_vec()).unwrap(),
    )];
    // X has its sockets in one place for all.
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    for entry in std::fs::read_dir(format!("/proc/{server}/fd")).unwrap() {
        let link = std::fs::read_link(entry.unwrap().path()).unwrap_or_default();
        let inode = link.to_str().and_then(|link| link.strip_prefix("socket:["));
        let Some(inode) = inode.and_then(|inode| inode.strip_suffix(']')) else {
            continue;
        };
        let path = sockets.lines().find_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            (words.get(6) == Some(&inode)).then(|| words.get(7).map(PathBuf::from))?
        });
        paths.extend(path.filter(|path| path.is_absolute()));
    }
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().map(File::at).collect()
}

#[tokio::test]
async fn nothing_of_a_display_is_left_when_its_pool_is_over() {
    for display in own() {
        let pool = on(display, 2).await;
        let server = pool.status().display.expect("it was started").pid;
        let session = pool.register().await.unwrap();
        shown(&session).await;
        let files = files_of(server);
        assert!(files.len() > 1 && files.iter().all(File::is_there));
        let renderers = pids(&pool);
        within(pool.shutdown()).await.unwrap();
        assert!(!exists(server), "{display}");
        assert!(renderers.iter().all(|pid| !exists(*pid)), "{display}");
        for file in files {
            assert!(!file.is_there(), "{display} left {file:?}");
        }
    }
}

#[tokio::test]
async fn a_display_is_as_large_as_was_asked() {
    #[derive(serde::Deserialize)]
    struct Screenshot {
        width: usize,
        height: usize,
    }
    // An Xvfb has no window manager, which would make a window as large as the display.
    if !own().contains(&Display::Weston) {
        return;
    }
    let pool = pool(RendererMode::Windowed, WireFormat::Msgpack)
        .display(Display::Weston)
        .display_size(700, 500)
        .start()
        .await
        .unwrap();
    let session = pool.register().await.unwrap();
    let mut tree = counter(0);
    tree["props"]["fullscreen"] = true.into();
    opened(&session, &tree).await;
    let ask = serde_json::json!({"type": "screenshot", "name": "window"});
    let all = async {
        loop {
            let shot = session.request(&ask, "screenshot_response").await.unwrap();
            let shot: Screenshot = shot.decode().unwrap();
            if (shot.width, shot.height) == (700, 500) {
                break;
            }
        }
    };
    within(all).await;
    within(pool.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_pool_that_is_only_dropped_takes_its_display_with_it() {
    for display in own() {
        let pool = on(display, 1).await;
        let server = pool.status().display.unwrap().pid;
        let files = files_of(server);
        drop(pool);
        let gone = || !exists(server) && !files.iter().any(File::is_there);
        until("the display is gone", gone).await;
    }
}

#[tokio::test]
async fn two_pools_have_two_displays() {
    for display in own() {
        let (one, other) = futures::join!(on(display, 1), on(display, 1));
        let server = |pool: &SessionPool| pool.status().display.unwrap().pid;
        assert_ne!(files_of(server(&one)), files_of(server(&other)));
        within(one.shutdown()).await.unwrap();
        let session = other.register().await.unwrap();
        session.send(&snapshot(&counter(3))).await.unwrap();
        assert_eq!(shown(&session).await, "3");
        within(other.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn a_display_that_dies_is_told_apart_from_a_renderer_that_does_and_is_replaced() {
    for display in own() {
        let pool = on(display, 2).await;
        let session = pool.register().await.unwrap();
        session.send(&snapshot(&counter(1))).await.unwrap();
        shown(&session).await;
        let server = pool.status().display.unwrap();
        let files = files_of(server.pid);
        kill(server.pid);
        let error = ended(&session).await;
        assert_eq!(error.kind(), ErrorKind::Display, "{error}");
        let text = error.to_string();
        assert!(text.contains(&server.name), "{text}");
        assert!(text.contains("SIGKILL"), "{text}");

        let session = within(pool.register()).await.unwrap();
        session.send(&snapshot(&counter(2))).await.unwrap();
        assert_eq!(shown(&session).await, "2");
        let next = pool.status().display.unwrap();
        assert_ne!(next.pid, server.pid);
        kill(session.renderer_pid().unwrap());
        let error = ended(&session).await;
        assert_eq!(error.kind(), ErrorKind::RendererExited, "{error}");

        // It was cleared away before the next one started.
        assert!(!files.iter().any(File::is_there));
        within(pool.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn a_renderer_does_not_outlive_its_display_even_if_it_does_not_notice() {
    for display in own() {
        let pool = on(display, 1).await;
        let session = pool.register().await.unwrap();
        let pid = session.renderer_pid().unwrap();
        stop(pid);
        kill(pool.status().display.unwrap().pid);
        let error = ended(&session).await;
        assert_eq!(error.kind(), ErrorKind::Display, "{error}");
        until("the renderer is gone", || !exists(pid)).await;
        within(pool.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn spares_that_die_with_their_display_are_given_to_nobody() {
    for display in own() {
        let pool = pool(RendererMode::Windowed, WireFormat::Msgpack)
            .display(display)
            .max_sessions(4)
            .warm(3)
            .start()
            .await
            .unwrap();
        let server = || pool.status().display.unwrap().pid;
        let dead = server();
        kill(dead);
        loop {
            let session = within(pool.register()).await.unwrap();
            let asked = within(session.request(&find("count"), "query_response")).await;
            match asked {
                // Some may be handed over a moment before they notice.
                Err(error) => assert_eq!(error.kind(), ErrorKind::Display, "{error}"),
                Ok(_) if server() == dead => {}
                Ok(_) => break,
            }
        }
        within(pool.shutdown()).await.unwrap();
    }
}

async fn ended(session: &plushie_pool::Session) -> plushie_pool::Error {
    let end = async {
        loop {
            match session.next_event().await {
                Some(SessionEvent::RendererExited(error)) => break error,
                Some(_) => {}
                None => panic!("the owner was not told"),
            }
        }
    };
    tokio::time::timeout(LONG, end).await.unwrap()
}

/// It says hello all the same.
#[tokio::test]
async fn a_renderer_without_a_display_fails_the_session_with_what_it_said() {
    let builder = || pool(RendererMode::Windowed, WireFormat::Msgpack).max_sessions(1);
    let none = builder().display(Display::None);
    // Nobody listens there, which is not known before the renderer tries.
    let dead = builder()
        .display(Display::Inherit)
        .renderer_env("WAYLAND_DISPLAY", "")
        .renderer_env("DISPLAY", "localhost:5432");
    for pool in [none, dead] {
        let pool = pool.start().await.unwrap();
        for _ in 0..2 {
            let error = within(pool.register()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Handshake, "{error}");
            assert!(error.exit().is_some(), "{error}");
            let stderr = error.stderr().expect("it said why");
            assert!(stderr.contains("Create event loop"), "{stderr}");
        }
        assert_eq!(pool.status().sessions, 0);
        assert!(pool.status().display.is_none());
    }
}

#[tokio::test]
async fn a_display_that_cannot_be_had_is_known_before_anything_is_started() {
    let builder = || {
        let names = ["PATH", "DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"];
        names.iter().fold(
            pool(RendererMode::Windowed, WireFormat::Json),
            |pool, name| pool.renderer_env(name, ""),
        )
    };
    for display in [
        Display::Auto,
        Display::Inherit,
        Display::Weston,
        Display::Xvfb,
    ] {
        let error = builder().display(display).start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Display, "{error}");
    }
    let error = builder().start().await.unwrap_err().to_string();
    for word in ["apt-get install weston", "dnf", "pacman", "macOS"] {
        assert!(error.contains(word), "{error}");
    }
    let gone = builder().renderer_env("DISPLAY", ":54321");
    let error = gone.display(Display::Inherit).start().await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("DISPLAY is :54321, where nobody answers"),
        "{error}"
    );
    // Nobody else needs one.
    let mock = builder().mode(RendererMode::Mock).start().await.unwrap();
    mock.register().await.unwrap();
}

#[tokio::test]
async fn a_display_server_that_does_not_start_says_why() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    for (name, display) in [("weston", Display::Weston), ("Xvfb", Display::Xvfb)] {
        let program = folder.path().join(name);
        std::fs::write(&program, "#!/bin/sh\necho no room >&2\nexit 7\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{path}", folder.path().display());
        let error = pool(RendererMode::Windowed, WireFormat::Msgpack)
            .display(display)
            .renderer_env("PATH", path)
            .start()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Display);
        let text = error.to_string();
        for word in [name, "exit code 7", "no room"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
