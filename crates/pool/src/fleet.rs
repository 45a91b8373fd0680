//! The pool's renderers: which there are, what each has to do, and which are on their way out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plushie_pool_core::link::LinkCounters;
use plushie_pool_core::{
    Addressing, Error, ErrorKind, Mode, NextLaunch, Placement, RendererId, RendererView,
    RestartBudget, RestartPolicy, SessionRequest,
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
    fonts: Fonts,
    /// What became of the last renderer that died or could not be started.
    last_failure: Option<Failure>,
    closed: Option<Error>,
    past: Past,
}

/// What is known of the fonts that renderers load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fonts {
    /// How many each loads from the settings it is launched with.
    pub(crate) at_launch: usize,
    /// How many it loads before it gets no more sessions.
    pub(crate) most: usize,
}

/// What became of renderers that are gone.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Past {
    pub(crate) launches: u64,
    pub(crate) deaths: u64,
    pub(crate) counters: LinkCounters,
}

/// What became of a renderer.
struct Failure {
    error: Error,
    /// It ran before, rather than never having been started.
    died: bool,
}

/// What keeps a pool from launching a renderer.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    /// When it may launch one again; `None` if never.
    pub(crate) until: Option<Instant>,
    pub(crate) error: Error,
}

/// Tells those who wait for a renderer what became of its launch.
pub(crate) type Launched = watch::Receiver<Option<Result<Renderer, Error>>>;

struct Member {
    launched: Launched,
    /// Its launch begins then; at once if there is no pause to keep.
    not_before: Option<Instant>,
    sessions: usize,
    served: u64,
    /// The fonts it was told to load, which it keeps.
    fonts: usize,
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
    pub(crate) fn new(
        mode: Box<dyn Mode>,
        policy: RestartPolicy,
        warm: usize,
        fonts: Fonts,
    ) -> Self {
        Self {
            addressing: mode.addressing(),
            mode,
            members: BTreeMap::new(),
            next: 1,
            budget: RestartBudget::new(policy),
            warm,
            fonts,
            last_failure: None,
            closed: None,
            past: Past::default(),
        }
    }

