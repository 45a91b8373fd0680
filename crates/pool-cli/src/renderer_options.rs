//! What a pool runs on, as the command line describes it.

use std::path::PathBuf;

use plushie_pool::{Builder, Display, RendererMode, WireFormat};

use crate::failure::Failure;
use crate::renderer;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RendererOptions {
    /// mock (everything but drawing), headless (draws into memory) or windowed (real windows,
    /// each with a renderer of its own) [default: mock]
    #[arg(long)]
    pub(crate) mode: Option<RendererMode>,

    /// How messages are written between pool and renderer: msgpack or json [default: msgpack]
    #[arg(long)]
    format: Option<WireFormat>,

    /// What windows are shown on: auto (the display that is there, else a weston or an Xvfb
    /// that is started), inherit (the one that is there), weston, xvfb or none [default: auto]
    #[arg(long)]
    display: Option<Display>,

    /// The renderer's binary [default: the renderer inside this command, if it is built with
    /// one, else the one that is found as plushie's SDKs do]
    #[arg(long, value_name = "PATH")]
    renderer: Option<PathBuf>,
}

impl RendererOptions {
    /// A pool on it, the rest as the environment has it, or else as `pool` is described.
    pub(crate) fn builder(&self, pool: Builder) -> Result<Builder, Failure> {
        let mut pool = pool.with_env();
        if let Some(mode) = self.mode {
            pool = pool.mode(mode);
        }
        if let Some(format) = self.format {
            pool = pool.format(format);
        }
        if let Some(display) = self.display {
            pool = pool.display(display);
        }
        renderer::choose(pool, self.renderer.as_deref())
    }
}
