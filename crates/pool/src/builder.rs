//! How a pool is described.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plushie_pool_core::link::LinkConfig;
use plushie_pool_core::{Addressing, Close, Error, ErrorKind, Mode, RestartPolicy, Transport};
use plushie_pool_renderer::{
    AppSettings, ChildProcess, Connector, Discovery, Display, Grace, RendererConfig, Screen,
};
use serde::Serialize;

use crate::choice::{RendererMode, Sharing, WireFormat};
use crate::effects::EffectStub;
use crate::engine::{Engine, EngineConfig};
use crate::fleet::{Fleet, Fonts};
use crate::fonts;
use crate::io_thread;
use crate::pool::{PoolShared, SessionPool};
use crate::registry;

/// As good as for ever, and yet a time that can be added to any other.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How many sessions a pool has unless told otherwise.
const SESSIONS: usize = 8;

/// How many sessions a connection may have: as many as a server allows unless told otherwise.
const OF_A_CONNECTION: usize = 256;

/// What is asked of a server.
#[derive(Debug, Clone)]
struct Asked {
    mode: Option<String>,
}

/// How many processes a pool starts without being asked for as many sessions.
const MOST_RENDERERS: usize = 1_000;

/// How many pixels wide or high a display of the pool's own may be: coordinates of X are 16 bits.
const LARGEST_DISPLAY: u32 = 32_767;

pub(crate) fn bounded(timeout: Duration) -> Duration {
    timeout.min(LONGEST)
}

