//! Several modes in one `plushie-pool run` or `serve`.

use std::env;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Serve, pool, text};

/// `plushie-pool run` of a command that says what it has, and ends with its input.
struct Run {
    process: Child,
    shim: String,
    says: String,
}

impl Run {
    fn start(options: &[&str]) -> Self {
        let script = r#"echo "$PLUSHIE_BINARY_PATH"
            echo "$PLUSHIE_TEST_BACKEND $PLUSHIE_TEST_MAX_SESSIONS"; read line"#;
        let mut process = pool(&["run"])
            .args(options)
            .args(["--", "sh", "-c", script])
            .env_remove("PLUSHIE_BINARY_PATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            shim: lines.next().unwrap().unwrap(),
            says: lines.next().unwrap().unwrap(),
            process,
        }
    }

    fn renderer(&self, arguments: &[&str]) -> Renderer {
        Renderer::start(Command::new(&self.shim).args(arguments))
    }

    /// Its summary.
    fn end(mut self) -> String {
        drop(self.process.stdin.take());
        let output = self.process.wait_with_output().unwrap();
        text(&output.stderr)
    }
}

/// What an SDK starts for a renderer. SDKs keep their environment from it.
struct Renderer {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    hello: Value,
}

impl Renderer {
    fn start(command: &mut Command) -> Self {
        let mut process = command
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut renderer = Self {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
            hello: Value::Null,
        };
        let settings = json!({"protocol_version": 1});
        renderer.say(&json!({"type": "settings", "session": "", "settings": settings}));
        renderer.hello = renderer.hear();
        renderer
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
    }

    fn hear(&mut self) -> Value {
        let line = self.output.next().expect("it goes on").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn ask(&mut self, session: &str, request: &Value) -> Value {
        let mut request = request.clone();
        request["session"] = session.into();
        request["id"] = "1".into();
        self.say(&request);
        self.hear_of(session)
    }

    /// The answer to request 1 of this session.
    fn hear_of(&mut self, session: &str) -> Value {
        loop {
            let answer = self.hear();
            if answer["session"] == session && answer["id"] == "1" {
                return answer;
            }
        }
    }

    /// Shows a window in each of these sessions, and says how wide the pictures of them are.
    fn pictures(&mut self, sessions: &[String]) -> Vec<Value> {
        let tree = json!({"id": "main", "type": "window", "props": {}, "children": []});
        for session in sessions {
            self.say(&json!({"type": "snapshot", "session": session, "tree": tree}));
        }
        let screenshot = json!({"type": "screenshot", "name": "n", "width": 20, "height": 10});
        let pictures = sessions.iter().map(|session| {
            let answer = self.ask(session, &screenshot);
            assert_eq!(answer["rgba"].is_string(), answer["width"] != 0, "{answer}");
            answer["width"].clone()
        });
        pictures.collect()
    }

    /// Why it is no renderer, as its client is told, and standard error as well.
    fn refused(self) -> String {
        assert_eq!(self.hello["type"], "error", "{}", self.hello);
        let message = self.hello["message"].as_str().unwrap().to_owned();
        // It ends before its input does.
        let output = self.process.wait_with_output().unwrap();
        drop(self.input);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&message), "{said}");
        message
    }

    /// The exit code, once its input has ended, and what it said on standard error.
    fn end(self) -> (Option<i32>, String) {
        drop(self.input);
        let output = self.process.wait_with_output().unwrap();
        (output.status.code(), text(&output.stderr))
    }
}

