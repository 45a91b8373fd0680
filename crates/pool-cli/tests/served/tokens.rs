//! The token, as the commands take and show it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Serve, pool, text};

const TOKEN: &str = "the one";
const SHA256: &str = "ae79db51521c7b09620120c74df02d7fe7fd2210eae835b43932fa067f25c0b4";

#[test]
fn white_space_around_a_token_counts_on_neither_side() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "\t the one \r\nand no more\n").unwrap();
    let file = file.path().to_str().unwrap();
    let mut by_file = Serve::by(&mut pool(&["serve", "--token-file", file]));
    let mut by_variable = Serve::by(pool(&["serve"]).env("PLUSHIE_TOKEN", " the one\n"));
    for serve in [&mut by_file, &mut by_variable] {
        serve.reads_token();
        assert_eq!(serve.token, TOKEN);
        for shown in ["the one", " the one", "the one\r\n"] {
            let mut status = serve.pool(&["status"]);
            let output = status.env("PLUSHIE_TOKEN", shown).output().unwrap();
            assert!(output.status.success(), "{shown:?}: {output:?}");
            let mut attach = serve.pool(&["attach"]);
            let said = attached(attach.env("PLUSHIE_TOKEN", shown), &json!({}));
            assert_eq!(said["type"], "hello", "{shown:?}: {said}");
        }
        serve.end();
    }
}

#[test]
fn a_token_that_is_none_is_an_error_that_says_where_it_is_from() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), " \nsecond\n").unwrap();
    let file = file.path().to_str().unwrap();
    let wrong: [(&[u8], &str); 3] = [
        (b" ", "PLUSHIE_TOKEN is a blank token"),
        (b"a\nb", "PLUSHIE_TOKEN is a token of several lines"),
        (b"a\xff", "PLUSHIE_TOKEN is not UTF-8"),
    ];
    for (token, says) in wrong {
        for command in [&["serve"][..], &["status", "/no"], &["attach"]] {
            let output = pool(command)
                .env("PLUSHIE_SOCKET", "/no")
                .env("PLUSHIE_TOKEN", OsStr::from_bytes(token))
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            let error = text(&output.stderr);
            assert!(error.contains(says), "{command:?}: {error}");
        }
    }
    // One that is empty is none, and the file goes before the variable.
    let blank = [("", "first line of --token-file"), (" ", "--token-file")];
    for (variable, says) in blank {
        let mut serve = pool(&["serve", "--token-file", file]);
        let output = serve.env("PLUSHIE_TOKEN", variable).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let error = text(&output.stderr);
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("PLUSHIE_TOKEN"), "{error}");
    }
    let mut open = Serve::by(pool(&["serve"]).env("PLUSHIE_TOKEN", ""));
    let mut status = open.pool(&["status"]);
    let output = status.env("PLUSHIE_TOKEN", "").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    open.end();
}

/// Whatever they are pointed at.
#[test]
fn the_token_itself_is_sent_to_no_server() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let own = json!({"token": "the client's own", "theme": "dark"});
    for (command, settings) in [("status", None), ("attach", None), ("attach", Some(&own))] {
        let mut asks = pool(&[command])
            .env("PLUSHIE_SOCKET", &path)
            .env("PLUSHIE_TOKEN", TOKEN)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if command == "attach" {
            say_settings(&mut asks, settings.unwrap_or(&json!({})));
        }
        let (stream, _) = listener.accept().unwrap();
        let mut first = String::new();
        BufReader::new(stream).read_line(&mut first).unwrap();
        let first: Value = serde_json::from_str(&first).unwrap();
        let shown = &first["settings"];
        assert_eq!(shown["token_sha256"], SHA256, "{first}");
        assert_eq!(shown["token"], Value::Null, "{first}");
        let theme = settings.map_or(Value::Null, |own| own["theme"].clone());
        assert_eq!(shown["theme"], theme, "{first}");
        drop(asks.stdin.take());
        let _ = asks.wait().unwrap();
    }
}

fn say_settings(process: &mut std::process::Child, settings: &Value) {
    let mut settings = settings.clone();
    settings["protocol_version"] = 1.into();
    let first = json!({"type": "settings", "session": "", "settings": settings});
    let input = process.stdin.as_mut().unwrap();
    writeln!(input, "{first}").unwrap();
}

/// What is said first to a client that starts this.
fn attached(attach: &mut Command, settings: &Value) -> Value {
    let mut process = attach
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    say_settings(&mut process, settings);
    let mut line = String::new();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    drop(process.stdin.take());
    process.wait().unwrap();
    serde_json::from_str(&line).unwrap()
}
