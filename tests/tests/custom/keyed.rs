//! Sessions that name the same key share a renderer.

use std::collections::{BTreeMap, VecDeque};

use plushie_pool::{Mode, RendererId, SessionRequest};
use plushie_pool_core::{Close, Placement, RendererView};

/// Gives each key, and those without one, a renderer of its own.
#[derive(Debug, Default)]
pub(crate) struct ByKey {
    renderers: BTreeMap<RendererId, Option<String>>,
    /// The keys for which renderers were asked for, in that order.
    launched_for: VecDeque<Option<String>>,
}

impl Mode for ByKey {
    fn name(&self) -> &str {
        "by key"
    }

    fn place(&mut self, renderers: &[RendererView]) -> Placement {
        self.place_with(&SessionRequest::default(), renderers)
    }

    fn place_with(&mut self, request: &SessionRequest, renderers: &[RendererView]) -> Placement {
        self.renderers
            .retain(|id, _| renderers.iter().any(|view| view.id == *id));
        for view in renderers {
            if !self.renderers.contains_key(&view.id)
                && let Some(key) = self.launched_for.pop_front()
            {
                self.renderers.insert(view.id, key);
            }
        }
        let known = self.renderers.iter().find(|(_, key)| **key == request.key);
        match known {
            Some((id, _)) => Placement::On(*id),
            None => {
                self.launched_for.push_back(request.key.clone());
                Placement::Launch
            }
        }
    }

    fn close(&self) -> Close {
        Close::Reset
    }

    fn initial_renderers(&self) -> usize {
        0
    }
}
