//! What one test after another would do, in a hurry and none too tidy.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use futures::executor::block_on;
use futures::future::join_all;
use plushie_pool::{Error, Session, SessionEvent, SessionPool};
use serde_json::{Value, json};

use crate::account::Account;

/// Opens session after session and uses each, until it is over.
pub(crate) fn until(over: &AtomicBool, pool: &SessionPool, account: &Account, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while !over.load(Ordering::Relaxed) {
        if random.u8(..) < 8 {
            give_up_early(pool.register());
            continue;
        }
        match block_on(pool.register()) {
            Ok(session) => {
                account.opened();
                let used = block_on(use_it(&session, account, &mut random));
                if let Err(error) = used {
                    account.error(error.kind());
                }
                end(session, account, &mut random);
            }
            Err(error) => account.error(error.kind()),
        }
    }
}

async fn use_it(
    session: &Session,
    account: &Account,
    random: &mut fastrand::Rng,
) -> Result<(), Error> {
    let mark = random.u64(..).to_string();
    session.send(&snapshot(&mark)).await?;
    for _ in 0..random.usize(1..30) {
        match random.u8(..10) {
            0..4 => query(session, account, &mark).await,
            4..6 => {
                let queries = (0..random.usize(2..20)).map(|_| query(session, account, &mark));
                join_all(queries).await;
            }
            6 => {
                for _ in 0..random.usize(1..600) {
                    session.send(&patch(&mark)).await?;
                }
            }
            7 => click(session, account).await,
            8 => {
                account.asked();
                give_up_early(session.request(&find(), "query_response"));
                account.cancelled();
            }
            _ => drain(session),
        }
    }
    Ok(())
}

/// A query that must show this session's own mark.
async fn query(session: &Session, account: &Account, mark: &str) {
    account.asked();
    match session.request(&find(), "query_response").await {
        Ok(reply) => {
            let body: Result<Value, _> = reply.decode();
            account.answered(body.is_ok_and(|body| body["data"]["props"]["content"] == *mark));
        }
        Err(error) => account.failed(error.kind()),
    }
}

/// A click that the renderer takes in a step, which waits for a tree.
async fn click(session: &Session, account: &Account) {
    let click = json!({
        "type": "interact", "action": "click", "selector": {"by": "id", "value": "main#button"},
    });
    account.asked();
    let id = match session.send_interact(&click).await {
        Ok(id) => id,
        Err(error) => {
            account.failed(error.kind());
            return;
        }
    };
    loop {
        match session.next_event().await {
            Some(SessionEvent::InteractStep { .. }) => {
                let tree = session.send(&json!({"type": "patch", "ops": []})).await;
                if let Err(error) = tree {
                    account.failed(error.kind());
                    return;
                }
            }
            Some(SessionEvent::InteractResponse { id: ended, .. }) if ended == id => {
                account.answered(true);
                return;
            }
            Some(SessionEvent::InteractFailed { id: ended, error }) if ended == id => {
                account.failed(error.kind());
                return;
            }
            Some(_) => {}
            None => {
                // Its end would have been told before the session's.
                account.answered(false);
                return;
            }
        }
    }
}

/// Reads what events there are, without waiting for more.
fn drain(session: &Session) {
    while let Some(Some(_)) = futures::FutureExt::now_or_never(session.next_event()) {}
}

/// Polls a future once and drops it.
fn give_up_early<F: Future>(future: F) {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(_) | Poll::Pending => {}
    }
}

fn end(session: Session, account: &Account, random: &mut fastrand::Rng) {
    match random.u8(..4) {
        0 => session.release(),
        1 => drop(session),
        2 => give_up_early(session.unregister()),
        _ => {
            if let Err(error) = block_on(session.unregister()) {
                account.error(error.kind());
            }
        }
    }
}

fn snapshot(mark: &str) -> Value {
    let node = |id: &str, kind: &str, props: Value| json!({"id": id, "type": kind, "props": props, "children": []});
    json!({"type": "snapshot", "tree": {
        "id": "main", "type": "window", "props": {"title": "Soak"},
        "children": [{
            "id": "root", "type": "column", "props": {},
            "children": [
                node("button", "button", json!({"label": "+"})),
                node("mark", "text", json!({"content": mark})),
            ],
        }],
    }})
}

fn patch(mark: &str) -> Value {
    json!({"type": "patch", "ops": [
        {"op": "update_props", "path": [0, 1], "props": {"content": mark}},
    ]})
}

fn find() -> Value {
    json!({"type": "query", "target": "find", "selector": {"by": "id", "value": "mark"}})
}
