use plushie_pool_core::{Addressing, Close, Mode, Placement, RendererView};

/// Gives each session a renderer of its own, which shows a real window and ends with it.
#[derive(Debug, Clone, Default)]
pub struct Windowed {}

impl Windowed {
    /// The mode.
    pub fn new() -> Self {
        Self {}
    }
}

impl Mode for Windowed {
    fn name(&self) -> &str {
        "windowed"
    }

    fn place(&mut self, renderers: &[RendererView]) -> Placement {
        let unused = renderers.iter().find(|renderer| renderer.served == 0);
        unused.map_or(Placement::Launch, |renderer| Placement::On(renderer.id))
    }

    fn close(&self) -> Close {
        Close::Exit
    }

    fn addressing(&self) -> Addressing {
        Addressing::Single
    }

    fn initial_renderers(&self) -> usize {
        0
    }

    fn shows_windows(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use plushie_pool_core::RendererId;

    use super::*;

    #[test]
    fn it_is_a_mode() {
        plushie_pool_core::conformance::mode(&mut Windowed::new());
    }

    #[test]
    fn a_renderer_serves_one_session_in_its_life() {
        let mut mode = Windowed::new();
        let view = |id, served| RendererView::new(RendererId::new(id), 0, served);
        assert_eq!(mode.place(&[view(1, 1)]), Placement::Launch);
        let unused = Placement::On(RendererId::new(2));
        assert_eq!(mode.place(&[view(1, 1), view(2, 0)]), unused);
    }
}
