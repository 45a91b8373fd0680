//! What a scraper reads: just enough HTTP to be asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::server::Desk;

/// How many may ask at once; one more has the oldest cut off. A scraper that says what it wants
/// is answered long before so many others have connected.
const ASKERS: usize = 64;

/// How long asking and answering may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a question may be, in bytes.
const QUESTION: usize = 8 * 1024;

/// Answers `GET` and `HEAD` of `/metrics`.
pub(crate) async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let mut asking = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                asking.retain(|task: &AbortHandle| !task.is_finished());
                if asking.len() >= ASKERS
                    && let Some(oldest) = asking.pop_front()
                {
                    oldest.abort();
                }
                let desk = desk.clone();
                let asks = tokio::spawn(async move {
                    // One that is slow or gone needs no answer.
                    let _ = timeout(PATIENCE, answer(stream, &desk)).await;
                });
                asking.push_back(asks.abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "a scraper cannot be accepted");
                if let Some(oldest) = asking.pop_front() {
                    oldest.abort();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, desk: &Desk) -> std::io::Result<()> {
    let mut question = Vec::new();
    let mut head = (&mut stream).take(QUESTION as u64);
    while !is_whole(&question) {
        if head.read_buf(&mut question).await? == 0 {
            break;
        }
    }
    let answer = match is_whole(&question) {
        true => answer_to(&question, || desk.report().to_prometheus()),
        false if question.len() == QUESTION => response(
            "431 Request Header Fields Too Large",
            "",
            "ask for less\n",
            true,
        ),
        // It went before it had asked.
        false => return Ok(()),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Whether the empty line is there that ends the head of a request.
fn is_whole(question: &[u8]) -> bool {
    let ends = |end: &[u8]| question.windows(end.len()).any(|found| found == end);
    ends(b"\r\n\r\n") || ends(b"\n\n")
}

fn answer_to(question: &[u8], metrics: impl FnOnce() -> String) -> String {
    let line = question
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let has_body = match method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => {
            let allow = "Allow: GET, HEAD\r\n";
            return response("405 Method Not Allowed", allow, "GET it\n", true);
        }
    };
    match path(target) {
        "/metrics" | "/" => response("200 OK", "", &metrics(), has_body),
        _ => response("404 Not Found", "", "ask for /metrics\n", has_body),
    }
}

/// Of a request's target: `/path?query`, or, by way of a proxy, `http://host/path?query`.
fn path(target: &str) -> &str {
    let local = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    local.split(['?', '#']).next().unwrap_or_default()
}

fn response(status: &str, header: &str, body: &str, has_body: bool) -> String {
    let length = body.len();
    let body = if has_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         {header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: &str) -> String {
        answer_to(question.as_bytes(), || "metrics\n".to_owned())
    }

    #[test]
    fn what_is_asked_in_other_words_is_answered() {
        for target in [
            "/metrics",
            "/",
            "/metrics?name[]=up&x=/",
            "http://127.0.0.1:9000/metrics?x",
            "http://127.0.0.1:9000",
        ] {
            let got = asked(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{target}: {got}");
            assert!(got.ends_with("\r\n\r\nmetrics\n"), "{target}: {got}");
            let head = asked(&format!("HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(head, got.strip_suffix("metrics\n").unwrap());
        }
        for target in ["/no", "/metrics/x", "/no?/metrics", ""] {
            let got = asked(&format!("GET {target} HTTP/1.1\n\n"));
            assert!(got.starts_with("HTTP/1.1 404 "), "{target}: {got}");
        }
        let got = asked("POST /metrics HTTP/1.1\r\n\r\n");
        assert!(got.starts_with("HTTP/1.1 405 "), "{got}");
        assert!(got.contains("\r\nAllow: GET, HEAD\r\n"), "{got}");
    }
}
