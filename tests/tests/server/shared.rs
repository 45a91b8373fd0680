//! The pool that a process shares, inside and outside of a server.

use std::process::Stdio;

use plushie_pool::SessionPool;
use plushie_pool_server::{Listen, Server, ServerConfig, Token};
use tokio::process::Command;

use crate::support::{pool, within};

/// What is run by itself, and once more in the surroundings of a server.
#[tokio::test]
async fn all_in_a_process_get_the_same() {
    let shared = async || within(pool().shared()).await.unwrap();
    let (one, other) = tokio::join!(shared(), shared());
    let session = within(one.register()).await.unwrap();
    assert_eq!(other.status().sessions, 1);
    let mode = other.status().mode;
    match std::env::var_os("PLUSHIE_SOCKET") {
        Some(_) => {
            assert_eq!(mode, "connected");
            assert_eq!(session.renderer_pid(), None);
        }
        None => {
            assert_eq!(mode, "mock");
            assert!(session.renderer_pid().is_some());
        }
    }
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

#[tokio::test]
async fn an_address_that_is_none_is_told() {
    let error = within(SessionPool::connect("nowhere:0", None))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), plushie_pool::ErrorKind::Config, "{error}");
}
