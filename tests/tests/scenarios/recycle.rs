//! Many sessions, one after the other: more than a renderer may have.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use plushie_pool::{RendererMode, SessionPool, WireFormat};

use crate::support::{counter, exists, in_both_formats, pool, shown, snapshot, until, within};

in_both_formats! {
    thousands_of_sessions_go_by_and_none_notices_a_new_renderer
}

/// How many sessions a renderer gets here.
const WORN_OUT: u64 = 50;

async fn thousands_of_sessions_go_by_and_none_notices_a_new_renderer(format: WireFormat) {
    let pool = pool(RendererMode::Mock, format).recycle_after(WORN_OUT);
    let pool = pool.start().await.unwrap();
    let mut used = BTreeMap::new();
    let mut rounds_on_two = 0;
    for round in 0..250 {
        let sessions = within(join_all((0..8).map(|_| pool.register()))).await;
        let sessions: Vec<_> = sessions.into_iter().map(Result::unwrap).collect();
        assert!(at_work(&pool) <= 2);
        let lives = sessions.iter().enumerate().map(|(n, session)| async move {
            let count = round * 8 + n as u64;
            session.send(&snapshot(&counter(count))).await.unwrap();
            assert_eq!(shown(session).await, count.to_string());
            session.renderer_pid().unwrap()
        });
        // Those on the old renderer go on while others are on the new one.
        let pids = within(join_all(lives)).await;
        rounds_on_two += u64::from(pids.iter().collect::<BTreeSet<_>>().len() == 2);
        for pid in pids {
            *used.entry(pid).or_insert(0) += 1;
        }
        assert!(at_work(&pool) <= 2);
        let closed = sessions.iter().map(|session| session.unregister());
        for closed in within(join_all(closed)).await {
            closed.unwrap();
        }
    }
    let status = pool.status();
    assert_eq!((status.launches, status.deaths), (40, 0));
    assert_eq!((status.sessions, status.counters.stray), (0, 0));
    assert_eq!(used.values().sum::<u64>(), 2000);
    assert!(
        used.values().all(|sessions| *sessions == WORN_OUT),
        "{used:?}"
    );
    assert!(rounds_on_two > 20, "{rounds_on_two}");
    until("all have ended", || used.keys().all(|pid| !exists(*pid))).await;
}

/// How many renderers there are that have a session or may get one; the others are on their
/// way out.
fn at_work(pool: &SessionPool) -> usize {
    let renderers = pool.status().renderers;
    let at_work = renderers
        .iter()
        .filter(|renderer| renderer.sessions > 0 || renderer.served < WORN_OUT);
    at_work.count()
}