#[test]
fn each_test_of_a_suite_has_the_mode_that_it_starts() {
    let run = Run::start(&["--mode", "headless"]);
    assert_eq!(run.says, "headless 512");
    let sessions: Vec<_> = (0..3).map(|n| format!("session {n}")).collect();
    for _ in 0..2 {
        let mut mock = run.renderer(&["--mock", "--max-sessions", "128"]);
        let mut headless = run.renderer(&["--headless", "--max-sessions", "128"]);
        assert_eq!(mock.hello["mode"], "mock");
        assert_eq!(headless.hello["mode"], "headless");
        assert_eq!(headless.pictures(&sessions), [20, 20, 20]);
        assert_eq!(mock.pictures(&sessions), [0, 0, 0]);
        assert_eq!(mock.end().0, Some(0));
        assert_eq!(headless.end().0, Some(0));
    }
    if has_a_display() {
        let mut windowed = run.renderer(&[]);
        assert_eq!(windowed.hello["mode"], "windowed");
        let find = json!({"type": "query", "target": "find", "selector": {}});
        assert_eq!(windowed.ask("", &find)["type"], "query_response");
        assert_eq!(windowed.end().0, Some(0));
    }
    let summary = run.end();
    let line = |mode: &str| {
        let start = format!("plushie-pool: {mode}: ");
        let line = summary.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("nothing of {mode}: {summary}"))
    };
    for mode in ["mock", "headless"] {
        assert!(line(mode).starts_with("6 sessions, "), "{summary}");
        assert!(
            line(mode).contains("renderers started: 1 (pid "),
            "{summary}"
        );
    }
    if has_a_display() {
        assert!(line("windowed").starts_with("1 sessions, "), "{summary}");
        assert!(
            line("windowed").contains("at once at most of 8;"),
            "{summary}"
        );
    }
}

#[test]
fn a_mode_that_cannot_start_harms_only_those_who_ask_for_it() {
    let run = Run::start(&["--display", "none"]);
    assert_eq!(run.says, "mock 512");
    let sessions = ["".to_owned()];
    let mut mock = run.renderer(&["--mock"]);
    assert_eq!(mock.pictures(&sessions), [0]);
    for _ in 0..2 {
        let message = run.renderer(&[]).refused();
        assert!(message.contains("display"), "{message}");
    }
    assert_eq!(mock.pictures(&sessions), [0]);
    assert_eq!(mock.end().0, Some(0));
    run.end();
}

#[test]
fn the_modes_that_are_served_can_be_limited() {
    let run = Run::start(&["--modes", "mock,headless"]);
    let message = run.renderer(&["--max-sessions", "8"]).refused();
    assert!(message.contains("\"windowed\""), "{message}");
    assert!(message.contains("only in mock, headless"), "{message}");
    run.end();

    let only = Run::start(&["--modes", "headless"]);
    assert_eq!(only.says, "headless 512");
    only.end();
    for (variable, options) in [
        (None, &["--mode", "mock", "--modes", "headless"][..]),
        (Some("mock"), &["--modes", "headless,windowed"]),
        (None, &["--modes", "moc"]),
        (Some("moc"), &[]),
    ] {
        let mut run = pool(&["run"]);
        run.args(options).args(["--", "true"]);
        if let Some(mode) = variable {
            run.env("PLUSHIE_TEST_BACKEND", mode);
        }
        let output = run.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = text(&output.stderr);
        assert!(said.contains("moc"), "{said}");
        assert_eq!(
            said.contains("PLUSHIE_TEST_BACKEND"),
            variable.is_some(),
            "{said}"
        );
    }
}

#[test]
fn a_served_pool_is_asked_for_by_settings_and_by_the_shims_arguments() {
    let mut serve = Serve::start(&["--mode", "mock", "--max-sessions", "5"]);
    let attached = |arguments: &[&str]| {
        let mut attach = serve.pool(&["attach"]);
        let socket = serve.socket.clone();
        let mut attach = Renderer::attached(attach.args(arguments), &socket);
        (attach.hello["mode"].clone(), attach.pictures(&["s".into()]))
    };
    assert_eq!(
        attached(&["--headless"]),
        ("headless".into(), vec![20.into()])
    );
    assert_eq!(attached(&["--mock"]), ("mock".into(), vec![0.into()]));
    // By hand it stands in for no renderer.
    assert_eq!(attached(&[]), ("mock".into(), vec![0.into()]));
    let output = serve.pool(&["status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["pool"]["mode"], "mock", "{status}");
    let pools = status["pools"].as_array().unwrap();
    let shown: Vec<_> = pools
        .iter()
        .map(|pool| {
            let renderers = pool["renderers"].as_array().unwrap().len();
            (&pool["mode"], &pool["max_sessions"], renderers)
        })
        .collect();
    let expected = ["mock", "headless"].map(|mode| (json!(mode), json!(5), 1));
    assert!(
        shown
            .iter()
            .map(|(mode, max, n)| ((*mode).clone(), (*max).clone(), *n))
            .eq(expected),
        "{status}"
    );
    let output = serve.pool(&["status"]).output().unwrap();
    let table = text(&output.stdout);
    for line in ["mock mode over msgpack at ", "headless mode over msgpack\n"] {
        assert!(table.contains(line), "{table}");
    }
    serve.end();
}

impl Renderer {
    /// `plushie-pool attach` to the server at this address.
    fn attached(command: &mut Command, socket: &str) -> Self {
        let script = format!("PLUSHIE_SOCKET='{socket}' exec \"$0\" \"$@\"");
        let program = command.get_program().to_owned();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script]).arg(program);
        Self::start(shell.args(command.get_args()))
    }
}