/// Describes a pool; [`start`](Self::start) makes it.
#[must_use = "a pool is made by `start`"]
pub struct Builder {
    name: Option<String>,
    /// None if none was asked for.
    mode: Option<RendererMode>,
    custom_mode: Option<Box<dyn Mode>>,
    format: WireFormat,
    transport: Option<Arc<dyn Transport>>,
    renderer: Option<PathBuf>,
    renderer_args: Vec<OsString>,
    renderer_env: Vec<(OsString, OsString)>,
    own_process_groups: bool,
    connector: Option<Arc<dyn Connector>>,
    settings: Option<Arc<AppSettings>>,
    stubs: Vec<EffectStub>,
    private_clipboard: bool,
    /// None if no number was asked for.
    max_sessions: Option<usize>,
    sharing: Sharing,
    display: Option<Display>,
    display_size: (u32, u32),
    warm: usize,
    restart: RestartPolicy,
    timeout: Duration,
    acquire_timeout: Duration,
    launch_timeout: Duration,
    close_timeout: Duration,
    grace: Grace,
    event_capacity: Option<usize>,
    /// The connector reaches a server, whose sessions the pool's are.
    server: Option<Asked>,
    invalid: Option<Error>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            name: None,
            mode: None,
            custom_mode: None,
            format: WireFormat::default(),
            transport: None,
            renderer: None,
            renderer_args: Vec::new(),
            renderer_env: Vec::new(),
            own_process_groups: false,
            connector: None,
            settings: None,
            stubs: Vec::new(),
            private_clipboard: false,
            max_sessions: None,
            sharing: Sharing {
                renderers: 1,
                recycle_after: None,
            },
            display: None,
            display_size: (1280, 1024),
            warm: 0,
            restart: RestartPolicy::default(),
            timeout: Duration::from_secs(30),
            acquire_timeout: Duration::from_secs(60),
            launch_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            grace: Grace::default(),
            event_capacity: None,
            server: None,
            invalid: None,
        }
    }

    /// The renderer's binary. By default it is looked for: `PLUSHIE_BINARY_PATH`, what
    /// `cargo plushie build` and `cargo plushie download` leave in the target directory, which
    /// `CARGO_TARGET_DIR` may name, `bin/plushie-renderer`, `PATH`.
    pub fn renderer(mut self, path: impl Into<PathBuf>) -> Self {
        self.renderer = Some(path.into());
        self
    }

    /// Arguments for the renderer in front of the pool's own, as for a binary that is a
    /// renderer only when told so.
    pub fn renderer_args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.renderer_args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the renderer's environment, which otherwise has only those of the
    /// pool's own that concern a renderer: locale, graphics drivers, `RUST_LOG`; and, for windows
    /// on the display that is there, what leads to the user's desktop: `DISPLAY`, `XAUTHORITY`,
    /// `WAYLAND_DISPLAY`, `XDG_RUNTIME_DIR`, `DBUS_SESSION_BUS_ADDRESS`. All other renderers see
    /// no desktop, unless it is named here.
    pub fn renderer_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.renderer_env.push((name.into(), value.into()));
        self
    }

    /// Gives each renderer, and a display of the pool's own, a process group of its own, on
    /// Unix: they hear of no interrupt that is typed at a terminal, for a host that survives
    /// them. By default they are in the host's group, as a test runner that kills it expects;
    /// with this they still end with the host.
    pub fn own_process_groups(mut self) -> Self {
        self.own_process_groups = true;
        self
    }

    /// How renderers are reached, in place of starting a binary.
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// What renderers do; [`RendererMode::Mock`] by default.
    pub fn mode(mut self, mode: RendererMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// A mode of one's own, in place of [`mode`](Self::mode).
    pub fn custom_mode(mut self, mode: impl Mode) -> Self {
        self.custom_mode = Some(Box::new(mode));
        self
    }

    /// How messages are written; [`WireFormat::Msgpack`] by default, or [`WireFormat::Json`]
    /// where that is the only format compiled in.
    pub fn format(mut self, format: WireFormat) -> Self {
        self.format = format;
        self
    }

    /// A wire format of one's own, in place of [`format`](Self::format).
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// How many sessions may be open at once, at least 1; 8 by default.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = Some(sessions);
        self
    }

    /// A name by which [`SessionPool::named`] finds the pool, unique among those running.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// App settings that every session starts with: anything that serialises as a map.
    pub fn settings(mut self, settings: impl Serialize + Send + Sync + 'static) -> Self {
        self.settings = Some(Arc::new(settings));
        self
    }

    /// Has the renderer of every session answer an effect with this, in place of carrying it out:
    /// `effect_stub("clipboard_read", json!({"text": "hello"}))`. `response` is the `result` of
    /// the `effect_response`, anything that serialises; its `status` is `ok`. Given twice for one
    /// kind, the last counts.
    ///
    /// The stubs are there before the session's first message, as by `register_effect_stub`. A
    /// session may replace one, or take it away with `unregister_effect_stub`.
    /// [`SessionPool::register`] fails with [`ErrorKind::Config`] if the renderer knows no effect
    /// of that kind.
    pub fn effect_stub(
        mut self,
        kind: impl Into<String>,
        response: impl Serialize + Send + Sync + 'static,
    ) -> Self {
        self.stubs.push(EffectStub {
            kind: kind.into(),
            response: Arc::new(response),
        });
        self
    }

    /// Gives each session a clipboard of its own, which is empty at first and gone with the
    /// session; false by default. All `clipboard_*` effects then succeed, in every mode: a read
    /// gives what the session last wrote, or `""`, also where a real clipboard would report that
    /// it holds no text or no HTML.
    ///
    /// Without this, sessions that have a display share its clipboard, and in
    /// [`RendererMode::Mock`] and [`RendererMode::Headless`] these effects answer as on a machine
    /// without a desktop, except on macOS and Windows, where they reach the user's clipboard.
    pub fn private_clipboard(mut self, private: bool) -> Self {
        self.private_clipboard = private;
        self
    }

    /// Over how many renderers to spread sessions, where one serves many: 1 to 1,000, 1 by
    /// default.
    pub fn renderers(mut self, renderers: usize) -> Self {
        self.sharing.renderers = renderers;
        self
    }

    /// After how many sessions a renderer that serves many is replaced by a fresh one, without
    /// a session noticing; 10,000 by default. It dies of its own after some 32,700.
    pub fn recycle_after(mut self, sessions: u64) -> Self {
        self.sharing.recycle_after = Some(sessions);
        self
    }

    /// What windows are shown on; [`Display::Auto`] by default: the display that is there, else
    /// one of the pool's own, started once for all its sessions and gone with it. Of no meaning
    /// where there are no windows.
    pub fn display(mut self, display: Display) -> Self {
        self.display = Some(display);
        self
    }

    /// How large a display of the pool's own is, in pixels, each 1 to 32,767; 1280 x 1024 by
    /// default.
    pub fn display_size(mut self, width: u32, height: u32) -> Self {
        self.display_size = (width, height);
        self
    }

    /// How many renderers to keep ready for sessions to come, where each session has one of its
    /// own; none by default. They are started in the background, and with the sessions there
    /// are never more than `max_sessions`, and of those kept ready at most 1,000. Each is checked before a session gets it, and serves
    /// one session only.
    pub fn warm(mut self, renderers: usize) -> Self {
        self.warm = renderers;
        self
    }

    /// How often renderers that die are replaced. It is a rate: a pool whose renderers die too
    /// often pauses, and goes on once the policy's time has passed. Meanwhile
    /// [`Status::backoff`](crate::Status::backoff) says until when, and sessions that cannot
    /// wait so long fail at once.
    pub fn restart(mut self, policy: RestartPolicy) -> Self {
        self.restart = policy;
        self
    }

    /// How long a request waits, to be sent and to be answered; 30 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = bounded(timeout);
        self
    }

    /// How long [`SessionPool::register`] waits for a free session; 60 s by default.
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = bounded(timeout);
        self
    }

    /// How long a renderer may take from being started to being of use; 30 s by default.
    pub fn launch_timeout(mut self, timeout: Duration) -> Self {
        self.launch_timeout = bounded(timeout);
        self
    }

    /// How long a renderer may take to confirm that a session is closed; 5 s by default. One
    /// that takes longer gets no more sessions.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = bounded(timeout);
        self
    }

    /// How long a renderer may take to stop, before it is told again and then killed.
    pub fn grace(mut self, grace: Grace) -> Self {
        self.grace = grace;
        self
    }

    /// How many events may wait for a session's owner, at least 1; 1,024 by default, and
    /// 16 MiB in any case. Past it the oldest are dropped, and
    /// [`SessionEvent::Lagged`](crate::SessionEvent::Lagged) says how many.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = Some(events);
        self
    }

    /// Has the pool's sessions be those of the server that this connector reaches. What concerns
    /// renderers is put aside: the table of [`shared`](Self::shared) says what becomes of it.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) for what no server can do.
    pub(crate) fn of_a_server(
        mut self,
        connector: Arc<dyn Connector>,
        mode: impl Mode,
    ) -> Result<Self, Error> {
        for (option, is_given) in [
            ("connector", self.connector.is_some()),
            ("custom_mode", self.custom_mode.is_some()),
            ("transport", self.transport.is_some()),
        ] {
            if is_given {
                let message = format!(
                    "the option {option} describes a pool's own renderers, but the sessions are \
                     those of the server at {}",
                    connector.describe()
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        self.server = Some(Asked {
            mode: self.mode.map(|mode| mode.to_string()),
        });
        self.connector = Some(connector);
        self.custom_mode = Some(Box::new(mode));
        self.max_sessions = Some(match self.max_sessions {
            Some(sessions) => sessions.min(OF_A_CONNECTION),
            None => OF_A_CONNECTION,
        });
        self.renderer = None;
        self.renderer_args = Vec::new();
        self.renderer_env = Vec::new();
        self.display = None;
        Ok(self)
    }

    /// The renderer that was asked for, if any.
    pub(crate) fn asked_renderer(&self) -> Option<&Path> {
        self.renderer.as_deref()
    }

    /// The mode that was asked for, if any.
    pub(crate) fn asked_mode(&self) -> Option<RendererMode> {
        self.mode
    }

    /// Describes a pool that only says what the renderer is that was asked for, if one was.
    pub(crate) fn of_its_renderer(&self, mode: impl Mode) -> Option<Self> {
        let mut builder = Self::new();
        builder.renderer = Some(self.renderer.clone()?);
        builder.renderer_args = self.renderer_args.clone();
        builder.renderer_env = self.renderer_env.clone();
        builder.format = self.format;
        builder.launch_timeout = self.launch_timeout;
        builder.grace = self.grace;
        builder.custom_mode = Some(Box::new(mode));
        Some(builder)
    }

    /// Takes of [what the environment says](Self::with_env) what does not concern renderers.
    pub(crate) fn with_timeouts_of_env(self) -> Self {
        self.with_vars(|name| (name == "PLUSHIE_TEST_TIMEOUT").then(|| env::var_os(name))?)
    }

    /// Takes what the plushie SDKs' users set in the environment:
    ///
    /// | variable | sets |
    /// |---|---|
    /// | `PLUSHIE_TEST_BACKEND` | [`mode`](Self::mode): `mock`, `headless`, `windowed` |
    /// | `PLUSHIE_TEST_MAX_SESSIONS` | [`max_sessions`](Self::max_sessions) |
    /// | `PLUSHIE_TEST_TIMEOUT` | multiplies all timeouts set so far |
    ///
    /// An empty variable counts as unset. One that makes no sense is an error when the pool is
    /// started.
    pub fn with_env(self) -> Self {
        self.with_vars(|name| env::var_os(name))
    }

    fn with_vars(mut self, var: impl Fn(&str) -> Option<OsString>) -> Self {
        if let Err(error) = self.take_vars(var) {
            self.invalid = Some(error);
        }
        self
    }

    fn take_vars(&mut self, var: impl Fn(&str) -> Option<OsString>) -> Result<(), Error> {
        let text = |name: &str| {
            var(name)
                .filter(|value| !value.is_empty())
                .map(|value| {
                    value
                        .into_string()
                        .map_err(|_| senseless(name, "is not UTF-8"))
                })
                .transpose()
        };
        if let Some(mode) = text("PLUSHIE_TEST_BACKEND")? {
            let parsed = mode.parse();
            let parsed = parsed
                .map_err(|error: Error| senseless("PLUSHIE_TEST_BACKEND", &error.to_string()))?;
            self.mode = Some(parsed);
        }
        if let Some(sessions) = text("PLUSHIE_TEST_MAX_SESSIONS")? {
            let parsed = sessions.parse().map_err(|_| {
                let problem = format!("is {sessions:?}, not a number of sessions");
                senseless("PLUSHIE_TEST_MAX_SESSIONS", &problem)
            })?;
            self.max_sessions = Some(parsed);
        }
        if let Some(factor) = text("PLUSHIE_TEST_TIMEOUT")? {
            let parsed = factor.parse().ok();
            let sensible = |factor: &f64| factor.is_finite() && (0.001..=1000.0).contains(factor);
            let by = parsed.filter(sensible).ok_or_else(|| {
                let problem = format!("is {factor:?}, not a factor between 0.001 and 1000");
                senseless("PLUSHIE_TEST_TIMEOUT", &problem)
            })?;
            for timeout in [
                &mut self.timeout,
                &mut self.acquire_timeout,
                &mut self.launch_timeout,
                &mut self.close_timeout,
            ] {
                *timeout = bounded(timeout.mul_f64(by));
            }
        }
        Ok(())
    }

    /// Starts the pool, and the renderers it needs from the start.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) if the description makes no sense, or needs a feature
    /// that is not compiled in; [`RendererNotFound`](ErrorKind::RendererNotFound) with where
    /// it was looked for; [`Display`](ErrorKind::Display) if windows have none, with what to
    /// install, or if it does not start; [`Launch`](ErrorKind::Launch), [`Handshake`](ErrorKind::Handshake)
    /// or a timeout of either phase, with what the renderer said. Nothing is left running
    /// then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the pool, unless somebody has it by its name.
    pub async fn start(self) -> Result<SessionPool, Error> {
        let pool = self.build()?;
        pool.begin().await?;
        Ok(pool)
    }

    /// The pool, of which nothing runs yet but its thread.
    pub(crate) fn build(mut self) -> Result<SessionPool, Error> {
        self.check()?;
        let max_sessions = self.max_sessions.unwrap_or(SESSIONS);
        let is_custom = self.custom_mode.is_some();
        let mode = match self.custom_mode.take() {
            Some(mode) => mode,
            None => self.mode.unwrap_or_default().build(&self.sharing)?,
        };
        let transport = match self.transport.take() {
            Some(transport) => transport,
            None => self.format.build()?,
        };
        let (connector, screen): (Arc<dyn Connector>, _) = match self.connector.take() {
            Some(connector) => (connector, None),
            None => {
                // Before the variables are handed on.
                let screen = self.screen(&*mode)?;
                let process = self.child_process()?;
                match screen {
                    Some(screen) => (Arc::new(process.on_screen(screen.clone())), Some(screen)),
                    None => (Arc::new(process.without_desktop()), None),
                }
            }
        };
        connector.check()?;
        if mode.close() == Close::Exit && mode.addressing() == Addressing::BySession {
            let message = format!(
                "the mode {} ends a renderer with each session, though it serves many",
                mode.name()
            );
            return Err(Error::new(ErrorKind::Config, message));
        }

        let mut link = LinkConfig::new(transport.clone(), mode.addressing(), mode.close());
        link.close_patience = self.close_timeout;
        link.events.count = self.event_capacity.unwrap_or(link.events.count);
        let is_only_renderer =
            !is_custom && mode.addressing() == Addressing::BySession && self.sharing.renderers == 1;
        let warm = match mode.addressing() {
            Addressing::Single => self.warm.min(max_sessions),
            Addressing::BySession => 0,
        };
        let fonts = match &self.settings {
            // A server counts for itself.
            Some(settings) if self.server.is_none() => fonts::of_settings(&*transport, &**settings),
            _ => 0,
        };
        let most_fonts = match self.server {
            Some(_) => usize::MAX,
            None => fonts::MOST,
        };
        let config = EngineConfig {
            name: self.name,
            mode: mode.name().to_owned(),
            transport,
            connector,
            renderer: RendererConfig {
                link,
                args: mode.launch_args(max_sessions),
                mode: self.server.as_ref().and_then(|server| server.mode.clone()),
                settings: self.settings.clone(),
                launch_timeout: self.launch_timeout,
                grace: self.grace,
                lend: is_only_renderer,
            },
            settings: self.settings,
            stubs: self.stubs,
            private_clipboard: self.private_clipboard,
            settings_fonts: fonts,
            max_sessions,
            initial_renderers: mode.initial_renderers().max(warm),
            warm,
            screen,
            timeout: self.timeout,
            acquire_timeout: self.acquire_timeout,
            of_a_server: self.server.is_some(),
        };
        let fonts = Fonts {
            at_launch: fonts,
            most: most_fonts,
        };
        let fleet = Fleet::new(mode, self.restart, warm, fonts);
        let engine = io_thread::start(|io| Engine::new(config, fleet, io))?;
        let shared = Arc::new(PoolShared { engine });
        if let Some(name) = &shared.engine.config.name {
            registry::add(name, &shared)?;
        }
        Ok(SessionPool::new(shared))
    }

    fn check(&mut self) -> Result<(), Error> {
        if let Some(error) = self.invalid.take() {
            return Err(error);
        }
        let refuse = |message: &str| Err(Error::new(ErrorKind::Config, message));
        if self.max_sessions == Some(0) {
            return refuse("max_sessions is 0; a pool has at least one session");
        }
        if self.sharing.renderers == 0 {
            return refuse("renderers is 0; a pool has at least one renderer");
        }
        if self.sharing.recycle_after == Some(0) {
            return refuse("recycle_after is 0; a renderer serves at least one session");
        }
        if self.event_capacity == Some(0) {
            return refuse("event_capacity is 0; then no event would ever arrive");
        }
        let (width, height) = self.display_size;
        if width == 0 || height == 0 {
            return refuse("display_size is 0; a display has at least one pixel");
        }
        if width.max(height) > LARGEST_DISPLAY {
            return refuse(&format!(
                "display_size is {width} x {height}; a display has at most {LARGEST_DISPLAY} \
                 pixels a side"
            ));
        }
        if self.sharing.renderers > MOST_RENDERERS {
            return refuse(&format!(
                "renderers is {}; a pool starts at most {MOST_RENDERERS}",
                self.sharing.renderers
            ));
        }
        if self.warm.min(self.max_sessions.unwrap_or(SESSIONS)) > MOST_RENDERERS {
            return refuse(&format!(
                "warm is {}; a pool starts at most {MOST_RENDERERS} renderers",
                self.warm
            ));
        }
        if self.restart.max_restarts > 0 && self.restart.within.is_zero() {
            return refuse(
                "the restart policy's within is 0, so that no restart would ever count; give the \
                 time over which max_restarts are counted",
            );
        }
        if self.connector.is_some() && self.display.is_some() {
            return refuse(
                "both a connector and a display are given; the pool shows a display to renderers \
                 that it starts",
            );
        }
        let process = self.renderer.is_some()
            || !self.renderer_args.is_empty()
            || !self.renderer_env.is_empty();
        if self.connector.is_some() && process {
            return refuse(
                "both a connector and a renderer to start are given; the connector starts none",
            );
        }
        Ok(())
    }

    /// The display of renderers that show windows.
    fn screen(&self, mode: &dyn Mode) -> Result<Option<Arc<Screen>>, Error> {
        if !mode.shows_windows() {
            return Ok(None);
        }
        let (width, height) = self.display_size;
        let screen = Screen::find(self.display.unwrap_or_default(), |name| {
            let own = self.renderer_env.iter().rev().find(|(own, _)| own == name);
            own.map_or_else(|| env::var_os(name), |(_, value)| Some(value.clone()))
        })?;
        let mut screen = screen.size(width, height).patience(self.launch_timeout);
        if self.own_process_groups {
            screen = screen.own_process_group();
        }
        Ok(Some(Arc::new(screen)))
    }

    fn child_process(&mut self) -> Result<ChildProcess, Error> {
        let discovery = match self.renderer.take() {
            Some(path) => Discovery::here().explicit(path),
            None => Discovery::here(),
        };
        let mut process = ChildProcess::new(discovery.find()?)
            .prefix_args(std::mem::take(&mut self.renderer_args));
        for (name, value) in std::mem::take(&mut self.renderer_env) {
            process = process.env(name, value);
        }
        if self.own_process_groups {
            process = process.own_process_group();
        }
        Ok(process)
    }
}

fn senseless(variable: &str, problem: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{variable}: {problem}"))
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("mode", &self.mode.unwrap_or_default())
            .field("format", &self.format)
            .field("max_sessions", &self.max_sessions.unwrap_or(SESSIONS))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Result<Builder, Error> {
        let var = |asked: &str| (asked == name).then(|| OsString::from(value));
        let mut builder = Builder::new().with_vars(var);
        builder.check().map(|()| builder)
    }

    #[test]
    fn the_environment_is_taken_at_its_word() {
        assert_eq!(
            with("PLUSHIE_TEST_BACKEND", "windowed").unwrap().mode,
            Some(RendererMode::Windowed)
        );
        assert_eq!(
            with("PLUSHIE_TEST_MAX_SESSIONS", "3").unwrap().max_sessions,
            Some(3)
        );
        let slow = with("PLUSHIE_TEST_TIMEOUT", "2.5").unwrap();
        assert_eq!(slow.timeout, Duration::from_secs(75));
    }

    #[test]
    fn a_typo_in_the_environment_is_an_error_that_names_the_variable() {
        for (name, value, says) in [
            ("PLUSHIE_TEST_BACKEND", "moc", "mock, headless, windowed"),
            ("PLUSHIE_TEST_MAX_SESSIONS", "many", "\"many\""),
            ("PLUSHIE_TEST_MAX_SESSIONS", "0", "at least one"),
            ("PLUSHIE_TEST_TIMEOUT", "NaN", "factor"),
            ("PLUSHIE_TEST_TIMEOUT", "-1", "factor"),
        ] {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            let text = error.to_string();
            assert!(text.contains(says), "{name}={value}: {text}");
        }
    }
}
