//! What users bring may be at fault: connectors, formats and modes that panic, times that are
//! out of all proportion. It ends as an error, and takes nothing else with it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use plushie_pool::{
    Connection, Connector, Error, ErrorKind, Launch, RendererMode, RestartPolicy, SessionEvent,
    SessionPool, WireFormat,
};
use plushie_pool_core::{
    Close, Envelope, FrameDecoder, Header, Mode, Placement, Read, RendererView, Transport,
};
use plushie_pool_transport_json::Json;
use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::peer::played;
use crate::support::{find, until, within};

#[derive(Debug)]
struct PanicsWhenConnecting;

#[async_trait]
impl Connector for PanicsWhenConnecting {
    fn describe(&self) -> String {
        "a defect".to_owned()
    }

    async fn connect(&self, _: &Launch) -> Result<Connection, Error> {
        panic!("a defect of the connector")
    }
}

/// JSON, but for what it panics at.
#[derive(Debug)]
pub(crate) struct PanicsAt {
    encoding: &'static str,
    reading: &'static str,
}

impl PanicsAt {
    pub(crate) fn reading(reading: &'static str) -> Self {
        Self {
            encoding: "",
            reading,
        }
    }
}

fn holds(text: &[u8], part: &str) -> bool {
    !part.is_empty()
        && text
            .windows(part.len())
            .any(|window| window == part.as_bytes())
}

impl Transport for PanicsAt {
    fn name(&self) -> &str {
        "faulty"
    }

    fn launch_args(&self) -> &[&str] {
        Json.launch_args()
    }

    fn decoder(&self) -> Box<dyn FrameDecoder> {
        Json.decoder()
    }

    fn encode(
        &self,
        header: Header<'_>,
        body: &dyn erased_serde::Serialize,
    ) -> Result<Bytes, Error> {
        let frame = Json.encode(header, body)?;
        assert!(!holds(&frame, self.encoding), "a defect of the format");
        Ok(frame)
    }

    fn envelope<'a>(&self, payload: &'a [u8]) -> Result<Envelope<'a>, Error> {
        assert!(!holds(payload, self.reading), "a defect of the format");
        Json.envelope(payload)
    }

    fn deserialize<'de>(&self, payload: &'de [u8], read: Read<'_, 'de>) -> Result<(), Error> {
        Json.deserialize(payload, read)
    }
}

#[tokio::test]
async fn a_connector_that_panics_fails_the_start() {
    let started = SessionPool::builder()
        .connector(PanicsWhenConnecting)
        .start();
    let error = within(started).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Launch);
    assert!(error.to_string().contains("panicked"), "{error}");
}

/// Says hello, takes the settings, and panics at what it is to write next.
#[derive(Debug)]
struct PanicsWhenWriting;

