//! What every connector has to do.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use plushie_pool_core::conformance::Checks;
use plushie_pool_core::link::LinkConfig;
use plushie_pool_core::{Addressing, Close, Error, Header, Transport, decode_payload};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime;
use tokio::time::timeout;

use crate::handshake::{self, Hello};
use crate::input::Input;
use crate::{Connection, Connector, Grace, Launch, RendererConfig};

/// The properties that every [`Connector`] has. [`run`](Self::run) checks them.
///
/// ```
/// use plushie_pool_renderer::testing::{ConnectorSuite, FakeRenderer};
/// # fn test(my_format: impl plushie_pool_core::Transport + Copy) {
/// let connector = FakeRenderer::new(my_format);
/// ConnectorSuite::new(&connector, my_format)
///     .args(["--mock", "--max-sessions", "8"])
///     .expect_mode("mock")
///     .run();
/// # }
/// ```
#[derive(Debug)]
#[must_use = "`run` checks the properties"]
pub struct ConnectorSuite<'a> {
    connector: &'a dyn Connector,
    transport: Arc<dyn Transport>,
    args: Vec<String>,
    mode: Option<String>,
    one_at_a_time: bool,
}

/// How long anything may take before it is said not to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// How large a tree is sent there and back: more than fits into a pipe or a socket's buffers.
const NODES: usize = 20_000;

impl<'a> ConnectorSuite<'a> {
    /// Checks of a connector whose renderers speak this format.
    pub fn new(connector: &'a dyn Connector, transport: impl Transport) -> Self {
        Self {
            connector,
            transport: Arc::new(transport),
            args: Vec::new(),
            mode: None,
            one_at_a_time: false,
        }
    }

    /// The arguments of the mode. Those of the format are added.
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// The mode that a renderer started with these arguments names in its `hello`. Without it
    /// the suite does not check that the arguments reach a renderer.
    pub fn expect_mode(mut self, mode: impl Into<String>) -> Self {
        self.mode = Some(mode.into());
        self
    }

    /// The connector reaches one renderer at a time, as one to a single renderer that listens.
    /// A pool with it has one renderer.
    pub fn one_at_a_time(mut self) -> Self {
        self.one_at_a_time = true;
        self
    }

