//! What every mode must do.

use std::collections::BTreeMap;

use super::checks::Checks;
use super::random::Random;
use crate::{Addressing, Close, Mode, Placement, RendererId, RendererView, SessionRequest};

/// How many sessions are open at once.
const SESSIONS: usize = 16;

/// How many sessions a mode has to settle in, and how many more may then change little.
const TO_SETTLE: usize = 1024;
const SETTLED: usize = 4096;

const SERVES_ONE: &str = "a renderer that does not tell sessions apart serves one in its life";

/// Opens and closes sessions as a mode says, with and without a key, while renderers die now
/// and then, and checks that a pool can do what it says.
///
/// As in a pool, renderers that have served [`Mode::recycle_after`] sessions are shown no more
/// and end with their last session, and a renderer that is named but was not shown stands for
/// [`Placement::Launch`].
///
/// # Panics
///
/// At the first property that does not hold, with its name, what was expected, and what the
/// mode said.
pub fn mode(mode: &mut dyn Mode) {
    let checks = Checks::new(format!("mode {:?}", mode.name()));
    checks.property("a mode has a name", || {
        checks.expect(!mode.name().is_empty(), "a name", "an empty one");
    });
    let ends = (mode.close(), mode.addressing());
    checks.property("a renderer that ends with a session serves one", || {
        checks.expect(
            ends != (Close::Exit, Addressing::BySession),
            "Addressing::Single beside Close::Exit",
            "Addressing::BySession",
        );
    });
    let mut fleet = Fleet {
        mode,
        checks: &checks,
        renderers: BTreeMap::new(),
        launched: 0,
        most: 0,
        random: Random::new(),
    };
    let mut settled = 0;
    checks.property(SERVES_ONE, || settled = fleet.serve(TO_SETTLE));
    checks.property("renderers do not pile up", || {
        let most = fleet.serve(SETTLED);
        checks.expect(
            most <= settled + SESSIONS,
            format_args!(
                "no more than {settled} renderers, as for the first {TO_SETTLE} sessions, plus \
                 {SESSIONS}"
            ),
            format_args!(
                "{most} at once within {SETTLED} more sessions, {SESSIONS} of them open: \
                 reuse renderers, or let them end (Close::Exit, recycle_after)"
            ),
        );
    });
    let now = (fleet.mode.close(), fleet.mode.addressing());
    checks.property(
        "how sessions are told apart and closed does not change",
        || {
            checks.expect(
                now == ends,
                format_args!("{ends:?}"),
                format_args!("{now:?}"),
            );
        },
    );
}

/// The renderers of a pool that has the mode.
struct Fleet<'a> {
    mode: &'a mut dyn Mode,
    checks: &'a Checks,
    renderers: BTreeMap<RendererId, Renderer>,
    launched: u64,
    most: usize,
    random: Random,
}

struct Renderer {
    view: RendererView,
    retiring: bool,
}

