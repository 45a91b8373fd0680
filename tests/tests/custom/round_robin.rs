//! Renderers take sessions in turn.

use plushie_pool::Mode;
use plushie_pool_core::{Close, Placement, RendererId, RendererView};

/// Gives each session to the renderer after the one that got the last.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    renderers: usize,
    last: Option<RendererId>,
}

impl RoundRobin {
    pub(crate) fn over(renderers: usize) -> Self {
        Self {
            renderers,
            last: None,
        }
    }
}

impl Mode for RoundRobin {
    fn name(&self) -> &str {
        "round robin"
    }

    fn place(&mut self, renderers: &[RendererView]) -> Placement {
        if renderers.len() < self.renderers {
            return Placement::Launch;
        }
        let after = renderers.iter().find(|view| Some(view.id) > self.last);
        let next = after.or(renderers.first()).map(|view| view.id);
        self.last = next;
        next.map_or(Placement::Launch, Placement::On)
    }

    fn close(&self) -> Close {
        Close::Reset
    }

    fn initial_renderers(&self) -> usize {
        self.renderers
    }
}
