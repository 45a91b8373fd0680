//! Pools whose sessions are those of a server.

use std::fmt;
use std::path::{Path, PathBuf};

use plushie_pool_core::{
    Close, Error, ErrorKind, Mode, Phase, Placement, RendererView, decode_payload,
};
use plushie_pool_renderer::{Address, Credential, variable};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::builder::Builder;
use crate::pool::SessionPool;
use crate::session::Session;

/// The pool that all in this process share. It is never dropped: its renderers end with the
/// process.
static SHARED: Mutex<Option<Shared>> = Mutex::const_new(None);

/// The pool, and what a later description is compared with.
struct Shared {
    pool: SessionPool,
    renderer: Option<PathBuf>,
}

impl SessionPool {
    /// A pool whose sessions are those of a server: of `plushie-pool serve` or `plushie-pool
    /// run`. The address is a `PLUSHIE_SOCKET`: `/path/to/socket`, `:4567`, `127.0.0.1:4567`.
    ///
    /// The token is the server's `PLUSHIE_TOKEN`; white space around it does not count, and only
    /// its SHA-256 is sent.
    ///
    /// [`register`](Self::register) waits until the server has a session free.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) for an address that is none, a token that is blank, or if no
    /// wire format is compiled in; [`Launch`](ErrorKind::Launch) if no server listens there;
    /// [`Handshake`](ErrorKind::Handshake) with what the server says, as of a wrong token.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the connection.
    pub async fn connect<'t>(
        address: &str,
        token: impl Into<Option<&'t str>>,
    ) -> Result<Self, Error> {
        let token = token.into();
        let named = token.map(|token| Credential::of(token, "what `connect` was given"));
        let address: Address = address.parse()?;
        let connector = address.connector(named.transpose()?)?;
        let builder = Self::builder().of_a_server(connector, Connected)?;
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
    /// own, started as described at the first call.
    ///
    /// All calls give the same pool, until that is shut down. So the same tests share one
    /// renderer in a binary of their own under `cargo test`, have one each under cargo-nextest,
    /// and one for all under `plushie-pool run -- cargo nextest run`.
    ///
    /// # What a server makes of the description
    ///
    /// | option | with a server |
    /// |---|---|
    /// | [`settings`](Self::settings) | each session starts with them, behind those of the server's own pool |
    /// | [`timeout`](Self::timeout), [`acquire_timeout`](Self::acquire_timeout), [`close_timeout`](Self::close_timeout), [`name`](Self::name), [`event_capacity`](Self::event_capacity), [`format`](Self::format), [`effect_stub`](Self::effect_stub), [`private_clipboard`](Self::private_clipboard) | as without one |
    /// | [`launch_timeout`](Self::launch_timeout), [`restart`](Self::restart) | for connections, in the place of renderers |
    /// | [`max_sessions`](Self::max_sessions) | how many of this process may be open at once, 256 at most and by default; the server has a limit for all |
    /// | [`mode`](Self::mode) | the server is asked for it; an error if that is in another. Without one the server decides |
    /// | [`renderer`](Self::renderer), with [`renderer_args`](Self::renderer_args) | it is started once, in mock mode, to compare what it says of itself; an error if version or own widgets are not those of the server's |
    /// | [`renderer_env`](Self::renderer_env), [`renderers`](Self::renderers), [`recycle_after`](Self::recycle_after), [`display`](Self::display), [`display_size`](Self::display_size), [`warm`](Self::warm), [`grace`](Self::grace), [`own_process_groups`](Self::own_process_groups) | the server's own count; these are for processes that it started |
    /// | [`connector`](Self::connector), [`custom_mode`](Self::custom_mode), [`transport`](Self::transport) | an error: no server can do it |
    ///
    /// [`Status::mode`](crate::Status::mode) is that of the server. A later call gets the pool of
    /// the first, whatever else it describes; but a mode or a renderer that is not that pool's is
    /// an error.
    ///
    /// # Errors
    ///
    /// As [`SessionPool::connect`] or [`start`](Self::start); the next call tries again.
    /// [`Config`](ErrorKind::Config), with the option and both values, if what is asked for
    /// is not what there is.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn shared(self) -> Result<SessionPool, Error> {
        let mut shared = SHARED.lock().await;
        if let Some(shared) = &*shared
            && shared.pool.engine().home.is_here()
            && !shared.pool.engine().is_spent()
        {
            self.check_against(shared)?;
            return Ok(shared.pool.clone());
        }
        let renderer = self.asked_renderer().map(PathBuf::from);
        let pool = match variable("PLUSHIE_SOCKET")? {
            Some(address) => self.of_server_at(&address).await?,
            None => self.start().await?,
        };
        *shared = Some(Shared {
            pool: pool.clone(),
            renderer,
        });
        Ok(pool)
    }

    /// Whether the pool that there is is one that this describes.
    fn check_against(&self, shared: &Shared) -> Result<(), Error> {
        let there = shared.pool.status().mode;
        if let Some(asked) = self.asked_mode().map(|mode| mode.to_string())
            && asked != there
        {
            return Err(differs("mode", &asked, &there));
        }
        if let Some(asked) = self.asked_renderer()
            && shared.renderer.as_deref() != Some(asked)
        {
            let there = match &shared.renderer {
                Some(path) => path.display().to_string(),
                None => "the one that was found".to_owned(),
            };
            return Err(differs("renderer", &asked.display().to_string(), &there));
        }
        Ok(())
    }

    async fn of_server_at(self, address: &str) -> Result<SessionPool, Error> {
        let address: Address = address.parse()?;
        let connector = address.connector(Credential::from_env()?)?;
        let own = self.of_its_renderer(Probed);
        let path = self.asked_renderer().map(PathBuf::from);
        let pool = self.of_a_server(connector, Connected)?.start().await;
        let pool = pool.map_err(|error| match error.kind() {
            ErrorKind::Config => error,
            _ => error.with_hint(
                "PLUSHIE_SOCKET names it, and PLUSHIE_TOKEN what it is shown; without \
                 PLUSHIE_SOCKET there is a pool of this process's own",
            ),
        })?;
        if let (Some(own), Some(path)) = (own, path) {
            let compared = compare(own, &path, &pool).await;
            if let Err(error) = compared {
                pool.shutdown().await?;
                return Err(error);
            }
        }
        Ok(pool)
    }
}

