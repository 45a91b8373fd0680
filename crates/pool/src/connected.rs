//! Pools whose sessions are those of a server.

use std::env;

use plushie_pool_core::{Close, Error, ErrorKind, Mode, Phase, Placement, RendererView};
use plushie_pool_renderer::{Address, Credential};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::builder::Builder;
use crate::pool::SessionPool;
use crate::session::Session;

/// How many sessions a connection may have: as many as a server allows unless told otherwise.
const SESSIONS: usize = 256;

/// The pool that all in this process share. It is never dropped: its renderers end with the
/// process.
static SHARED: Mutex<Option<SessionPool>> = Mutex::const_new(None);

impl SessionPool {
    /// A pool whose sessions are those of a server: of `plushie-pool serve` or `plushie-pool
    /// run`. The address is a `PLUSHIE_SOCKET`: `/path/to/socket`, `:4567`, `127.0.0.1:4567`.
    ///
    /// [`register`](Self::register) waits until the server has a session free.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) for an address that is none, or if no wire format is
    /// compiled in; [`Launch`](ErrorKind::Launch) if nobody listens there;
    /// [`Handshake`](ErrorKind::Handshake) with what the server says, as of a wrong token.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the connection.
    pub async fn connect<'t>(
        address: &str,
        token: impl Into<Option<&'t str>>,
    ) -> Result<Self, Error> {
        let address: Address = address.parse()?;
        let connector = address.connector(token.into().map(Credential::new))?;
        let builder = Self::builder()
            .connector(connector)
            .custom_mode(Connected)
            .max_sessions(SESSIONS)
            .of_a_server();
        builder.with_timeouts_of_env().start().await
    }

    /// The pool of this process: [`Builder::shared`] for a pool that is described by the
    /// [environment](Builder::with_env) alone.
    ///
    /// # Errors
    ///
    /// As [`Builder::shared`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn shared() -> Result<Self, Error> {
        Self::builder().with_env().shared().await
    }
}

impl Builder {
    /// The pool of this process: sessions of the surrounding server if `PLUSHIE_SOCKET` names
    /// one (with its `PLUSHIE_TOKEN`), as `plushie-pool run` has it, or else of a pool of its
    /// own, started as described at the first call. A server has its own idea of mode, renderer
    /// and number of sessions.
    ///
    /// All calls give the same pool, until that is shut down. So the same tests share one
    /// renderer in a binary of their own under `cargo test`, have one each under cargo-nextest,
    /// and one for all under `plushie-pool run -- cargo nextest run`.
    ///
    /// # Errors
    ///
    /// As [`SessionPool::connect`] or [`start`](Self::start). The next call tries again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn shared(self) -> Result<SessionPool, Error> {
        let mut shared = SHARED.lock().await;
        if let Some(pool) = &*shared
            && !pool.engine().is_closed()
        {
            return Ok(pool.clone());
        }
        let pool = match var("PLUSHIE_SOCKET")? {
            Some(address) => {
                let token = var("PLUSHIE_TOKEN")?;
                let connected = SessionPool::connect(&address, token.as_deref()).await;
                connected.map_err(|error| {
                    error.with_hint(
                        "PLUSHIE_SOCKET names it, and PLUSHIE_TOKEN what it is shown; without \
                         PLUSHIE_SOCKET there is a pool of this process's own",
                    )
                })?
            }
            None => self.start().await?,
        };
        *shared = Some(pool.clone());
        Ok(pool)
    }
}

fn var(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        // Not what it is: it may be the token.
        Err(env::VarError::NotUnicode(_)) => Err(Error::new(
            ErrorKind::Config,
            format!("{name}: is not UTF-8"),
        )),
    }
}

/// One connection with all the sessions. The server sees to renderers.
#[derive(Debug)]
struct Connected;

impl Mode for Connected {
    fn name(&self) -> &str {
        "connected"
    }

    fn place(&mut self, renderers: &[RendererView]) -> Placement {
        match renderers.first() {
            Some(connection) => Placement::On(connection.id),
            None => Placement::Launch,
        }
    }

    fn close(&self) -> Close {
        Close::Reset
    }
}

/// Waits until the server has opened a session, which it does when it hears of it.
pub(crate) async fn turn_of(session: &Session) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Query {
        r#type: &'static str,
        target: &'static str,
        selector: Nothing,
    }
    #[derive(Serialize)]
    struct Nothing {}

    let query = Query {
        r#type: "query",
        target: "find",
        selector: Nothing {},
    };
    let patience = session.engine().config.acquire_timeout;
    let opened = session.request(&query, "query_response").timeout(patience);
    match opened.await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Timeout(Phase::Reply) => {
            Err(Error::timeout(Phase::Acquire, patience).with_hint(
                "the server's pool has no session free: raise its max_sessions, or look for \
                 sessions kept open",
            ))
        }
        Err(error) if error.code() == Some("max_sessions_reached") => {
            Err(Error::new(ErrorKind::PoolFull, error.to_string()))
        }
        Err(error) => Err(error),
    }
}