impl Fleet<'_> {
    /// Opens and closes so many sessions in changing orders; says how many renderers there were
    /// at most.
    fn serve(&mut self, sessions: usize) -> usize {
        self.most = 0;
        let mut open = Vec::new();
        for _ in 0..sessions {
            if open.len() == SESSIONS {
                for _ in 0..=self.random.below(SESSIONS) {
                    let at = self.random.below(open.len());
                    self.close(open.swap_remove(at));
                }
            }
            open.push(self.open());
            if self.random.below(64) == 0 {
                self.die(&mut open);
            }
        }
        open.into_iter().for_each(|renderer| self.close(renderer));
        self.most
    }

    fn open(&mut self) -> RendererId {
        let request = match self.random.below(5) {
            0 => SessionRequest::default(),
            key => SessionRequest::from(format!("key {key}")),
        };
        let views = self
            .renderers
            .values()
            .filter(|renderer| !renderer.retiring);
        let views: Vec<_> = views.map(|renderer| renderer.view).collect();
        let id = match self.mode.place_with(&request, &views) {
            Placement::On(id) if views.iter().any(|view| view.id == id) => id,
            Placement::On(_) | Placement::Launch => self.launch(),
        };
        let worn_out = self.mode.recycle_after();
        let renderer = self.renderers.get_mut(&id).expect("shown or launched");
        if self.mode.addressing() == Addressing::Single && renderer.view.served > 0 {
            self.checks.begin(SERVES_ONE);
            self.checks.fail(
                "Placement::Launch, or a renderer that has served none",
                format_args!("Placement::On({id}), which has had a session"),
            );
        }
        renderer.view.sessions += 1;
        renderer.view.served += 1;
        renderer.retiring = worn_out.is_some_and(|worn_out| renderer.view.served >= worn_out);
        id
    }

    fn launch(&mut self) -> RendererId {
        self.launched += 1;
        let id = RendererId::new(self.launched);
        let renderer = Renderer {
            view: RendererView::new(id, 0, 0),
            retiring: false,
        };
        self.renderers.insert(id, renderer);
        self.most = self.most.max(self.renderers.len());
        id
    }

    fn close(&mut self, id: RendererId) {
        let Some(renderer) = self.renderers.get_mut(&id) else {
            return;
        };
        renderer.view.sessions -= 1;
        let is_done = renderer.retiring && renderer.view.sessions == 0;
        if is_done || self.mode.close() == Close::Exit {
            self.renderers.remove(&id);
        }
    }

    /// A renderer dies, and its sessions with it.
    fn die(&mut self, open: &mut Vec<RendererId>) {
        let at = self.random.below(self.renderers.len());
        let Some(id) = self.renderers.keys().nth(at).copied() else {
            return;
        };
        self.renderers.remove(&id);
        open.retain(|renderer| *renderer != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places sessions on the renderer that `choose` says, and is otherwise as said.
    #[derive(Debug)]
    struct By {
        choose: fn(&SessionRequest, &[RendererView]) -> Placement,
        close: Close,
        addressing: Addressing,
        recycle_after: Option<u64>,
    }

    impl By {
        fn new(choose: fn(&SessionRequest, &[RendererView]) -> Placement) -> Self {
            Self {
                choose,
                close: Close::Reset,
                addressing: Addressing::BySession,
                recycle_after: None,
            }
        }
    }

    impl Mode for By {
        fn name(&self) -> &str {
            "by"
        }

        fn place(&mut self, renderers: &[RendererView]) -> Placement {
            self.place_with(&SessionRequest::default(), renderers)
        }

        fn place_with(
            &mut self,
            request: &SessionRequest,
            renderers: &[RendererView],
        ) -> Placement {
            (self.choose)(request, renderers)
        }

        fn close(&self) -> Close {
            self.close
        }

        fn addressing(&self) -> Addressing {
            self.addressing
        }

        fn recycle_after(&self) -> Option<u64> {
            self.recycle_after
        }
    }

    fn first(_: &SessionRequest, renderers: &[RendererView]) -> Placement {
        let first = renderers.first();
        first.map_or(Placement::Launch, |first| Placement::On(first.id))
    }

    fn launch(_: &SessionRequest, _: &[RendererView]) -> Placement {
        Placement::Launch
    }

    #[test]
    fn the_least_a_mode_can_be_passes() {
        mode(&mut By::new(first));
    }

    #[test]
    fn modes_that_recycle_early_pass() {
        for recycle_after in [1, 2, 3, 100] {
            mode(&mut By {
                recycle_after: Some(recycle_after),
                ..By::new(first)
            });
        }
        // A renderer for each session, ended by the pool rather than by the mode's close.
        for addressing in [Addressing::Single, Addressing::BySession] {
            mode(&mut By {
                addressing,
                recycle_after: Some(1),
                ..By::new(launch)
            });
        }
        // It stops using a renderer before the pool retires it.
        mode(&mut By {
            recycle_after: Some(3),
            ..By::new(|_, renderers| {
                let fresh = renderers.iter().find(|view| view.served < 3);
                fresh.map_or(Placement::Launch, |view| Placement::On(view.id))
            })
        });
    }

    #[test]
    fn a_mode_may_launch_many_before_it_shares() {
        mode(&mut By::new(|_, renderers| match renderers.len() {
            0..64 => Placement::Launch,
            _ => Placement::On(renderers[63].id),
        }));
    }

    #[test]
    fn to_name_a_renderer_that_is_gone_stands_for_a_launch() {
        mode(&mut By {
            close: Close::Exit,
            addressing: Addressing::Single,
            ..By::new(|_, _| Placement::On(RendererId::new(0)))
        });
    }

    #[test]
    #[should_panic(expected = "property \"a renderer that does not tell sessions apart serves one")]
    fn a_second_session_on_a_renderer_of_one_is_noticed() {
        mode(&mut By {
            addressing: Addressing::Single,
            ..By::new(first)
        });
    }

    #[test]
    #[should_panic(expected = "property \"renderers do not pile up\" does not hold: expected no")]
    fn renderers_that_pile_up_are_noticed() {
        mode(&mut By::new(launch));
    }

    #[test]
    #[should_panic(expected = "property \"a renderer that ends with a session serves one\"")]
    fn a_renderer_that_ends_under_other_sessions_is_noticed() {
        mode(&mut By {
            close: Close::Exit,
            ..By::new(first)
        });
    }
}
