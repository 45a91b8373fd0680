//! More than anybody can take, in either direction.

use plushie_pool::{RendererMode, SessionEvent, WireFormat};
use serde_json::Value;

use crate::peer::{played, query};
use crate::support::{
    counter, in_both_formats, pool, scripted, show, shown, snapshot, until, within,
};

in_both_formats! {
    a_session_whose_owner_never_reads_goes_on_under_a_flood_of_events
    a_hundred_thousand_patches_are_taken_in_and_hold_up_nobody
    a_hundred_thousand_patches_arrive_each_once_and_in_order
}

/// Far more than the memory they may take: 300,000 events of a kilobyte.
async fn a_session_whose_owner_never_reads_goes_on_under_a_flood_of_events(format: WireFormat) {
    let padding = "x".repeat(1000);
    let flood = format!(
        r#"repeat 100000 {{"type":"event","session":"$session","family":"input","value":"{padding}"}}"#
    );
    let again = ["answer 1", &*flood];
    let steps = ["hello", "take 1"].into_iter();
    let steps = steps
        .chain([again; 3].into_iter().flatten())
        .chain(["serve"]);
    let pool = scripted(steps).format(format).start().await.unwrap();
    let deaf = pool.register().await.unwrap();
    for _ in 0..4 {
        within(deaf.request(&query(), "query_response"))
            .await
            .unwrap();
    }
    let counters = pool.status().counters;
    assert_eq!((counters.received, counters.malformed), (300_004, 0));

    // Neither more nor less than fits, and what is missing is said.
    let first = within(deaf.next_event()).await;
    let Some(SessionEvent::Lagged(lost)) = first else {
        panic!("{first:?}");
    };
    assert_eq!((lost, counters.lagged), (300_000 - 1024, lost));
    for _ in 0..1024 {
        let event = within(deaf.next_event()).await;
        assert!(matches!(event, Some(SessionEvent::Event(_))), "{event:?}");
    }
    within(deaf.unregister()).await.unwrap();
    assert!(within(deaf.next_event()).await.is_none());
}

async fn a_hundred_thousand_patches_are_taken_in_and_hold_up_nobody(format: WireFormat) {
    let pool = pool(RendererMode::Mock, format).start().await.unwrap();
    let [many, other] = [
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    ];
    for session in [&many, &other] {
        session.send(&snapshot(&counter(0))).await.unwrap();
    }
    let done = std::cell::Cell::new(false);
    let patches = async {
        for count in 1..=100_000 {
            many.send(&show(count)).await.unwrap();
        }
        assert_eq!(shown(&many).await, "100000");
        done.set(true);
    };
    let between = async {
        let mut answers = 0;
        while !done.get() {
            assert_eq!(within(shown(&other)).await, "0");
            answers += 1;
        }
        answers
    };
    let ((), answers) = futures::join!(patches, between);
    assert!(answers > 100, "{answers} answers in between");
    until("all is quiet", || pool.status().queued_messages == 0).await;
    let status = pool.status();
    assert_eq!(
        (status.sessions, status.deaths, status.pending_requests),
        (2, 0, 0)
    );
}

async fn a_hundred_thousand_patches_arrive_each_once_and_in_order(format: WireFormat) {
    let (builder, mut peers) = played(format);
    let pool = builder.start().await.unwrap();
    let mut peer = peers.next().await;
    let session = pool.register().await.unwrap();
    let patches = async {
        for count in 1..=100_000 {
            session.send(&show(count)).await.unwrap();
        }
    };
    let taken = async {
        let mut barriers = 0;
        for count in 1..=100_000 {
            let mut message = within(peer.read()).await.unwrap();
            // The pool's own, in between.
            while message["type"] == "query" {
                barriers += 1;
                peer.answer(&message, Value::Null).await;
                message = within(peer.read()).await.unwrap();
            }
            assert_eq!(message["ops"][0]["props"]["content"], count.to_string());
        }
        barriers
    };
    let ((), barriers) = futures::join!(patches, taken);
    // Often enough that no renderer stalls, not so often that it costs anything.
    assert!((200..2000).contains(&barriers), "{barriers}");
    peer.serve();
}
