//! Renderers that die, and what is left of the pool then: all of it but their sessions.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::join_all;
use plushie_pool::{
    Builder, Error, ErrorKind, Exit, Origin, RendererMode, RestartPolicy, Session, SessionEvent,
    SessionPool, WireFormat,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::peer::query;
use crate::support::{
    RENDERER, counter, everywhere, exists, in_both_formats, kill, pids, pool, scripted, shown,
    snapshot, stop, until, within,
};

everywhere! {
    all_requests_end_at_once_when_their_renderer_is_killed
    the_other_renderers_sessions_go_on
}

in_both_formats! {
    a_renderer_that_says_why_it_goes_is_quoted
    its_stderr_is_kept_by_the_end_however_much_there_is
    a_renderer_that_goes_in_the_middle_of_a_message_is_gone
    a_renderer_that_closes_its_output_is_gone
    what_it_answered_before_it_died_arrives
    one_whose_heir_holds_its_pipes_is_gone
    a_pool_whose_renderers_keep_dying_pauses_and_says_why
    a_budget_that_is_used_up_is_there_again_once_its_time_has_passed
    a_program_that_is_gone_for_a_while_costs_no_restarts
    the_renderers_that_run_serve_those_of_one_that_keeps_dying
    a_session_placed_on_a_renderer_that_is_dying_gets_another
    a_renderer_that_ignores_everything_is_killed_in_the_end
}

/// Far more than it takes; the time itself is printed.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Eight sessions with three requests each on a renderer that does not come to answer.
async fn all_requests_end_at_once_when_their_renderer_is_killed(
    mode: RendererMode,
    format: WireFormat,
) {
    let pool = pool(mode, format).renderer_env("RUST_LOG", "debug");
    let pool = pool.start().await.unwrap();
    let sessions = eight_sessions(&pool).await;
    for session in &sessions {
        session.send(&snapshot(&counter(1))).await.unwrap();
        assert_eq!(shown(session).await, "1");
    }
    // So that it does not answer.
    stop(pids(&pool)[0]);
    let errors = kill_with_24_requests_in_flight(&pool, &sessions).await;
    for error in &errors {
        assert!(
            error.stderr().is_some_and(|tail| tail.contains("plushie")),
            "{error}"
        );
    }

    // The pool is as good as new.
    let session = within(pool.register()).await.unwrap();
    session.send(&snapshot(&counter(2))).await.unwrap();
    assert_eq!(shown(&session).await, "2");
}

#[tokio::test]
async fn all_requests_to_a_renderer_that_never_answers_end_at_once_when_it_is_killed() {
    let builder = scripted([
        "complain first words",
        "complain last words",
        "hello",
        "drain",
    ]);
    let pool = builder.start().await.unwrap();
    let sessions = eight_sessions(&pool).await;
    for error in kill_with_24_requests_in_flight(&pool, &sessions).await {
        assert_eq!(error.stderr(), Some("first words\nlast words"));
        assert!(
            error.to_string().ends_with("\n  first words\n  last words"),
            "{error}"
        );
    }
}

async fn eight_sessions(pool: &SessionPool) -> Vec<Session> {
    let sessions = join_all((0..8).map(|_| pool.register())).await;
    sessions.into_iter().map(Result::unwrap).collect()
}

async fn kill_with_24_requests_in_flight(pool: &SessionPool, sessions: &[Session]) -> Vec<Error> {
    let killed = pids(pool)[0];
    let query = query();
    let mut asked = Vec::new();
    for session in sessions {
        for _ in 0..3 {
            let mut request = session.request(&query, "query_response");
            assert!((&mut request).now_or_never().is_none());
            asked.push(request);
        }
    }
    assert_eq!(pool.status().pending_requests, 24);

    let start = Instant::now();
    kill(pids(pool)[0]);
    let outcomes = within(join_all(asked)).await;
    let took = start.elapsed();
    println!("24 requests ended {took:?} after their renderer was killed");
    assert!(took < AT_ONCE, "{took:?}");
    let errors: Vec<_> = outcomes.into_iter().map(Result::unwrap_err).collect();
    for (n, error) in errors.iter().enumerate() {
        assert_eq!(error.kind(), ErrorKind::RendererExited, "{error}");
        assert_eq!(error.exit(), Some(Exit::Signal(9)), "{error}");
        assert!(
            error.to_string().contains("killed by signal 9, SIGKILL"),
            "{error}"
        );
        assert_eq!(error.session(), Some(sessions[n / 3].id()));
        assert!(error.request().is_some());
        assert_eq!(error.origin(), Origin::Renderer);
    }

    for session in sessions {
        let event = within(session.next_event()).await;
        let Some(SessionEvent::RendererExited(error)) = event else {
            panic!("{event:?}");
        };
        assert_eq!(error.exit(), Some(Exit::Signal(9)));
        assert!(within(session.next_event()).await.is_none());
        let error = session.request(&query, "query_response").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RendererExited, "also afterwards");
    }
    let next = within(pool.register()).await.unwrap();
    assert_ne!(next.renderer_pid(), Some(killed));
    assert!(!exists(killed), "it was reaped");
    let status = pool.status();
    assert_eq!((status.deaths, status.launches, status.sessions), (1, 2, 1));
    assert_eq!(status.pending_requests, 0);
    errors
}

