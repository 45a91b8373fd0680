//! A pool that is a client of a served one.

use std::time::Duration;

use plushie_pool::{ErrorKind, Phase, Session, SessionEvent, SessionPool};
use plushie_pool_server::{Listen, Server, ServerConfig, Token};
use serde_json::{Value, json};

use crate::support::{click, everywhere, find, label, pool, served, until, within};

async fn content(session: &Session) -> Value {
    let found = within(session.request(&find("label"), "query_response")).await;
    found.unwrap().decode::<Value>().unwrap()["data"]["props"]["content"].clone()
}

#[tokio::test]
async fn sessions_are_the_servers_and_as_good_as_the_pools_own() {
    for (mode, format) in everywhere() {
        let server = served(pool().mode(mode).format(format)).await;
        let connected = within(SessionPool::connect(server.address(), None))
            .await
            .unwrap();
        let session = within(connected.register()).await.unwrap();
        assert_eq!(server.pool().status().sessions, 1);
        session.send(&label("x")).await.unwrap();
        assert_eq!(content(&session).await, "x");

        let clicked = session.send_interact(&click()).await.unwrap();
        match within(session.next_event()).await {
            Some(SessionEvent::InteractResponse { id, .. }) => assert_eq!(id, clicked),
            other => panic!("{other:?}"),
        }
        let stub = json!({"type": "register_effect_stub", "kind": "clipboard_read", "response": 1});
        let ack = session.request(&stub, "effect_stub_register_ack");
        within(ack).await.unwrap();
        let effect = json!({"type": "effect", "kind": "clipboard_read", "payload": {}});
        let effect = within(session.request(&effect, "effect_response"))
            .await
            .unwrap();
        assert_eq!(effect.decode::<Value>().unwrap()["result"], 1);

        within(session.unregister()).await.unwrap();
        assert_eq!(server.pool().status().sessions, 0);
        let dropped = within(connected.register()).await.unwrap();
        drop(dropped);
        until("it is back", || server.pool().status().sessions == 0).await;
        within(connected.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn registering_waits_for_the_server_to_have_a_session_free() {
    let server = served(pool().max_sessions(1)).await;
    let connected = within(SessionPool::connect(server.address(), None))
        .await
        .unwrap();
    let first = within(connected.register()).await.unwrap();
    let mut second = Box::pin(connected.register());
    assert!(
        tokio::time::timeout(Duration::from_millis(50), &mut second)
            .await
            .is_err()
    );
    drop(first);
    let second = within(second).await.unwrap();
    second.send(&label("second")).await.unwrap();
    assert_eq!(content(&second).await, "second");
    drop(second);

    // Who is told by the server that there is none hears it as of a pool of one's own.
    let impatient = pool()
        .max_sessions(1)
        .acquire_timeout(Duration::from_millis(50));
    let server = served(impatient).await;
    let connected = within(SessionPool::connect(server.address(), None))
        .await
        .unwrap();
    let _first = within(connected.register()).await.unwrap();
    let error = within(connected.register()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolFull, "{error}");
}

#[tokio::test]
async fn a_wrong_token_is_told() {
    let mut config = ServerConfig::default();
    config.token = Some(Token::new("secret"));
    let pool = within(pool().start()).await.unwrap();
    let tcp = Listen::Tcp("127.0.0.1:0".parse().unwrap());
    let server = Server::start(pool, tcp, config).unwrap();
    for token in [None, Some("wrong")] {
        let error = within(SessionPool::connect(server.address(), token)).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Handshake);
        assert!(error.to_string().contains("connection rejected"), "{error}");
    }
    let connected = within(SessionPool::connect(server.address(), "secret"))
        .await
        .unwrap();
    within(connected.register()).await.unwrap();

    // And that nobody is there any more, and who was.
    let session = within(connected.register()).await.unwrap();
    within(server.shutdown()).await;
    let error = within(session.request(&find("x"), "query_response"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RendererExited, "{error}");
    let error = within(SessionPool::connect(server.address(), "secret"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Launch, "{error}");
    assert_ne!(error.phase(), Some(Phase::Acquire));
}

/// For longer than it takes to use up a restart budget: nothing has died.
#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let serve = async || {
        let pool = within(pool().start()).await.unwrap();
        Server::start(pool, Listen::Unix(socket.clone()), ServerConfig::default()).unwrap()
    };
    let server = serve().await;
    let connected = SessionPool::connect(server.address(), None);
    let connected = within(connected).await.unwrap();
    let session = within(connected.register()).await.unwrap();
    within(server.shutdown()).await;
    let event = within(session.next_event()).await;
    assert!(
        matches!(event, Some(SessionEvent::RendererExited(_))),
        "{event:?}"
    );
    for _ in 0..12 {
        let error = within(connected.register()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Launch, "{error}");
    }
    assert!(connected.status().backoff.is_some());
    let _server = serve().await;
    let session = within(connected.register()).await.unwrap();
    session.send(&label("again")).await.unwrap();
    assert_eq!(content(&session).await, "again");
    let status = connected.status();
    assert_eq!(status.deaths, 1, "only the connection there was");
    assert!(status.backoff.is_none());
}
