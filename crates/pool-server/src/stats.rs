//! What a server has done, and who has what at this moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use plushie_pool::io::Gauge;
use plushie_pool::{Error, SessionId};
use serde::Serialize;

use crate::server::Desk;

/// What a server has done since it started. Durations are in microseconds.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Clients connected now.
    pub clients: Vec<ClientStats>,
    /// Clients ever connected.
    pub clients_served: u64,
    /// Clients that showed no token, or a wrong one, or were cut off.
    pub clients_rejected: u64,
    /// Sessions ever opened.
    pub sessions_served: u64,
    /// Sessions open now.
    pub sessions: usize,
    /// The most sessions that were open at once.
    pub most_sessions: usize,
    /// Sessions that waited longer than 100 ms to be opened, or wait now, or waited and were never
    /// opened.
    pub waits: u64,
    /// Sessions that ended against their owner's wish, or could not be opened.
    pub failures: u64,
    /// Requests that were answered.
    pub round_trips: u64,
    /// How long the answers took, from the request's arrival at the server.
    pub latency: Latency,
}

/// How long answers took, in microseconds; 0 if there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// Half of them took no longer.
    pub p50_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
    /// All of them together.
    pub sum_us: u64,
}

/// A client that is connected.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ClientStats {
    /// Names it, in the order of connecting.
    pub id: u64,
    /// Its process or address.
    pub peer: String,
    /// The mode of the pool it has sessions of; none until it has shown who it is.
    pub mode: Option<String>,
    /// For how long it has been connected.
    pub age_us: u64,
    /// Its requests that were answered.
    pub round_trips: u64,
    /// Its sessions.
    pub sessions: Vec<SessionStats>,
}

/// A client's session.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SessionStats {
    /// What the client calls it.
    pub name: String,
    /// What the pool calls it; none while it waits for its turn.
    pub session: Option<String>,
    /// The process that serves it.
    pub renderer_pid: Option<u32>,
    /// For how long it has been open, or has waited.
    pub age_us: u64,
}

/// Where it is all counted.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<Book>);

#[derive(Debug)]
struct Book {
    clients: BTreeMap<u64, Client>,
    next: u64,
    rejected: u64,
    /// What was had of each pool, by its mode.
    pools: BTreeMap<String, Counts>,
    /// The most sessions open at once, over all pools.
    most: usize,
    latency: Histogram<u64>,
    /// The time all answers took together.
    answering: Duration,
}

/// The sessions of one pool.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) served: u64,
    open: usize,
    pub(crate) most: usize,
    places: usize,
    pub(crate) waits: u64,
    pub(crate) failures: u64,
}

#[derive(Debug)]
struct Client {
    peer: String,
    mode: Option<String>,
    since: Instant,
    round_trips: u64,
    sessions: BTreeMap<String, Held>,
}

#[derive(Debug)]
struct Held {
    since: Instant,
    open: Option<(SessionId, Option<u32>)>,
}

/// From when on a session counts as having waited.
const A_WAIT: Duration = Duration::from_millis(100);

/// The longest answer that is told from longer ones.
const HOUR: u64 = 60 * 60 * 1_000_000;

impl Ledger {
    pub(crate) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, HOUR, 3);
        Self(Mutex::new(Book {
            clients: BTreeMap::new(),
            next: 1,
            rejected: 0,
            pools: BTreeMap::new(),
            most: 0,
            latency: latency.expect("the bounds make sense"),
            answering: Duration::ZERO,
        }))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn rejected(&self) {
        self.book().rejected += 1;
    }

    /// The sessions of the pool in this mode.
    pub(crate) fn counts(&self, mode: &str) -> Counts {
        self.book().counts(mode)
    }

    pub(crate) fn stats(&self) -> Stats {
        let book = self.book();
        let all = || book.pools.keys().map(|mode| book.counts(mode));
        Stats {
            clients: book
                .clients
                .iter()
                .map(|(id, client)| client.stats(*id))
                .collect(),
            clients_served: book.next - 1,
            clients_rejected: book.rejected,
            sessions_served: all().map(|pool| pool.served).sum(),
            sessions: all().map(|pool| pool.open).sum(),
            most_sessions: book.most,
            waits: all().map(|pool| pool.waits).sum(),
            failures: all().map(|pool| pool.failures).sum(),
            round_trips: book.latency.len(),
            latency: Latency {
                p50_us: book.latency.value_at_quantile(0.5),
                p99_us: book.latency.value_at_quantile(0.99),
                max_us: book.latency.max(),
                sum_us: micros(book.answering),
            },
        }
    }
}

