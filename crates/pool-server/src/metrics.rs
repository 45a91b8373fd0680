//! What a scraper reads: just enough HTTP to be asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::server::Desk;

/// How many may ask at once.
const ASKERS: usize = 8;

/// How long asking and answering may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a question may be, in bytes.
const QUESTION: usize = 8 * 1024;

/// Answers everybody who asks for `/metrics`.
pub(crate) async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(ASKERS));
    loop {
        let place = places.clone().acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = desk.clone();
                tokio::spawn(async move {
                    // Whoever is slow or gone is not told.
                    let _ = timeout(PATIENCE, answer(stream, &desk)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a scraper cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, desk: &Desk) -> std::io::Result<()> {
    let mut question = Vec::new();
    let mut head = (&mut stream).take(QUESTION as u64);
    while !question.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.read_buf(&mut question).await? == 0 {
            return Ok(());
        }
    }
    let line = question.split(|byte| *byte == b'\r').next();
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
    let (status, body) = match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/metrics" | b"/")) => ("200 OK", desk.report().to_prometheus()),
        (Some(b"GET"), _) => ("404 Not Found", "ask for /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET it\n".to_owned()),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