#[test]
fn a_pool_of_an_sdk_has_as_many_sessions_at_once_as_it_asks_for() {
    let run = Run::start(&[]);
    assert_eq!(run.says, "mock 512");
    let names: Vec<_> = (0..512).map(|n| format!("s{n}")).collect();
    let tree = json!({"id": "main", "type": "window", "props": {}, "children": []});
    let hash = json!({"type": "tree_hash", "name": "n"});
    let renderers = ["--mock", "--headless"].map(|mode| {
        let mut renderer = run.renderer(&[mode, "--max-sessions", "512"]);
        for name in &names {
            renderer.say(&json!({"type": "snapshot", "session": name, "tree": tree}));
            let answer = renderer.ask(name, &hash);
            assert_eq!(answer["type"], "tree_hash_response", "{answer}");
        }
        // One more waits for one of them, and none of them for it.
        renderer.say(&json!({"type": "tree_hash", "session": "more", "id": "1", "name": "n"}));
        for name in &names {
            let answer = renderer.ask(name, &hash);
            assert_eq!(answer["type"], "tree_hash_response", "{answer}");
        }
        renderer.say(&json!({"type": "reset", "session": "s7", "id": "1"}));
        let answer = renderer.hear_of("more");
        assert_eq!(answer["type"], "tree_hash_response", "{answer}");
        renderer
    });
    drop(renderers);
    let summary = run.end();
    for mode in ["mock", "headless"] {
        let line =
            format!("{mode}: 513 sessions, 512 at once at most of 512; renderers started: 1 ");
        assert!(summary.contains(&line), "{summary}");
    }
}

#[test]
fn how_many_sessions_there_are_can_be_said_in_each_mode() {
    for (options, variable, says) in [
        (&["--max-sessions", "5"][..], Some("7"), "mock 5"),
        (&[], Some("7"), "mock 7"),
        (
            &["--mode", "headless", "--max-sessions", "700"],
            None,
            "headless 700",
        ),
        (
            &["--mode", "windowed", "--display", "none"],
            None,
            "windowed 8",
        ),
        (
            &["--mode", "windowed", "--display", "none"],
            Some("9"),
            "windowed 9",
        ),
    ] {
        let mut run = pool(&["run", "--quiet"]);
        if let Some(sessions) = variable {
            run.env("PLUSHIE_TEST_MAX_SESSIONS", sessions);
        }
        let script = r#"echo "$PLUSHIE_TEST_BACKEND $PLUSHIE_TEST_MAX_SESSIONS""#;
        run.args(options).args(["--", "sh", "-c", script]);
        let output = run.output().unwrap();
        assert_eq!(text(&output.stdout).trim(), says, "{output:?}");
    }
    // Each session takes a thread of its renderer.
    let mut run = Command::new("prlimit");
    let pool = pool(&["run", "--quiet", "--", "sh", "-c"]);
    run.args(["--nproc=1200"]).arg(pool.get_program());
    run.args(pool.get_args())
        .arg(r#"echo "$PLUSHIE_TEST_MAX_SESSIONS""#);
    run.env_remove("PLUSHIE_TEST_MAX_SESSIONS")
        .env_remove("PLUSHIE_SOCKET");
    let output = run.output().unwrap();
    assert_eq!(text(&output.stdout).trim(), "300", "{output:?}");
}

/// Whether there is anything to show windows on, or to start for it.
fn has_a_display() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories = env::split_paths(&path);
    directories.any(|directory| {
        ["weston", "Xvfb"]
            .iter()
            .any(|name| directory.join(name).exists())
    })
}