    /// Finds a place for a session that has its renderer load so many fonts, and may wait until
    /// `deadline` for a launch to begin; counts it as taken.
    ///
    /// # Errors
    ///
    /// What the fleet was closed with, or why no renderer is launched until then.
    pub(crate) fn place(
        &mut self,
        request: &SessionRequest,
        now: Instant,
        deadline: Instant,
        fonts: usize,
    ) -> Result<Place, Error> {
        self.check_open()?;
        // The mode is asked before anything changes: one of the user's may panic.
        let worn_out = self.mode.recycle_after();
        let views = self.members.iter().filter(|(_, member)| !member.retiring);
        let views: Vec<_> = views
            .map(|(id, member)| RendererView::new(*id, member.sessions, member.served))
            .collect();
        let chosen = match self.mode.place_with(request, &views) {
            Placement::On(id) => views.iter().any(|view| view.id == id).then_some(id),
            Placement::Launch => None,
        };
        let is_put_off = match chosen.and_then(|id| self.members.get(&id)) {
            Some(member) => member.not_before.is_some_and(|at| at > now),
            None => self.budget.next_launch(now) != NextLaunch::Now,
        };
        // Meanwhile a renderer that runs serves more than its share.
        let instead = is_put_off.then(|| self.idlest_running()).flatten();
        let (renderer, launch) = match instead.or(chosen) {
            Some(id) => (id, None),
            None => {
                let launch = self.launch(now, deadline)?;
                (launch.id, Some(launch))
            }
        };
        let member = self.members.get_mut(&renderer);
        let member = member.expect("chosen among the members");
        let pause = member.not_before.filter(|at| *at > now.max(deadline));
        if let Some(at) = pause {
            return Err(self.backing_off(Some(at), now));
        }
        member.sessions += 1;
        member.served += 1;
        member.fonts = member.fonts.saturating_add(fonts);
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
    pub(crate) fn launch(&mut self, now: Instant, deadline: Instant) -> Result<Launch, Error> {
        self.check_open()?;
        let not_before = match self.budget.next_launch(now) {
            NextLaunch::Now => None,
            NextLaunch::At(at) if at <= deadline => Some(at),
            NextLaunch::At(at) => return Err(self.backing_off(Some(at), now)),
            NextLaunch::Never => return Err(self.backing_off(None, now)),
        };
        let id = RendererId::new(self.next);
        self.next += 1;
        self.past.launches += 1;
        let (tell, launched) = watch::channel(None);
        let member = Member {
            launched,
            not_before,
            sessions: 0,
            served: 0,
            fonts: self.fonts.at_launch,
            retiring: false,
        };
        self.members.insert(id, member);
        Ok(Launch {
            id,
            not_before,
            tell,
        })
    }

    /// Any renderer that a session may get, launched if there is none: it waits for the first
    /// session then.
    ///
    /// # Errors
    ///
    /// As [`place`](Self::place).
    pub(crate) fn any(
        &mut self,
        now: Instant,
        deadline: Instant,
    ) -> Result<(Launched, Option<Launch>), Error> {
        let there = self.members.values().find(|member| !member.retiring);
        if let Some(member) = there {
            return Ok((member.launched.clone(), None));
        }
        let launch = self.launch(now, deadline)?;
        Ok((launch.tell.subscribe(), Some(launch)))
    }

    fn check_open(&self) -> Result<(), Error> {
        self.closed.clone().map_or(Ok(()), Err)
    }

    /// Why no renderer is launched before then, or ever.
    fn backing_off(&self, until: Option<Instant>, now: Instant) -> Error {
        let next = match until {
            Some(at) => format!("the pool starts the next one in {}", seconds(at - now)),
            None => "the pool starts no more, as its restart policy says".to_owned(),
        };
        let Some(failure) = &self.last_failure else {
            return Error::new(ErrorKind::RestartsExhausted, next);
        };
        let (kind, what) = match failure.died {
            true => (ErrorKind::RestartsExhausted, "renderers died too often"),
            false => (failure.error.kind(), "no renderer could be started"),
        };
        Error::new(kind, format!("{what}; {next}"))
            .with_hint(format!("the last one: {}", failure.error))
    }

    /// What keeps the pool from launching a renderer now, if anything does.
    pub(crate) fn backoff(&mut self, now: Instant) -> Option<Backoff> {
        let until = match self.budget.next_launch(now) {
            NextLaunch::Now => return None,
            NextLaunch::At(at) => Some(at),
            NextLaunch::Never => None,
        };
        let error = self.backing_off(until, now);
        Some(Backoff { until, error })
    }

    /// Whether no session can be opened any more: the policy replaces no renderer, and the last
    /// one is gone.
    pub(crate) fn is_spent(&mut self, now: Instant) -> bool {
        self.budget.next_launch(now) == NextLaunch::Never
            && self.members.values().all(|member| member.retiring)
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

    /// Gives no more sessions to renderers that would not load so many fonts besides those they
    /// have, if others may be launched in their place; one that has had no session yet is as good
    /// as any. Returns those to be stopped.
    pub(crate) fn retire_full_of_fonts(&mut self, now: Instant, fonts: usize) -> Vec<Renderer> {
        let most = self.fonts.most;
        let is_full = |member: &Member| {
            !member.retiring && member.served > 0 && member.fonts.saturating_add(fonts) > most
        };
        if !self.members.values().any(is_full) || self.budget.next_launch(now) != NextLaunch::Now {
            return Vec::new();
        }
        let full = self.members.values_mut().filter(|member| is_full(member));
        let stopped = full.filter_map(|member| {
            member.retiring = true;
            member.stop_if_done()
        });
        stopped.collect()
    }

    /// A session had its renderer load fonts.
    pub(crate) fn loaded_fonts(&mut self, renderer: RendererId, fonts: usize) {
        if let Some(member) = self.members.get_mut(&renderer) {
            member.fonts = member.fonts.saturating_add(fonts);
        }
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
            self.failed(&end.error, true, now);
        }
        !end.asked && member.is_some_and(|member| member.served == 0)
    }

    /// A renderer is of use.
    pub(crate) fn launched(&mut self) {
        self.budget.started();
    }

    /// A renderer could not be started.
    pub(crate) fn launch_failed(&mut self, renderer: RendererId, error: &Error, now: Instant) {
        self.members.remove(&renderer);
        if self.closed.is_some() {
            return;
        }
        // With a process that ended, rather than nothing to start or to connect to.
        self.failed(error, error.exit().is_some(), now);
    }

    fn failed(&mut self, error: &Error, died: bool, now: Instant) {
        let error = error.clone();
        self.last_failure = Some(Failure { error, died });
        match self.addressing {
            // A session's own renderer takes no other session with it, and is not replaced.
            Addressing::Single => {}
            Addressing::BySession if died => self.budget.died(now),
            Addressing::BySession => self.budget.not_started(now),
        }
    }

    /// Launches no more renderers; returns those there are.
    pub(crate) fn close(&mut self, error: &Error) -> Vec<Renderer> {
        self.closed = Some(error.clone());
        self.renderers()
            .map(|(_, renderer, _, _)| renderer)
            .collect()
    }

    /// The renderer that runs and has most room, for when no other may be launched yet.
    fn idlest_running(&self) -> Option<RendererId> {
        if self.addressing == Addressing::Single {
            return None;
        }
        let running = self
            .members
            .iter()
            .filter(|(_, member)| !member.retiring && member.renderer().is_some());
        let idlest = running.min_by_key(|(_, member)| member.sessions);
        idlest.map(|(id, _)| *id)
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

/// A time for people: `43.2 s`.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
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