async fn the_other_renderers_sessions_go_on(mode: RendererMode, format: WireFormat) {
    let pool = pool(mode, format).renderers(2).start().await.unwrap();
    let [one, other] = [
        pool.register().await.unwrap(),
        pool.register().await.unwrap(),
    ];
    assert_ne!(one.renderer_pid(), other.renderer_pid());
    other.send(&snapshot(&counter(6))).await.unwrap();
    kill(one.renderer_pid().unwrap());
    let event = within(one.next_event()).await;
    assert!(
        matches!(event, Some(SessionEvent::RendererExited(_))),
        "{event:?}"
    );
    assert_eq!(shown(&other).await, "6");
    drop(one);
    let next = within(pool.register()).await.unwrap();
    assert_eq!(shown(&next).await, Value::Null);
    assert_eq!(pool.status().deaths, 1);
}

async fn a_renderer_that_says_why_it_goes_is_quoted(format: WireFormat) {
    for (words, quoted) in [
        (
            r#"say {"type":"error","session":"","message":"out of colours"}"#,
            "it said: out of colours",
        ),
        (
            r#"say {"type":"event","family":"session_error","session":"","data":{"code":"renderer_panic","error":"out of threads"}}"#,
            "it said: out of threads (renderer_panic)",
        ),
        (
            r#"say {"type":"event","family":"session_error","session":"","value":{"code":"renderer_panic","error":"out of threads"}}"#,
            "it said: out of threads (renderer_panic)",
        ),
    ] {
        let pool = scripted(["hello", "take 2", words, "exit 3"]).format(format);
        let pool = pool.start().await.unwrap();
        let session = pool.register().await.unwrap();
        let error = within(session.request(&query(), "query_response")).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RendererExited);
        assert_eq!(error.exit(), Some(Exit::Code(3)));
        assert!(error.to_string().contains(quoted), "{error}");
    }
}

/// On its first message, its second, and so on.
async fn what_it_answered_before_it_died_arrives(format: WireFormat) {
    for answered in 0..5 {
        let answers = format!("answer {answered}");
        let steps = ["hello", "take 1", &*answers, "take 1", "kill"];
        let pool = scripted(steps).format(format).start().await.unwrap();
        let session = pool.register().await.unwrap();
        let query = query();
        let asked = (0..5).map(|_| session.request(&query, "query_response"));
        for (n, outcome) in within(join_all(asked)).await.into_iter().enumerate() {
            match outcome {
                Ok(_) => assert!(n < answered),
                Err(error) => {
                    assert_eq!(error.exit(), Some(Exit::Signal(9)), "{error}");
                    assert!(n >= answered);
                }
            }
        }
        assert_eq!(pool.status().pending_requests, 0);
    }
}

