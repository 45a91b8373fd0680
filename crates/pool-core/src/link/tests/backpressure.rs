//! A renderer that reads slowly: what cannot be written is held back, in memory that is bounded.

use bytes::Bytes;
use serde_json::json;

use super::rig::{Rig, config};
use crate::link::{Answer, LinkConfig};
use crate::{Class, SessionId};

fn rig_with_room(unsent_bytes: usize) -> (Rig, SessionId) {
    let mut rig = Rig::with(LinkConfig {
        unsent_bytes,
        ..config()
    });
    let session = rig.open(1);
    (rig, session)
}

/// A message of a kilobyte.
fn send_large(rig: &mut Rig, session: SessionId, name: &'static str) {
    let body = json!({"type": "image_op", "name": name, "data": "x".repeat(1024)});
    rig.submit(session, name, Class::Plain, Answer::None, body);
}

#[test]
fn what_cannot_be_written_waits_until_something_is() {
    let (mut rig, s) = rig_with_room(4096);
    for _ in 0..100 {
        send_large(&mut rig, s, "large");
    }
    let frames = rig.frames();
    assert_eq!(frames.len(), 4);
    assert_eq!(rig.finished().len(), 4);
    assert_eq!(rig.link.load().queued, 96);

    rig.written(frames[0].len());
    assert_eq!(rig.frames().len(), 1);
    rig.written(1);
    assert_eq!(rig.frames().len(), 0, "a byte makes no room");

    assert_eq!(rig.sent(), [""; 0]);
    rig.written(3 * frames[0].len());
    assert_eq!(rig.sent().len(), 95, "each is written at once");
    assert_eq!(rig.link.load().queued, 0);
}

#[test]
fn every_session_is_resumed() {
    let mut rig = Rig::with(LinkConfig {
        unsent_bytes: 1024,
        ..config()
    });
    let sessions: Vec<_> = (0..10).map(|n| rig.open(n)).collect();
    for session in &sessions {
        send_large(&mut rig, *session, "large");
    }
    assert_eq!(rig.finished().len(), 1);
    assert_eq!(rig.sent().len(), 10);
    assert_eq!(rig.finished().len(), 9);
}

#[test]
fn a_busy_session_does_not_keep_the_others_from_their_turn() {
    let mut rig = Rig::with(LinkConfig {
        unsent_bytes: 1024,
        ..config()
    });
    let (busy, other) = (rig.open(1), rig.open(2));
    for _ in 0..50 {
        send_large(&mut rig, busy, "busy");
    }
    send_large(&mut rig, other, "other");
    let sent = rig.sent();
    let turn = sent
        .iter()
        .position(|frame| frame.starts_with("s2"))
        .unwrap();
    assert!(turn < 5, "it came {turn}th");
}

#[test]
fn a_message_larger_than_all_the_room_goes_out_alone() {
    let (mut rig, s) = rig_with_room(10);
    send_large(&mut rig, s, "a");
    send_large(&mut rig, s, "b");
    assert_eq!(rig.frames().len(), 1);
    assert_eq!(rig.finished(), ["a: sent"]);
}

#[test]
fn a_barrier_waits_for_room_as_well() {
    let mut rig = Rig::with(LinkConfig {
        unsent_bytes: 4 * 1024,
        credit: 8,
        ..config()
    });
    let s = rig.open(1);
    for _ in 0..5 {
        send_large(&mut rig, s, "large");
    }
    let frames = rig.frames();
    assert_eq!(frames.len(), 4);
    assert_eq!(rig.link.counters().barriers, 0);
    rig.written(frames.iter().map(Bytes::len).sum());
    assert_eq!(rig.sent(), ["s1 image_op large", "s1 query ~0"]);
}

#[test]
fn the_tree_for_a_step_is_held_back_too_and_goes_first() {
    let (mut rig, s) = rig_with_room(1024);
    let id = rig.interact(s, "click");
    rig.sent();
    rig.step(s, id);
    let other = rig.open(2);
    send_large(&mut rig, other, "large");
    rig.query(s, "query");
    rig.tree(s, "tree");
    let held: usize = rig.frames().iter().map(Bytes::len).sum();
    assert_eq!(rig.frames().len(), 0);
    rig.written(held);
    assert_eq!(rig.sent(), ["s1 snapshot tree"]);
}

#[test]
fn a_session_without_room_can_still_be_closed() {
    let (mut rig, s) = rig_with_room(1024);
    send_large(&mut rig, s, "large");
    rig.query(s, "query");
    rig.close(s, "close");
    assert_eq!(
        rig.finished(),
        ["large: sent", "query: SessionClosed in s1 ~2"]
    );
    assert_eq!(rig.sent(), ["s1 image_op large", "s1 reset ~0"]);
}
