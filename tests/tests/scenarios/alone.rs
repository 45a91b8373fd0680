//! Somebody who asks and waits, asks and waits, reads the answers himself after a while. These
//! are the moments at which that must not be noticed.

use std::thread;
use std::time::Duration;

use futures::future::join;
use plushie_pool::blocking::Wait;
use plushie_pool::{ErrorKind, Phase, Session, SessionEvent, SessionPool, WireFormat};
use serde_json::Value;

use crate::guests::PanicsAt;
use crate::peer::query;
use crate::support::{SHORT, counter, in_both_formats, scripted, shown, snapshot, within};

in_both_formats! {
    others_on_the_executor_have_their_turn
    another_thread_is_answered_too
    a_renderer_that_dies_is_noticed
    a_torn_message_is_noticed
    an_unreadable_message_is_dropped
    time_runs_out
    an_event_is_told
    a_close_is_confirmed
    replies_are_not_mixed_up
    two_whose_time_runs_out_return
}

/// A session on a renderer that answers a hundred questions, which have been asked, and then
/// does the rest.
async fn trusted(format: WireFormat, rest: &[&str]) -> (SessionPool, Session) {
    // The settings are the first.
    let steps = ["hello", "answer 101"];
    let pool = scripted(steps.iter().chain(rest).copied()).format(format);
    let pool = pool.start().await.unwrap();
    let session = pool.register().await.unwrap();
    ask(&session, 100).await;
    (pool, session)
}

async fn ask(session: &Session, times: usize) {
    for _ in 0..times {
        let reply = session.request(&query(), "query_response");
        within(reply).await.unwrap();
    }
}

async fn others_on_the_executor_have_their_turn(format: WireFormat) {
    // Nothing is answered before both have asked, and both are polled by this thread.
    let (_pool, session) = trusted(format, &["swap 2", "serve"]).await;
    let one = session.request(&query(), "query_response");
    let other = async { session.request(&query(), "query_response").await };
    let (one, other) = within(join(one, other)).await;
    assert!(one.is_ok() && other.is_ok());
    ask(&session, 100).await;
}

async fn another_thread_is_answered_too(format: WireFormat) {
    let (pool, session) = trusted(format, &["swap 2", "serve"]).await;
    let second = pool.register().await.unwrap();
    let other = thread::spawn(move || second.request(&query(), "query_response").wait().is_ok());
    let one = thread::spawn(move || session.request(&query(), "query_response").wait().is_ok());
    assert!(one.join().unwrap() && other.join().unwrap());
}

async fn a_renderer_that_dies_is_noticed(format: WireFormat) {
    let (_pool, session) = trusted(format, &["take 1", "complain it hurts", "kill"]).await;
    let error = within(session.request(&query(), "query_response")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RendererExited);
    assert!(error.to_string().contains("it hurts"), "{error}");
}

async fn a_torn_message_is_noticed(format: WireFormat) {
    let torn = r#"tear {"type": "query_response"}"#;
    let (_pool, session) = trusted(format, &["take 1", torn]).await;
    let error = within(session.request(&query(), "query_response")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RendererExited);
}

async fn an_unreadable_message_is_dropped(format: WireFormat) {
    let (pool, session) = trusted(format, &["frame \\xc1", "serve"]).await;
    ask(&session, 100).await;
    assert_eq!(pool.status().counters.malformed, 1);
}

async fn time_runs_out(format: WireFormat) {
    let (pool, session) = trusted(format, &["drain"]).await;
    let request = session.request(&query(), "query_response").timeout(SHORT);
    let error = within(request).await.unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Reply));
    assert_eq!(pool.status().pending_requests, 0);
}

async fn an_event_is_told(format: WireFormat) {
    let event = r#"say {"type": "event", "family": "click", "session": "s1", "id": "b"}"#;
    let (_pool, session) = trusted(format, &[event, "serve"]).await;
    let told = within(session.next_event()).await;
    assert!(matches!(told, Some(SessionEvent::Event(_))), "{told:?}");
}

async fn a_close_is_confirmed(format: WireFormat) {
    let (pool, session) = trusted(format, &["serve"]).await;
    within(session.unregister()).await.unwrap();
    drop(session);
    let session = pool.register().await.unwrap();
    ask(&session, 100).await;
    drop(session);
    // Its place is given back though nobody waits for its renderer's word.
    let eight = (0..8).map(|_| pool.register());
    for session in within(futures::future::join_all(eight)).await {
        session.unwrap();
    }
    within(pool.shutdown()).await.unwrap();
}

/// On the real renderer: alone, then eight at once, and over again.
async fn replies_are_not_mixed_up(format: WireFormat) {
    let pool = crate::support::pool(plushie_pool::RendererMode::Mock, format);
    let pool = pool.start().await.unwrap();
    let mut sessions = Vec::new();
    for count in 0..8 {
        let session = pool.register().await.unwrap();
        session.send(&snapshot(&counter(count))).await.unwrap();
        sessions.push(session);
    }
    for round in 0..40 {
        let alone = round % 8;
        for _ in 0..50 {
            assert_eq!(within(shown(&sessions[alone])).await, alone.to_string());
        }
        let all = sessions.iter().map(shown);
        let all = within(futures::future::join_all(all)).await;
        let expected: Vec<_> = (0..8).map(|count| count.to_string()).collect();
        assert_eq!(all, expected);
    }
}

#[tokio::test]
async fn a_format_that_panics_is_the_renderers_end_and_not_the_callers() {
    let steps = ["hello", "answer 101", r#"say {"type": "poison"}"#, "serve"];
    let pool = scripted(steps).format(WireFormat::Json);
    let pool = pool.transport(PanicsAt::reading("poison")).start();
    let session = pool.await.unwrap().register().await.unwrap();
    let error = loop {
        let reply = session.request(&query(), "query_response");
        match within(reply).await {
            Ok(reply) => drop(reply.decode::<Value>().unwrap()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::RendererExited);
    assert!(error.to_string().contains("panicked"), "{error}");
}

/// The first is still reading when its time runs out; whoever asks meanwhile reads too.
async fn two_whose_time_runs_out_return(format: WireFormat) {
    let steps: Vec<String> = std::iter::once("hello".to_owned())
        .chain((0..20).flat_map(|_| ["answer 61".to_owned(), "take 2".to_owned()]))
        .collect();
    // The settings are one of the first sixty-one.
    let pool = scripted(steps.iter().map(String::as_str)).format(format);
    let pool = pool.start().await.unwrap();
    let sessions = [
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    ];
    for round in 0..20 {
        let answered = if round == 0 { 60 } else { 61 };
        ask(&sessions[0], answered).await;
        let runs_out = |session: &Session, millis| {
            let request = session.request(&query(), "query_response");
            request
                .timeout(Duration::from_millis(millis))
                .wait()
                .is_err()
        };
        thread::scope(|scope| {
            let first = scope.spawn(|| runs_out(&sessions[0], 1));
            while pool.status().pending_requests == 0 && !first.is_finished() {
                thread::yield_now();
            }
            while pool.status().pending_requests > 0 {
                thread::yield_now();
            }
            assert!(runs_out(&sessions[1], 20));
            assert!(first.join().unwrap());
        });
    }
}