async fn one_whose_heir_holds_its_pipes_is_gone(format: WireFormat) {
    let steps = ["hello", "take 2", "bequeath", "exit 4"];
    let pool = scripted(steps).format(format).start().await.unwrap();
    let bequeathed = pids(&pool)[0];
    let session = pool.register().await.unwrap();
    let start = Instant::now();
    let error = within(session.request(&query(), "query_response")).await;
    let took = start.elapsed();
    let error = error.unwrap_err();
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(error.exit(), Some(Exit::Code(4)), "{error}");
    let heir = error.stderr().unwrap().strip_prefix("heir ").unwrap();
    let heir = heir.parse().unwrap();
    until("it was reaped", || !exists(bequeathed)).await;
    within(pool.shutdown()).await.unwrap();
    // What the renderer started is its own business.
    kill(heir);
}

async fn its_stderr_is_kept_by_the_end_however_much_there_is(format: WireFormat) {
    // Unread it would fill the pipe, and hang before it comes to answer.
    let steps = [
        "hello",
        "take 1",
        "flood 50000",
        "answer 1",
        "take 1",
        // Most of it is still in the pipe when the process is gone.
        "flood 900",
        "complain the end",
        "exit 1",
    ];
    let pool = scripted(steps).format(format).start().await.unwrap();
    let session = pool.register().await.unwrap();
    within(session.request(&query(), "query_response"))
        .await
        .unwrap();
    let error = within(session.request(&query(), "query_response")).await;
    let error = error.unwrap_err();
    let tail = error.stderr().unwrap();
    assert!(tail.ends_with("the end"), "{tail}");
    assert!(tail.contains("complaint 899 of 900"), "{tail}");
    assert!(tail.len() < 100_000, "{} bytes are not a tail", tail.len());
}

async fn a_renderer_that_goes_in_the_middle_of_a_message_is_gone(format: WireFormat) {
    let torn = r#"tear {"type":"query_response","session":"$session","id":"$id","data":"torn"}"#;
    let pool = scripted(["hello", "take 2", torn, "kill"]).format(format);
    let pool = pool.start().await.unwrap();
    let session = pool.register().await.unwrap();
    let error = within(session.request(&query(), "query_response")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RendererExited, "{error}");
    assert_eq!(error.exit(), Some(Exit::Signal(9)), "{error}");
    within(pool.register()).await.unwrap();
}

async fn a_renderer_that_closes_its_output_is_gone(format: WireFormat) {
    let steps = ["ignore-term", "hello", "take 2", "hush", "hang"];
    let pool = scripted(steps).format(format).start().await.unwrap();
    let hushed = pids(&pool)[0];
    let session = pool.register().await.unwrap();
    let error = within(session.request(&query(), "query_response")).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::RendererExited);
    until("it was ended and reaped", || !exists(hushed)).await;
}

async fn a_pool_whose_renderers_keep_dying_pauses_and_says_why(format: WireFormat) {
    let policy = RestartPolicy {
        max_restarts: 2,
        within: Duration::from_secs(600),
        backoff: Duration::from_millis(1),
    };
    let pool = scripted(["hello", "take 2", "complain no more", "exit 9"]);
    let pool = pool.format(format).restart(policy).start().await.unwrap();
    assert!(pool.status().backoff.is_none());
    for death in 1..=3 {
        let session = within(pool.register()).await.unwrap();
        within(session.request(&query(), "query_response"))
            .await
            .unwrap_err();
        until("it was counted", || pool.status().deaths == death).await;
    }
    for _ in 0..2 {
        // At once: it would have to wait longer than it may.
        let error = within(pool.register()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RestartsExhausted);
        for words in ["starts the next one in", "exit code 9", "no more"] {
            assert!(error.to_string().contains(words), "{error}");
        }
        let error = within(pool.try_register()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RestartsExhausted);
    }
    let status = pool.status();
    assert_eq!((status.launches, status.sessions), (3, 0));
    let backoff = status.backoff.expect("it pauses");
    let pause = backoff.until.unwrap() - Instant::now();
    assert!(pause > policy.within / 2 && pause <= policy.within);
    assert!(backoff.error.to_string().contains("no more"), "{backoff:?}");
}