    /// Checks all properties. It needs no runtime, and may be called inside one, which it
    /// blocks.
    ///
    /// # Panics
    ///
    /// At the first property that does not hold, with its name, what was expected and what was
    /// found.
    pub fn run(self) {
        // A thread of its own: a runtime cannot be started inside another. The processes that
        // the connector starts end with the thread at the latest.
        std::thread::scope(|scope| {
            if let Err(panic) = scope.spawn(|| self.check()).join() {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn check(&self) {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system has a descriptor for a runtime");
        let checks = Checks::new(format!("connector {:?}", self.connector.describe()));
        let subject = Subject {
            suite: self,
            checks: &checks,
        };
        let run = |property, check: &mut dyn FnMut()| checks.property(property, check);
        run("it says what it connects to", &mut || subject.describes());
        run("a renderer says hello and answers", &mut || {
            runtime.block_on(subject.says_hello());
        });
        run("long messages pass both ways", &mut || {
            runtime.block_on(subject.passes_long_messages());
        });
        run("two renderers share nothing", &mut || {
            runtime.block_on(subject.makes_independent_renderers());
        });
        run("the end of its input ends a renderer", &mut || {
            runtime.block_on(subject.ends_with_its_input());
        });
        run("a renderer's process can be stopped", &mut || {
            runtime.block_on(subject.stops_its_process());
        });
        run(
            "a connection that is dropped leaves no process",
            &mut || {
                runtime.block_on(subject.leaves_no_process());
            },
        );
        run(
            "a connect that is dropped does not stop the next",
            &mut || {
                runtime.block_on(subject.connects_again());
            },
        );
    }
}

struct Subject<'a> {
    suite: &'a ConnectorSuite<'a>,
    checks: &'a Checks,
}

/// A renderer that has said hello.
struct Greeted {
    connection: Connection,
    hello: Hello,
    input: Input,
}

impl Subject<'_> {
    fn describes(&self) {
        let connector = self.suite.connector;
        let (one, two) = (connector.describe(), connector.describe());
        self.checks
            .expect(!one.is_empty(), "a description", "an empty one");
        self.checks
            .expect(one == two, format_args!("{one:?} again"), two);
        if let Err(error) = connector.check() {
            self.checks.fail("`check` to find nothing wrong", error);
        }
    }

    async fn says_hello(&self) {
        let mut renderer = self.start().await;
        let hello = &renderer.hello;
        if let Some(mode) = &self.suite.mode {
            let expected = format_args!("the mode {mode:?} of the arguments in its hello");
            let got = format_args!("{:?}", hello.mode);
            self.checks.expect(hello.mode == *mode, expected, got);
        }
        self.tree(&mut renderer).await;
    }

    /// Sends a tree that fits into no buffer, and has it sent back, while both are written.
    async fn passes_long_messages(&self) {
        let mut renderer = self.start().await;
        let text = |n| json!({"id": format!("n{n}"), "type": "text", "props": {"content": "x"}, "children": []});
        let children: Vec<_> = (0..NODES).map(text).collect();
        self.show(&mut renderer, json!(children)).await;
        let tree = self.tree(&mut renderer).await;
        let got = tree["children"].as_array().map_or(0, Vec::len);
        self.checks
            .expect(got == NODES, format_args!("{NODES} nodes back"), got);
    }

    async fn makes_independent_renderers(&self) {
        let mut one = self.start().await;
        self.show(&mut one, json!([])).await;
        self.checks
            .expect(!self.tree(&mut one).await.is_null(), "its tree", "none");
        if self.suite.one_at_a_time {
            return;
        }
        let mut other = self.start().await;
        let tree = self.tree(&mut other).await;
        self.checks
            .expect(tree.is_null(), "no tree in the second renderer", tree);
        self.end(one).await;
        self.show(&mut other, json!([])).await;
        let tree = self.tree(&mut other).await;
        self.checks.expect(
            !tree.is_null(),
            "the second renderer to go on without the first",
            "no tree",
        );
    }

    async fn ends_with_its_input(&self) {
        let renderer = self.start().await;
        self.end(renderer).await;
    }

    /// Drops what writes to a renderer, and waits for the end of what it writes.
    async fn end(&self, renderer: Greeted) {
        let Connection {
            writer,
            mut reader,
            process,
            ..
        } = renderer.connection;
        drop(writer);
        self.within("the end of its output", async {
            let mut rest = Vec::new();
            // An error, as when a socket is reset, is an end as well.
            let _ = reader.read_to_end(&mut rest).await;
        })
        .await;
        if let Some(mut process) = process {
            self.within("the end of its process", process.wait()).await;
        }
    }

    async fn stops_its_process(&self) {
        let Connection {
            writer,
            mut reader,
            process,
            ..
        } = self.start().await.connection;
        let Some(mut process) = process else {
            return;
        };
        let pid = process.pid();
        let stopped = async {
            // It keeps its writer, so that the end of its input does not end it.
            let drain = async {
                let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
                std::future::pending::<()>().await;
            };
            let grace = Grace {
                eof: Duration::ZERO,
                ..Grace::default()
            };
            tokio::select! {
                _ = process.stop(grace) => {}
                () = drain => {}
            }
        };
        self.within("`Process::stop` to return", stopped).await;
        drop(writer);
        self.gone(pid).await;
    }

    async fn leaves_no_process(&self) {
        let connection = self.start().await.connection;
        let pid = connection.process.as_ref().map(crate::Process::pid);
        drop(connection);
        if let Some(pid) = pid {
            self.gone(pid).await;
        }
    }

    async fn connects_again(&self) {
        {
            let launch = self.launch();
            let mut connecting = pin!(self.suite.connector.connect(&launch));
            let once = poll_fn(|context| Poll::Ready(connecting.as_mut().poll(context))).await;
            drop(once);
        }
        let mut renderer = self.start().await;
        self.tree(&mut renderer).await;
    }

    fn launch(&self) -> Launch {
        let format = self.suite.transport.launch_args().iter();
        let format = format.map(|arg| (*arg).to_owned());
        Launch::new(self.suite.args.iter().cloned().chain(format))
    }

    async fn start(&self) -> Greeted {
        let link = LinkConfig::new(
            self.suite.transport.clone(),
            Addressing::BySession,
            Close::Reset,
        );
        let config = RendererConfig {
            link,
            args: self.suite.args.clone(),
            settings: None,
            mode: None,
            launch_timeout: PATIENCE,
            grace: Grace::default(),
            lend: false,
        };
        let launch = self.launch();
        let connecting = self.suite.connector.connect(&launch);
        let connected = self.within("`connect` to return", connecting).await;
        let mut connection = self.expect("a connection", connected);
        let greeting = handshake::shake_hands(&mut connection, &config);
        let greeting = self.within("hello", greeting).await;
        let (hello, input) = self.expect("hello", greeting);
        Greeted {
            connection,
            hello,
            input,
        }
    }

    /// Shows a window with these children in the session `s1`.
    async fn show(&self, renderer: &mut Greeted, children: Value) {
        let tree = json!({"id": "main", "type": "window", "props": {}, "children": children});
        let snapshot = json!({"type": "snapshot", "tree": tree});
        let frame = self.frame(&snapshot, None);
        // Not while it waits for what it says to be read.
        let writer = &mut renderer.connection.writer;
        let written = self.within("a message to be read", async {
            writer.write_all(&frame).await?;
            writer.flush().await
        });
        let written = written.await;
        if let Err(error) = written {
            self.checks.fail("a message to be read", error);
        }
    }

    /// The tree of the session `s1`.
    async fn tree(&self, renderer: &mut Greeted) -> Value {
        let query = json!({"type": "query", "target": "tree", "selector": {}});
        let frame = self.frame(&query, Some("~1"));
        let transport = &*self.suite.transport;
        let Greeted {
            connection, input, ..
        } = renderer;
        let answered = self.within("an answer to a query", async {
            let written = async {
                connection.writer.write_all(&frame).await?;
                connection.writer.flush().await
            };
            if let Err(error) = written.await {
                self.checks.fail("a query to be read", error);
            }
            loop {
                let payload = handshake::next(connection, input, transport).await?;
                if transport.envelope(&payload)?.kind == "query_response" {
                    return decode_payload::<Value>(transport, &payload);
                }
            }
        });
        let answered = answered.await;
        let mut answer = self.expect("an answer to a query", answered);
        answer["data"].take()
    }

    fn frame(&self, message: &Value, id: Option<&str>) -> bytes::Bytes {
        let session = "s1";
        let frame = self.suite.transport.encode(Header { session, id }, message);
        self.expect("a message to be encoded", frame)
    }

    /// Waits until a process has ended and been reaped.
    async fn gone(&self, pid: u32) {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, test_kill_process};
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            self.within("the process to be gone, and reaped", async {
                while pid.is_some_and(|pid| test_kill_process(pid).is_ok()) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
        }
        #[cfg(not(unix))]
        let _ = pid;
    }

    async fn within<T>(&self, expected: &str, wait: impl Future<Output = T>) -> T {
        match timeout(PATIENCE, wait).await {
            Ok(done) => done,
            Err(_) => self
                .checks
                .fail(expected, format_args!("nothing within {PATIENCE:?}")),
        }
    }

    fn expect<T>(&self, expected: &str, result: Result<T, Error>) -> T {
        result.unwrap_or_else(|error| self.checks.fail(expected, error))
    }
}
