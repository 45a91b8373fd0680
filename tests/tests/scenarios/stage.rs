//! A renderer that can be held up, real or played, so that a scenario decides what waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use plushie_pool::{
    Builder, ChildProcess, Connection, Connector, Error, Launch, SessionPool, WireFormat,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::peer::{Peer, Peers, answers, in_memory};
use crate::support::{RENDERER, exists, stop};

/// Which renderer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cast {
    Played,
    Real,
}

/// The renderers of the pools of one scenario.
pub(crate) struct Stage {
    cast: Cast,
    format: WireFormat,
    held: watch::Sender<bool>,
    /// Played renderers whose pool has not let go of them.
    playing: Arc<AtomicUsize>,
    started: Arc<Mutex<Vec<u32>>>,
}

impl Stage {
    pub(crate) fn new(cast: Cast, format: WireFormat) -> Self {
        Self {
            cast,
            format,
            held: watch::Sender::new(false),
            playing: Arc::default(),
            started: Arc::default(),
        }
    }

    /// A pool on these renderers.
    pub(crate) fn pool(&self) -> Builder {
        let held = self.held.subscribe();
        match self.cast {
            Cast::Played => {
                let (connector, peers) = in_memory(self.format);
                tokio::spawn(play_all(peers, held.clone(), self.playing.clone()));
                let builder = SessionPool::builder().format(self.format);
                builder.connector(Held { connector, held })
            }
            Cast::Real => {
                let connector = Recorded {
                    process: ChildProcess::new(RENDERER),
                    started: self.started.clone(),
                };
                let builder = SessionPool::builder().format(self.format);
                builder.connector(Held { connector, held })
            }
        }
    }

    /// Renderers that are there.
    pub(crate) fn alive(&self) -> usize {
        let processes = self.started.lock().unwrap();
        let processes = processes.iter().filter(|pid| exists(**pid)).count();
        self.playing.load(Ordering::SeqCst) + processes
    }

    /// From now on nothing is answered, and no renderer starts.
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
        for pid in &*self.started.lock().unwrap() {
            stop(*pid);
        }
    }

    /// From now on everything is answered again.
    pub(crate) fn go_on(&self) {
        self.held.send_replace(false);
        for pid in &*self.started.lock().unwrap() {
            let pid = Pid::from_raw(pid.cast_signed()).unwrap();
            // Those that are gone need no signal.
            let _ = kill_process(pid, Signal::CONT);
        }
    }
}

/// Starts none while it is held up.
#[derive(Debug)]
struct Held<C> {
    connector: C,
    held: watch::Receiver<bool>,
}

#[async_trait]
impl<C: Connector> Connector for Held<C> {
    fn describe(&self) -> String {
        self.connector.describe()
    }

    async fn connect(&self, launch: &Launch) -> Result<Connection, Error> {
        go(&mut self.held.clone()).await;
        self.connector.connect(launch).await
    }
}

async fn go(held: &mut watch::Receiver<bool>) {
    // Fails when the scenario is over.
    let _ = held.wait_for(|held| !*held).await.map(drop);
}

/// Remembers the processes it starts, whatever becomes of their pool.
#[derive(Debug)]
struct Recorded {
    process: ChildProcess,
    started: Arc<Mutex<Vec<u32>>>,
}

#[async_trait]
impl Connector for Recorded {
    fn describe(&self) -> String {
        self.process.describe()
    }

    async fn connect(&self, launch: &Launch) -> Result<Connection, Error> {
        let connection = self.process.connect(launch).await?;
        let pid = connection.process.as_ref().map(|process| process.pid());
        self.started.lock().unwrap().extend(pid);
        Ok(connection)
    }
}

async fn play_all(mut peers: Peers, held: watch::Receiver<bool>, playing: Arc<AtomicUsize>) {
    while let Some(peer) = peers.any().await {
        let (held, playing) = (held.clone(), playing.clone());
        playing.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            play(peer, held).await;
            playing.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// As much of a renderer as shows a counter.
async fn play(mut peer: Peer, mut held: watch::Receiver<bool>) {
    let mut counts: HashMap<String, Value> = HashMap::new();
    while let Some(message) = peer.read().await {
        go(&mut held).await;
        let session = message["session"].as_str().unwrap_or_default().to_owned();
        for place in [
            "/tree/children/0/children/1/props/content",
            "/ops/0/props/content",
        ] {
            if let Some(count) = message.pointer(place) {
                counts.insert(session.clone(), count.clone());
            }
        }
        let found = match counts.get(&session) {
            Some(count) => json!({"props": {"content": count}}),
            None => Value::Null,
        };
        for answer in answers(&message, &found) {
            if !peer.offer(&answer).await {
                return;
            }
        }
        if message["type"] == "reset" {
            counts.remove(&session);
        }
    }
}

/// Runs a scenario on either stage, in each format.
macro_rules! on_every_stage {
    ($($name:ident)*) => {
        $(mod $name {
            use plushie_pool::WireFormat;
            use crate::stage::{Cast, Stage};

            #[tokio::test]
            async fn played_msgpack() {
                super::$name(Stage::new(Cast::Played, WireFormat::Msgpack)).await;
            }

            #[tokio::test]
            async fn played_json() {
                super::$name(Stage::new(Cast::Played, WireFormat::Json)).await;
            }

            #[tokio::test]
            async fn mock_msgpack() {
                super::$name(Stage::new(Cast::Real, WireFormat::Msgpack)).await;
            }

            #[tokio::test]
            async fn mock_json() {
                super::$name(Stage::new(Cast::Real, WireFormat::Json)).await;
            }
        })*
    };
}
pub(crate) use on_every_stage;
