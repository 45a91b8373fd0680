//! Pools that cannot be started: at once, with what to do about it, and nothing left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use plushie_pool::{
    Builder, Error, ErrorKind, Exit, Phase, RendererMode, RestartPolicy, SessionPool, WireFormat,
};
use serde_json::json;
use tempfile::TempDir;

use crate::peer::played;
use crate::support::{RENDERER, SHORT, in_both_formats, scripted, until, within};

in_both_formats! {
    a_program_that_is_no_renderer_is_quoted
    a_renderer_of_another_version_is_refused_with_both
    a_renderer_that_says_nothing_is_given_up
    a_renderer_that_speaks_the_other_format_is_refused
    one_of_several_renderers_that_fails_ends_the_others
}

async fn failure(builder: Builder) -> Error {
    within(builder.start()).await.unwrap_err()
}

fn says(error: &Error, words: &[&str]) {
    for words in words {
        assert!(error.to_string().contains(words), "no {words:?} in {error}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let new = SessionPool::builder;
    let (with_connector, _peers) = played(WireFormat::Json);
    for (builder, words) in [
        (new().max_sessions(0), "max_sessions is 0"),
        (new().renderers(0), "renderers is 0"),
        (new().recycle_after(0), "recycle_after is 0"),
        (new().event_capacity(0), "event_capacity is 0"),
        (new().renderers(usize::MAX), "at most 1000"),
        (
            new().warm(usize::MAX).max_sessions(usize::MAX),
            "at most 1000",
        ),
        (new().display_size(u32::MAX, 1), "at most 32767"),
        (
            new().restart(RestartPolicy {
                within: Duration::ZERO,
                ..RestartPolicy::default()
            }),
            "within is 0",
        ),
        (
            with_connector.renderer(RENDERER),
            "both a connector and a renderer",
        ),
    ] {
        let error = failure(builder).await;
        assert_eq!(error.kind(), ErrorKind::Config);
        says(&error, &[words]);
    }
    let error = "moc".parse::<RendererMode>().unwrap_err();
    says(&error, &["\"moc\"", "mock, headless, windowed"]);
    let error = "jason".parse::<WireFormat>().unwrap_err();
    says(&error, &["\"jason\"", "msgpack, json"]);
}

/// Each at the end of its range, and all of them together.
#[tokio::test]
async fn the_largest_numbers_and_times_overflow_nothing() {
    let extremes: [fn(Builder) -> Builder; 12] = [
        |pool| pool.max_sessions(usize::MAX),
        |pool| pool.max_sessions(usize::MAX - 1),
        |pool| pool.recycle_after(u64::MAX),
        |pool| pool.event_capacity(usize::MAX),
        |pool| pool.warm(usize::MAX),
        |pool| pool.timeout(Duration::MAX),
        |pool| pool.acquire_timeout(Duration::MAX),
        |pool| pool.launch_timeout(Duration::MAX),
        |pool| pool.close_timeout(Duration::MAX),
        |pool| {
            pool.grace(plushie_pool::Grace {
                eof: Duration::MAX,
                term: Duration::MAX,
                kill: Duration::MAX,
            })
        },
        |pool| {
            pool.restart(RestartPolicy {
                max_restarts: usize::MAX,
                within: Duration::MAX,
                backoff: Duration::MAX,
            })
        },
        |pool| {
            pool.restart(RestartPolicy {
                max_restarts: 1,
                within: Duration::MAX,
                backoff: Duration::ZERO,
            })
        },
    ];
    let base = || SessionPool::builder().renderer(RENDERER);
    let all = |pool: Builder| extremes[2..].iter().fold(pool, |pool, set| set(pool));
    let alone = extremes.iter().map(|set| set(base()));
    let together = all(base()).max_sessions(1000);
    for builder in alone.chain([together]) {
        let shown = format!("{builder:?}");
        let pool = within(builder.start()).await.expect(&shown);
        let session = within(pool.register()).await.unwrap();
        assert_eq!(crate::support::shown(&session).await, json!(null));
        within(session.unregister()).await.unwrap();
        // Killed, and replaced once at least.
        let session = within(pool.register()).await.unwrap();
        crate::support::kill(session.renderer_pid().unwrap());
        within(session.next_event()).await;
        let next = within(pool.register()).await.unwrap();
        assert_eq!(crate::support::shown(&next).await, json!(null));
        drop((session, next));
        within(pool.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn a_path_that_leads_to_no_program_is_named() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing");
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    let here = folder.path().to_owned();
    for (path, words) in [
        (missing, "there is no renderer at"),
        (plain, "is not executable"),
        (here, "is not a file"),
    ] {
        let error = failure(SessionPool::builder().renderer(&path)).await;
        assert_eq!(error.kind(), ErrorKind::RendererNotFound);
        says(
            &error,
            &[words, path.to_str().unwrap(), "PLUSHIE_BINARY_PATH"],
        );
    }
}

#[tokio::test]
async fn a_program_the_system_cannot_start_is_named_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let path = program(&folder, "#!/there/is/no/such/shell\n");
    let error = failure(SessionPool::builder().renderer(&path)).await;
    assert_eq!(error.kind(), ErrorKind::Launch);
    says(&error, &[path.to_str().unwrap(), "interpreter"]);
}

async fn a_program_that_is_no_renderer_is_quoted(format: WireFormat) {
    let folder = TempDir::new().unwrap();
    let script = "#!/bin/sh\necho Usage: pretty-printer FILE\necho no file given >&2\nexit 2\n";
    let usage = program(&folder, script);
    for (path, words, exit) in [
        (PathBuf::from("/bin/true"), "", 0),
        // What it is sent comes back, which is no hello.
        (PathBuf::from("/bin/cat"), "", 1),
        (usage, "Usage: pretty-printer", 2),
    ] {
        let error = failure(SessionPool::builder().renderer(&path).format(format)).await;
        assert!(
            matches!(error.kind(), ErrorKind::Handshake | ErrorKind::Framing),
            "{error:?}"
        );
        assert_eq!(error.exit(), Some(Exit::Code(exit)), "{error}");
        says(&error, &[words, "renderer"]);
        if exit == 2 {
            assert_eq!(error.stderr(), Some("no file given"));
        }
    }
    let silent = scripted(["complain no display", "exit 101"]).format(format);
    let error = failure(silent).await;
    assert_eq!(error.kind(), ErrorKind::Handshake);
    assert_eq!(error.exit(), Some(Exit::Code(101)));
    says(
        &error,
        &[
            "closed its output",
            "no display",
            "is it a plushie renderer?",
        ],
    );

    let refuses = r#"say {"type":"error","session":"","message":"not on a Monday"}"#;
    let error = failure(scripted([refuses]).format(format)).await;
    assert_eq!(error.kind(), ErrorKind::Handshake);
    says(&error, &["refused to start: not on a Monday"]);

    let early = r#"say {"type":"event","session":"","family":"ready"}"#;
    let error = failure(scripted([early, "drain"]).format(format)).await;
    assert_eq!(error.kind(), ErrorKind::Handshake);
    says(&error, &["\"event\", not hello"]);
}

async fn a_renderer_of_another_version_is_refused_with_both(format: WireFormat) {
    for (hello, words) in [
        (r#"hello {"protocol_version":2}"#, "version 2"),
        (r#"hello {"protocol_version":null}"#, "no version"),
    ] {
        let error = failure(scripted([hello, "serve"]).format(format)).await;
        assert_eq!(error.kind(), ErrorKind::Handshake);
        says(&error, &[words, "the pool version 1", "fit together"]);
    }
}

async fn a_renderer_that_says_nothing_is_given_up(format: WireFormat) {
    let mute = scripted(["complain thinking", "drain"]).format(format);
    let error = failure(mute.launch_timeout(SHORT * 20)).await;
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Handshake));
    says(&error, &["launch_timeout", "thinking"]);
}

async fn a_renderer_that_speaks_the_other_format_is_refused(format: WireFormat) {
    let other = match format {
        WireFormat::Json => r"print \x00\x00\x00\x0d\x81\xa4type\xa5hello\n",
        _ => r#"print {"type":"hello","session":"","protocol_version":1}\n"#,
    };
    let error = failure(scripted([other, "drain"]).format(format)).await;
    assert!(
        matches!(error.kind(), ErrorKind::Handshake | ErrorKind::Framing),
        "{error:?}"
    );
    assert_eq!(error.exit(), Some(Exit::Code(0)), "it went with its input");
    says(&error, &["hello", "is it a plushie renderer?"]);
}

async fn one_of_several_renderers_that_fails_ends_the_others(format: WireFormat) {
    let folder = TempDir::new().unwrap();
    let pids = folder.path().join("pids");
    let script = format!(
        "#!/bin/sh\necho $$ >> {pids}\n[ $(wc -l < {pids}) = 3 ] && exit 7\nexec {RENDERER} \"$@\"\n",
        pids = pids.display(),
    );
    let path = program(&folder, &script);
    let builder = SessionPool::builder().renderer(path).format(format);
    let error = failure(builder.renderers(3)).await;
    assert_eq!(error.kind(), ErrorKind::Handshake, "{error:?}");
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 3);
    for pid in pids.lines() {
        let pid = pid.parse().unwrap();
        assert!(!crate::support::exists(pid), "{pid} is still there");
    }
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 1000\n", pid.display());
    let path = program(&folder, &script);
    let start = SessionPool::builder().renderer(path).start();
    let started = async {
        until("it was started", || {
            std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
        })
        .await;
    };
    tokio::select! {
        _ = start => panic!("it says nothing"),
        () = started => {}
    }
    let pid = std::fs::read_to_string(pid)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    until("it was ended", || !crate::support::exists(pid)).await;
}

#[test]
fn a_renderer_named_in_the_environment_is_the_only_one_tried() {
    let said = start_elsewhere(&[("PLUSHIE_BINARY_PATH", "/there/is/none")]);
    for words in [
        "RendererNotFound",
        "PLUSHIE_BINARY_PATH is set",
        "/there/is/none",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let said = start_elsewhere(&[("PLUSHIE_BINARY_PATH", RENDERER)]);
    assert!(said.contains("it started"), "{said}");
}

#[test]
fn a_renderer_that_is_nowhere_is_told_with_where_it_was_looked_for() {
    let said = start_elsewhere(&[("PATH", "/nothing/here")]);
    for words in [
        "RendererNotFound",
        "PLUSHIE_BINARY_PATH is not set",
        "target/plushie-renderer/target/release/plushie-renderer",
        "target/plushie/bin/plushie-renderer-",
        "bin/plushie-renderer",
        "/nothing/here",
        "cargo install plushie-renderer",
    ] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn what_the_host_keeps_in_its_environment_does_not_reach_the_renderer() {
    let folder = TempDir::new().unwrap();
    let script = "#!/bin/sh\necho \"locale $LC_ALL, token $API_TOKEN.\" >&2\nexit 5\n";
    let path = program(&folder, script);
    let said = start_elsewhere(&[
        ("PLUSHIE_BINARY_PATH", path.to_str().unwrap()),
        ("LC_ALL", "C"),
        ("API_TOKEN", "hunter2"),
    ]);
    assert!(said.contains("locale C, token ."), "{said}");
}

#[test]
fn the_environment_describes_a_pool_too() {
    let here = ("PLUSHIE_BINARY_PATH", RENDERER);
    let said = start_elsewhere(&[
        here,
        ("PLUSHIE_TEST_BACKEND", "headless"),
        ("PLUSHIE_TEST_MAX_SESSIONS", "3"),
    ]);
    assert!(said.contains("it started: headless, 3"), "{said}");
    let said = start_elsewhere(&[here, ("PLUSHIE_TEST_BACKEND", "headles")]);
    for words in ["Config", "PLUSHIE_TEST_BACKEND", "mock, headless, windowed"] {
        assert!(said.contains(words), "{said}");
    }
}

/// Set where the test below is to start a pool.
const ELSEWHERE: &str = "POOL_TEST_START";

/// What becomes of a pool that is started with these variables, in an empty folder.
fn start_elsewhere(variables: &[(&str, &str)]) -> String {
    let folder = TempDir::new().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "start::elsewhere", "--nocapture"])
        .env_remove("PLUSHIE_BINARY_PATH")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_MANIFEST_DIR")
        .env(ELSEWHERE, "1")
        .envs(variables.iter().copied())
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Not a test of its own: what those above run.
#[tokio::test]
async fn elsewhere() {
    if std::env::var_os(ELSEWHERE).is_none() {
        return;
    }
    match SessionPool::builder().with_env().start().await {
        Ok(pool) => {
            let status = pool.status();
            println!("it started: {}, {}", status.mode, status.max_sessions);
        }
        Err(error) => println!("{error:?}"),
    }
}

/// A program with this text.
fn program(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("program");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn settings_that_cannot_be_written_are_the_callers_error() {
    let infinite = std::collections::BTreeMap::from([("default_text_size", f64::INFINITY)]);
    let builder = SessionPool::builder()
        .renderer(RENDERER)
        .format(WireFormat::Json);
    let error = failure(builder.settings(infinite)).await;
    assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
    let builder = SessionPool::builder().renderer(RENDERER);
    let error = failure(builder.settings(json!(["not", "a", "map"]))).await;
    assert_eq!(error.origin(), plushie_pool::Origin::Caller, "{error:?}");
}
