//! What a scripted renderer is told to do: one step an argument.
//!
//! | step | does |
//! |---|---|
//! | `hello` | says hello; with JSON behind it, with these keys changed |
//! | `take N` | reads N messages and answers none; the settings are the first |
//! | `answer N` | reads N messages and answers them as a renderer would |
//! | `swap N` | reads N messages, then answers them, the last first |
//! | `serve` | answers everything until its input ends |
//! | `dawdle N` | the same, N milliseconds after it has read each |
//! | `rest N` | does nothing for N milliseconds |
//! | `drain` | reads until its input ends, and answers nothing |
//! | `say JSON` | says this; `$id` and `$session` are those of the last message read |
//! | `repeat N JSON` | says this N times |
//! | `tear JSON` | says the first half of this, without the rest of its frame |
//! | `frame TEXT` | says these bytes in the frame of a message |
//! | `print TEXT` | writes these bytes as they are |
//! | `over-cap` | says more than a message may hold, which is none |
//! | `complain TEXT` | writes a line to stderr |
//! | `flood N` | writes N lines to stderr |
//! | `first-time PATH` | goes on if the file is not there, and makes it; else says hello and serves |
//! | `note PATH` | writes its process id into this file |
//! | `bequeath` | starts a process that has its output and stderr, and complains of its id |
//! | `ignore-term` | no longer ends on SIGTERM or SIGINT |
//! | `hush` | closes its output |
//! | `hang` | does nothing any more, and does not read |
//! | `exit N` | ends with this code |
//! | `kill` | ends by SIGKILL |
//!
//! After the last step it ends with code 0. `\n`, `\\` and `\xNN` in TEXT are what they are in
//! Rust.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the table above explains them")]
pub enum Step {
    Hello(Value),
    Take(usize),
    Answer(usize),
    Swap(usize),
    Serve,
    Dawdle(Duration),
    Rest(Duration),
    Drain,
    Say(String),
    Repeat(usize, String),
    Tear(String),
    Frame(Vec<u8>),
    Print(Vec<u8>),
    OverCap,
    Complain(String),
    Flood(usize),
    FirstTime(PathBuf),
    Note(PathBuf),
    Bequeath,
    IgnoreTerm,
    Hush,
    Hang,
    Exit(i32),
    Kill,
}

/// Reads the steps in front of the first argument that is an option.
///
/// # Errors
///
/// With the step that is none.
pub fn parse(args: &[String]) -> Result<Vec<Step>, String> {
    let steps = args.iter().take_while(|arg| !arg.starts_with("--"));
    steps
        .map(|text| step(text).ok_or_else(|| format!("`{text}` is not a step")))
        .collect()
}

fn step(text: &str) -> Option<Step> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match word {
        "hello" if rest.is_empty() => Step::Hello(Value::Null),
        "hello" => Step::Hello(serde_json::from_str(rest).ok()?),
        "take" => Step::Take(rest.parse().ok()?),
        "answer" => Step::Answer(rest.parse().ok()?),
        "swap" => Step::Swap(rest.parse().ok()?),
        "serve" => Step::Serve,
        "dawdle" => Step::Dawdle(Duration::from_millis(rest.parse().ok()?)),
        "rest" => Step::Rest(Duration::from_millis(rest.parse().ok()?)),
        "drain" => Step::Drain,
        "say" => Step::Say(rest.to_owned()),
        "repeat" => {
            let (times, text) = rest.split_once(' ')?;
            Step::Repeat(times.parse().ok()?, text.to_owned())
        }
        "tear" => Step::Tear(rest.to_owned()),
        "frame" => Step::Frame(unescape(rest)?),
        "print" => Step::Print(unescape(rest)?),
        "over-cap" => Step::OverCap,
        "complain" => Step::Complain(rest.to_owned()),
        "flood" => Step::Flood(rest.parse().ok()?),
        "first-time" => Step::FirstTime(rest.into()),
        "note" => Step::Note(rest.into()),
        "bequeath" => Step::Bequeath,
        "ignore-term" => Step::IgnoreTerm,
        "hush" => Step::Hush,
        "hang" => Step::Hang,
        "exit" => Step::Exit(rest.parse().ok()?),
        "kill" => Step::Kill,
        _ => return None,
    })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (escaped, behind) = rest.split_first()?;
        rest = behind;
        bytes.push(match escaped {
            b'n' => b'\n',
            b'\\' => b'\\',
            b'x' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                rest = behind;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_end_where_the_options_begin_and_typos_are_told() {
        let args = ["hello", "take 2", "print a\\n\\x00\\\\", "--mock", "hang"].map(str::to_owned);
        let steps = [
            Step::Hello(Value::Null),
            Step::Take(2),
            Step::Print(b"a\n\0\\".to_vec()),
        ];
        assert_eq!(parse(&args).unwrap(), steps);
        for typo in [
            "take",
            "take two",
            "repeat {}",
            "helo",
            "print \\q",
            "hello {",
        ] {
            assert!(parse(&[typo.to_owned()]).unwrap_err().contains(typo));
        }
    }
}
