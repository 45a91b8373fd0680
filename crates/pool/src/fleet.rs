//! The pool's renderers: which there are, what each has to do, and which are on their way out.

use std::collections::BTreeMap;
use std::time::Instant;

use plushie_pool_core::link::LinkCounters;
use plushie_pool_core::{
    Addressing, Error, ErrorKind, Mode, Placement, RendererId, RendererView, RestartBudget,
    RestartPolicy,
};
use plushie_pool_renderer::{End, Renderer};
use tokio::sync::watch;

/// The renderers of a pool. No I/O, no waiting: it is asked under a lock.
pub(crate) struct Fleet {
    mode: Box<dyn Mode>,
    addressing: Addressing,
    members: BTreeMap<RendererId, Member>,
    next: u64,
    budget: RestartBudget,
    /// How many renderers of one session each are kept for sessions to come.
    warm: usize,
    last_death: Option<Error>,
    closed: Option<Error>,
    past: Past,
}

/// What became of renderers that are gone.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Past {
    pub(crate) launches: u64,
    pub(crate) deaths: u64,
    pub(crate) counters: LinkCounters,
}

/// Tells those who wait for a renderer what became of its launch.
pub(crate) type Launched = watch::Receiver<Option<Result<Renderer, Error>>>;

struct Member {
    launched: Launched,
    sessions: usize,
    served: u64,
    retiring: bool,
}

/// Where a session goes.
pub(crate) struct Place {
    pub(crate) renderer: RendererId,
    pub(crate) launched: Launched,
    /// It is a new one: somebody has to launch it, and say so here.
    pub(crate) launch: Option<Launch>,
}

/// A renderer to be launched.
pub(crate) struct Launch {
    pub(crate) id: RendererId,
    pub(crate) not_before: Option<Instant>,
    pub(crate) tell: watch::Sender<Option<Result<Renderer, Error>>>,
}

impl Fleet {
    pub(crate) fn new(mode: Box<dyn Mode>, policy: RestartPolicy, warm: usize) -> Self {
        Self {
            addressing: mode.addressing(),
            mode,
            members: BTreeMap::new(),
            next: 1,
            budget: RestartBudget::new(policy),
            warm,
            last_death: None,
            closed: None,
            past: Past::default(),
        }
    }

    /// Finds a place for a session, and counts it as taken.
    ///
    /// # Errors
    ///
    /// What the fleet was closed with, or `RestartsExhausted`.
    pub(crate) fn place(&mut self) -> Result<Place, Error> {
        self.check_open()?;
        // The mode is asked before anything changes: one of the user's may panic.
        let worn_out = self.mode.recycle_after();
        let views = self.members.iter().filter(|(_, member)| !member.retiring);
        let views: Vec<_> = views
            .map(|(id, member)| RendererView::new(*id, member.sessions, member.served))
            .collect();
        let chosen = match self.mode.place(&views) {
            Placement::On(id) => views.iter().any(|view| view.id == id).then_some(id),
            Placement::Launch => None,
        };
        let (renderer, launch) = match chosen {
            Some(id) => (id, None),
            None => match (self.launch(), fallback(self.addressing, &views)) {
                (Ok(launch), _) => (launch.id, Some(launch)),
                (Err(_), Some(id)) => (id, None),
                (Err(error), None) => return Err(error),
            },
        };
        let member = self.members.get_mut(&renderer);
        let member = member.expect("chosen among the members");
        member.sessions += 1;
        member.served += 1;
        member.retiring |= worn_out.is_some_and(|worn_out| member.served >= worn_out);
        Ok(Place {
            renderer,
            launched: member.launched.clone(),
            launch,
        })
    }

    /// Adds a renderer, which the caller launches.
    ///
    /// # Errors
    ///
    /// As [`place`](Self::place).
    pub(crate) fn launch(&mut self) -> Result<Launch, Error> {
        self.check_open()?;
        if self.budget.is_spent() {
            return Err(self.exhausted());
        }
        let id = RendererId::new(self.next);
        self.next += 1;
        self.past.launches += 1;
        let (tell, launched) = watch::channel(None);
        let member = Member {
            launched,
            sessions: 0,
            served: 0,
            retiring: false,
        };
        self.members.insert(id, member);
        Ok(Launch {
            id,
            not_before: self.budget.not_before(),
            tell,
        })
    }

    fn check_open(&self) -> Result<(), Error> {
        self.closed.clone().map_or(Ok(()), Err)
    }

