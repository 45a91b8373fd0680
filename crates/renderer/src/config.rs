//! What a renderer is started with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use plushie_pool_core::link::LinkConfig;

use crate::Grace;

/// App settings: anything that serialises as a map.
pub type AppSettings = dyn erased_serde::Serialize + Send + Sync;

/// What a renderer is started with.
#[derive(Clone)]
pub struct RendererConfig {
    /// The wire format, and how sessions are told apart and closed.
    pub link: LinkConfig,
    /// The arguments of the mode; those of the wire format are added.
    pub args: Vec<String>,
    /// App settings for the renderer as a whole, sent with the handshake.
    pub settings: Option<Arc<AppSettings>>,
    /// The mode that a server of several is asked for, and must be in. None leaves it to the
    /// server; what is started as a process is told by `args`.
    pub mode: Option<String>,
    /// How long the renderer may take from being started to being of use.
    pub launch_timeout: Duration,
    /// How long the renderer may take to stop.
    pub grace: Grace,
    /// Whether those who wait may read the renderer's output on their own threads. Not where one
    /// thread may wait for several renderers, which would then wait in turn.
    pub lend: bool,
}

impl fmt::Debug for RendererConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RendererConfig")
            .field("link", &self.link)
            .field("args", &self.args)
            .field("mode", &self.mode)
            .field("launch_timeout", &self.launch_timeout)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