/// Ten deaths in a minute are a rate, of which this is a fast one.
async fn a_budget_that_is_used_up_is_there_again_once_its_time_has_passed(format: WireFormat) {
    let folder = TempDir::new().unwrap();
    let broken = folder.path().join("broken");
    let pool = breakable(&folder, &broken).format(format);
    let pool = pool.restart(RestartPolicy {
        max_restarts: 2,
        within: Duration::from_secs(2),
        backoff: Duration::from_millis(1),
    });
    let pool = within(pool.start()).await.unwrap();
    std::fs::write(&broken, "").unwrap();
    for round in 0..3 {
        kill(pids(&pool)[0]);
        until("it was noticed", || pids(&pool).is_empty()).await;
        // They wait for the next launch that the budget allows, and hear what becomes of it.
        let mut died = 0;
        let mut waited = false;
        while !waited {
            let error = within(pool.register()).await.unwrap_err();
            assert_eq!(error.exit(), Some(Exit::Code(7)), "{error}");
            died += 1;
            let pause = pool.status().backoff.and_then(|backoff| backoff.until);
            waited = pause.is_some_and(|until| until > Instant::now() + Duration::from_millis(500));
            assert!(died < 20, "there is no end to it");
        }
        std::fs::remove_file(&broken).unwrap();
        // This one waits until it is tried again.
        let session = within(pool.register()).await.unwrap();
        session.send(&snapshot(&counter(round))).await.unwrap();
        assert_eq!(shown(&session).await, round.to_string());
        std::fs::write(&broken, "").unwrap();
    }
}

/// A pool on the real renderer that ends with code 7 as long as there is this file.
fn breakable(folder: &TempDir, broken: &Path) -> Builder {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.path().join("renderer");
    let script = format!(
        "#!/bin/sh\n[ -e {broken} ] && exit 7\nexec {RENDERER} \"$@\"\n",
        broken = broken.display(),
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    SessionPool::builder().renderer(path)
}

/// For much longer than it takes to use up a budget.
async fn a_program_that_is_gone_for_a_while_costs_no_restarts(format: WireFormat) {
    let folder = TempDir::new().unwrap();
    let pool = breakable(&folder, &folder.path().join("broken")).format(format);
    let pool = pool.restart(RestartPolicy {
        max_restarts: 1,
        within: Duration::from_secs(600),
        backoff: Duration::from_millis(1),
    });
    let pool = within(pool.start()).await.unwrap();
    let path = folder.path().join("renderer");
    let away = folder.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    kill(pids(&pool)[0]);
    until("it was noticed", || pids(&pool).is_empty()).await;
    for _ in 0..10 {
        let error = within(pool.register()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RendererNotFound, "{error}");
    }
    std::fs::rename(&away, &path).unwrap();
    let session = within(pool.register()).await.unwrap();
    assert_eq!(shown(&session).await, Value::Null);
    assert_eq!(pool.status().deaths, 1);
    assert!(pool.status().backoff.is_none());
}

/// Set where the test below is to run short of descriptors, which it does to its whole process.
const SHORT_OF_DESCRIPTORS: &str = "POOL_TEST_SHORT_OF_DESCRIPTORS";

#[test]
fn a_process_that_may_open_no_more_files_for_a_while_costs_no_restarts() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::short_of_descriptors", "--nocapture"])
        .env(SHORT_OF_DESCRIPTORS, "1")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A part of the test above.
#[tokio::test]
async fn short_of_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if std::env::var_os(SHORT_OF_DESCRIPTORS).is_none() {
        return;
    }
    let pool = pool(RendererMode::Mock, WireFormat::Msgpack).restart(RestartPolicy {
        max_restarts: 1,
        within: Duration::from_secs(600),
        backoff: Duration::from_millis(1),
    });
    let pool = within(pool.start()).await.unwrap();
    let before = getrlimit(Resource::Nofile);
    let short = Rlimit {
        current: Some(3),
        ..before
    };
    kill(pids(&pool)[0]);
    until("it was noticed", || pids(&pool).is_empty()).await;
    setrlimit(Resource::Nofile, short).unwrap();
    for _ in 0..10 {
        let error = within(pool.register()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Launch, "{error}");
        assert!(error.to_string().contains("open files"), "{error}");
    }
    setrlimit(Resource::Nofile, before).unwrap();
    let session = within(pool.register()).await.unwrap();
    assert_eq!(shown(&session).await, Value::Null);
    assert_eq!(pool.status().deaths, 1);
}

