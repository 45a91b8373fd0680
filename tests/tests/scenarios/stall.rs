//! A renderer that stops reading: what it is sent waits, within bounds, and ends in time.

use futures::FutureExt;
use plushie_pool::{ErrorKind, Phase, WireFormat};
use serde_json::json;

use crate::peer::query;
use crate::support::{SHORT, exists, in_both_formats, pids, scripted, within};

in_both_formats! {
    what_a_renderer_does_not_read_waits_within_bounds_and_ends_in_time
}

async fn what_a_renderer_does_not_read_waits_within_bounds_and_ends_in_time(format: WireFormat) {
    let pool = scripted(["hello", "take 1", "hang"]).format(format);
    let pool = pool.start().await.unwrap();
    let stalled = pids(&pool)[0];
    let [one, other] = [
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    ];

    let megabyte = json!({"type": "patch", "ops": [], "padding": "x".repeat(1 << 20)});
    let mut taken = 0;
    let error = loop {
        match within(one.send(&megabyte).timeout(SHORT)).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Send), "{error}");
    assert!((2..8).contains(&taken), "{taken} MB");
    // The bound is the renderer's, whoever sends.
    let asked = other.request(&query(), "query_response").timeout(SHORT);
    let error = within(asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Send), "{error}");
    let status = pool.status();
    assert_eq!((status.pending_requests, status.queued_messages), (0, 0));

    let query = query();
    let mut asked = other.request(&query, "query_response");
    assert!((&mut asked).now_or_never().is_none());
    within(pool.shutdown()).await.unwrap();
    assert_eq!(
        within(asked).await.unwrap_err().kind(),
        ErrorKind::PoolClosed
    );
    assert!(!exists(stalled));
}
