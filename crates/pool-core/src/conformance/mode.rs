//! What every mode must do.

use std::collections::BTreeMap;

use crate::{Addressing, Close, Mode, Placement, RendererId, RendererView};

/// How many sessions are open at once.
const SESSIONS: usize = 16;

/// How often all of them are opened and closed.
const ROUNDS: usize = 4;

/// Opens and closes sessions by a mode's word, and checks that a pool can do what it says.
///
/// # Panics
///
/// At the first thing that is wrong, with what it is.
pub fn mode(mode: &mut dyn Mode) {
    let name = mode.name().to_owned();
    assert!(!name.is_empty(), "a mode has a name");
    assert_eq!(
        mode.place(&[]),
        Placement::Launch,
        "{name}: with no renderer there is nothing to do but launch one"
    );
    assert!(
        mode.close() != Close::Exit || mode.addressing() == Addressing::Single,
        "{name}: a renderer that ends with a session can serve only one"
    );
    assert_eq!(
        mode.launch_args(SESSIONS),
        mode.launch_args(SESSIONS),
        "{name}: all renderers of a pool are started alike"
    );
    let mut fleet = Fleet {
        mode,
        name,
        renderers: BTreeMap::new(),
        launched: 0,
    };
    for round in 0..ROUNDS {
        let mut placed: Vec<_> = (0..SESSIONS).map(|_| fleet.open()).collect();
        // Closed in another order each time, and half of them opened again in between.
        placed.rotate_left(round);
        let rest = placed.split_off(SESSIONS / 2);
        placed
            .into_iter()
            .for_each(|renderer| fleet.close(renderer));
        let again: Vec<_> = (0..SESSIONS / 2).map(|_| fleet.open()).collect();
        rest.into_iter()
            .chain(again)
            .for_each(|renderer| fleet.close(renderer));
    }
}

struct Fleet<'a> {
    mode: &'a mut dyn Mode,
    name: String,
    renderers: BTreeMap<RendererId, RendererView>,
    launched: u64,
}

impl Fleet<'_> {
    fn open(&mut self) -> RendererId {
        let views: Vec<_> = self.renderers.values().copied().collect();
        let id = match self.mode.place(&views) {
            Placement::On(id) => id,
            Placement::Launch => {
                self.launched += 1;
                let id = RendererId::new(self.launched);
                self.renderers.insert(id, RendererView::new(id, 0, 0));
                id
            }
        };
        let name = &self.name;
        let renderer = self.renderers.get_mut(&id);
        let renderer = renderer
            .unwrap_or_else(|| panic!("{name}: placed a session on {id}, which it was not shown"));
        if self.mode.addressing() == Addressing::Single {
            assert_eq!(
                renderer.served, 0,
                "{name}: placed a second session on {id}, which shows one"
            );
        }
        renderer.sessions += 1;
        renderer.served += 1;
        assert!(
            self.renderers.len() <= SESSIONS,
            "{name}: wants more renderers than there are sessions"
        );
        id
    }

    fn close(&mut self, id: RendererId) {
        let Some(renderer) = self.renderers.get_mut(&id) else {
            return;
        };
        renderer.sessions -= 1;
        if self.mode.close() == Close::Exit {
            self.renderers.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Careless(Addressing);

    impl Mode for Careless {
        fn name(&self) -> &str {
            "careless"
        }

        fn place(&mut self, renderers: &[RendererView]) -> Placement {
            renderers
                .first()
                .map_or(Placement::Launch, |first| Placement::On(first.id))
        }

        fn close(&self) -> Close {
            Close::Reset
        }

        fn addressing(&self) -> Addressing {
            self.0
        }
    }

    #[test]
    fn the_least_a_mode_can_be_passes() {
        mode(&mut Careless(Addressing::BySession));
    }

    #[test]
    #[should_panic(expected = "placed a second session")]
    fn a_second_session_on_a_renderer_of_one_is_noticed() {
        mode(&mut Careless(Addressing::Single));
    }
}
