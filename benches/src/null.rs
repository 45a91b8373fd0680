//! A renderer that answers at once: no threads, no sessions, no trees. Beside it the cost of
//! whoever calls it is all there is.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use serde::Serialize;

use crate::args::Format;
use crate::wire::{ID, SESSION, TYPE};
use crate::workload::PIXELS;

pub(crate) fn run() -> io::Result<()> {
    let json = env::args().any(|argument| argument == "--json");
    let format = if json { Format::Json } else { Format::Msgpack };
    let answers = Answers::new(format);
    // Without std's buffers: nothing waits to be read or written.
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut input = vec![0; 1 << 20];
    let (mut start, mut end, mut scanned) = (0, 0, 0);
    let mut out = Vec::new();
    loop {
        while let Some((from, to, next)) = format.cut(&input[start..end], scanned) {
            answers.answer(&mut out, &input[start + from..start + to]);
            // One by one, as the real one writes.
            stdout.write_all(&out)?;
            out.clear();
            start += next;
            scanned = 0;
        }
        scanned = end - start;
        input.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        if end == input.len() {
            input.resize(2 * end, 0);
        }
        match stdin.read(&mut input[end..])? {
            0 => return Ok(()),
            n => end += n,
        }
    }
}

struct Answers {
    format: Format,
    /// The pixels of every picture, written already.
    picture: Vec<u8>,
}

#[derive(Serialize)]
struct Reply<'a> {
    data: (),
    id: &'a str,
    session: &'a str,
    target: &'static str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Closing<'a> {
    id: &'a str,
    session: &'a str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Said<'a> {
    data: (),
    kind: &'static str,
    session: &'a str,
    tag: &'static str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Hello {
    name: &'static str,
    protocol_version: u32,
    session: &'static str,
    r#type: &'static str,
}

impl Answers {
    fn new(format: Format) -> Self {
        let mut picture = Vec::new();
        match format {
            Format::Json => {
                picture.push(b'"');
                picture.resize(1 + PIXELS.div_ceil(3) * 4, b'A');
                picture.push(b'"');
            }
            Format::Msgpack => {
                picture.push(0xc6);
                let len = u32::try_from(PIXELS).expect("a picture is not that large");
                picture.extend_from_slice(&len.to_be_bytes());
                picture.resize(5 + PIXELS, 0);
            }
        }
        Self { format, picture }
    }

    fn answer(&self, out: &mut Vec<u8>, payload: &[u8]) {
        let format = self.format;
        let session = format.first(payload, &SESSION);
        let id = || format.first(payload, &ID);
        match format.first(payload, &TYPE) {
            "query" => format.say(
                out,
                &Reply {
                    data: (),
                    id: id(),
                    session,
                    target: "find",
                    r#type: "query_response",
                },
            ),
            "settings" if session.is_empty() => format.say(
                out,
                &Hello {
                    name: "null",
                    protocol_version: 1,
                    session: "",
                    r#type: "hello",
                },
            ),
            "widget_op" => format.say(
                out,
                &Said {
                    data: (),
                    kind: "find_focused",
                    session,
                    tag: "t",
                    r#type: "op_query_response",
                },
            ),
            "reset" => format.say(
                out,
                &Closing {
                    id: id(),
                    session,
                    r#type: "reset_response",
                },
            ),
            "screenshot" => format.frame(out, |out| self.picture(out, id(), session)),
            _ => {}
        }
    }

    /// In the order in which a renderer writes each format.
    fn picture(&self, out: &mut Vec<u8>, id: &str, session: &str) {
        let kind = "screenshot_response";
        match self.format {
            Format::Json => {
                out.extend_from_slice(format!("{{\"id\":\"{id}\",\"rgba\":").as_bytes());
                out.extend_from_slice(&self.picture);
                let rest = format!(",\"session\":\"{session}\",\"type\":\"{kind}\"}}");
                out.extend_from_slice(rest.as_bytes());
            }
            Format::Msgpack => {
                out.push(0x84);
                for text in ["type", kind, "session", session, "id", id, "rgba"] {
                    self.format.value(out, text);
                }
                out.extend_from_slice(&self.picture);
            }
        }
    }
}

impl Format {
    /// Appends a frame with this message.
    fn say<T: Serialize>(self, out: &mut Vec<u8>, message: &T) {
        self.frame(out, |out| self.value(out, message));
    }
}
