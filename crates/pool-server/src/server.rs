//! The server itself: who is let in, on which thread, and for how long.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use plushie_pool::io::{Admission, Bridge, BridgeConfig, HandshakeMemory};
use plushie_pool::{Error, ErrorKind, PoolSet, SessionPool};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection::{self, Patience};
use crate::handshakes::{Handshake, Handshakes};
use crate::listener::{Accepted, Bound, Listen, Listener};
use crate::metrics;
use crate::report::{PoolReport, Report};
use crate::stats::{Ledger, Page, Stats};
use crate::threads::{self, Place, Worker};
use crate::token::Token;

/// How a [`Server`] treats its clients.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// What clients have to show; none lets in everybody who can connect, and is an error for an
    /// address that other machines can reach.
    pub token: Option<Token>,
    /// How many clients may be served at once; more wait until one of them goes. Clients that
    /// have not sent their settings do not count. 1,024 by default.
    pub max_clients: usize,
    /// How many clients may be connected that have not sent their settings, or wait to be served;
    /// 256 by default. One more has the oldest cut off that has sent no settings for a second.
    pub max_handshakes: usize,
    /// How many sessions a client may have at once, waiting ones included; 256 by default.
    pub max_sessions_per_client: usize,
    /// How long a client may take to say who it is; 30 s by default.
    pub handshake_timeout: Duration,
    /// How long a client may take nothing of what it is sent before it is cut off; 30 s by
    /// default. A client on another machine that is gone without a word is noticed within a
    /// minute, or, if that is more, [`keep_alive`](Self::keep_alive) and this time.
    pub stall_timeout: Duration,
    /// How long a client that is served may send nothing before it is cut off, with its sessions;
    /// without end by default. Longer than a request or a wait for a session takes, in which
    /// clients have nothing to say. What the server sends to keep the connection alive does not
    /// count.
    pub idle_timeout: Option<Duration>,
    /// How long a client may hear nothing, before it is sent something that means nothing; 20 s
    /// by default, as the SDKs give up a renderer that is silent for 30 s.
    pub keep_alive: Duration,
    /// Where `/metrics` is answered over HTTP, to anybody who can connect; nowhere by default.
    pub metrics: Option<SocketAddr>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            token: None,
            max_clients: 1024,
            max_handshakes: 256,
            max_sessions_per_client: 256,
            handshake_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            idle_timeout: None,
            keep_alive: Duration::from_secs(20),
            metrics: None,
        }
    }
}

/// Pools behind a socket, one for each mode that clients ask for. It ends when dropped, or with
/// [`shutdown`](Self::shutdown); the pools go on.
pub struct Server {
    desk: Arc<Desk>,
    metrics: Option<SocketAddr>,
    closing: watch::Sender<bool>,
    over: watch::Receiver<()>,
}

/// Where it is known how all does.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) ledger: Ledger,
    address: String,
    since: Instant,
    pools: PoolSet,
}

impl Desk {
    pub(crate) fn report(&self) -> Report {
        let pools = self.pools.running().into_iter().map(|pool| {
            let status = pool.status();
            PoolReport::new(self.ledger.counts(&status.mode), status)
        });
        Report::new(
            self.address.clone(),
            self.since.elapsed(),
            self.ledger.stats(),
            pools.collect(),
        )
    }
}

/// What clients that have yet to show a token may send, all together, in bytes: room for two of
/// the longest first messages there are.
const HANDSHAKE_MEMORY: usize = 128 * 1024 * 1024;

impl Server {
    /// Listens, and serves who connects, on threads of its own.
    ///
    /// A client gets sessions of the pool whose mode its settings name, as in `{"type":
    /// "settings", "settings": {"protocol_version": 1, "pool_mode": "headless"}}`, or else of the
    /// default one, or the one of the socket at which it connects: see [`Listen::Private`]. A
    /// single [`SessionPool`] serves its own mode; a client that names another is
    /// told so, and cut off.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) if it cannot listen there, the token is blank, or other
    /// machines could connect without one.
    pub fn start(
        pools: impl Into<PoolSet>,
        listen: Listen,
        config: ServerConfig,
    ) -> Result<Self, Error> {
        if config.token.as_ref().is_some_and(Token::is_blank) {
            return Err(Error::new(ErrorKind::Config, "the token is blank")
                .with_hint("set one that is not, or none at all"));
        }
        let pools = pools.into();
        // One that is there by itself may be in a mode of any name.
        let modes = Some(pools.modes()).filter(|modes| modes.len() > 1);
        let bound = listen.bind(&modes.unwrap_or_default())?;
        if config.token.is_none() && !bound.is_local() {
            let message = format!("{} can be reached by other machines", bound.address());
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("set a token, or listen on this machine's loopback"));
        }
        let scraped = config.metrics.map(listen_for_scrapers).transpose()?;
        let metrics = scraped.as_ref().map(|(_, address)| *address);
        let desk = Arc::new(Desk {
            ledger: Ledger::new(),
            address: bound.address(),
            since: Instant::now(),
            pools,
        });
        let closing = watch::Sender::new(false);
        let (end, over) = watch::channel(());
        let host = Host {
            desk: desk.clone(),
            handshake_memory: Arc::new(HandshakeMemory::new(HANDSHAKE_MEMORY)),
            config,
            scraped: scraped.map(|(listener, _)| listener),
        };
        let told = closing.subscribe();
        let (ready, started) = mpsc::channel();
        let run = move || host.run(bound, told, &ready, &end);
        std::thread::Builder::new()
            .name(threads::NAME.to_owned())
            .spawn(run)
            .map_err(|error| failed(&error))?;
        started.recv().map_err(|error| failed(&error))??;
        Ok(Self {
            desk,
            metrics,
            closing,
            over,
        })
    }

    /// Where clients connect, as `PLUSHIE_SOCKET` has it.
    pub fn address(&self) -> &str {
        &self.desk.address
    }

    /// What it has done, and who has what.
    pub fn stats(&self) -> Stats {
        self.desk.ledger.stats()
    }

    /// The same, and how its pools do.
    pub fn report(&self) -> Report {
        self.desk.report()
    }

    /// Where `/metrics` is answered, with the port that was free.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// The pool for clients that ask for no mode.
    pub fn pool(&self) -> &SessionPool {
        self.desk.pools.default_pool()
    }

    /// The pools whose sessions it gives out.
    pub fn pools(&self) -> &PoolSet {
        &self.desk.pools
    }

    /// Ends all connections, with their sessions, and stops to listen. Needs no runtime.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the server ends whether the future is polled further or not.
    pub async fn shutdown(&self) {
        self.closing.send_replace(true);
        let mut over = self.over.clone();
        // It never changes, and its sender goes with the thread.
        while over.changed().await.is_ok() {}
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.desk.address)
            .field("pools", &self.desk.pools)
            .finish_non_exhaustive()
    }
}

