//! A session with a window ends, whatever its renderer does: its requests, its process, its
//! place.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use plushie_pool::{
    ChildProcess, Connection, Connector, Display, ErrorKind, Grace, Launch, RendererMode, Session,
    SessionPool, WireFormat,
};
use plushie_pool_renderer::{Reader, Screen};
use serde_json::json;
use tokio::io::{AsyncRead, ReadBuf};

use crate::display::{own, start};
use crate::support::{
    RENDERER, counter, exists, find, pool, scripted, shown, snapshot, stop, until, within,
};

/// Short, for renderers that are known not to heed it.
const IMPATIENT: Grace = Grace {
    eof: Duration::from_millis(50),
    term: Duration::from_millis(50),
    kill: Duration::from_secs(60),
};

/// Closes a session twice at once with a request on its way, and sees that all ends and that
/// another can have the place.
async fn closes_for_certain(pool: &SessionPool, session: Session) {
    assert_eq!(pool.status().max_sessions, 1);
    let pid = session.renderer_pid().unwrap();
    // The renderer drops an interact without an action, and says nothing.
    let unreadable = json!({"type": "interact"});
    let mut asked = session.request(&unreadable, "interact_response");
    assert!((&mut asked).now_or_never().is_none());

    let mut first = Box::pin(session.unregister());
    assert!((&mut first).now_or_never().is_none());
    let error = asked.now_or_never().expect("ended at once").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionClosed);
    let (first, second) = within(async { futures::join!(first, session.unregister()) }).await;
    first.unwrap();
    second.unwrap();
    assert!(!exists(pid), "it was not reaped");
    assert_eq!(pool.status().sessions, 0);
    within(session.unregister()).await.unwrap();
    drop(session);
    // One place was given back, not two.
    assert_eq!(pool.status().sessions, 0);
    let next = within(pool.try_register()).await.unwrap();
    within(next.unregister()).await.unwrap();
    within(pool.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_renderer_that_is_well() {
    let builder = pool(RendererMode::Windowed, WireFormat::Msgpack).max_sessions(1);
    let Some(pool) = start(builder).await else {
        return;
    };
    let session = pool.register().await.unwrap();
    closes_for_certain(&pool, session).await;
}

#[tokio::test]
async fn a_renderer_that_is_stopped() {
    let builder = pool(RendererMode::Windowed, WireFormat::Json)
        .max_sessions(1)
        .grace(IMPATIENT);
    let Some(pool) = start(builder).await else {
        return;
    };
    let session = pool.register().await.unwrap();
    session.send(&snapshot(&counter(1))).await.unwrap();
    shown(&session).await;
    stop(session.renderer_pid().unwrap());
    closes_for_certain(&pool, session).await;
}

/// Whose input is full besides, so that not even the word that ends it can be sent.
#[tokio::test]
async fn a_renderer_that_heeds_nothing_and_reads_nothing() {
    let pool = scripted(["ignore-term", "hello", "answer 2", "hang"])
        .mode(RendererMode::Windowed)
        .display(Display::None)
        .max_sessions(1)
        .grace(IMPATIENT)
        .start()
        .await
        .unwrap();
    let session = within(pool.register()).await.unwrap();
    let much = json!({"type": "command", "data": "x".repeat(1 << 20)});
    within(session.send(&much)).await.unwrap();
    closes_for_certain(&pool, session).await;
}

#[tokio::test]
async fn a_renderer_that_is_wedged_by_a_pipe_nobody_reads() {
    // It says most under Xvfb.
    let Some(display) = own().pop() else {
        return;
    };
    let screen = Arc::new(Screen::find(display, |name| std::env::var_os(name)).unwrap());
    let unread = Arc::new(AtomicBool::new(false));
    let connector = Unread {
        child: ChildProcess::new(RENDERER).on_screen(screen),
        unread: unread.clone(),
    };
    let pool = SessionPool::builder()
        .mode(RendererMode::Windowed)
        .connector(connector)
        .max_sessions(1)
        .grace(IMPATIENT)
        .start()
        .await
        .unwrap();
    let session = within(pool.register()).await.unwrap();
    session.send(&snapshot(&counter(1))).await.unwrap();
    let subscribe = json!({"type": "subscribe", "kind": "on_window_event", "tag": "window"});
    session.send(&subscribe).await.unwrap();
    let asked = session.request(&find("count"), "query_response");
    within(asked).await.unwrap();
    unread.store(true, Ordering::Relaxed);
    let pid = session.renderer_pid().unwrap();
    until("it hangs in a write", || writes_to_its_output(pid)).await;
    closes_for_certain(&pool, session).await;
}

/// Whether a thread of a process waits in the system call `write` to descriptor 1.
fn writes_to_its_output(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.flatten().any(|thread| {
        let call = std::fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
        call.starts_with(if cfg!(target_arch = "x86_64") {
            "1 0x1 "
        } else {
            "64 0x1 "
        })
    })
}

/// Connects to a renderer whose output it leaves in the pipe when told so.
#[derive(Debug)]
struct Unread {
    child: ChildProcess,
    unread: Arc<AtomicBool>,
}

#[async_trait]
impl Connector for Unread {
    fn describe(&self) -> String {
        self.child.describe()
    }

    async fn connect(&self, launch: &Launch) -> Result<Connection, plushie_pool::Error> {
        self.unread.store(false, Ordering::Relaxed);
        let mut connection = self.child.connect(launch).await?;
        connection.reader = Reader::stream(Stuck {
            reader: connection.reader,
            unread: self.unread.clone(),
        });
        Ok(connection)
    }
}

struct Stuck {
    reader: Reader,
    unread: Arc<AtomicBool>,
}

impl AsyncRead for Stuck {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.unread.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}