/// While the other is not to be launched yet.
async fn the_renderers_that_run_serve_those_of_one_that_keeps_dying(format: WireFormat) {
    let folder = TempDir::new().unwrap();
    let broken = folder.path().join("broken");
    let pool = breakable(&folder, &broken).format(format).renderers(2);
    let pool = pool.restart(RestartPolicy {
        max_restarts: 1,
        within: Duration::from_secs(600),
        backoff: Duration::from_millis(1),
    });
    let pool = within(pool.start()).await.unwrap();
    std::fs::write(&broken, "").unwrap();
    kill(pids(&pool)[0]);
    until("it was noticed", || pids(&pool).len() == 1).await;
    let left = pids(&pool)[0];
    let mut errors = 0;
    let mut sessions = Vec::new();
    while sessions.len() < 4 {
        match within(pool.register()).await {
            Ok(session) => sessions.push(session),
            // It was placed on the one that is tried in the other's place.
            Err(error) => {
                assert_eq!(error.exit(), Some(Exit::Code(7)), "{error}");
                errors += 1;
                assert!(errors <= 2, "{error}");
            }
        }
    }
    for session in &sessions {
        assert_eq!(session.renderer_pid(), Some(left));
    }
}

#[tokio::test]
async fn a_policy_without_restarts_replaces_nothing() {
    let pool = scripted(["hello", "take 2", "kill"]).restart(RestartPolicy {
        max_restarts: 0,
        ..RestartPolicy::default()
    });
    let pool = pool.start().await.unwrap();
    let session = within(pool.register()).await.unwrap();
    within(session.request(&query(), "query_response"))
        .await
        .unwrap_err();
    until("it was counted", || pool.status().deaths == 1).await;
    let error = within(pool.register()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RestartsExhausted);
    assert!(error.to_string().contains("starts no more"), "{error}");
    assert_eq!(pool.status().backoff.expect("it is over").until, None);
}

async fn a_session_placed_on_a_renderer_that_is_dying_gets_another(format: WireFormat) {
    let folder = TempDir::new().unwrap();
    let once = format!("first-time {}", folder.path().join("died").display());
    let pool = scripted([&*once, "hello", "take 1", "kill"]).format(format);
    let pool = pool.start().await.unwrap();
    // Whatever the moment it dies at, a session opened then is of use or says why not.
    loop {
        let session = within(pool.register()).await.unwrap();
        match within(session.request(&query(), "query_response")).await {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::RendererExited),
        }
    }
    assert_eq!(pool.status().deaths, 1);
}

async fn a_renderer_that_ignores_everything_is_killed_in_the_end(format: WireFormat) {
    let pool = scripted(["ignore-term", "hello", "hang"]).format(format);
    let grace = plushie_pool::Grace {
        eof: Duration::from_millis(10),
        term: Duration::from_millis(10),
        ..plushie_pool::Grace::default()
    };
    let pool = pool.grace(grace).start().await.unwrap();
    let stubborn = pids(&pool)[0];
    let session = pool.register().await.unwrap();
    within(
        session
            .request(&query(), "query_response")
            .timeout(crate::support::SHORT),
    )
    .await
    .unwrap_err();
    within(pool.shutdown()).await.unwrap();
    assert!(!exists(stubborn));
    assert_eq!(pool.status().deaths, 0, "it did not die by itself");
}