fn differs(option: &str, asked: &str, there: &str) -> Error {
    let message = format!(
        "the option {option} asks for {asked}, but the shared pool of this process has {there}"
    );
    Error::new(ErrorKind::Config, message).with_hint(
        "describe the shared pool the same everywhere, or start another pool for the tests that \
         differ",
    )
}

/// Whether the renderer at `path`, which `own` starts, is like those of the server.
async fn compare(own: Builder, path: &Path, pool: &SessionPool) -> Result<(), Error> {
    let asked = async {
        let own = own.start().await?;
        let made = Made::of(&own);
        own.shutdown().await?;
        made
    };
    let asked = asked.await.map_err(|error| {
        let message = format!(
            "the option renderer asks for {}, which cannot be compared with the server's: {error}",
            path.display()
        );
        Error::new(ErrorKind::Config, message)
            .with_hint("leave the renderer to the server, or name one that starts")
    })?;
    let there = Made::of(pool)?;
    if asked == there {
        return Ok(());
    }
    let message = format!(
        "the option renderer asks for {}, which is {asked}, but the server's is {there}",
        path.display()
    );
    Err(Error::new(ErrorKind::Config, message).with_hint(
        "have the server start that one with --renderer, or leave the renderer to the server",
    ))
}

/// What tells a renderer from another.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Made {
    name: String,
    version: String,
    /// The kinds of widgets that it has and others have not.
    #[serde(default)]
    native_widgets: Vec<String>,
}

impl Made {
    /// The pool's renderer.
    fn of(pool: &SessionPool) -> Result<Self, Error> {
        let engine = pool.engine();
        let hello = engine.hello().ok_or_else(crate::engine::closed)?;
        decode_payload(&*engine.config.transport, hello.payload())
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)?;
        match &*self.native_widgets {
            [] => f.write_str(" without widgets of its own"),
            own => write!(f, " with the widgets {}", own.join(", ")),
        }
    }
}

/// A renderer that is started to be asked what it is.
#[derive(Debug)]
struct Probed;

impl Mode for Probed {
    fn name(&self) -> &str {
        "probed"
    }

    fn place(&mut self, _: &[RendererView]) -> Placement {
        Placement::Launch
    }

    fn close(&self) -> Close {
        Close::Reset
    }

    fn launch_args(&self, _: usize) -> Vec<String> {
        ["--mock", "--max-sessions", "2"].map(str::to_owned).into()
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
