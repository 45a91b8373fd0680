use plushie_pool_core::{Close, Mode, Placement, RendererView};

/// Spreads sessions over renderers that each serve many.
#[derive(Debug, Clone)]
pub struct Multiplexed {
    backend: Backend,
    renderers: usize,
    recycle_after: u64,
}

#[derive(Debug, Clone, Copy)]
enum Backend {
    Mock,
    Headless,
}

/// How many sessions more than the pool's a renderer is told to allow. It counts a session
/// that ended by a fault a moment longer than the pool does.
const HEADROOM: usize = 16;

/// Well below the 32,700 or so sessions after which a renderer dies.
const RECYCLE_AFTER: u64 = 10_000;

impl Multiplexed {
    /// Renderers that do everything but draw.
    pub fn mock() -> Self {
        Self::new(Backend::Mock)
    }

    /// Renderers that draw, into memory.
    pub fn headless() -> Self {
        Self::new(Backend::Headless)
    }

    fn new(backend: Backend) -> Self {
        Self {
            backend,
            renderers: 1,
            recycle_after: RECYCLE_AFTER,
        }
    }

    /// Over how many renderers to spread the sessions; 1 by default. With 0, as with 1, all
    /// share one.
    #[must_use]
    pub fn renderers(mut self, renderers: usize) -> Self {
        self.renderers = renderers.max(1);
        self
    }

    /// After how many sessions a renderer is replaced by a fresh one; 10,000 by default. It
    /// must stay well below 32,700, after which a renderer dies.
    #[must_use]
    pub fn recycle_after(mut self, sessions: u64) -> Self {
        self.recycle_after = sessions.max(1);
        self
    }
}

impl Mode for Multiplexed {
    fn name(&self) -> &str {
        match self.backend {
            Backend::Mock => "mock",
            Backend::Headless => "headless",
        }
    }

    fn place(&mut self, renderers: &[RendererView]) -> Placement {
        match renderers.iter().min_by_key(|renderer| renderer.sessions) {
            Some(idlest) if idlest.sessions == 0 || renderers.len() >= self.renderers => {
                Placement::On(idlest.id)
            }
            _ => Placement::Launch,
        }
    }

    fn close(&self) -> Close {
        Close::Reset
    }

    /// At least 2 sessions: told to serve one, a renderer is another program, in which all ids
    /// share one state and nothing closes.
    fn launch_args(&self, max_sessions: usize) -> Vec<String> {
        let allowed = max_sessions.max(2).saturating_add(HEADROOM);
        vec![
            format!("--{}", self.name()),
            "--max-sessions".to_owned(),
            allowed.to_string(),
        ]
    }

    fn initial_renderers(&self) -> usize {
        self.renderers
    }

    fn recycle_after(&self) -> Option<u64> {
        Some(self.recycle_after)
    }
}

#[cfg(test)]
mod tests {
    use plushie_pool_core::RendererId;

    use super::*;

    #[test]
    fn it_is_a_mode() {
        plushie_pool_core::conformance::mode(&mut Multiplexed::mock());
        plushie_pool_core::conformance::mode(&mut Multiplexed::headless().renderers(3));
    }

    fn view(id: u64, sessions: usize) -> RendererView {
        RendererView::new(RendererId::new(id), sessions, 0)
    }

    #[test]
    fn sessions_share_one_renderer() {
        let mut mode = Multiplexed::mock();
        assert_eq!(mode.place(&[]), Placement::Launch);
        let on = Placement::On(RendererId::new(1));
        assert_eq!(mode.place(&[view(1, 0)]), on);
        assert_eq!(mode.place(&[view(1, 99)]), on);
    }

    #[test]
    fn sessions_spread_over_several_renderers() {
        let mut mode = Multiplexed::headless().renderers(2);
        assert_eq!(mode.place(&[view(1, 1)]), Placement::Launch);
        let on = Placement::On(RendererId::new(2));
        assert_eq!(mode.place(&[view(1, 1), view(2, 0)]), on);
        assert_eq!(mode.place(&[view(1, 3), view(2, 2)]), on);
    }

    #[test]
    fn a_renderer_is_never_told_to_serve_one_session() {
        let args = Multiplexed::mock().launch_args(1);
        let allowed: usize = args[2].parse().unwrap();
        assert!(allowed >= 2, "{args:?}");
        for max in [usize::MAX - 1, usize::MAX] {
            assert_eq!(
                Multiplexed::mock().launch_args(max)[2],
                usize::MAX.to_string()
            );
        }
    }
}
