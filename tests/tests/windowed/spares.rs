//! Renderers kept ready for sessions to come.

use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use plushie_pool::{Display, ErrorKind, RendererMode, SessionPool, WireFormat};

use crate::display::start;
use crate::support::{counter, kill, pool, shown, snapshot, stop, until, within};

async fn warm(sessions: usize, spares: usize) -> Option<SessionPool> {
    let builder = pool(RendererMode::Windowed, WireFormat::Msgpack)
        .max_sessions(sessions)
        .warm(spares);
    start(builder).await
}

/// The processes of renderers that no session has had.
fn spares(pool: &SessionPool) -> Vec<u32> {
    let renderers = pool.status().renderers.into_iter();
    renderers
        .filter(|renderer| renderer.served == 0)
        .map(|renderer| renderer.pid.unwrap())
        .collect()
}

#[tokio::test]
async fn a_session_gets_a_spare_and_another_takes_its_place() {
    let Some(pool) = warm(3, 2).await else {
        return;
    };
    // They are there when the pool is.
    let first = spares(&pool);
    assert_eq!(first.len(), 2);
    let one = pool.register().await.unwrap();
    assert!(first.contains(&one.renderer_pid().unwrap()));
    one.send(&snapshot(&counter(4))).await.unwrap();
    assert_eq!(shown(&one).await, "4");
    until("there are two again", || spares(&pool).len() == 2).await;

    // No more than there is room for.
    let others = [
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    ];
    assert_eq!(pool.status().launches, 3);
    let error = pool.try_register().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolFull);
    for session in others.iter().chain([&one]) {
        within(session.unregister()).await.unwrap();
    }
    until("there are two again", || spares(&pool).len() == 2).await;
    assert_eq!(pool.status().launches, 5);
    within(pool.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_spare_that_died_is_given_to_nobody() {
    let Some(pool) = warm(4, 2).await else {
        return;
    };
    for _ in 0..5 {
        until("there are two", || spares(&pool).len() == 2).await;
        let dead = spares(&pool);
        for pid in &dead {
            kill(*pid);
        }
        // At once: the pool may or may not have noticed.
        let session = within(pool.register()).await.unwrap();
        assert!(!dead.contains(&session.renderer_pid().unwrap()));
        session.send(&snapshot(&counter(5))).await.unwrap();
        assert_eq!(shown(&session).await, "5");
        within(session.unregister()).await.unwrap();
    }
    until("nobody has a place", || pool.status().sessions == 0).await;
    within(pool.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_spare_that_no_longer_answers_is_given_to_nobody() {
    // Full, so that the place has to come back from the one that hangs.
    let Some(pool) = warm(1, 1).await else {
        return;
    };
    let stuck = spares(&pool)[0];
    stop(stuck);
    let session = within(pool.register()).await.unwrap();
    assert_ne!(session.renderer_pid(), Some(stuck));
    assert_eq!(pool.status().sessions, 1);
    within(session.unregister()).await.unwrap();
    within(pool.shutdown()).await.unwrap();
}

#[tokio::test]
async fn there_are_never_more_than_max_sessions_and_none_serves_twice() {
    const MARK: &str = "--counted-by-the-test-of-spares";
    const SESSIONS: usize = 3;

    let builder = pool(RendererMode::Windowed, WireFormat::Json)
        .renderer_args([MARK])
        .max_sessions(SESSIONS)
        .warm(SESSIONS);
    let Some(pool) = start(builder).await else {
        return;
    };
    let over = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let counter = scope.spawn(|| {
            let mut most = 0;
            let mut before = HashSet::new();
            while !over.load(Ordering::Relaxed) {
                // It takes its time to look. Those that were there before and still are were
                // there together.
                let now = marked(MARK);
                most = most.max(before.intersection(&now).count());
                before = now;
            }
            most
        });
        // On a thread of its own, since the counting takes no break.
        let pids = scope.spawn(|| {
            futures::executor::block_on(async {
                let lives = join_all((0..2 * SESSIONS).map(|_| async {
                    let mut pids = Vec::new();
                    for _ in 0..5 {
                        let session = pool.register().await.unwrap();
                        shown(&session).await;
                        pids.push(session.renderer_pid().unwrap());
                        session.unregister().await.unwrap();
                    }
                    pids
                }));
                lives.await.concat()
            })
        });
        let pids = pids.join();
        over.store(true, Ordering::Relaxed);
        let pids = pids.unwrap();
        assert_eq!(pids.len(), 10 * SESSIONS);
        let different: HashSet<_> = pids.iter().collect();
        assert_eq!(different.len(), pids.len(), "one served twice");
        counter.join().unwrap()
    });
    assert!(most <= SESSIONS, "{most}");
    within(pool.shutdown()).await.unwrap();
    assert!(marked(MARK).is_empty());
}

/// The processes that have this argument.
fn marked(mark: &str) -> HashSet<OsString> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let has_it = |entry: &std::fs::DirEntry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut arguments = arguments.split(|byte| *byte == 0);
        arguments.any(|argument| argument == mark.as_bytes())
    };
    let processes = processes.filter(has_it);
    processes.map(|process| process.file_name()).collect()
}

#[tokio::test]
async fn a_pool_whose_spares_cannot_start_does_not_either() {
    let builder = pool(RendererMode::Windowed, WireFormat::Msgpack)
        .display(Display::None)
        .warm(2);
    let error = within(builder.start()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Handshake);
    assert!(
        error
            .stderr()
            .is_some_and(|said| said.contains("Create event loop")),
        "{error}"
    );
}