impl Held {
    /// It is not open, after more than a moment.
    fn waits_long(&self) -> bool {
        self.open.is_none() && self.since.elapsed() > A_WAIT
    }
}

impl Book {
    /// The sessions of the pool in this mode. Those that wait at this moment count as waits.
    fn counts(&self, mode: &str) -> Counts {
        let mut counts = self.pools.get(mode).copied().unwrap_or_default();
        let clients = self.clients.values();
        let clients = clients.filter(|client| client.mode.as_deref() == Some(mode));
        let sessions = clients.flat_map(|client| client.sessions.values());
        counts.waits += sessions.filter(|held| held.waits_long()).count() as u64;
        counts
    }

    /// A client, and what is counted of the pool it has.
    fn client(&mut self, id: u64) -> Option<(&mut Client, &mut Counts)> {
        let client = self.clients.get_mut(&id)?;
        let counts = self.pools.get_mut(client.mode.as_ref()?)?;
        Some((client, counts))
    }

    /// One more session is open.
    fn opened(&mut self) {
        let at_once = self.pools.values().map(Counts::at_once).sum();
        self.most = self.most.max(at_once);
    }
}

impl Counts {
    /// How many are open; the next may have a place before the last is known to have left it.
    fn at_once(&self) -> usize {
        self.open.min(self.places)
    }
}

impl Client {
    fn stats(&self, id: u64) -> ClientStats {
        let sessions = self.sessions.iter().map(|(name, held)| SessionStats {
            name: name.clone(),
            session: held.open.map(|(session, _)| session.to_string()),
            renderer_pid: held.open.and_then(|(_, pid)| pid),
            age_us: micros(held.since.elapsed()),
        });
        ClientStats {
            id,
            peer: self.peer.clone(),
            mode: self.mode.clone(),
            age_us: micros(self.since.elapsed()),
            round_trips: self.round_trips,
            sessions: sessions.collect(),
        }
    }
}

/// One client's page in the book, which is torn out when it goes.
#[derive(Debug)]
pub(crate) struct Page {
    desk: Arc<Desk>,
    id: u64,
}

impl Page {
    pub(crate) fn new(desk: Arc<Desk>, peer: String) -> Self {
        let id = {
            let mut book = desk.ledger.book();
            let id = book.next;
            book.next += 1;
            let client = Client {
                peer,
                mode: None,
                since: Instant::now(),
                round_trips: 0,
                sessions: BTreeMap::new(),
            };
            book.clients.insert(id, client);
            id
        };
        Self { desk, id }
    }

    fn with(&self, act: impl FnOnce(&mut Book, u64)) {
        act(&mut self.desk.ledger.book(), self.id);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.with(|book, id| drop(book.clients.remove(&id)));
    }
}

impl Gauge for Page {
    fn report(&self) -> Option<Box<dyn erased_serde::Serialize>> {
        Some(Box::new(self.desk.report()))
    }

    fn admitted(&self, mode: &str, max_sessions: usize) {
        self.with(|book, id| {
            if let Some(client) = book.clients.get_mut(&id) {
                client.mode = Some(mode.to_owned());
                book.pools.entry(mode.to_owned()).or_default().places = max_sessions;
            }
        });
    }

    fn entered(&self, name: &str) {
        self.with(|book, id| {
            let held = Held {
                since: Instant::now(),
                open: None,
            };
            if let Some(client) = book.clients.get_mut(&id) {
                client.sessions.insert(name.to_owned(), held);
            }
        });
    }

    fn opened(&self, name: &str, session: SessionId, renderer_pid: Option<u32>, waited: Duration) {
        self.with(|book, id| {
            let Some((client, counts)) = book.client(id) else {
                return;
            };
            if let Some(held) = client.sessions.get_mut(name) {
                held.since = Instant::now();
                held.open = Some((session, renderer_pid));
                counts.served += 1;
                counts.open += 1;
                counts.most = counts.most.max(counts.at_once());
                counts.waits += u64::from(waited > A_WAIT);
                book.opened();
            }
        });
    }

    fn left(&self, name: &str, error: Option<&Error>) {
        self.with(|book, id| {
            let Some((client, counts)) = book.client(id) else {
                return;
            };
            if let Some(held) = client.sessions.remove(name) {
                counts.open -= usize::from(held.open.is_some());
                counts.waits += u64::from(held.waits_long());
            }
            counts.failures += u64::from(error.is_some());
        });
    }

    fn answered(&self, took: Duration) {
        self.with(|book, id| {
            book.latency.saturating_record(micros(took).max(1));
            book.answering += took;
            if let Some(client) = book.clients.get_mut(&id) {
                client.round_trips += 1;
            }
        });
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}