fn failed(error: &dyn std::error::Error) -> Error {
    let message = format!("the server's thread cannot be started: {error}");
    Error::new(ErrorKind::Config, message)
}

/// What the server's thread has.
struct Host {
    desk: Arc<Desk>,
    handshake_memory: Arc<HandshakeMemory>,
    config: ServerConfig,
    scraped: Option<std::net::TcpListener>,
}

fn listen_for_scrapers(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), Error> {
    let bound = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound().map_err(|error: std::io::Error| {
        let message = format!("cannot answer for metrics at {address}: {error}");
        Error::new(ErrorKind::Config, message)
    })
}

impl Host {
    fn run(
        self,
        bound: Bound,
        closing: watch::Receiver<bool>,
        ready: &mpsc::Sender<Result<(), Error>>,
        _end: &watch::Sender<()>,
    ) {
        let begun = threads::runtime().and_then(|runtime| {
            let worker = Worker::start()?;
            let entered = runtime.enter();
            let listener = bound.into_listener()?;
            if let Some(scraped) = &self.scraped {
                let listener = tokio::net::TcpListener::from_std(scraped.try_clone()?)?;
                runtime.spawn(metrics::serve(listener, self.desk.clone()));
            }
            drop(entered);
            Ok((runtime, worker, listener))
        });
        let (runtime, worker, listener) = match begun {
            Ok(begun) => begun,
            Err(error) => return drop(ready.send(Err(failed(&error)))),
        };
        // The caller that started it waits for this.
        let _ = ready.send(Ok(()));
        let places = [worker.handle.clone(), runtime.handle().clone()].map(Place::new);
        runtime.block_on(self.serve(&listener, &places, closing));
    }

    async fn serve(
        self,
        listener: &Listener,
        places: &[Place],
        mut closing: watch::Receiver<bool>,
    ) {
        let mut clients = JoinSet::new();
        tokio::select! {
            () = self.accept(listener, places, &mut clients) => {}
            // Fails if the server was dropped, which means the same.
            _ = closing.wait_for(|closing| *closing) => {}
        }
        clients.shutdown().await;
    }

    /// Never ends.
    async fn accept(&self, listener: &Listener, places: &[Place], clients: &mut JoinSet<()>) {
        let handshakes = Handshakes::new(self.config.max_handshakes, self.config.max_clients);
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    let handshake = handshakes.begin().await;
                    let Some((place, presence)) = Place::least_used(places) else {
                        return;
                    };
                    let client = self.client(accepted, handshake, place);
                    let client = async move {
                        client.await;
                        drop(presence);
                    };
                    clients.spawn_on(client, &place.handle);
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others have to go first.
                    tracing::warn!(%error, "a client cannot be accepted");
                    handshakes.cut_oldest();
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            while clients.try_join_next().is_some() {}
        }
    }

    fn client(
        &self,
        accepted: Accepted,
        handshake: Handshake,
        place: &Place,
    ) -> impl Future<Output = ()> + use<> {
        let Accepted { socket, peer, mode } = accepted;
        let page = Arc::new(Page::new(self.desk.clone(), peer.clone()));
        let mut config = BridgeConfig::default();
        config.transport = "listen".to_owned();
        config.max_sessions = self.config.max_sessions_per_client;
        config.keep_alive = self.config.keep_alive;
        config.mode = mode;
        config.gauge = Some(page);
        let token = self.config.token.clone();
        config.handshake_memory = token.as_ref().map(|_| self.handshake_memory.clone());
        config.admission = token.map(|token| Arc::new(token) as Arc<dyn Admission>);
        let bridge = Bridge::new(self.desk.pools.clone(), config);
        let patience = Patience {
            handshake: self.config.handshake_timeout,
            stall: self.config.stall_timeout,
            idle: self.config.idle_timeout,
        };
        let stream = {
            let _entered = place.handle.enter();
            socket.into_stream(patience.stall)
        };
        let desk = self.desk.clone();
        async move {
            let mut stream = match stream {
                Ok(stream) => stream,
                Err(error) => return tracing::warn!(%peer, %error, "a client cannot be served"),
            };
            let ended = connection::serve(&mut stream, bridge, patience, handshake).await;
            // Before the client sees the end.
            if let Some(reason) = ended.reason {
                desk.ledger.rejected();
                tracing::warn!(%peer, %reason, "cut off a client");
            }
            if !ended.is_cut {
                connection::say_goodbye(&mut stream).await;
            }
        }
    }
}