    fn exhausted(&self) -> Error {
        let message = "renderers died too often; the pool starts no more";
        let error = Error::new(ErrorKind::RestartsExhausted, message);
        match &self.last_death {
            Some(last) => error.with_hint(format!("the last one: {last}")),
            None => error,
        }
    }

    /// A session no longer occupies its renderer; returns the renderer if it is to be stopped.
    /// `unused` if the session was never opened.
    pub(crate) fn leave(&mut self, renderer: RendererId, unused: bool) -> Option<Renderer> {
        let member = self.members.get_mut(&renderer)?;
        member.sessions = member.sessions.saturating_sub(1);
        if unused {
            member.served = member.served.saturating_sub(1);
            // Unless it was to be there beforehand, nobody will miss it.
            let unwanted = self.addressing == Addressing::Single && self.spares() > self.warm;
            let member = self.members.get_mut(&renderer)?;
            member.retiring |= unwanted;
            return member.stop_if_done();
        }
        member.stop_if_done()
    }

    /// Renderers that no session has had yet, those that are being launched included.
    pub(crate) fn spares(&self) -> usize {
        let spare = |member: &&Member| member.served == 0 && !member.retiring;
        self.members.values().filter(spare).count()
    }

    /// How many spares are missing, if there may be so many renderers without a session.
    pub(crate) fn missing_spares(&self, room: usize) -> usize {
        let without = self.members.values().filter(|member| member.sessions == 0);
        let missing = self.warm.saturating_sub(self.spares());
        missing.min(room.saturating_sub(without.count()))
    }

    /// A renderer gets no more sessions; returns it if it is to be stopped.
    pub(crate) fn retire(&mut self, renderer: RendererId) -> Option<Renderer> {
        let member = self.members.get_mut(&renderer)?;
        member.retiring = true;
        member.stop_if_done()
    }

    /// The renderer, if it is to be stopped.
    pub(crate) fn done(&self, renderer: RendererId) -> Option<Renderer> {
        self.members.get(&renderer)?.stop_if_done()
    }

    /// A renderer is gone. Says whether it was one kept for sessions to come, and died.
    pub(crate) fn ended(
        &mut self,
        renderer: RendererId,
        end: &End,
        counters: LinkCounters,
        now: Instant,
    ) -> bool {
        let member = self.members.remove(&renderer);
        self.past.counters = self.past.counters + counters;
        if !end.asked {
            self.past.deaths += 1;
            self.died(&end.error, now);
        }
        !end.asked && member.is_some_and(|member| member.served == 0)
    }

    /// A renderer could not be started.
    pub(crate) fn launch_failed(&mut self, renderer: RendererId, error: &Error, now: Instant) {
        self.members.remove(&renderer);
        if self.closed.is_none() {
            self.died(error, now);
        }
    }

    fn died(&mut self, error: &Error, now: Instant) {
        self.last_death = Some(error.clone());
        // A session's own renderer takes nobody with it, and is not replaced.
        if self.addressing == Addressing::BySession {
            self.budget.died(now);
        }
    }

    /// Launches no more renderers; returns those there are.
    pub(crate) fn close(&mut self, error: &Error) -> Vec<Renderer> {
        self.closed = Some(error.clone());
        self.renderers()
            .map(|(_, renderer, _, _)| renderer)
            .collect()
    }

    /// Whether there is nothing left to wait for.
    pub(crate) fn is_over(&self) -> bool {
        self.closed.is_some() && self.members.is_empty()
    }

    pub(crate) fn past(&self) -> Past {
        self.past
    }

    /// The renderers that are of use, with their sessions now and in all.
    pub(crate) fn renderers(
        &self,
    ) -> impl Iterator<Item = (RendererId, Renderer, usize, u64)> + '_ {
        self.members.iter().filter_map(|(id, member)| {
            let renderer = member.renderer()?;
            Some((*id, renderer, member.sessions, member.served))
        })
    }
}

/// The renderer that has most room, for when no new one may be started.
fn fallback(addressing: Addressing, views: &[RendererView]) -> Option<RendererId> {
    let idlest = views.iter().min_by_key(|view| view.sessions)?;
    (addressing == Addressing::BySession).then_some(idlest.id)
}

impl Member {
    fn renderer(&self) -> Option<Renderer> {
        match &*self.launched.borrow() {
            Some(Ok(renderer)) => Some(renderer.clone()),
            _ => None,
        }
    }

    fn stop_if_done(&self) -> Option<Renderer> {
        if self.retiring && self.sessions == 0 {
            self.renderer()
        } else {
            None
        }
    }
}