struct Writer {
    writes: u32,
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        assert!(self.writes < 2, "a defect of the stream");
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Connector for PanicsWhenWriting {
    fn describe(&self) -> String {
        "a defect".to_owned()
    }

    async fn connect(&self, _: &Launch) -> Result<Connection, Error> {
        let (reader, mut theirs) = tokio::io::duplex(4096);
        let hello = format!("{}\n", plushie_pool_tests::wire::hello());
        theirs.write_all(hello.as_bytes()).await.unwrap();
        // Kept open: a renderer that hangs up would end in another way.
        std::mem::forget(theirs);
        Ok(Connection::new(reader, Writer { writes: 0 }))
    }
}

#[tokio::test]
async fn a_stream_that_panics_does_not_keep_the_pool_from_ending() {
    let builder = SessionPool::builder().connector(PanicsWhenWriting);
    let pool = builder.format(WireFormat::Json).start().await.unwrap();
    let session = pool.register().await.unwrap();
    let query = find("count");
    for _ in 0..2 {
        let error = within(session.request(&query, "query_response")).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::RendererExited);
    }
    within(pool.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_format_that_panics_at_a_message_ends_its_renderer_and_gives_the_places_back() {
    let (builder, mut peers) = played(WireFormat::Json);
    let faulty = PanicsAt {
        encoding: "",
        reading: "poison",
    };
    let pool = builder
        .transport(faulty)
        .max_sessions(1)
        .start()
        .await
        .unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    // In one read: what was decided before the panic must happen all the same.
    let closed = json!({"type": "event", "family": "session_closed", "session": "s1"});
    let both = format!("{closed}\n{}\n", json!({"type": "poison"}));
    peer.print(both.as_bytes()).await;
    let end = within(session.next_event()).await;
    assert!(matches!(end, Some(SessionEvent::Failed(_))), "{end:?}");
    within(pool.register()).await.unwrap();
}

#[tokio::test]
async fn a_panic_in_the_pools_timer_ends_the_renderer_rather_than_all_timeouts() {
    let (builder, mut peers) = played(WireFormat::Json);
    // What the pool asks when an interact got no answer.
    let faulty = PanicsAt {
        encoding: "~1844674407370955",
        reading: "",
    };
    let pool = builder.transport(faulty).start().await.unwrap();
    let _peer = peers.next().await;
    let (one, other) = (
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    );
    let click = json!({"type": "interact", "action": "click"});
    let interact = one
        .request(&click, "interact_response")
        .timeout(Duration::from_millis(20));
    let query = find("count");
    let waiting = other.request(&query, "query_response");
    let (interact, waiting) = within(async { tokio::join!(interact, waiting) }).await;
    interact.unwrap_err();
    assert_eq!(waiting.unwrap_err().kind(), ErrorKind::RendererExited);
    assert_eq!(pool.status().pending_requests, 0);
}

#[tokio::test]
async fn times_out_of_all_proportion_are_as_good_as_for_ever() {
    let (builder, mut peers) = played(WireFormat::Json);
    let builder = builder.max_sessions(1).timeout(Duration::MAX);
    let builder = builder
        .acquire_timeout(Duration::MAX)
        .close_timeout(Duration::MAX);
    let pool = builder.launch_timeout(Duration::MAX).start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let query = find("count");
    let asked = session
        .request(&query, "query_response")
        .timeout(Duration::MAX);
    let (asked, ()) = tokio::join!(within(asked), async {
        let query = peer.expect("query").await;
        peer.answer(&query, Value::Null).await;
    });
    asked.unwrap();
    assert!(
        pool.register().now_or_never().is_none(),
        "it waits its turn"
    );
    drop(session);
    let reset = peer.expect("reset").await;
    peer.answer(&reset, Value::Null).await;
    within(pool.register()).await.unwrap();
}

#[tokio::test]
async fn a_window_whose_session_failed_is_ended_before_its_place_is_given_away() {
    let (builder, mut peers) = played(WireFormat::Json);
    let builder = builder.mode(RendererMode::Windowed).max_sessions(1);
    let pool = builder.start().await.unwrap();
    let (session, mut peer) = tokio::join!(pool.register(), async {
        let mut peer = peers.next().await;
        let probe = peer.expect("query").await;
        peer.answer(&probe, Value::Null).await;
        peer
    });
    let session = session.unwrap();
    let complaint = json!({
        "type": "event", "family": "session_error", "session": "", "id": "",
        "data": {"code": "renderer_panic", "error": "index out of bounds"},
    });
    peer.say(&complaint).await;
    let end = within(session.next_event()).await;
    assert!(matches!(end, Some(SessionEvent::Failed(_))), "{end:?}");
    assert_eq!(within(peer.read()).await, None, "its input is closed");
    drop(peer);
    within(session.unregister()).await.unwrap();
    until("the renderer is gone", || {
        pool.status().renderers.is_empty()
    })
    .await;
    assert_eq!(pool.status().sessions, 0);
}

/// Starts no renderer before it is needed.
#[derive(Debug)]
struct Lazy;

impl Mode for Lazy {
    fn name(&self) -> &str {
        "lazy"
    }

    fn place(&mut self, _: &[RendererView]) -> Placement {
        Placement::Launch
    }

    fn close(&self) -> Close {
        Close::Reset
    }

    fn initial_renderers(&self) -> usize {
        0
    }
}

#[derive(Debug)]
struct NeverConnects;

#[async_trait]
impl Connector for NeverConnects {
    fn describe(&self) -> String {
        "nowhere".to_owned()
    }

    async fn connect(&self, _: &Launch) -> Result<Connection, Error> {
        Err(Error::new(ErrorKind::Launch, "nobody is there"))
    }
}

/// Nothing has died, so it is tried again as often as a session is asked for.
#[tokio::test]
async fn a_renderer_that_cannot_be_reached_costs_no_restarts() {
    let builder = SessionPool::builder()
        .connector(NeverConnects)
        .custom_mode(Lazy)
        .acquire_timeout(Duration::from_secs(30));
    let builder = builder.restart(RestartPolicy {
        max_restarts: 0,
        within: Duration::from_secs(600),
        backoff: Duration::from_millis(1),
    });
    let pool = builder.start().await.unwrap();
    for attempt in 1..=8 {
        let error = within(pool.register()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Launch);
        assert!(error.to_string().contains("nobody is there"), "{error}");
        assert_eq!(pool.status().launches, attempt);
    }
    assert_eq!(pool.status().deaths, 0);
}

/// At once, and with what became of the last attempt.
#[tokio::test]
async fn a_register_that_may_not_wait_fails_with_the_time_of_the_next_attempt() {
    let builder = SessionPool::builder()
        .connector(NeverConnects)
        .custom_mode(Lazy)
        .acquire_timeout(Duration::ZERO);
    let builder = builder.restart(RestartPolicy {
        backoff: Duration::MAX,
        ..RestartPolicy::default()
    });
    let pool = builder.start().await.unwrap();
    within(pool.register()).await.unwrap_err();
    let error = within(pool.register()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Launch);
    for words in ["starts the next one in", " s;", "nobody is there"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(pool.status().launches, 1);
    assert!(pool.status().backoff.is_some());
}
