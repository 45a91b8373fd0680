//! How much a session may have on its way: a renderer that is sent too much stalls for good.

use std::collections::VecDeque;

use serde_json::Value;

use super::rig::{Rig, TIMEOUT, config};
use crate::SessionId;
use crate::link::LinkConfig;

/// A renderer that takes `at_once` messages of its queue at a time, and answers queries.
struct Peer {
    queue: VecDeque<Value>,
    at_once: usize,
    longest: usize,
    taken: Vec<Value>,
}

impl Peer {
    fn new(at_once: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            at_once,
            longest: 0,
            taken: Vec::new(),
        }
    }

    /// Moves what was sent into the queue and takes some off it; whether there was any.
    fn turn(&mut self, rig: &mut Rig) -> bool {
        for frame in rig.frames() {
            rig.written(frame.len());
            self.queue
                .push_back(serde_json::from_slice(&frame).unwrap());
        }
        self.longest = self.longest.max(self.queue.len());
        let taken = self.queue.len().min(self.at_once);
        for message in self.queue.drain(..taken) {
            if message["type"] == "query" {
                rig.peer(&serde_json::json!({
                    "type": "query_response", "session": message["session"], "id": message["id"],
                }));
            }
            self.taken.push(message);
        }
        taken > 0
    }
}

fn rig_with_credit(credit: u64) -> (Rig, SessionId) {
    let mut rig = Rig::with(LinkConfig { credit, ..config() });
    let session = rig.open(1);
    (rig, session)
}

#[test]
fn a_hundred_thousand_messages_never_fill_the_renderers_queue() {
    let (mut rig, s) = Rig::of_one();
    let credit = usize::try_from(config().credit).unwrap();
    let mut peer = Peer::new(100);
    for _ in 0..1_000 {
        for _ in 0..100 {
            rig.send(s, "message");
        }
        peer.turn(&mut rig);
    }
    while peer.turn(&mut rig) {}
    assert!(peer.longest <= credit, "{} waited", peer.longest);
    assert_eq!(rig.finished().len(), 100_000);
    let messages = peer.taken.iter().filter(|taken| taken["id"].is_null());
    assert_eq!(messages.count(), 100_000);
    let barriers = rig.link.counters().barriers;
    assert!(
        (100_000 / 256..=100_000 / 64).contains(&barriers),
        "{barriers} barriers"
    );
    assert_eq!(rig.link.load().queued, 0);
}

#[test]
fn what_waits_for_credit_arrives_in_order() {
    let (mut rig, s) = rig_with_credit(8);
    let names: Vec<&'static str> = (0..100).map(|n| &*n.to_string().leak()).collect();
    for name in &names {
        rig.send(s, name);
    }
    assert_eq!(rig.link.load().queued, 100 - 6, "and one is the barrier");
    let mut peer = Peer::new(3);
    while peer.turn(&mut rig) {}
    let arrived: Vec<_> = peer
        .taken
        .iter()
        .filter_map(|taken| taken["name"].as_str())
        .collect();
    assert_eq!(arrived, names);
    assert!(peer.longest <= 8);
}

#[test]
fn traffic_that_is_answered_needs_no_barrier() {
    let (mut rig, s) = rig_with_credit(8);
    let mut peer = Peer::new(1);
    for _ in 0..200 {
        rig.send(s, "message");
        rig.query(s, "query");
        while peer.turn(&mut rig) {}
    }
    assert_eq!(rig.link.counters().barriers, 0);
}

#[test]
fn a_barrier_goes_out_before_the_credit_is_used_up() {
    let (mut rig, s) = rig_with_credit(8);
    for _ in 0..3 {
        rig.send(s, "message");
    }
    assert_eq!(rig.link.counters().barriers, 0);
    rig.send(s, "message");
    assert_eq!(rig.link.counters().barriers, 1);
    assert_eq!(rig.sent().last().unwrap(), "s1 query ~0");
}

#[test]
fn a_barrier_is_the_links_own_affair() {
    let (mut rig, s) = rig_with_credit(8);
    for _ in 0..4 {
        rig.send(s, "message");
    }
    rig.finished();
    let mut peer = Peer::new(100);
    while peer.turn(&mut rig) {}
    assert_eq!(peer.taken.len(), 5);
    assert_eq!(rig.finished(), [""; 0]);
    assert_eq!(rig.events(s), [""; 0]);
    assert_eq!(rig.link.counters().late, 0);
}

#[test]
fn requests_that_are_never_answered_do_not_stick_the_session() {
    let (mut rig, s) = rig_with_credit(16);
    let mut peer = Peer::new(16);
    for _ in 0..1_000 {
        rig.op(s, "unanswered", Some("t"));
        peer.turn(&mut rig);
    }
    while peer.turn(&mut rig) {}
    rig.pass(TIMEOUT);
    assert_eq!(rig.finished().len(), 1_000);
    rig.query(s, "query");
    while peer.turn(&mut rig) {}
    assert_eq!(rig.finished(), ["query: query_response ~1001"]);
    assert!(peer.longest <= 16);
}

#[test]
fn an_interact_with_the_last_credit_runs_without_a_barrier_in_it() {
    let (mut rig, s) = rig_with_credit(8);
    for _ in 0..6 {
        rig.query(s, "query");
    }
    let id = rig.interact(s, "click");
    for _ in 0..20 {
        rig.send(s, "later");
    }
    assert_eq!(rig.sent().last().unwrap(), "s1 interact click");
    for _ in 0..20 {
        rig.step(s, id);
        rig.tree(s, "tree");
    }
    assert!(rig.sent().iter().all(|frame| frame == "s1 snapshot tree"));
    assert_eq!(rig.link.counters().barriers, 0);
    rig.reply(s, "interact_response", id);
    assert!(rig.sent().contains(&"s1 query ~0".to_owned()));
}

#[test]
fn one_session_without_credit_does_not_hold_up_another() {
    let (mut rig, s) = rig_with_credit(8);
    let other = rig.open(2);
    for _ in 0..20 {
        rig.send(s, "message");
    }
    rig.sent();
    rig.query(other, "query");
    assert_eq!(rig.sent(), ["s2 query query"]);
}

#[test]
fn a_session_moves_on_however_little_credit_it_has() {
    for credit in 0..4 {
        let (mut rig, s) = rig_with_credit(credit);
        for _ in 0..10 {
            rig.send(s, "message");
        }
        let mut peer = Peer::new(1);
        for _ in 0..100 {
            peer.turn(&mut rig);
        }
        assert_eq!(rig.finished().len(), 10, "with a credit of {credit}");
    }
}
