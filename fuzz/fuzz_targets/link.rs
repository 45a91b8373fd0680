#![no_main]

//! A renderer that says anything at all, to a link with requests of every kind on their way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use plushie_pool_core::link::{Answer, Effects, Link, LinkConfig, Submission};
use plushie_pool_core::{Addressing, Class, Close, RequestId, SessionId};
use plushie_pool_transport_json::Json;

const SESSION: SessionId = SessionId::new(1);

fuzz_target!(|input: &[u8]| {
    let addressing = match input.first() {
        Some(byte) if byte % 2 == 0 => Addressing::Single,
        _ => Addressing::BySession,
    };
    let mut link = Link::new(LinkConfig::new(Arc::new(Json), addressing, Close::Reset));
    let mut effects = Effects::default();
    let now = Instant::now();
    let timeout = Duration::from_secs(30);
    link.open(SESSION).expect("the renderer is there");
    let submissions = [
        (Class::Plain, reply("query_response", None)),
        (Class::Plain, reply("op_query_response", Some("t"))),
        (Class::Plain, reply("effect_stub_register_ack", None)),
        (Class::Tree, Answer::None),
        (Class::Interact, Answer::Events),
        (Class::Plain, reply("query_response", None)),
    ];
    let submitted = submissions.len();
    for (n, (class, answer)) in (1..).zip(submissions) {
        let submission = Submission {
            id: RequestId::new(n),
            frame: Bytes::from_static(b"{}\n"),
            class,
            answer,
            deadline: now + timeout,
            timeout,
            completion: n,
        };
        link.submit(SESSION, submission, &mut effects).expect("the session is open");
    }
    for (step, line) in (1u32..).zip(input.split(|byte| *byte == b'\n')) {
        let now = now + step * Duration::from_millis(1);
        link.receive(Bytes::copy_from_slice(line), now, &mut effects);
    }
    link.expire(now + timeout * 2, &mut effects);
    link.close(SESSION, None, now, &mut effects);
    link.expire(now + timeout * 4, &mut effects);
    let mut ended: Vec<_> = effects.finished.iter().map(|(n, _)| *n).collect();
    ended.sort_unstable();
    ended.dedup();
    assert_eq!(ended.len(), effects.finished.len(), "something ended twice");
    assert_eq!(ended.len(), submitted, "something never ended");
    assert_eq!(effects.released, [SESSION]);
});

fn reply(kind: &str, tag: Option<&str>) -> Answer {
    Answer::Reply {
        kind: kind.into(),
        tag: tag.map(Into::into),
    }
}
